"""The clip library: all clips packed on the device, and the pose of any clip at any time (MimicKit's rules)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.robot import kinematics
from mimicjax.types import BALL, WRAP, Clip, Clips, Pose, Robot


def _velocities(robot: Robot, clip: Clip, joint_quat: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Forward differences at the clip's own rate; the last frame repeats the one before it."""
    fps = jnp.float32(clip.fps)
    pos, quat = jnp.asarray(clip.root_pos, jnp.float32), jnp.asarray(clip.root_quat, jnp.float32)
    linear = fps * (pos[1:] - pos[:-1])
    angular = fps * rotation.log(rotation.multiply(quat[1:], rotation.conjugate(quat[:-1])))
    step = rotation.multiply(rotation.conjugate(joint_quat[:-1]), joint_quat[1:])
    turn = fps * rotation.log(rotation.normalize(step))  # in the child's frame
    along = jnp.sum(turn * jnp.asarray(robot.joint_axis, jnp.float32), axis=-1)
    columns = []
    for dof, joint in enumerate(robot.dof_joint):
        ball = robot.joint_kinds[joint] == BALL
        columns.append(turn[:, joint, dof - robot.joint_dof[joint]] if ball else along[:, joint])
    dof_vel = jnp.stack(columns, axis=-1)
    return tuple(jnp.concatenate([v, v[-1:]]) for v in (linear, angular, dof_vel))


def pack(robot: Robot, clips: Sequence[Clip]) -> Clips:
    """Pack clips for the device. Sizes: F = all frames together, M = len(clips)."""
    fields: dict[str, list] = {name: [] for name in Clips._fields[:6]}
    for clip in clips:
        quats = kinematics.dof_quats(robot, jnp.asarray(clip.dof_pos, jnp.float32))
        linear, angular, dof_vel = _velocities(robot, clip, quats)
        rows = (clip.root_pos, clip.root_quat, linear, angular, quats, dof_vel)
        for name, value in zip(fields, rows, strict=True):
            fields[name].append(np.asarray(value, np.float32))
    frames = np.asarray([len(clip.root_pos) for clip in clips], np.int32)
    weight = np.asarray([clip.weight for clip in clips], np.float64)
    flat = np.asarray([1.0, 1.0, 0.0])
    offset = [flat * (c.root_pos[-1] - c.root_pos[0]) if c.loop == WRAP else 0.0 * flat for c in clips]
    packed = {name: np.concatenate(values) for name, values in fields.items()}
    return Clips(
        **{name: jnp.asarray(value) for name, value in packed.items()},
        start=jnp.asarray(np.cumsum(frames) - frames, jnp.int32),
        frames=jnp.asarray(frames, jnp.int32),
        duration=jnp.asarray([c.duration for c in clips], jnp.float32),
        loop=jnp.asarray([c.loop for c in clips], jnp.int32),
        weight=jnp.asarray(weight / weight.sum(), jnp.float32),
        loop_offset=jnp.asarray(np.stack(offset), jnp.float32),
    )


def phase(clips: Clips, clip: jax.Array, time: jax.Array) -> jax.Array:
    """Phase in [0, 1] of clip [...] at time [...] s: wrapped for loops, clamped otherwise."""
    ratio = time / clips.duration[clip]
    ratio = jnp.where(clips.loop[clip] == WRAP, ratio - jnp.floor(ratio), ratio)
    return jnp.clip(ratio, 0.0, 1.0)


def query(robot: Robot, clips: Clips, clip: jax.Array, time: jax.Array) -> Pose:
    """The pose of clip [...] int at time [...] s; positions and rotations blended, velocities those of the frame before."""
    place = phase(clips, clip, time) * (clips.frames[clip] - 1).astype(jnp.float32)
    low = place.astype(jnp.int32)
    blend = place - low.astype(jnp.float32)
    first = clips.start[clip] + low
    second = clips.start[clip] + jnp.minimum(low + 1, clips.frames[clip] - 1)
    s = blend[..., None]
    loops = jnp.floor(time / clips.duration[clip])[..., None]
    root_pos = (1.0 - s) * clips.root_pos[first] + s * clips.root_pos[second] + loops * clips.loop_offset[clip]
    root_quat = rotation.slerp(clips.root_quat[first], clips.root_quat[second], blend)
    joint_quat = rotation.slerp(
        clips.joint_quat[first], clips.joint_quat[second], jnp.broadcast_to(s, (*blend.shape, robot.num_joints))
    )
    body_pos, body_quat = kinematics.forward(robot, root_pos, root_quat, joint_quat)
    return Pose(
        root_pos, root_quat, clips.root_vel[first], clips.root_ang_vel[first], joint_quat,
        kinematics.joint_angles(robot, joint_quat), clips.dof_vel[first], body_pos, body_quat,
    )  # fmt: skip


def sample(clips: Clips, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A clip by weight and a time in it, uniform over [0, duration)."""
    pick, when = jax.random.split(key)
    clip = jax.random.categorical(pick, jnp.log(jnp.maximum(clips.weight, 1e-30))).astype(jnp.int32)
    return clip, jax.random.uniform(when) * clips.duration[clip]
