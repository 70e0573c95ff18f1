"""SMP in a probe world: the only reward is a prior's, for windows like the clip's; planted faults show that it is looked at."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds

from mimicjax.config.settings import LearnSettings, SmpSettings
from mimicjax.env.env import Env
from mimicjax.learn import diffusion, prior_files, score
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.run.iteration import Parts, chunk
from mimicjax.statistics import values as numbers
from mimicjax.types import Array

SIZE, BEST, SPREAD = 8, 0.5, 0.2  # the robot's window is its action, so many times; the clip's is about BEST
SMP = SmpSettings(hidden=[64], gradient_steps=600, batch_size=256, learning_rate=3e-3)


@functools.cache
def folder(best: float) -> Path:
    """A prior of a clip whose numbers are about `best`."""

    def draw(keys: Array) -> Array:
        return best + SPREAD * jax.vmap(lambda key: jax.random.normal(key, (SIZE,)))(keys)

    begin, train = diffusion.fitting(SMP, SIZE, draw)
    fit, prior = jax.jit(begin)(jax.random.key(0))
    fit, _ = jax.jit(train)(fit, prior, jax.random.key(1), jnp.int32(SMP.gradient_steps))
    where = Path(tempfile.mkdtemp()) / "prior"
    facts = {"timesteps": SMP.timesteps, "hidden": list(SMP.hidden), "size": SIZE}
    prior_files.save(where, prior._replace(params=fit.averaged), facts)
    return where


def _env() -> Env:
    """The world of worlds.py, whose reward model sees the action."""
    plain = worlds._env()

    def seen(step: Any, state: Any) -> Any:
        return step._replace(views={score.VIEW: jnp.repeat(state.physics.qvel, SIZE, axis=-1)})

    def after(motion, state):
        next_state, step, begin = plain.after(motion, state)
        return next_state, seen(step, state), begin

    def advance(motion, state):
        next_state, step = plain.advance(motion, state)
        return next_state, seen(step, state)

    return plain._replace(after=after, advance=advance)


def parts(best: float) -> Parts:
    learn: LearnSettings = dataclasses.replace(
        worlds.LEARN, algorithm="SMP", task_reward_weight=0.0, smp_reward_weight=1.0,
        smp=dataclasses.replace(SMP, prior=str(folder(best))),
    )  # fmt: skip
    model = score.SMP.make(learn, SIZE, worlds.ENVS, 1)
    return worlds.parts(worlds.LEARN)._replace(
        env=_env(), settings=learn, reward_models=(model,), algorithm=ALGORITHMS["SMP"]
    )


def check(best: float = BEST, **options: Any) -> None:
    """120 iterations come to the action that the clip's numbers are about.

    best: of the clip that the prior is of. options: of the compiler.
    """
    place, whole = worlds.world(), parts(best)
    run = jax.jit(chunk(whole), compiler_options=options or None)
    state, _ = run(jax.jit(lambda: worlds.first(whole, place))(), place, jnp.int32(110))
    state, stats = run(state, place, jnp.int32(10))
    np.testing.assert_allclose(worlds.actions(state, 1), BEST, atol=0.1)
    assert 0.0 < numbers(stats)["Smp_Reward_Mean"] < 1.0


def test_the_action_comes_to_be_the_clips():
    check()


def without_mean(errors: Callable) -> Callable:
    return lambda settings, prior, key, x: errors(settings, prior._replace(mean=0.0 * prior.mean), key, x)


def shuffled(errors: Callable) -> Callable:
    """Every sample is judged by what another did."""
    return lambda settings, prior, key, x: errors(settings, prior, key, x[jax.random.permutation(key, len(x))])


# name -> module, what, the wrong one made of the right one; the prior's noise is symmetric, so that its sign is for
# tests/unit/test_smp_prior.py to see
FAULTS: dict[str, tuple[Any, str, Callable]] = {
    "windows not centred": (score, "errors", without_mean),
    "samples shuffled": (score, "errors", shuffled),
    "reward for errors": (score, "errors", lambda right: lambda *args: 4.0 - jnp.minimum(right(*args), 4.0)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_noticed(fault, monkeypatch):
    folder(BEST)  # by the right code
    where, name, wrong = FAULTS[fault]
    monkeypatch.setattr(where, name, wrong(getattr(where, name)))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(xla_backend_optimization_level=0)


def test_a_prior_of_the_wrong_clip_is_noticed():
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(-BEST, xla_backend_optimization_level=0)
