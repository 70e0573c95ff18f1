"""The algorithm table: a row is a policy loss and a list of reward models. A new algorithm is a new row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from mimicjax.learn import losses

if TYPE_CHECKING:
    from mimicjax.learn.reward_models import RewardModel


class Algorithm(NamedTuple):
    """What tells one algorithm from another."""

    policy_loss: Callable  # (log_prob, old, advantage, random, clip) -> (loss, statistics)
    reward_models: tuple[Callable[..., RewardModel], ...]  # each (settings, size, envs) -> RewardModel


def add(*sizes: Any) -> RewardModel:
    """reward_models.add, imported when it is called: --help lists the table, and need not wait for flax and optax."""
    from mimicjax.learn import reward_models

    return reward_models.add(*sizes)


ALGORITHMS = {
    "DeepMimic": Algorithm(losses.ppo, ()),  # Peng et al. 2018
    "ADD": Algorithm(losses.ppo, (add,)),  # Zhang et al. 2025, adversarial differential discriminators
}
