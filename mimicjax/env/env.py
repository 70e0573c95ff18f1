"""The environment: control steps of motion imitation, as pure functions over a batch.

Everything is written for one environment (`env/step.py`, `env/episode.py`) and mapped over the batch there and in `make`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.config.settings import RandomizeSettings
from mimicjax.env import discriminator, episode, follow, observations, randomisation, rewards, step, terminations
from mimicjax.env.disturbances import Disturbances
from mimicjax.env.episode import EnvParts
from mimicjax.env.getup import Getup
from mimicjax.env.step import Start
from mimicjax.env.task import Task
from mimicjax.env.view import Part, Scope, View, join
from mimicjax.motion.reference import Motion
from mimicjax.robot import actuation
from mimicjax.types import Array, EnvState, Step


class Env(NamedTuple):
    """Functions over a batch; B is whatever the arguments have."""

    # (motion, keys [B], clip [B], start [B] s) -> (state, whose physics the engine makes, observation blocks, start)
    place: Callable[[Motion, Array, Array, Array], tuple[EnvState, dict[str, Array], Start]]
    draw: Callable[[Motion, Array], tuple[Array, Array]]  # (motion, keys [B]) -> (clip [B], start [B] s), as at a reset
    # (motion, state, action [B,A]) -> (state, ctrl, wrench [B,W,6]), as the engine takes them
    before: Callable[[Motion, EnvState, Array], tuple[EnvState, Array, Array]]
    # (motion, state with the new physics) -> (state, step, start of the environments that ended)
    after: Callable[[Motion, EnvState], tuple[EnvState, Step, Start]]
    # the same without resets: (motion, state with the new physics) -> (state in which every episode goes on, step)
    advance: Callable[[Motion, EnvState], tuple[EnvState, Step]]
    # -> [B] float32, 1 where falls are at stake: in environments that may be pushed or whose episodes begin on the ground
    pushed: Callable[[EnvState], Array]
    # (name in discriminator.VIEWS, motion, keys [n]) -> [n,size]: what reward models see of clips drawn as at a reset
    demonstrate: Callable[[str, Motion, Array], Array]
    actor: dict[str, tuple[Part, ...]]  # the observation blocks that the actor sees, in order, and what they hold
    critic: dict[str, tuple[Part, ...]]
    dt: float  # s, a control step
    episode_steps: int  # control steps of an episode that does not end early


def _demonstrate(parts: EnvParts, name: str, motion: Motion, key: Array) -> Array:
    """What a reward model sees of a clip: its poses in the place of the robot's."""
    clip, time = episode.draw(parts, motion, key)
    reference, targets, phase = episode.reference_at(parts, motion, clip, time)
    history = episode.with_now(episode.past(parts, motion, clip, time), reference)
    view = View(
        pose=reference, reference=reference, targets=targets, phase=phase, history=history, objects={}, task=(), push=()
    )
    return parts.sights[name].see(view)


def _blocks(parts: EnvParts) -> dict[str, Any]:
    """What actor and critic see, by block."""
    critic = {"critic" if parts.random.imperfect else "actor": parts.seen.parts}
    if parts.privileged:
        critic["privileged"] = parts.privileged.parts
    return {"actor": {"actor": parts.seen.parts}, "critic": critic}


def _at_stake(parts: EnvParts, state: EnvState) -> Array:
    """Over the batch: 1 in environments that may be pushed or whose episodes begin on the ground."""
    pushed = state.push.pushed if parts.disturb else jnp.zeros(state.step.shape)
    return jnp.maximum(pushed, state.getup.grounded) if parts.getup else pushed


def make(
    scope: Scope,
    disturb: Disturbances | None = None,
    randomize: RandomizeSettings | None = None,
    substeps: int = 1,
    views: Collection[str] = (),
    task: Task | None = None,
    getup: Getup | None = None,
) -> Env:
    """Build the environment for a robot in a scene. Raises UserError for what does not fit the robot.

    disturb: from disturbances.make, None for none. randomize: None for no randomisation. substeps: physics steps of a
    control step, the unit of its delays. views: names in discriminator.VIEWS, what reward models ask to see of every step.
    getup: from getup.make, None where every failure ends an episode.
    """
    settings = scope.settings
    seen = observations.make(scope)
    if task:
        seen = join([seen, task.observation])
    privileged = disturb.term if disturb else None
    sights = {name: discriminator.VIEWS[name](scope) for name in views}
    asked = [seen.history, privileged.history if privileged else 0, *(sight.history for sight in sights.values())]
    parts = EnvParts(
        scope=scope,
        episode_steps=max(1, int(np.ceil(settings.episode_length / scope.dt - 1e-6))),
        seen=seen,
        privileged=privileged,
        sights=sights,
        history=max(asked),
        reward=rewards.make(scope),
        failed=terminations.make(scope),
        target=actuation.make(scope.robot, settings.action),
        disturb=disturb,
        random=randomisation.make(scope, randomize or RandomizeSettings(), seen, substeps),
        task=task,
        getup=getup,
        follow=follow.make(settings.follow, scope.dt),
    )

    def mapped(function: Callable) -> Callable:
        return lambda motion, *rest: jax.vmap(lambda *args: function(parts, motion, *args))(*rest)

    return Env(
        place=mapped(step.place),
        draw=mapped(episode.draw),
        before=mapped(step.before),
        after=lambda motion, state: step.after(parts, motion, state),
        advance=lambda motion, state: step.advance_all(parts, motion, state),
        pushed=lambda state: _at_stake(parts, state),
        demonstrate=lambda name, motion, keys: jax.vmap(lambda key: _demonstrate(parts, name, motion, key))(keys),
        **_blocks(parts),
        dt=scope.dt,
        episode_steps=parts.episode_steps,
    )
