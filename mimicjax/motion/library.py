"""The clip library: all clips packed on the device, and the pose of any clip at any time (MimicKit's rules)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.motion import blocks
from mimicjax.robot import kinematics
from mimicjax.types import BALL, WRAP, Bins, Clip, Clips, Pose, Robot

# fields of Clips with a row for each frame
FRAMES = ("root_pos", "root_quat", "root_vel", "root_ang_vel", "joint_quat", "dof_vel")


def _velocities(
    robot: Robot, fps: jax.Array, pos: jax.Array, quat: jax.Array, joint_quat: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Forward differences of neighbouring frames [F, ...] at the rates fps [F-1,1]: [F-1,3], [F-1,3], [F-1,D]."""
    linear = fps * (pos[1:] - pos[:-1])
    angular = fps * rotation.log(rotation.multiply(quat[1:], rotation.conjugate(quat[:-1])))
    step = rotation.multiply(rotation.conjugate(joint_quat[:-1]), joint_quat[1:])
    turn = fps[:, :, None] * rotation.log(rotation.normalize(step))  # in the child's frame
    along = jnp.sum(turn * jnp.asarray(robot.joint_axis, jnp.float32), axis=-1, keepdims=True)
    both = jnp.concatenate([along, turn], axis=-1).reshape(len(turn), -1)
    place = np.arange(robot.num_dofs) - robot.joint_dof[robot.dof_joint]
    ball = robot.joint_kinds[robot.dof_joint] == BALL
    return linear, angular, both[:, 4 * robot.dof_joint + np.where(ball, 1 + place, 0)]


def _derive(robot: Robot, pos: jax.Array, quat: jax.Array, dofs: jax.Array, fps: jax.Array, last: jax.Array):
    """Joint rotations and velocities of all frames [F, ...], of which `last` [F] end a clip."""
    shapes = (robot.num_joints, 4), (3,), (3,), (robot.num_dofs,)
    empty = tuple(jnp.zeros((len(pos), *shape)) for shape in shapes)
    # a frame before the first and one behind the last, so that a block and its neighbours are a slice
    pos, quat, dofs, fps = (jnp.concatenate([x[:1], x, x[-1:]]) for x in (pos, quat, dofs, fps))

    def compute(begin: jax.Array, count: int) -> tuple[jax.Array, ...]:
        cut = lambda x, length: jax.lax.dynamic_slice_in_dim(x, begin, length)  # noqa: E731
        joints = kinematics.dof_quats(robot, cut(dofs, count + 2))
        pairs = _velocities(robot, cut(fps, count + 1), cut(pos, count + 2), cut(quat, count + 2), joints)
        repeat = cut(last, count)[:, None]  # the last frame of a clip has the velocity of the one before it
        return joints[1:-1], *(jnp.where(repeat, pair[:-1], pair[1:]) for pair in pairs)

    return blocks.fill(empty, compute)


def pack(robot: Robot, clips: Sequence[Clip]) -> Clips:
    """Pack clips of two frames or more for the device. Sizes: F = all frames together, M = len(clips).

    All frames go through one compiled program: clip by clip, every new length would be compiled anew (seconds a clip).
    """
    frames = np.asarray([len(clip.root_pos) for clip in clips], np.int32)
    pos, quat, dofs = (
        np.concatenate([np.asarray(getattr(clip, name), np.float32) for clip in clips])
        for name in ("root_pos", "root_quat", "dof_pos")
    )
    fps = np.repeat([clip.fps for clip in clips], frames)[:, None].astype(np.float32)
    last = np.zeros(len(pos), bool)
    last[np.cumsum(frames) - 1] = True
    joints, linear, angular, dof_vel = jax.jit(lambda *rows: _derive(robot, *rows))(pos, quat, dofs, fps, last)
    weight = jnp.asarray([clip.weight for clip in clips], jnp.float32)
    flat = np.asarray([1.0, 1.0, 0.0])
    offset = [flat * (c.root_pos[-1] - c.root_pos[0]) if c.loop == WRAP else 0.0 * flat for c in clips]
    packed = Clips(
        root_pos=jnp.asarray(pos),
        root_quat=jnp.asarray(quat),
        root_vel=linear,
        root_ang_vel=angular,
        joint_quat=joints,
        dof_vel=dof_vel,
        start=jnp.asarray(np.cumsum(frames) - frames, jnp.int32),
        frames=jnp.asarray(frames, jnp.int32),
        duration=jnp.asarray([c.duration for c in clips], jnp.float32),
        loop=jnp.asarray([c.loop for c in clips], jnp.int32),
        weight=weight,
        cumulative=weight,
        loop_offset=jnp.asarray(np.stack(offset), jnp.float32),
    )
    return jax.jit(weighted)(packed, weight)


