"""The whole iteration learns what is known: each world isolates one kind of fault, and planted faults show that it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import DISCOUNT, ENVS, SAMPLED, STD, actions, program, train, values, world

from mimicjax.learn import acting, actor_critic, losses, normalizers, parallel, returns
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.run import rollout
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
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_noticed(fault, monkeypatch):
    """The check of a world fails where the code is wrong in what the world is for."""
    where, name, wrong, check, of = FAULTS[fault]
    right = getattr(where, name)
    monkeypatch.setattr(where, name, wrong(right))
    for row, entry in ALGORITHMS.items():
        if entry.policy_loss is right:  # the table took it when it was imported
            monkeypatch.setitem(ALGORITHMS, row, entry._replace(policy_loss=getattr(where, name)))
    algorithm = "ADD" if check is check_add else "DeepMimic"
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(of, program(algorithm, xla_backend_optimization_level=0))  # it compiles in two thirds of the time
