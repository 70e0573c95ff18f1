"""The whole iteration learns what is known: each world isolates one kind of fault, and planted faults show that it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import DISCOUNT, ENVS, LEASH, SAMPLED, STD, actions, program, skills, train, values, world

from mimicjax.learn import acting, actor_critic, encoder, losses, normalizers, parallel, returns
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.run import iteration, rollout
from mimicjax.types import FAILED, RUNNING, SUCCEEDED, TIME_UP

ON = 1 / (1 - DISCOUNT)  # a reward of 1 for ever
ROUND = 1 / (1 - DISCOUNT**2)  # every second step
# name -> world, values of its first states. What is wrong if it fails:
VALUES = {
    "nothing follows": (world(reward=[1]), [1]),  # the critic's loss, its optimiser, ends of episodes
    "observed": (world([0, 1], reward=[-1, 1]), [-1, 1]),  # samples of different environments or steps are mixed
    "kinds of end": (world([0, 1, 2], reward=[1, 1, 1], done=[FAILED, SUCCEEDED, TIME_UP]), [1, 1, ON]),  # their values
    "two steps": (world(reward=[0, 1], after=[1, 1], done=[RUNNING, FAILED]), [DISCOUNT, 1]),  # discount, lambda
    # the value of what follows a rollout
    "for ever": (world(reward=[1, 0], after=[1, 0], done=[RUNNING] * 2), [ROUND, DISCOUNT * ROUND]),
    # the value of what was seen last, not of the next episode's start
    "time up": (world([0, 1, 2], reward=[0, 1, -1], after=[1], done=[TIME_UP]), [DISCOUNT, 1, -1]),
}
# name -> world, actions in its first states
ACTIONS = {
    "best action": (world(best=[0.5]), [0.5]),  # advantages, log-probabilities, the policy's loss, its optimiser
    "best action observed": (world([0, 1], best=[-0.5, 0.5]), [-0.5, 0.5]),  # samples are mixed
    # normalised advantages push the mean by 1 / std, the bound's penalty holds it by 2 x 10 (mean - 1); were the actions
    # counted that were not sampled, the push would be weaker by the root of the share of those that were
    "the more the better": (world(slope=[1]), [1 + 1 / (20 * STD)]),
}


def check_values(name: str, run: Callable | None = None) -> None:
    """run: a compiled chunk other than the right one."""
    place, want = VALUES[name]
    state, _ = train(place, 100, run=run)
    np.testing.assert_allclose(values(state, len(want)), want, atol=0.1)


def check_actions(name: str, run: Callable | None = None) -> None:
    place, want = ACTIONS[name]
    state, stats = train(place, 120, run=run)
    np.testing.assert_allclose(actions(state, len(want)), want, atol=0.1)
    np.testing.assert_allclose(stats["Action_Std"], STD, rtol=1e-5)


def check_add(name: str = "differences", run: Callable | None = None) -> None:
    """The robot's number is the action; the only reward is the discriminator's, for being like the reference's 0.5."""
    state, stats = train(world(best=[0.5]), 120, "ADD", run)
    np.testing.assert_allclose(actions(state, 1), 0.5, atol=0.1)
    assert stats["Disc_Pos_Logit"] > stats["Disc_Neg_Logit"]
    assert int(state.reward_models[0].past.count) == 2048


def check_amp(name: str = "style", run: Callable | None = None) -> None:
    """What the discriminator sees is the action; the only reward is for one like the clip's, which is 0.5."""
    state, stats = train(world(best=[0.5, -0.5]), 120, "AMP", run)
    np.testing.assert_allclose(actions(state, 1, "AMP"), 0.5, atol=0.15)
    # where nothing tells the two apart the reward is -2 ln(1 - 1/2), and motion is as near to the clip as that to itself
    np.testing.assert_allclose(stats["Disc_Reward_Mean"], 2 * np.log(2), atol=0.15)
    np.testing.assert_allclose([stats["Motion_Distance"], stats["Demo_Distance"]], 0.0, atol=0.1)


def check_ase(name: str = "skills", run: Callable | None = None) -> None:
    """Actions in the plane, clips all around a circle of radius 0.5: skills are all of it, and opposite latents opposite."""
    state, stats = train(world(best=[0.5]), 120, "ASE", run)
    np.testing.assert_allclose(stats["Enc_Loss"], -1.0, atol=0.1)  # the encoder reads the latent from the action
    z, action = skills(state)
    half = len(z) // 2
    np.testing.assert_allclose(action[:half], -action[half:], atol=0.25)
    # (|a - a'|^2 / 2) / (|z - z'|^2 / 4) is the diversity aimed at, 0.5, for a circle of this radius too
    np.testing.assert_allclose(np.mean(np.linalg.norm(action, axis=-1)), 0.5, atol=0.15)


