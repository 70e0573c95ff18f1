"""The film of an episode: the first clip from its start, with mode actions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mimicjax.draw.video import Film
from mimicjax.env import terminations
from mimicjax.env.env import Env
from mimicjax.env.task import Mark
from mimicjax.env.view import View
from mimicjax.evaluation import episodes
from mimicjax.evaluation.episodes import Player, Recording
from mimicjax.evaluation.restored import Restored, engine_for
from mimicjax.motion.reference import Motion, poses_at
from mimicjax.robot.kinematics import pose_of, qpos_of
from mimicjax.types import FAILED, Array
from mimicjax.world import World


def shoot(restored: Restored, env: Env, seed: int) -> Film:
    """Runs the episode in an env of the restored world and returns its film, not yet drawn."""
    world = restored.world
    layout, robot = world.scene.layout, world.robot

    def reference(motion: Motion, clip: Array, time: Array) -> Array:
        return layout.with_robot(*qpos_of(robot, poses_at(robot, motion, clip, time)))[0]

    record = episodes.record(Player(env, engine_for(restored, 1), restored.policy), reference)
    key = jax.random.key(seed)
    recording = jax.jit(record)(restored.agent, world.motion, key, jnp.int32(0), jnp.float32(0))
    recording = jax.device_get(recording)
    rows = slice(0, int(recording.length) + 1)
    return Film(
        qpos=recording.qpos[rows],
        reference=recording.reference[rows],
        dt=env.dt,
        caption=world.clips[0].name,
        marks=_marks(world, recording),
        failure=_failure(world, recording),
    )


def _marks(world: World, recording: Recording) -> tuple[tuple[Mark, ...], ...]:
    """What the task shows in every row."""
    if world.task is None or world.task.draw is None:
        return ()
    states = [jax.tree.map(lambda rows, n=n: rows[n], recording.task) for n in range(int(recording.length) + 1)]
    return tuple(tuple(world.task.draw(state)) for state in states)


def _failure(world: World, recording: Recording) -> str:
    """How the episode failed; empty if it did not."""
    if recording.done != FAILED:
        return ""
    layout, last = world.scene.layout, int(recording.length)
    still = jnp.zeros(layout.nv)
    pose, reference = (
        pose_of(world.robot, *layout.of_robot(qpos[last], still)) for qpos in (recording.qpos, recording.reference)
    )
    return terminations.reason(world.scope, View.of(pose, reference))
