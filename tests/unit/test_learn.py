"""Minibatches, replay, optimisers, normalisers, annealing and adaptive rates, each against a computation by hand."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from conftest import minibatch_of

from mimicjax import statistics
from mimicjax.config.settings import DiscSettings, LearnSettings, OptimizerSettings, StdSettings
from mimicjax.errors import UserError
from mimicjax.learn import (
    acting,
    actor_critic,
    gaussian,
    losses,
    minibatch,
    networks,
    normalizers,
    optimizers,
    replay,
    returns,
)
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.learn.reward_models import ADD
from mimicjax.learn.sockets import RewardModel, Spec
from mimicjax.run import iteration
from mimicjax.run.iteration import Parts, explore
from mimicjax.types import Rollout

SMALL = LearnSettings(actor_hidden=[8], critic_hidden=[8])
TARGET = dataclasses.replace(SMALL, target_kl=0.01)
KEY = jax.random.key(0)
SPEC = Spec({"actor": 3}, ("actor",), ("actor",), actions=2)


def policy_of(settings=SMALL):
    return gaussian.make(settings, SPEC)


def agent_of(settings=SMALL):
    return actor_critic.init(KEY, settings, SPEC, policy_of(settings))


def act(settings, agent, obs, keys, probability, pushed=None):
    """Decisions for observations [n,3]."""
    pushed = jnp.zeros(len(obs)) if pushed is None else pushed
    return acting.act(policy_of(settings), agent, {"actor": obs}, (), keys, probability, pushed)


ACT = jax.jit(functools.partial(act, SMALL))
MODE = jax.jit(lambda agent, obs: acting.mode(policy_of(), agent, {"actor": obs}, ()))


# minibatches


@pytest.mark.parametrize(("samples", "envs", "size", "epochs", "steps"), [
    (96, 12, 2.0, 5, 20), (96, 12, 4.0, 1, 2), (32, 8, 100.0, 3, 3), (96, 12, 2.0, 0, 0),
])  # fmt: skip
def test_minibatches_hold_each_sample_once_an_epoch(samples, envs, size, epochs, steps):
    settings = OptimizerSettings(batch_size=size, epochs=epochs)
    rows = minibatch.indices(KEY, samples, envs, settings)
    assert rows.shape == (steps, min(samples, int(size * envs)))
    counts = np.bincount(np.asarray(rows).reshape(-1), minlength=samples)
    np.testing.assert_array_equal(counts, np.full(samples, epochs))


def test_minibatches_that_do_not_divide_straddle_permutations():
    rows = np.asarray(minibatch.indices(KEY, 100, 12, OptimizerSettings(batch_size=2.0, epochs=2)))
    assert rows.shape == (10, 24)  # ceil(100 / 24) steps an epoch
    for part in np.split(rows.reshape(-1)[:200], 2):
        np.testing.assert_array_equal(np.sort(part), np.arange(100))
    assert np.bincount(rows.reshape(-1)).max() == 3


def test_fit_merges_statistics_and_may_do_nothing():
    """Two steps from 0 with the gradient -5, the second with 0.9 of the first's; squares over the rows of both."""
    data = jnp.asarray([1.0, 2.0, 3.0, 4.0])

    def objective(x, rows, key):
        squares = (x - data[rows]) ** 2
        return jnp.mean(squares), {"Loss": statistics.mean(squares), "Worst": statistics.largest(squares)}

    settings = OptimizerSettings(learning_rate=1e-9, epochs=2, batch_size=2.0)
    start = minibatch.Fitted(jnp.float32(0), optimizers.make(settings).init(jnp.float32(0)))
    fitted, stats = minibatch.fit(KEY, objective, start, settings, samples=4, envs=2, axis=None)
    assert statistics.values(stats) == pytest.approx({"Loss": (1 + 4 + 9 + 16) / 4, "Worst": 16.0})
    assert float(stats["Loss"].count) == 8  # two epochs
    np.testing.assert_allclose(fitted.params, 1e-9 * 5.0 * (1 + 1.9), rtol=1e-5)
    none = dataclasses.replace(settings, epochs=0)
    assert minibatch.fit(KEY, objective, start, none, samples=4, envs=2, axis=None) == (start, {})


# replay


def stored(ring):
    """The ring's numbers in the order they were stored, for samples of one number."""
    return np.asarray(ring.rows)[..., 0].T.reshape(-1)  # [B,S] -> S rounds of B