def check_awr(name: str = "best action observed", run: Callable | None = None) -> None:
    place, want = ACTIONS[name]
    state, _ = train(place, 120, "AWR", run)
    np.testing.assert_allclose(actions(state, len(want), "AWR"), want, atol=0.1)


def check_lcp(name: str = "smooth", run: Callable | None = None) -> None:
    """More is better in one state, less in the other, and LCP holds the two together.

    Normalised states are -1 and 1 in two places, so that means -m and m need weights of m^2 / 2 at least. With a share p of
    actions sampled, the penalty is w p / std^2 times that, the gain by normalised advantages m / std: together they are best
    at m = std / (w p).
    """
    state, _ = train(world([0, 1], slope=[-1, 1]), 240, "LCP", run)
    low, high = actions(state, 2, "LCP")
    np.testing.assert_allclose((high - low) / 2, LEASH, atol=0.1)


def test_every_row_of_the_table_has_a_world():
    """DeepMimic's are those of values and actions; test_smp_world.py has SMP's, tests/commands/test_skill.py drives HRL."""
    assert {"DeepMimic", "SMP", "HRL", *ROWS.values()} == ALGORITHMS.keys()


@pytest.mark.parametrize("check", [check_amp, check_ase, check_awr, check_lcp])
def test_every_row_of_the_table_learns_its_answer(check):
    check()


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    check_values(name)


@pytest.mark.parametrize("name", ACTIONS)
def test_actions(name):
    check_actions(name)


def test_add_drives_differences_to_zero():
    check_add()


def test_statistics():
    """Two steps an episode, the reward 1 at the second: counts are summed over the chunk, the rest averaged."""
    place, _ = VALUES["two steps"]
    state, stats = train(place, 20)
    assert int(state.iteration) == 20
    np.testing.assert_allclose(stats["episodes"], 10 * 8 * ENVS / 2)
    np.testing.assert_allclose([stats["Train_Episode_Length"], stats["Train_Return"]], [2.0, 1.0])
    np.testing.assert_allclose([stats["reward_mean"], stats["reward_all"], stats["failure_rate"]], 0.5)
    np.testing.assert_allclose(stats["Exp_Prob"], SAMPLED)


def shuffled(targets: Callable) -> Callable:
    """Targets and advantages of other samples than the observations are of."""

    def wrong(*args: Any) -> Any:
        samples, stats = targets(*args)
        order = jax.random.permutation(jax.random.key(0), len(samples.target))
        return samples._replace(target=samples.target[order], advantage=samples.advantage[order]), stats

    return wrong


def negated_loss(loss: Callable) -> Callable:
    def wrong(batch: Any) -> Any:
        value, stats = loss(batch)
        return -value, stats

    return wrong


def negated_advantages(normalize: Callable) -> Callable:
    def wrong(*args: Any) -> Any:
        advantage, *figures = normalize(*args)
        return -advantage, *figures

    return wrong


def everything_sampled(act: Callable) -> Callable:
    def wrong(*args: Any) -> Any:
        decision = act(*args)
        return decision._replace(sampled=jnp.ones_like(decision.sampled))

    return wrong


def ahead_by_one(normalize: Callable) -> Callable:
    """As if the rollout saw with another normaliser than the updates: their log-probabilities are of other observations."""
    return lambda state, x: normalize(state._replace(mean=state.mean - 0.5 * (x.ndim == 2) * (len(x) == ENVS)), x)


def latents_of_others(collect: Callable) -> Callable:
    """As if an environment's actions had been chosen by its neighbour's latent."""

    def wrong(*args: Any) -> Any:
        actors, rolled, stats = collect(*args)
        return actors, rolled._replace(memory=jax.tree.map(lambda x: jnp.roll(x, 1, axis=1), rolled.memory)), stats

    return wrong


def negated_reward(maker: Any) -> Any:
    """A kind of learned reward that pays for the opposite."""

    def make(*args: Any) -> Any:
        right = maker.make(*args)
        return right._replace(reward=lambda *rest: -right.reward(*rest))

    return maker._replace(make=make)


def of_the_wrong_clip(demonstrate: Callable) -> Callable:
    """Demonstrations are those of the next state."""
    return lambda parts, motion, *rest: demonstrate(parts, motion._replace(best=jnp.roll(motion.best, -1)), *rest)


def nothing_penalised(loss: Callable) -> Callable:
    def wrong(batch: Any) -> Any:
        value, stats = loss(batch)
        return 0.0 * value, stats

    return wrong


