"""A NaN in what is learned: the run goes back to its last checkpoint and on another way, or gives up with all that was sound."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.run import checkpoint, guard, loop
from mimicjax.run.loop import Training
from mimicjax.types import Episodes, TrainState

EVERY = 4  # iterations from one checkpoint to the next


class Envs(NamedTuple):
    key: jax.Array


def first() -> TrainState:
    keys = jax.random.split(jax.random.key(1), 2)
    agent = {"weight": jnp.zeros(3), "steps": jnp.int32(0)}
    return TrainState(agent, ({"norm": jnp.ones(2)},), Envs(keys), {}, (), jnp.int32(0), jax.random.key(0))


def episodes(agent: Any, key: jax.Array) -> Episodes:
    rows = np.ones(2, np.float32)
    return Episodes(rows.astype(np.int32), rows, np.zeros(2, np.int8), {}, {}, {})


def training(breaks: Callable[[TrainState], bool]) -> Training:
    """Adds 1 to a weight in every iteration; breaks: whether a state gets a NaN in the coming one."""
    settings = config.from_dict(RunSettings, {
        "max_iterations": 10, "num_envs": 2, "keep": {"iters_per_output": EVERY, "curves": False},
    }, "test")  # fmt: skip

    def chunk(state: TrainState, motion: Any, n: jax.Array) -> tuple[TrainState, dict]:
        for _ in range(int(n)):
            step = jnp.nan if breaks(state) else 1.0
            agent = {**state.agent, "weight": state.agent["weight"].at[1].add(step)}
            state = state._replace(agent=agent, iteration=state.iteration + 1)
        return state, {}

    facts = {
        "config": config.to_dict(settings),
        "motion_hash": "m",
        "reference_rows": 1,
        "robot": "r",
        "robot_hash": "h",
    }
    return Training(settings, chunk, first, lambda state: jax.device_put(state), episodes, (), facts)


def fresh(state: TrainState) -> bool:
    """Whether its keys are those that the run began with."""
    return bool(jnp.all(jax.random.key_data(state.key) == jax.random.key_data(first().key)))


def test_names_of_what_is_not_finite():
    state = first()
    assert guard.unsound(state) == []
    state = state._replace(
        agent={**state.agent, "weight": jnp.asarray([0.0, jnp.inf, 1.0])},
        reward_models=({"norm": jnp.asarray([jnp.nan, 1])},),
    )
    assert guard.unsound(state) == ["agent.weight", "reward_models.0.norm"]


def test_another_way_has_other_keys_and_the_rest_as_it_was():
    state = first()
    other = guard.other_way(state, 1)
    assert not fresh(other) and other.agent is state.agent
    data = [jax.random.key_data(s.env.key) for s in (state, other, guard.other_way(state, 2))]
    assert all((a != b).any(axis=-1).all() for a, b in zip(data, data[1:], strict=False))


@pytest.mark.parametrize("at", [2, 6])
def test_it_goes_back_and_on(at, tmp_path: Path, capsys):
    """Before the first checkpoint, and after it: with the keys that it had, iteration `at` breaks."""
    assert loop.train(training(lambda state: fresh(state) and int(state.iteration) == at), tmp_path, resume=False)
    state, facts = checkpoint.restore(tmp_path / "checkpoints", first())
    np.testing.assert_array_equal(state.agent["weight"], [0, 10, 0])
    assert facts["iteration"] == 10 and not fresh(state)
    back = at // EVERY * EVERY
    said = re.search(
        r"warning: noticed at iteration (\d+): agent.weight not finite: back to (.*)", capsys.readouterr().out
    )
    assert said and at < int(said[1]) <= back + EVERY
    assert said[2] == f"iteration {back}, with other random keys (1 of 3)"


def test_it_gives_up_with_the_sound_checkpoint(tmp_path: Path):
    with pytest.raises(
        UserError, match=r"iteration [78]: agent.weight not finite, after it went back to iteration 4 3 times"
    ):
        loop.train(training(lambda state: int(state.iteration) == 6), tmp_path, resume=False)
    state, facts = checkpoint.restore(tmp_path / "checkpoints", first())
    assert facts["iteration"] == 4 and guard.unsound(state) == []