def test_replay_fills_then_takes_a_few():
    rows = lambda first, n: jnp.arange(first, first + n, dtype=jnp.float32)[:, None]  # noqa: E731
    ring = replay.make(9, 2, 1)
    assert ring.rows.shape == (2, 5, 1)  # 9 samples of 2 environments: 10
    for first in (0, 4):
        ring = replay.push(ring, KEY, rows(first, 4), 2)
    assert int(ring.count) == 8 and sorted(stored(ring)[:8]) == list(range(8))
    ring = replay.push(ring, KEY, rows(8, 4), 2)  # all of it: two rows of the first batch are overwritten
    assert int(ring.count) == 10 and int(ring.cursor) == 2 and {8, 9, 10, 11} <= set(stored(ring).tolist())
    later = replay.push(ring, KEY, rows(100, 4), 2)
    np.testing.assert_array_equal(np.flatnonzero(stored(later) >= 100), [2, 3])
    assert int(later.count) == 10 and int(later.cursor) == 4


def test_replay_samples_only_what_is_stored():
    ring = replay.push(replay.make(10, 1, 1), KEY, jnp.asarray([[5.0], [6.0], [7.0]]), 1)
    drawn = np.asarray(replay.sample(ring, KEY, 300))[:, 0]
    np.testing.assert_allclose(np.bincount(drawn.astype(int), minlength=8)[5:] / 300, np.full(3, 1 / 3), atol=0.1)
    assert set(drawn.tolist()) == {5, 6, 7}


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4), (4, 2)])
def test_replay_goes_on_over_other_devices(before, after):
    """8 environments, 3 slots; two iterations of 8 samples on some devices, two on others, until the ring is full."""

    def run(ring, devices, first):
        split = lambda x: x.reshape(devices, -1, *x.shape[1:])  # noqa: E731
        one = lambda rows, batch: replay.push(ring._replace(rows=rows), KEY, batch, 4, devices)  # noqa: E731
        batch = jnp.arange(first, first + 8.0)[:, None]
        rings = jax.vmap(one)(split(ring.rows), split(batch))
        assert len({*np.asarray(rings.count).tolist()}) == len({*np.asarray(rings.cursor).tolist()}) == 1
        return replay.Replay(rings.rows.reshape(ring.rows.shape), rings.count[0], rings.cursor[0])

    def drawn(ring, devices):
        parts = ring.rows.reshape(devices, -1, *ring.rows.shape[1:])
        samples = [replay.sample(ring._replace(rows=rows), KEY, 300, devices) for rows in parts]
        return set(np.concatenate(samples)[:, 0].tolist())

    ring = run(run(replay.make(24, 8, 1), before, 1), before, 11)
    assert drawn(ring, before) == drawn(ring, after) == {*range(1, 9), *range(11, 19)}
    ring = run(ring, after, 21)
    assert int(ring.count) == 24 and drawn(ring, after) == {*range(1, 9), *range(11, 19), *range(21, 29)}
    ring = run(ring, after, 31)  # full: four of these in the place of four of the oldest slot
    assert int(ring.count) == 24 and sum(number > 30 for number in drawn(ring, after)) == 4
    assert {*range(11, 19), *range(21, 29)} <= drawn(ring, after)


def test_a_rollout_must_fit_the_replay_buffer():
    """32 steps of 8 environments are 256 samples, on however many devices."""
    for envs, devices in ((8, 1), (2, 4)):
        with pytest.raises(UserError, match="learn.disc.buffer_size is 255; .* 256 samples .*32 x 8 environments"):
            ADD.make(dataclasses.replace(SMALL, disc=DiscSettings(buffer_size=255)), 5, envs, devices)
        ADD.make(dataclasses.replace(SMALL, disc=DiscSettings(buffer_size=256)), 5, envs, devices)


# optimisers


def walk(settings, gradients, start=1.0):
    optimizer, params = optimizers.make(settings), jnp.asarray([start])
    state = optimizer.init(params)
    for gradient in gradients:
        changes, state = optimizer.update(jnp.asarray([gradient]), state, params)
        params = optax.apply_updates(params, changes)
    return float(params[0])


