"""An environment's parts, and how an episode of it begins; for one environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mimicjax import rotation
from mimicjax.env import wait
from mimicjax.env.discriminator import Sight
from mimicjax.env.disturbances import Disturbances
from mimicjax.env.follow import Follow
from mimicjax.env.getup import Getup
from mimicjax.env.randomisation import Randomisation
from mimicjax.env.task import Task
from mimicjax.env.view import ObjectState, Scope, Term, View
from mimicjax.motion import library
from mimicjax.motion.reference import Motion, clips_of, now_and_ahead, poses_at
from mimicjax.robot import kinematics
from mimicjax.types import FAILED, Array, EnvState, Pose

STILL = 0x5354494C  # folded into an episode's random key: whether it begins in the start pose
TASK = 0x7461736B  # the same: what a task draws


class EnvParts(NamedTuple):
    """The env's parts, put together once; static."""

    scope: Scope
    episode_steps: int
    seen: Term  # what the actor sees of robot, clip and task
    privileged: Term | None  # what the critic sees beside it
    sights: dict[str, Sight]  # what reward models asked to see
    history: int  # poses in View.history, 0 if nobody asks
    reward: Callable[[View], tuple[Array, dict[str, Array]]]
    failed: Callable[[View], Array]
    target: Callable[[Array, Pose], Array]
    disturb: Disturbances | None
    random: Randomisation
    task: Task | None
    getup: Getup | None  # None where a failure ends an episode, and none begins on the ground
    follow: Follow | None  # None where the reference stays in its place


def reference_at(parts: EnvParts, motion: Motion, clip: Array, time: Array) -> tuple[Pose, Pose, Array]:
    """Reference in its place at `time`, at the coming target steps [S,...], and the phase."""
    ahead = parts.scope.dt * jnp.asarray(parts.scope.settings.observations.target_steps, jnp.float32)
    now, coming = now_and_ahead(parts.scope.robot, motion, clip, time, ahead)
    return now, coming, library.phase(clips_of(motion), clip, time)


def reference_at_start(parts: EnvParts) -> dict[str, Any]:
    """EnvState.follow and EnvState.wait as an episode begins: the reference is in its place, and runs."""
    follow, limit = parts.follow, parts.scope.settings.follow.wait
    return {"follow": follow.begin() if follow else (), "wait": wait.begin(limit)}


def past(parts: EnvParts, motion: Motion, clip: Array, time: Array) -> Any:
    """The reference's poses [K-1,...] of the control steps before `time`, the oldest first; () if nobody asks."""
    if not parts.history:
        return ()
    before = jnp.arange(1 - parts.history, 0, dtype=jnp.float32)
    return poses_at(parts.scope.robot, motion, clip[None], time + parts.scope.dt * before)


def with_now(before: Any, pose: Pose) -> Any:
    """View.history [K,...] from the poses before [K-1,...] and the pose now."""
    return jax.tree.map(lambda rows, now: jnp.concatenate([rows, now[None]]), before, pose) if before != () else ()


def without_oldest(history: Any) -> Any:
    """What of View.history [K,...] the next control step still sees, [K-1,...]: EnvState.history."""
    return jax.tree.map(lambda rows: rows[1:], history)


def objects_in(parts: EnvParts, qpos: Array, qvel: Array) -> dict[str, ObjectState]:
    """Free and fixed objects of the scene, by name; MuJoCo has a free body's angular velocity in its own frame."""
    states = {}
    for name, item in parts.scope.layout.objects.items():
        place, speed = qpos[item.qpos], qvel[item.qvel]
        if not len(place):
            place, speed = jnp.asarray(item.start, jnp.float32), jnp.zeros(6)
        quat = rotation.normalize(place[3:7])
        states[name] = ObjectState(place[:3], quat, speed[:3], rotation.rotate(quat, speed[3:6]))
    return states