# check -> the row of the table that it trains
ROWS: dict[Callable, str] = {
    check_add: "ADD", check_amp: "AMP", check_ase: "ASE", check_awr: "AWR", check_lcp: "LCP"
}  # fmt: skip
# name -> where, what, the wrong one made of the right one, the check that must fail
FAULTS: dict[str, tuple[Any, str, Callable, Callable, str]] = {
    "sign of the advantage": (returns, "normalize_advantages", negated_advantages, check_actions, "best action"),
    "sign of the policy's loss": (losses, "ppo", negated_loss, check_actions, "the more the better"),
    "no bootstrap at time up": (
        rollout, "_end_value", lambda _: lambda policy, agent, step, memory: jnp.zeros(len(step.done)), check_values,
        "kinds of end",
    ),
    "time up with the next start": (
        rollout, "_end_value",
        lambda right: lambda policy, agent, step, memory: right(policy, agent, step._replace(last_obs=step.obs), memory),
        check_values, "time up",
    ),
    "failure bootstrapped": (
        returns, "values_after",
        lambda _: lambda done, following, at_end: jnp.where(done == TIME_UP, at_end, following), check_values,
        "kinds of end",
    ),
    "nothing after a rollout": (
        returns, "values_after",
        lambda right: lambda done, following, at_end: right(done, following.at[-1].set(0.0), at_end), check_values,
        "for ever",
    ),
    "no discount": (
        returns, "td_lambda", lambda right: lambda r, v, d, discount, lam: right(r, v, d, 1.0, lam), check_values,
        "two steps",
    ),
    "stale normaliser": (
        normalizers, "update", lambda _: lambda state, batch, active, axis: state, check_values, "observed",
    ),
    "another normaliser while rolling out": (
        normalizers, "normalize", ahead_by_one, check_actions, "best action observed",
    ),
    "shuffled targets": (actor_critic, "targets", shuffled, check_values, "observed"),
    "shuffled advantages": (actor_critic, "targets", shuffled, check_actions, "best action observed"),
    "actions counted that were not sampled": (acting, "act", everything_sampled, check_actions, "the more the better"),
    "mask of what counts ignored": (
        parallel, "share", lambda right: lambda x, weight, axis: right(x, None, axis), check_actions,
        "the more the better",
    ),
    "sign of ADD's discriminator": (
        losses, "disc_reward", lambda right: lambda logit, scale: right(-logit, scale), check_add, "differences",
    ),
    "stale normaliser of ADD": (
        normalizers, "update_magnitude", lambda _: lambda state, *rest: state, check_add, "differences",
    ),
    "sign of AMP's discriminator": (
        losses, "disc_reward", lambda right: lambda logit, scale: right(-logit, scale), check_amp, "style",
    ),
    "demonstrations from the wrong clip": (iteration, "_demonstrate", of_the_wrong_clip, check_amp, "style"),
    "stale normaliser of AMP": (
        normalizers, "update", lambda _: lambda state, batch, active, axis: state, check_amp, "style",
    ),
    "shuffled latents": (rollout, "collect", latents_of_others, check_ase, "skills"),
    "sign of the encoder's reward": (encoder, "ENCODER", negated_reward, check_ase, "skills"),
    "sign of the diversity": (losses, "diversity", negated_loss, check_ase, "skills"),
    "sign of AWR's loss": (losses, "awr", negated_loss, check_awr, "best action observed"),
    "weights for worse actions": (returns, "normalize_advantages", negated_advantages, check_awr, "best action observed"),
    "sign of the smoothness": (losses, "lipschitz", negated_loss, check_lcp, "smooth"),
    "smoothness without effect": (losses, "lipschitz", nothing_penalised, check_lcp, "smooth"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_noticed(fault, monkeypatch):
    """The check of a world fails where the code is wrong in what the world is for."""
    where, name, wrong, check, of = FAULTS[fault]
    right = getattr(where, name)
    monkeypatch.setattr(where, name, wrong(right))
    swap = lambda part: getattr(where, name) if part is right else part  # noqa: E731
    for row, entry in ALGORITHMS.items():  # the table took its parts when it was imported
        parts = {
            "policy_loss": swap(entry.policy_loss),
            "penalties": tuple(map(swap, entry.penalties)),
            "reward_models": tuple(map(swap, entry.reward_models)),
        }
        monkeypatch.setitem(ALGORITHMS, row, entry._replace(**parts))
    algorithm = ROWS.get(check, "DeepMimic")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(of, program(algorithm, xla_backend_optimization_level=0))  # it compiles in two thirds of the time
