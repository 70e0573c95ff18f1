"""The whole iteration learns what is known: each world isolates one kind of fault, and planted faults show that it does."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import DISCOUNT, ENVS, SAMPLED, STD, actions, train, values, world

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


def check_values(name: str) -> None:
    place, want = VALUES[name]
    state, _ = train(place, 100)
    np.testing.assert_allclose(values(state, len(want)), want, atol=0.1)


def check_actions(name: str) -> None:
    place, want = ACTIONS[name]
    state, stats = train(place, 120)
    np.testing.assert_allclose(actions(state, len(want)), want, atol=0.1)
    np.testing.assert_allclose(stats["Action_Std"], STD, rtol=1e-5)


def check_add(name: str = "differences") -> None:
    """The robot's number is the action; the only reward is the discriminator's, for being like the reference's 0.5."""
    state, stats = train(world(best=[0.5]), 120, "ADD")
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
