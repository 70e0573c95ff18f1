"""Returns, normalisers, losses and rotations against MimicKit's (golden values B.8); its quaternions are x, y, z, w."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import minibatch_of

from mimicjax import rotation, statistics
from mimicjax.learn import gaussian, losses, normalizers, returns
from mimicjax.learn.sockets import Gaussian
from mimicjax.types import FAILED, RUNNING, SUCCEEDED, TIME_UP


def last(q):
    return jnp.roll(q, -1)


def test_td_lambda(golden):
    reward = jnp.asarray([[1, 0.5], [0.2, 0.8], [0.3, 0.1], [0.9, 0.4], [0.6, 0.7]])
    after = jnp.asarray([[2, 1], [0, 3], [1.5, 2.5], [0.5, 0.2], [4, 1.2]])
    done = jnp.asarray([[0, 0], [FAILED, 0], [0, TIME_UP], [0, 0], [0, 0]], jnp.int8)
    want = [[1.2871, 3.719255], [0.2, 3.370287], [5.277481, 2.575], [5.21343, 2.185564], [4.56, 1.888]]
    golden(returns.td_lambda(reward, after, done, 0.99, 0.95), want)


def test_values_of_ends():
    """Running goes on with what is seen next, time up with where it ended, failures and successes with nothing."""
    done = jnp.asarray([RUNNING, FAILED, SUCCEEDED, TIME_UP], jnp.int8)
    np.testing.assert_array_equal(returns.values_after(done, jnp.full(4, 3.0), jnp.full(4, 5.0)), [3, 0, 0, 5])


def test_observation_normaliser(golden):
    probe = jnp.asarray([20.0, -3.0, 0.5])
    state = normalizers.moments(3)
    golden(normalizers.normalize(state, probe), (10, -3, 0.5))
    state = normalizers.update(state, jnp.asarray([[1.0, 2, 0], [3, 2, 0], [5, 8, 0]]), jnp.asarray(True))
    golden(state.mean, (3, 4, 0))
    golden(normalizers.std(state), (1.632993, 2.828427, 1e-4))
    state = normalizers.update(state, jnp.asarray([[10.0, -4, 0]]), jnp.asarray(True))
    golden(state.mean, (4.75, 2, 0))
    golden(normalizers.std(state), (3.344772, 4.24264, 1e-4))
    golden(normalizers.normalize(state, probe), (4.559354, -1.178511, 10))


def test_difference_normaliser(golden):
    probe = jnp.asarray([2.0, -3.0, 0.5])
    state = normalizers.magnitude(3)
    golden(normalizers.scale(state, probe), probe)
    state = normalizers.update_magnitude(state, jnp.asarray([[1.0, -2, 0], [3, 2, 0]]), jnp.asarray(True))
    golden(state.mean, (2, 2, 0))
    state = normalizers.update_magnitude(state, jnp.asarray([[-8.0, 1, 0]]), jnp.asarray(True))
    golden(state.mean, (4, 1.666667, 0))
    golden(normalizers.scale(state, probe), (0.5, -1.8, 5000))


def test_discriminator_reward(golden):
    # 1 - sigmoid(8) has four digits left in float32, and its logarithm keeps five
    logits = jnp.asarray([-10.0, -2, 0, 2, 8, 12])
    golden(losses.disc_reward(logits, 2.0), (0.000091, 0.253856, 1.386294, 4.253855, 16.00076, 18.420681))


def test_gaussian_policy(golden):
    mean, log_std = jnp.asarray([0.1, -0.2, 1.3]), jnp.full(3, jnp.log(0.05))
    distribution = Gaussian(mean, log_std)
    golden(gaussian.log_prob(distribution, jnp.asarray([0.12, -0.25, 1.31])), 5.630381)
    golden(gaussian.entropy(distribution), -4.730381)
    golden(losses.action_bound(minibatch_of(mean[None], action_bound_weight=1.0))[0], 0.09)


def test_advantages(golden):
    advantage, every = jnp.asarray([1.0, 2, 4, 30]), jnp.ones(4, bool)
    got, mean, deviation = returns.normalize_advantages(advantage, every, 4.0)
    golden(got, (-0.593976, -0.521979, -0.377985, 1.49394))
    golden(returns.normalize_advantages(advantage, every, 1.0)[0], (-0.593976, -0.521979, -0.377985, 1.0))
    golden((mean, deviation), (9.25, np.std([1, 2, 4, 30], ddof=1)))


def test_discriminator_loss(golden):
    hidden = jnp.asarray([[0.5 * np.sin(4 * i + j + 1) for j in range(4)] for i in range(6)])
    last_weights = 0.8 * jnp.cos(jnp.arange(6.0))
    negative, positive = jnp.sin(jnp.arange(12.0)).reshape(3, 4), jnp.cos(jnp.arange(12.0)).reshape(3, 4)

    def logit(x):
        return last_weights @ jax.nn.relu(hidden @ x)

    golden(jax.vmap(logit)(negative), (-0.125019, -0.231588, 0.492785))
    golden(jax.vmap(logit)(positive), (0.483971, -0.074139, -0.328241))
    total, stats = losses.discriminator(logit, negative, jnp.ones(3), positive, last_weights, 5.0, 0.01, None)
    info = statistics.values(stats)
    golden((total, info["Disc_Loss"]), (1.295591, 1.295591))
    golden(info["Disc_Grad_Penalty"], 0.113073)
    golden(info["Disc_Logit_Loss"], 1.889859)
    golden(total - 5 * info["Disc_Grad_Penalty"] - 0.01 * info["Disc_Logit_Loss"], 0.5 * (0.728742 + 0.693913))
    golden(info["Disc_Neg_Acc"], 2 / 3)
    golden(info["Disc_Pos_Acc"], 1 / 3)


@pytest.fixture(scope="module")
def two():
    return rotation.exp(jnp.asarray([0.3, -0.2, 0.5])), rotation.exp(jnp.asarray([-0.4, 0.6, 0.1]))


def test_rotation_of_an_exponential_map(two, golden):
    q, _ = two
    golden(last(q), (0.147636, -0.098424, 0.24606, 0.952875))
    golden(rotation.six(q), (0.859534, 0.439868, 0.260227, -0.114917, -0.329794, 0.937032))
    golden(rotation.heading(q), 0.473004)
    golden(rotation.twist(q, jnp.asarray([0.0, 1, 0])), -0.205854)


def test_exponential_map_beyond_a_half_turn(golden):
    q = rotation.exp(jnp.asarray([3.0, 2, 0]))
    golden(last(q), (-0.809762, -0.539842, 0, 0.229904))
    golden(rotation.log(q), (-2.227926, -1.485284, 0))


def test_two_rotations(two, golden):
    a, b = two
    golden(last(rotation.multiply(a, b)), (-0.125443, 0.132264, 0.300603, 0.936167))
    for other in (b, -b):
        golden(last(rotation.slerp(a, other, jnp.float32(0.3))), (0.044605, 0.02162, 0.192461, 0.980052))
    golden(rotation.angle(a, b), 1.129528)
    local = rotation.log(rotation.multiply(rotation.conjugate(a), b)) / 0.1
    world = rotation.log(rotation.multiply(b, rotation.conjugate(a))) / 0.1
    golden(local, (-5.220004, 9.009756, -4.37712))
    golden(world, (-8.470548, 6.673429, -3.361327))
