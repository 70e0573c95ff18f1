"""AWR, LCP and ASE's parts against closed forms; AMP's windows against the clips they are drawn from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import DT, minibatch_of, scope_g1

from mimicjax import statistics
from mimicjax.config.settings import EnvSettings, LatentSettings, LearnSettings, ObservationSettings, StdSettings
from mimicjax.env import discriminator
from mimicjax.env import env as environment
from mimicjax.env.view import View
from mimicjax.errors import UserError
from mimicjax.learn import acting, actor_critic, encoder, latent, losses
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.learn.sockets import Mirror, Spec
from mimicjax.motion import library
from mimicjax.types import FAILED, RUNNING, Rollout

LINEAR = {"actor_hidden": [], "critic_hidden": [], "actor_init_output_scale": 1.0}  # a network of one layer
SPEC = Spec({"actor": 3}, ("actor",), ("actor",), actions=2, dt=DT)


def learner(name: str, **settings):
    """(policy, agent with random weights, settings) of a row of the table, all networks linear."""
    learn = LearnSettings(**LINEAR, **settings)
    policy = ALGORITHMS[name].policy(learn, SPEC)
    return policy, actor_critic.init(jax.random.key(1), learn, SPEC, policy), learn


def test_awr_weighs_by_advantage():
    """Weights exp(A / temp), cut; rows whose action was not sampled do not count; log-density of the mean, std 1, A = 1."""
    advantage, temp = np.asarray([0.5, -1.0, 3.0, 9.0]), 0.5
    batch = minibatch_of(
        np.zeros((4, 1)),
        advantage=advantage,
        sampled=[1, 1, 1, 0],
        awr_temp=temp,
        a_weight_clip=20.0,
        norm_adv_clip=4.0,
    )
    loss, stats = losses.awr(batch)
    weights = np.minimum(np.exp(advantage[:3] / temp), 20.0)
    assert weights[2] == 20.0
    assert float(loss) == pytest.approx(np.mean(weights) * 0.5 * np.log(2 * np.pi), rel=1e-5)
    shown = statistics.values(stats)
    assert shown["A_Weight_Mean"] == pytest.approx(np.mean(weights), rel=1e-5) and shown["A_Weight_Max"] == 20.0


def test_lipschitz_penalty_of_a_linear_policy():
    """For means W^T x the gradient of the log-density by x is W (a - W^T x) / std^2."""
    policy, agent, learn = learner("LCP", lcp_weight=0.3, std=StdSettings(begin=0.5))
    x = jax.random.normal(jax.random.key(2), (5, 3))
    distribution = policy.distribution(agent, {"actor": x}, (), jnp.zeros(5))
    action = distribution.mean + 0.1 * jax.random.normal(jax.random.key(3), (5, 2))
    batch = minibatch_of(distribution.mean, np.log(0.5), action)
    batch = batch._replace(settings=learn, policy=policy, agent=agent, blocks={"actor": x}, distribution=distribution)
    penalty, stats = losses.lipschitz(batch)
    weights = np.asarray(agent.actor["net"]["params"]["last"]["kernel"], np.float64)
    slopes = (np.asarray(action - distribution.mean, np.float64) / 0.25) @ weights.T
    want = np.mean(np.sum(slopes**2, axis=-1))
    assert statistics.value(stats["Lcp_Loss"]) == pytest.approx(want, rel=1e-4)
    assert float(penalty) == pytest.approx(0.3 * want, rel=1e-4)


def test_diversity_of_a_linear_policy():
    """Means differ by V^T (z' - z); on the unit sphere half of one minus the cosine is |z' - z|^2 / 4."""
    policy, agent, learn = learner("ASE", latent=LatentSettings(dim=4), diversity_weight=0.1, diversity_tar=2.0)
    x, keys = jax.random.normal(jax.random.key(2), (6, 3)), jax.random.split(jax.random.key(3), 6)
    memory = policy.begin(keys)
    distribution = policy.distribution(agent, {"actor": x}, memory, jnp.zeros(6))
    batch = minibatch_of(distribution.mean)._replace(
        settings=learn, policy=policy, agent=agent, blocks={"actor": x}, memory=memory, distribution=distribution
    )
    penalty, stats = losses.diversity(batch)
    others = np.stack([latent.draw(key, 4) for key in batch.keys]).astype(np.float64)
    gap = others - np.asarray(memory.z, np.float64)
    weights = np.asarray(agent.actor["net"]["params"]["last"]["kernel"], np.float64)[3:]
    ratio = np.mean((gap @ weights) ** 2, axis=-1) / (0.25 * np.sum(gap**2, axis=-1) + 1e-5)
    want = np.mean((2.0 - ratio) ** 2)
    assert statistics.value(stats["Diversity_Loss"]) == pytest.approx(want, rel=1e-4)
    assert float(penalty) == pytest.approx(0.1 * want, rel=1e-4)


def test_latents_last_their_time_and_begin_anew_with_the_episode():
    policy, _, _ = learner("ASE", latent=LatentSettings(dim=8, time=[0.1, 0.4]))
    count = 400
    memory = policy.begin(jax.random.split(jax.random.key(0), count))
    np.testing.assert_allclose(jnp.linalg.norm(memory.z, axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(jnp.mean(memory.z, axis=0), 0.0, atol=0.06)  # three standard errors
    assert memory.left.min() >= 0.1 and memory.left.max() <= 0.4

    @jax.jit
    def run(memory):
        def step(memory, number):
            keys = jax.random.split(jax.random.fold_in(jax.random.key(9), number), count)
            done = jnp.where((jnp.arange(count) == 7) & (number == 0), FAILED, RUNNING).astype(jnp.int8)
            after = policy.remember(keys, memory, done)
            return after, jnp.any(after.z != memory.z, axis=-1)

        return jax.lax.scan(step, memory, jnp.arange(60))[1]

    changed = np.asarray(run(memory))
    assert changed[0, 7]  # its episode failed
    first = np.argmax(changed, axis=0)
    others = np.arange(count) != 7
    np.testing.assert_array_equal(first[others], np.ceil(np.asarray(memory.left)[others] / DT - 1e-3).astype(int) - 1)
    assert changed[:, 7].sum() > 1 and changed.mean() == pytest.approx(DT / (0.25 + 0.5 * DT), rel=0.1)


def test_values_judge_what_comes_by_the_latent_that_was_acted_with():
    """V' of a running step is that of the next observation with the same latent (MimicKit 4.8)."""
    policy, agent, learn = learner("ASE", latent=LatentSettings(dim=4), td_lambda=0.0, discount=0.5)
    T, B = 3, 2
    obs = {"actor": jax.random.normal(jax.random.key(4), (T, B, 3))}
    memory = jax.vmap(policy.begin)(jax.random.split(jax.random.key(5), (T, B)))
    rollout = Rollout(
        obs=obs, last_obs={"actor": jnp.ones((B, 3))}, memory=memory, pushed=jnp.zeros(B), action=jnp.zeros((T, B, 2)),
        log_prob=jnp.zeros((T, B)), sampled=jnp.ones((T, B), bool), valid=jnp.ones((T, B), bool), reward=jnp.zeros((T, B)),
        done=jnp.zeros((T, B), jnp.int8), end_value=jnp.zeros((T, B)), views={},
    )  # fmt: skip
    samples, _ = actor_critic.targets(policy, agent, learn, rollout, rollout.reward, None)
    ahead = {"actor": jnp.concatenate([obs["actor"][1:], rollout.last_obs["actor"][None]])}
    want = 0.5 * acting.value(policy, agent, ahead, memory)
    np.testing.assert_allclose(samples.target.reshape(T, B), want, rtol=1e-5)


def test_the_encoders_reward_is_a_cosine():
    learn = LearnSettings(latent=LatentSettings(dim=3))
    learn = LearnSettings(**{**vars(learn), "enc": type(learn.enc)(hidden=[])})
    model = encoder.ENCODER.make(learn, 5, 2, 1)
    state = model.init(jax.random.key(0))
    windows = jax.random.normal(jax.random.key(1), (4, 2, 5))
    z = jax.vmap(lambda key: latent.draw(key, 3))(jax.random.split(jax.random.key(2), 8)).reshape(4, 2, 3)
    rollout = Rollout(
        obs={}, last_obs={}, memory=latent.Latent(z, jnp.zeros((4, 2))), pushed=(), action=z, log_prob=z, sampled=z,
        valid=jnp.ones((4, 2), bool), reward=z, done=z, end_value=z, views={"motion": windows},
    )  # fmt: skip
    code = np.asarray(windows, np.float64) @ np.asarray(state.params["params"]["last"]["kernel"], np.float64)
    cosine = np.sum(code * z, axis=-1) / np.linalg.norm(code, axis=-1)
    np.testing.assert_allclose(model.reward(state, rollout), np.maximum(cosine, 0.0), rtol=1e-4, atol=1e-5)
    _, stats = model.update(jax.random.key(3), state, rollout, lambda key: windows, jnp.bool_(False), None)
    assert statistics.value(stats["Enc_Loss"]) < -np.mean(cosine) + 0.05  # its first steps do not make it worse


def test_a_latent_has_no_mirror_image():
    with pytest.raises(UserError, match="learn.symmetry: a latent has no mirror image"):
        latent.make(LearnSettings(), SPEC._replace(mirror=Mirror({}, None)))  # pyright: ignore


def test_demonstrations_are_windows_of_the_clips(g1, clips):
    """Each is what the robot would show had it moved as the clip until the time that was drawn."""
    settings = EnvSettings(observations=ObservationSettings(terms=["character"], frame="heading"), disc_steps=4)
    scope = scope_g1(settings)
    env, sight = environment.make(scope, views=["motion"]), discriminator.VIEWS["motion"](scope)
    keys = jax.random.split(jax.random.key(3), 6)
    windows = jax.jit(lambda clips: env.demonstrate("motion", clips, keys))(clips)
    clip, time = env.draw(clips, keys)
    times = time[:, None] - DT * jnp.arange(3, -1, -1)
    poses = jax.jit(lambda clips: library.query(g1, clips, clip[:, None], times))(clips)

    def window(history):
        last = jax.tree.map(lambda rows: rows[-1], history)
        return sight.see(View.of(last, last)._replace(history=history))

    np.testing.assert_allclose(windows, jax.vmap(window)(poses), rtol=1e-4, atol=1e-4)
    assert len(set(np.asarray(clip))) > 1
