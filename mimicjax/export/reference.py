"""The clip that a policy follows, control step by control step, as players of exported policies expect it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mimicjax.engine.scene import Scene
from mimicjax.motion.reference import clips_of, poses_at
from mimicjax.robot import kinematics
from mimicjax.types import CLAMP, Pose
from mimicjax.world import World


class Baked(NamedTuple):
    """T control steps of a clip from its beginning, world frame, float32; D joints, N bodies, w first."""

    joint_pos: np.ndarray  # [T,D] rad
    joint_vel: np.ndarray  # [T,D] rad/s
    body_pos_w: np.ndarray  # [T,N,3] m
    body_quat_w: np.ndarray  # [T,N,4]
    body_lin_vel_w: np.ndarray  # [T,N,3] m/s, of the bodies' origins
    body_ang_vel_w: np.ndarray  # [T,N,3] rad/s


def steps_of(world: World, clip: int, seconds: float | None) -> int:
    """Control steps that are baked: of `seconds`, or of an episode and at least the whole clip, and those that are seen ahead.

    Never more than a clip has that ends: behind its end it stands still.
    """
    duration = float(clips_of(world.motion).duration[clip])
    wanted = max(duration, world.settings.env.episode_length) if seconds is None else seconds
    ahead = max(world.settings.env.observations.target_steps, default=0)
    if world.clips[clip].loop == CLAMP:
        wanted, ahead = min(wanted, duration), 0
    return int(np.floor(wanted / world.test_env.dt + 1e-4)) + 1 + ahead


def bake(world: World, clip: int, steps: int) -> Baked:
    """Poses as the environment looks them up, velocities of all bodies by MuJoCo."""
    poses, qpos, qvel = _at(world, clip, np.arange(steps))
    lin, ang = _body_velocities(world.scene, qpos, qvel)
    dof_pos, dof_vel, pos, quat = (
        np.asarray(rows, np.float32) for rows in (poses.dof_pos, poses.dof_vel, poses.body_pos, poses.body_quat)
    )
    return Baked(dof_pos, dof_vel, pos, quat, lin, ang)


def before(world: World, clip: int) -> dict[str, list[list[float]]]:
    """qpos [P,nq] and qvel [P,nv] of the clip in the P control steps before its beginning, oldest first, if seen.

    What an episode's first observations have where the robot's own past is: as training has it.
    """
    seen = world.settings.env.observations
    count = seen.past_steps if "past" in seen.terms else 0
    if not count:
        return {"qpos": [], "qvel": []}
    _, qpos, qvel = _at(world, clip, np.arange(-count, 0))
    return {"qpos": qpos.tolist(), "qvel": qvel.tolist()}


def _at(world: World, clip: int, steps: np.ndarray) -> tuple[Pose, np.ndarray, np.ndarray]:
    """Poses of the clip at control steps [T], and the robot's qpos [T,nq] and qvel [T,nv]."""
    robot, times = world.robot, world.test_env.dt * jnp.asarray(steps, jnp.float32)
    lookup = jax.jit(lambda motion, times: poses_at(robot, motion, jnp.full(len(steps), clip, jnp.int32), times))
    poses = lookup(world.motion, times)
    qpos, qvel = (np.asarray(rows) for rows in kinematics.qpos_of(robot, poses))
    return poses, qpos, qvel


def _body_velocities(scene: Scene, qpos: np.ndarray, qvel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear [T,N,3] and angular [T,N,3] velocities of all bodies, world frame; of the robot's share of coordinates."""
    model, layout, data = scene.model, scene.layout, mujoco.MjData(scene.model)
    ids = [model.body(name).id for name in scene.robot.body_names]
    both = np.empty((len(qpos), len(ids), 6))
    for row, (place, speed) in enumerate(zip(qpos, qvel, strict=True)):
        data.qpos[layout.robot_qpos], data.qvel[layout.robot_qvel] = place, speed
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_comVel(model, data)
        for number, body in enumerate(ids):
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, both[row, number], 0)
    return both[..., 3:].astype(np.float32), both[..., :3].astype(np.float32)