def phase(clips: Clips, clip: jax.Array, time: jax.Array) -> jax.Array:
    """Phase in [0, 1] of clip [...] at time [...] s: wrapped for loops, clamped otherwise."""
    ratio = time / clips.duration[clip]
    ratio = jnp.where(clips.loop[clip] == WRAP, ratio - jnp.floor(ratio), ratio)
    return jnp.clip(ratio, 0.0, 1.0)


def place(clips: Clips, clip: jax.Array, time: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The frame of clip [...] before time [...] s, counted from the clip's first, and the share of the way to the next."""
    frames = phase(clips, clip, time) * (clips.frames[clip] - 1).astype(jnp.float32)
    low = frames.astype(jnp.int32)
    return low, frames - low.astype(jnp.float32)


def query(robot: Robot, clips: Clips, clip: jax.Array, time: jax.Array) -> Pose:
    """The pose of clip [...] int at time [...] s; places and rotations blended, velocities from the frame before."""
    low, blend = place(clips, clip, time)
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


def without_frames(clips: Clips) -> Clips:
    """What is known of the clips but their motion, which `query` can no more be asked for."""
    return clips._replace(**{name: getattr(clips, name)[:0] for name in FRAMES})


def weighted(clips: Clips, weight: jax.Array) -> Clips:
    """The clips with other weights [M], of any scale, at least one above 0. Compiled code may call it."""
    weight = weight / jnp.sum(weight)
    return clips._replace(weight=weight, cumulative=cumulative(weight))


def cumulative(share: jax.Array) -> jax.Array:
    """Sums of shares [n] up to each and with it, to draw from: what has none ends exactly where the one before it does."""
    # parallel sums round in their own order
    return jax.lax.cummax(jnp.where(share > 0, jnp.cumsum(share), 0.0))


def sample(clips: Clips, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A clip by weight, and a time in it, uniform over [0, duration). A clip of weight 0 is never drawn."""
    return from_uniform(clips, jax.random.uniform(key, (2,)))


def from_uniform(clips: Clips, numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What `sample` draws, from two uniform numbers [2] in [0, 1)."""
    if isinstance(clips.bins, Bins):
        return _from_bins(clips.bins, clips.duration, numbers)
    clip = _search(clips.cumulative, numbers[0])
    return clip, numbers[1] * clips.duration[clip]


def _search(sums: jax.Array, number: jax.Array) -> jax.Array:
    """Where [] int32 a uniform number [] in [0, 1) falls among sums of shares [n]."""
    # below the sum of all in float32 too, since a uniform number is at most 1 - 2**-23
    height = number * sums[-1]
    return jnp.searchsorted(sums, height, side="right", method="scan_unrolled").astype(jnp.int32)


def _from_bins(bins: Bins, duration: jax.Array, numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A bin by its share, and a time in it."""
    index = _search(bins.cumulative, numbers[0])
    clip = bins.clip[index]
    parts = (index - bins.first[clip]).astype(jnp.float32) + numbers[1]
    time = parts / bins.count[clip].astype(jnp.float32) * duration[clip]
    return clip, jnp.minimum(time, jnp.nextafter(duration[clip], jnp.float32(0)))  # sums round up to the clip's end