def test_sgd_has_momentum_and_coupled_decay():
    weight, speed = 1.0, 0.0
    for gradient in (0.5, -1.0, 2.0):
        speed = 0.9 * speed + (gradient + 0.2 * weight)
        weight -= 0.1 * speed
    settings = OptimizerSettings(type="SGD", learning_rate=0.1, weight_decay=0.2)
    np.testing.assert_allclose(walk(settings, (0.5, -1.0, 2.0)), weight, rtol=1e-6)


def test_adam_is_adamw():
    weight, first, second = 1.0, 0.0, 0.0
    for t, gradient in enumerate((0.5, -1.0, 2.0), 1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        change = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        weight -= 0.1 * (change + 0.2 * weight)
    settings = OptimizerSettings(type="Adam", learning_rate=0.1, weight_decay=0.2)
    np.testing.assert_allclose(walk(settings, (0.5, -1.0, 2.0)), weight, rtol=1e-5)


def test_gradients_are_clipped_before_decay_is_added():
    settings = OptimizerSettings(type="SGD", learning_rate=0.1, weight_decay=0.2, grad_clip=0.3)
    np.testing.assert_allclose(walk(settings, (5.0,)), 1 - 0.1 * (0.3 + 0.2), rtol=1e-6)


# over devices: vmap with a named axis is two devices


def test_normalisers_over_devices_are_those_of_all_samples():
    batch, active = jax.random.normal(KEY, (2, 6, 3)), jnp.asarray(True)

    def both(x, axis=None):
        moments = normalizers.update(normalizers.moments(3), x, active, axis)
        return moments, normalizers.update_magnitude(normalizers.magnitude(3), x.reshape(-1, 3), active, axis)

    split = jax.vmap(lambda x: both(x, "d"), axis_name="d")(batch)
    for got, want in zip(jax.tree.leaves(split), jax.tree.leaves(both(batch)), strict=True):
        np.testing.assert_allclose(got, np.stack([want, want]), rtol=1e-5)


def test_frozen_normalisers_keep_every_bit():
    state = normalizers.update(normalizers.moments(2), jnp.ones((4, 2)), jnp.asarray(True))
    again = normalizers.update(state, jnp.full((4, 2), 9.0), jnp.asarray(False))
    for got, want in zip(again, state, strict=True):
        np.testing.assert_array_equal(got, want)


def test_advantages_over_devices():
    """Those of all samples, though the devices have different shares of sampled ones."""
    advantage, sampled = jax.random.normal(KEY, (2, 50)), jnp.arange(100).reshape(2, 50) > 30
    over = jax.vmap(lambda a, r: returns.normalize_advantages(a, r, 4.0, "d"), axis_name="d")
    split, mean, deviation = over(advantage, sampled)
    whole, *figures = returns.normalize_advantages(advantage, sampled, 4.0)
    np.testing.assert_allclose(split, whole, rtol=1e-4, atol=1e-6)
    rows = np.asarray(advantage, np.float64)[np.asarray(sampled)]
    for got in ((mean[0], deviation[0]), (mean[1], deviation[1]), figures):
        np.testing.assert_allclose(got, (rows.mean(), rows.std(ddof=1)), rtol=1e-5)


def test_advantages_by_their_environment():
    """Spreads of 0.1 and 1 become equal with own = 1, and differ by the root of ten with own = 0.5."""
    advantage = jax.random.normal(KEY, (200, 20)) * jnp.where(jnp.arange(20) < 10, 0.1, 1.0)
    random = jnp.ones((200, 20), bool)
    for own, ratio in ((0.0, 10.0), (0.5, 10.0**0.5), (1.0, 1.0)):
        spread = np.std(returns.normalize_advantages(advantage, random, 100.0, own=own)[0], axis=0)
        np.testing.assert_allclose(spread[10:].mean() / spread[:10].mean(), ratio, rtol=0.1)
    none = jnp.zeros((200, 20), bool)
    assert np.isfinite(returns.normalize_advantages(advantage, none, 4.0, own=1.0)[0]).all()


# exploration


def test_exploration_probability():
    settings = dataclasses.replace(SMALL, exp_prob_beg=1.0, exp_prob_end=0.2, exp_anneal_samples=100.0)
    got = [float(explore(settings, jnp.float32(samples))) for samples in (0, 50, 100, 1e6)]
    np.testing.assert_allclose(got, [1.0, 0.6, 0.2, 0.2], rtol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_actions_are_sampled_with_a_probability(probability):
    agent = agent_of()
    obs = jnp.tile(jnp.asarray([0.3, -0.2, 0.1]), (4000, 1))
    settings = dataclasses.replace(SMALL, std=StdSettings(begin=0.5))
    action, _, log_prob, random = jax.jit(functools.partial(act, settings))(
        agent, obs, jax.random.split(KEY, 4000), probability
    )
    mean = MODE(agent, obs)
    np.testing.assert_allclose(np.mean(random), probability, atol=0.03)
    moved = np.abs(action - mean).max(axis=-1) > 1e-5
    np.testing.assert_array_equal(moved, random)
    law = scipy.stats.norm(np.asarray(mean, np.float64), 0.5)
    np.testing.assert_allclose(log_prob, law.logpdf(action).sum(-1), rtol=1e-4)
    if probability == 1.0:
        np.testing.assert_allclose(np.std(action - mean, axis=0), 0.5, rtol=0.05)


def test_samples_with_the_mode_teach_the_policy_nothing():
    """Log-probabilities rose by 0.1, 0.5, -0.5 and 9; the last row's action was not sampled."""
    gap = jnp.asarray([0.1, 0.5, -0.5, 9.0])
    batch = minibatch_of(jnp.zeros((4, 2)), advantage=jnp.asarray([1.0, 1.0, -1.0, 100.0]), sampled=[1, 1, 1, 0])
    loss, stats = losses.ppo(batch._replace(old_log_prob=batch.log_prob - gap))
    info = statistics.values(stats)
    np.testing.assert_allclose(loss, -(np.exp(0.1) + 1.2 - 0.8) / 3, rtol=1e-6)
    np.testing.assert_allclose(info["Clip_Frac"], 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(info["Imp_Ratio"], (np.exp(0.1) + np.exp(0.5) + np.exp(-0.5)) / 3, rtol=1e-6)
    low_variance = [np.exp(x) - 1 - x for x in (0.1, 0.5, -0.5)]
    np.testing.assert_allclose(info["KL"], np.mean(low_variance), rtol=1e-5)


def test_first_weights():
    params = networks.MLP((400,), 3, output_scale=0.01).init(KEY, jnp.zeros(100))["params"]
    hidden, last = params["Dense_0"]["kernel"], params["last"]["kernel"]
    assert 0.099 < float(jnp.max(jnp.abs(hidden))) <= 0.1  # 1 / sqrt(100)
    assert 0.0098 < float(jnp.max(jnp.abs(last))) <= 0.01
    assert not params["Dense_0"]["bias"].any() and not params["last"]["bias"].any()


# standard deviation and rate


@pytest.mark.parametrize(("failures", "moves"), [(0, True), (1, True), (4, False)])
def test_annealing_goes_on_while_failures_are_rare(failures, moves):
    """200 control steps of the 800 that annealing takes: a failure in more than 100 of them is rare."""
    std = StdSettings(mode="annealed", begin=0.4, end=0.1, anneal_samples=800, success_length=100.0)
    settings = dataclasses.replace(SMALL, std=std)
    failed = jnp.arange(200).reshape(20, 10) < failures
    agent = actor_critic.anneal(agent_of(settings), settings, failed, None)
    assert float(agent.progress) == (0.25 if moves else 0.0)
    want = 0.4 * 0.25 ** (0.25 if moves else 0.0)  # geometric
    np.testing.assert_allclose(jnp.exp(gaussian.log_std(settings, agent)), want, rtol=1e-5)
    for _ in range(9):
        agent = actor_critic.anneal(agent, settings, jnp.zeros((20, 10), bool), None)
    np.testing.assert_allclose(jnp.exp(gaussian.log_std(settings, agent)), 0.1, rtol=1e-5)


def test_annealing_counts_the_failures_of_all_devices():
    """No failure on one device and two on the other: one in 100 of all control steps, which is not rare."""
    std = StdSettings(mode="annealed", anneal_samples=400, success_length=100.0)
    settings = dataclasses.replace(SMALL, std=std)
    agent = agent_of(settings)
    for failures, progress in ((2, 0.0), (1, 0.5)):
        failed = jnp.zeros((2, 20, 5), bool).at[1, :failures, 0].set(True)
        after = jax.vmap(lambda f: actor_critic.anneal(agent, settings, f, "d").progress, axis_name="d")(failed)
        np.testing.assert_allclose(after, [progress] * 2)


def updated(settings, gap=0.0, advantage=1.0, rate=None):
    """The agent before and after an update with 32 samples, whose old log-probabilities are lower by `gap`."""
    before, rate = agent_of(settings), settings.actor.learning_rate if rate is None else rate
    return before, *compiled_update(settings)(before, gap, advantage, jnp.float32(rate))


def samples_of(obs, decision, advantage, pushed=None):
    """Samples with these observations [n,3], decisions and advantages [n]."""
    pushed = jnp.zeros(len(obs)) if pushed is None else pushed
    return actor_critic.Samples(
        obs={"actor": obs}, memory=(), pushed=pushed, action=decision.action, log_prob=decision.log_prob,
        sampled=decision.sampled.astype(jnp.float32), advantage=advantage, target=jnp.zeros(len(obs)),
        number=jnp.arange(len(obs)),
    )  # fmt: skip


PROGRAMS = {}


def compiled_update(settings):
    """(agent, gap, advantage, rate) -> (agent, statistics): one program for each settings."""

    @jax.jit
    def update(agent, gap, advantage, rate):
        obs, opt = jax.random.normal(KEY, (32, 3)), agent.actor_opt
        agent = agent._replace(actor_opt=opt._replace(hyperparams={**opt.hyperparams, "learning_rate": rate}))
        decision = act(settings, agent, obs, jax.random.split(KEY, 32), 1.0)
        samples = samples_of(obs, decision, jnp.full(32, advantage))
        samples = samples._replace(log_prob=samples.log_prob - gap)
        row = ALGORITHMS["DeepMimic"]
        return actor_critic.update_actor(KEY, policy_of(settings), row, agent, settings, samples, 8, None)

    return PROGRAMS.setdefault(repr(settings), update)


@pytest.mark.parametrize(("gap", "rate", "want"), [
    (1.0, 1e-4, 1e-4 / 1.5), (0.0, 1e-4, 1.5e-4), (1.0, 2.5e-5, 2e-5), (0.0, 9e-4, 1e-3), (0.1414, 1e-4, 1e-4),
])  # fmt: skip
def test_rate_follows_the_kl(gap, rate, want):
    """A KL far over the target lowers the rate, far under it raises it; gap 0.1414 is a KL of 0.01, on the target."""
    _, agent, stats = updated(TARGET, gap, advantage=0.0, rate=rate)
    np.testing.assert_allclose(agent.actor_opt.hyperparams["learning_rate"], want, rtol=1e-5)
    kl = statistics.value(stats["KL"])
    assert kl > 0.3 if gap == 1.0 else kl < 0.012


def test_noise_stays_larger_where_robots_are_pushed():
    """Annealed to the end, actions scatter by `end`, and by `end_pushed` in pushed environments; halfway by the means.

    The first minibatch of an update finds the probabilities that the rollout had.
    """
    std = StdSettings(mode="annealed", begin=0.2, end=0.05, end_pushed=0.1)
    settings = dataclasses.replace(TARGET, std=std)
    still = dataclasses.replace(settings, actor=OptimizerSettings(learning_rate=1e-12, epochs=1, batch_size=20_000))
    count, policy = 20_000, policy_of(settings)
    obs, pushed = jnp.zeros((2 * count, 3)), jnp.repeat(jnp.asarray([0.0, 1.0]), count)

    @jax.jit
    def run(progress):
        agent = agent_of(still)._replace(progress=progress)
        decision = act(settings, agent, obs, jax.random.split(KEY, 2 * count), 1.0, pushed)
        samples = samples_of(obs, decision, jnp.zeros(2 * count), pushed)
        row = ALGORITHMS["DeepMimic"]
        return decision, actor_critic.update_actor(KEY, policy, row, agent, still, samples, 2, None)[1]

    for progress, want in ((1.0, (0.05, 0.1)), (0.5, (0.1, 2**0.5 / 10))):
        decision, stats = run(jnp.float32(progress))
        actions = np.asarray(decision.action).reshape(2, count, 2)
        np.testing.assert_allclose(actions.std(axis=(1, 2)), want, rtol=0.02)
        law = scipy.stats.norm(actions.mean(axis=1, keepdims=True), np.reshape(want, (2, 1, 1)))
        np.testing.assert_allclose(
            np.asarray(decision.log_prob).reshape(2, count), law.logpdf(actions).sum(-1), atol=0.15
        )
        info = statistics.values(stats)
        assert abs(info["KL"]) < 1e-6 and abs(info["Imp_Ratio"] - 1) < 1e-5


def test_rate_stays_without_a_target():
    _, agent, _ = updated(dataclasses.replace(SMALL, actor=OptimizerSettings(learning_rate=1e-4)), 1.0)
    np.testing.assert_allclose(agent.actor_opt.hyperparams["learning_rate"], 1e-4, rtol=1e-6)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("mode", ["fixed", "annealed", "trained"])
def test_only_a_trained_standard_deviation_is_trained(mode, kind):
    """Weight decay cannot reach another: it is no parameter. The network's weights move in any case."""
    actor = OptimizerSettings(type=kind, learning_rate=1e-2, weight_decay=0.1)
    settings = dataclasses.replace(SMALL, std=StdSettings(mode=mode), actor=actor)
    before, after, _ = updated(settings)
    assert ("log_std" in before.actor) == (mode == "trained")
    spreads = [gaussian.log_std(settings, agent) for agent in (before, after)]
    assert bool(jnp.any(spreads[0] != spreads[1])) == (mode == "trained")
    assert jnp.any(before.actor["net"]["params"]["last"]["kernel"] != after.actor["net"]["params"]["last"]["kernel"])


# what counts, as MimicKit counts it


def test_penalties_average_over_sampled_rows():
    """Means of 1.5, -3 and 9, the last without a sampled action (MimicKit 4.4): beyond the bound by 0.5 and 2."""
    batch = minibatch_of([[1.5, 0.0], [-3.0, 0.5], [9.0, 9.0]], sampled=[1, 1, 0], action_reg_weight=0.5)
    bound, bound_stats = losses.action_bound(batch)
    reg, reg_stats = losses.action_reg(batch)
    np.testing.assert_allclose(bound, 10.0 * (0.5**2 + 2.0**2) / 2)
    np.testing.assert_allclose(reg, 0.5 * (1.5**2 + 3.0**2 + 0.5**2) / 2)
    shown = statistics.values({**bound_stats, **reg_stats})
    assert shown == pytest.approx({"Action_Bound_Loss": (0.25 + 4) / 2, "Action_Reg_Loss": (2.25 + 9 + 0.25) / 2})
    none = minibatch_of([[1.5, 0.0]], sampled=[0], action_reg_weight=0.5)
    assert float(losses.action_bound(none)[0]) == float(losses.action_reg(none)[0]) == float(losses.ppo(none)[0]) == 0.0


def test_entropy_bonus_lowers_the_loss():
    """0.1 x the entropy of two actions with standard deviation 0.5."""
    batch = minibatch_of(jnp.zeros((3, 2)), log_std=np.log(0.5), action_entropy_weight=0.1)
    loss, stats = losses.entropy_bonus(batch)
    want = 2 * scipy.stats.norm(0, 0.5).entropy()
    np.testing.assert_allclose(loss, -0.1 * want, rtol=1e-5)
    assert statistics.values(stats) == pytest.approx({"Action_Entropy": want})
    assert losses.entropy_bonus(minibatch_of(jnp.zeros((3, 2)))) == (0.0, {})


def iteration_parts(settings, envs, model):
    """Parts of an iteration with a reward model and nothing to roll out."""
    row = ALGORITHMS["DeepMimic"]
    return Parts(
        env=None, engine=None, settings=settings, spec=SPEC, policy=policy_of(settings), algorithm=row,  # pyright: ignore
        reward_models=(model,), envs=envs, devices=1, axis=None,
    )  # fmt: skip


def test_statistics_are_of_sampled_rows():
    """Adv_Mean, Adv_Std and Disc_Reward_Std: unbiased, of rows with a sampled action; Disc_Reward_Mean before its weight."""
    steps, envs = 5, 4
    draw = np.random.default_rng(0)
    task, learned = draw.normal(size=(2, steps, envs))
    sampled, valid = draw.random((steps, envs)) < 0.6, np.ones((steps, envs), bool)
    valid[1, 2] = sampled[1, 2] = False
    settings = dataclasses.replace(SMALL, discount=0.0, task_reward_weight=2.0)
    model = RewardModel(
        name="Disc", weight=0.25, init=lambda key: (), reward=lambda *_: jnp.asarray(learned),
        update=lambda *_: ((), {}), specs=lambda axis: (),
    )  # fmt: skip
    flat = jnp.zeros((steps, envs))
    rollout = Rollout(
        obs={"actor": jnp.ones((steps, envs, 3))}, last_obs={"actor": jnp.ones((envs, 3))}, memory=(),
        pushed=jnp.zeros(envs), action=jnp.zeros((steps, envs, 2)), log_prob=flat, sampled=jnp.asarray(sampled),
        valid=jnp.asarray(valid), reward=jnp.asarray(task), done=jnp.zeros((steps, envs), jnp.int8), end_value=flat, views={},
    )  # fmt: skip
    parts, agent = iteration_parts(settings, envs, model), agent_of(settings)
    reward, scored = iteration._score(parts, ((),), rollout)
    np.testing.assert_allclose(reward, 2.0 * task + 0.25 * np.where(valid, learned, 0.0), rtol=1e-5)
    _, advantages = actor_critic.targets(parts.policy, agent, settings, rollout, reward, None)
    value = float(acting.value(parts.policy, agent, {"actor": jnp.ones(3)}, ()))
    gain = np.asarray(reward)[sampled] - value  # without a future the target is the reward
    want = {
        "Disc_Reward_Mean": learned[sampled].mean(), "Disc_Reward_Std": learned[sampled].std(ddof=1),
        "Adv_Mean": gain.mean(), "Adv_Std": gain.std(ddof=1),
    }  # fmt: skip
    assert statistics.values({**scored, **advantages}) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(("far", "merges"), [(40.0, 2000), (400.0, 2000), (-400.0, 50)])
def test_spreads_keep_their_digits_far_from_zero(far, merges):
    """Merged from many batches in float32, the standard deviation is that of all samples to 1e-4."""
    batches = (far + np.random.default_rng(0).normal(size=(merges, 256, 2))).astype(np.float32)
    merge = lambda state, batch: (normalizers.update(state, batch, jnp.asarray(True)), None)  # noqa: E731
    state, _ = jax.jit(lambda rows: jax.lax.scan(merge, normalizers.moments(2), rows))(batches)
    every = batches.reshape(-1, 2).astype(np.float64)
    np.testing.assert_allclose(normalizers.std(state), every.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(state.mean, every.mean(axis=0), rtol=1e-6, atol=abs(far) * 1e-6)
    assert float(state.count) == merges * 256


def test_advantages_keep_their_digits_far_from_zero():
    """The spread of what is 400 times as large: two passes, not a difference of squares."""
    values = (400.0 + np.random.default_rng(0).normal(size=(32, 512))).astype(np.float32)
    _, mean, deviation = returns.normalize_advantages(values, jnp.ones(values.shape, bool), 4.0)
    every = values.astype(np.float64)
    np.testing.assert_allclose([mean, deviation], [every.mean(), every.std(ddof=1)], rtol=1e-4)


def test_what_exploded_teaches_the_discriminator_nothing():
    """Neither now nor from the replay: the same parameters whatever the samples of exploded physics are."""
    disc = DiscSettings(hidden=[4], optimizer=OptimizerSettings(epochs=3, batch_size=2.0), buffer_size=64)
    settings = dataclasses.replace(SMALL, steps_per_iter=4, disc=disc)
    model = ADD.make(settings, 3, 8, 1)
    valid = jnp.arange(32).reshape(4, 8) % 4 != 0
    gaps = jax.random.normal(KEY, (4, 8, 3))

    @jax.jit
    def learn(gaps):
        rollout = Rollout(*[None] * len(Rollout._fields))._replace(views={"difference": gaps}, valid=valid)
        state = model.init(KEY)
        for _ in range(3):
            state, stats = model.update(KEY, state, rollout, lambda key: jnp.zeros(()), jnp.asarray(True), None)
        return state, stats

    (state, stats), (other, _) = learn(gaps), learn(jnp.where(valid[..., None], gaps, 50.0))
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(state.norm.count) == 3 * 24
    # 6 steps of 16 rows, and as many of the replay, of which three quarters count on average
    assert 0.65 < float(stats["Disc_Neg_Acc"].count) / (6 * 32) < 0.85