def observe(parts: EnvParts, view: View, noise: Any, key: Array) -> dict[str, Array]:
    """Observation blocks: what the actor makes of the view through the robot's sensors; where these are not perfect, what
    the critic sees instead; and what the critic alone sees."""
    seen, measured = parts.seen.see(view), parts.random.measured(noise, view.pose)
    chex.assert_shape(seen, (sum(part.size for part in parts.seen.parts),))
    sensed = seen
    if measured is not view.pose:
        before = view.history
        if parts.seen.history:  # the sensors were off in the steps before too
            before = jax.vmap(lambda pose: parts.random.measured(noise, pose))(before)
        sensed = parts.seen.see(view._replace(pose=measured, history=before))
    blocks = {"actor": parts.random.sense(noise, key, sensed)}
    if parts.random.imperfect:
        blocks["critic"] = seen
    if parts.privileged:
        blocks["privileged"] = parts.privileged.see(view)
        chex.assert_shape(blocks["privileged"], (sum(part.size for part in parts.privileged.parts),))
    return blocks


def draw(parts: EnvParts, motion: Motion, key: Array) -> tuple[Array, Array]:
    """Clip and start (s) of an episode."""
    return _from_uniform(parts, motion, jax.random.uniform(key, (2,)))


def _from_uniform(parts: EnvParts, motion: Motion, numbers: Array) -> tuple[Array, Array]:
    clip, start = library.from_uniform(clips_of(motion), numbers)
    return clip, start if parts.scope.settings.random_start else jnp.zeros_like(start)


def draw_again(parts: EnvParts, motion: Motion, state: EnvState, key: Array, done: Array) -> tuple[Array, Array]:
    """Clip and start of the episode after one that ended as `done` says.

    Starts that fail soon give few samples, the fewer the better the others go, and so are never learned: they are tried
    more often.
    """
    numbers = jax.random.uniform(key, (3,))  # in one call: each takes a fifth of a second to compile
    clip, start = _from_uniform(parts, motion, numbers[:2])
    again = (done == FAILED) & (numbers[2] < parts.scope.settings.retry_start)
    return jnp.where(again, state.clip, clip), jnp.where(again, state.start, start)


class Beginning(NamedTuple):
    """An episode that begins on the reference, near it, or on the ground under it."""

    view: View  # without pushes
    qpos: Array  # [nq] of the scene
    qvel: Array  # [nv]
    noise: Any
    history: Any  # of the state


def begin(parts: EnvParts, motion: Motion, clip: Array, start: Array, key: Array, recovery: Any) -> Beginning:
    """Physics, noise and what terms see at the begin of an episode. recovery: getup.Recovery, () where nobody gets up."""
    scope, task = parts.scope, parts.task
    reference, targets, phase = reference_at(parts, motion, clip, start)
    pose, *place = parts.random.start(key, reference, *kinematics.qpos_of(scope.robot, reference))
    qpos, qvel = scope.layout.with_robot(*place)
    if task and task.start:
        qpos, qvel = task.start(jax.random.fold_in(key, TASK), qpos, qvel)
    if scope.settings.default_start:
        still = jax.random.uniform(jax.random.fold_in(key, STILL)) < scope.settings.default_start
        qpos, qvel = jnp.where(still, scope.layout.start_qpos, qpos), jnp.where(still, 0.0, qvel)
    earlier = past(parts, motion, clip, start)
    if parts.getup:
        lying = parts.getup.start(key, recovery, reference, *scope.layout.of_robot(qpos, qvel))
        fallen = scope.layout.with_robot(*lying)
        qpos, qvel = jnp.where(recovery.down, fallen[0], qpos), jnp.where(recovery.down, fallen[1], qvel)
    if scope.settings.default_start or parts.getup or (task and task.start):
        pose = kinematics.pose_of(scope.robot, *scope.layout.of_robot(qpos, qvel))
    view = View(
        pose=pose,
        reference=reference,
        targets=targets,
        phase=phase,
        history=with_now(earlier, pose),
        objects=objects_in(parts, qpos, qvel),
        task=(),
        push=(),
    )
    if task:
        view = view._replace(task=task.init(jax.random.fold_in(key, TASK + 1), view))
    return Beginning(view, qpos, qvel, parts.random.draw(key, pose), without_oldest(view.history))
