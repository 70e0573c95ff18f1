"""Poses of all clips computed ahead, so that a lookup is a blend of two rows.

`library.query` blends joint rotations between two frames and walks down the limbs from the root. A table holds the
places of the bodies ready made, so that no limb is walked, and of the rest only what a pose cannot cheaply be derived
from. Its rows lie on the clip's own frames, because there the library's motion has kinks, which no blend follows: on
every k-th frame of a clip with more frames a second than rows are asked for, m to a frame of a clip with fewer.

Between two rows a body moves on a curve, and a straight line would miss it by several millimetres in a spin kick. So a
row keeps how far halfway on the curve is from halfway on the line, c, and at a share s of the way to the next row
p = (1 - s) p0 + s p1 + 4 s (1 - s) c: exact at both rows and halfway, wrong by the third derivative between. Hinges
turn evenly between frames, so their angles are straight lines to halfway and from there: exact where k is 1 or 2.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.motion import blocks, library
from mimicjax.robot import kinematics
from mimicjax.types import BALL, HINGE, WRAP, Array, Clips, Pose, Robot


class Rows(NamedTuple):
    """What the table keeps of each pose, without loop offsets. R rows, H hinges, L ball joints."""

    root_quat: Array  # [R,4]
    root_vel: Array  # [R,3] m/s, the library's at the row's frame, as all velocities here
    root_ang_vel: Array  # [R,3] rad/s
    angles: Array  # [R,H] rad, of the hinges
    balls: Array  # [R,L,4], rotations of the ball joints
    dof_vel: Array  # [R,D] rad/s
    body_pos: Array  # [R,N,3] m, the root's among them
    angle_bend: Array  # [R,H] rad, float16: halfway to the next row, the angles less the mean of both rows
    body_bend: Array  # [R,N,3] m, float16: the same of the bodies' places


class Table(NamedTuple):
    """Rows of all clips, end to end. A clip has `split` rows to a frame, or one every `stride` frames."""

    clips: Clips  # without frames, which rows replace
    rows: Rows
    first: Array  # [M] int32, first row of a clip
    stride: Array  # [M] int32, 1 where split is more
    split: Array  # [M] int32, 1 where stride is more
    rows_per_step: Array  # [] int32, rows per control step that were asked for


class Grid(NamedTuple):
    """Where rows lie: for each clip stride, split and number of rows, [M] int64 on the host."""

    stride: np.ndarray
    split: np.ndarray
    count: np.ndarray


def grid(clips: Clips, control_dt: float, rows_per_step: int) -> Grid:
    """Rows on frames, at least `rows_per_step` in a control step of control_dt s."""
    last = np.asarray(clips.frames, np.int64) - 1
    frames_per_row = last / np.asarray(clips.duration, np.float64) * control_dt / rows_per_step
    slack = 1e-3  # durations are float32
    stride = np.maximum(np.floor(frames_per_row + slack), 1).astype(np.int64)
    split = np.maximum(np.ceil(1.0 / frames_per_row - slack), 1).astype(np.int64)
    return Grid(stride, split, -(-last * split // stride) + 1)


def size(robot: Robot, clips: Clips, control_dt: float, rows_per_step: int) -> int:
    """Bytes of the table's rows, from shapes alone."""
    count = int(grid(clips, control_dt, rows_per_step).count.sum())
    leaves = jax.tree.leaves(jax.eval_shape(lambda: _empty(robot, count)))
    return sum(leaf.dtype.itemsize * int(np.prod(leaf.shape, dtype=np.int64)) for leaf in leaves)


def _empty(robot: Robot, count: int) -> Rows:
    hinges, balls = int(np.sum(robot.joint_kinds == HINGE)), int(np.sum(robot.joint_kinds == BALL))
    bodies = (robot.num_bodies, 3)
    shapes = ((4,), (3,), (3,), (hinges,), (balls, 4), (robot.num_dofs,), bodies)
    bends = (jnp.zeros((count, *shape), jnp.float16) for shape in ((hinges,), bodies))
    return Rows(*(jnp.zeros((count, *shape)) for shape in shapes), *bends)


def tabulate(robot: Robot, clips: Clips, control_dt: float, rows_per_step: int) -> Table:
    """Compute all rows in one compiled program that needs little more memory than the table takes."""
    where = grid(clips, control_dt, rows_per_step)
    total = int(where.count.sum())
    hinges = np.flatnonzero(robot.joint_kinds[robot.dof_joint] == HINGE)

    @jax.jit
    def compute(clips: Clips, first: Array, stride: Array, split: Array) -> Rows:
        def angles_of(begin: Array, count: int) -> Array:
            quats = jax.lax.dynamic_slice_in_dim(clips.joint_quat, begin, count)
            return kinematics.joint_angles(robot, quats)[:, hinges]

        # arc tangents are the dearest part: one for a frame instead of two for a row
        angles = blocks.fill(jnp.zeros((len(clips.joint_quat), len(hinges))), angles_of)

        def rows_of(begin: Array, count: int) -> Rows:
            return _compute(robot, clips, angles, first, stride, split, begin + jnp.arange(count + 1))

        return blocks.fill(_empty(robot, total), rows_of)

    first, stride, split = (
        jnp.asarray(column, jnp.int32) for column in (np.cumsum(where.count) - where.count, where.stride, where.split)
    )
    rows = compute(clips, first, stride, split)
    return Table(library.without_frames(clips), rows, first, stride, split, jnp.int32(rows_per_step))


def _compute(robot: Robot, clips: Clips, angles: Array, first: Array, stride: Array, split: Array, row: Array) -> Rows:
    """Rows of consecutive numbers [n+1], without the last, of which only the one before it needs something.

    angles: of the hinges, [F,H] rad.
    """
    clip = jnp.searchsorted(first, row, side="right").astype(jnp.int32) - 1
    last = (clips.frames[clip] - 1) * split[clip]  # places are counted in splits of a frame
    here = jnp.minimum((row - first[clip]) * stride[clip], last)
    following = jnp.minimum(here + stride[clip], last)
    # rows and places halfway to the next together: half the program
    halves = jnp.concatenate([2 * here, here + following])
    clip, parts = jnp.tile(clip, 2), 2 * jnp.tile(split[clip], 2)
    low = halves // parts
    frame = clips.start[clip] + low
    after = jnp.minimum(frame + 1, clips.start[clip] + clips.frames[clip] - 1)
    s = ((halves - low * parts) / parts.astype(jnp.float32))[:, None]
    root_pos = clips.root_pos[frame] + s * (clips.root_pos[after] - clips.root_pos[frame])
    root_quat = rotation.slerp(clips.root_quat[frame], clips.root_quat[after], s[:, 0])
    joint_quat = rotation.slerp(clips.joint_quat[frame], clips.joint_quat[after], s)
    bodies = kinematics.forward(robot, root_pos, root_quat, joint_quat)[0]
    angles = _wrap(angles[frame] + s * _wrap(angles[after] - angles[frame]))

    n = len(row) - 1
    follows = (following > here)[:n]  # what follows the last row of a clip is another's
    body_bend = bodies[n + 1 : -1] - 0.5 * (bodies[:n] + bodies[1 : n + 1])
    angle_bend = _wrap(angles[n + 1 : -1] - angles[:n]) - 0.5 * _wrap(angles[1 : n + 1] - angles[:n])
    return Rows(
        root_quat[:n], clips.root_vel[frame[:n]], clips.root_ang_vel[frame[:n]], angles[:n],
        joint_quat[:n, robot.joint_kinds == BALL], clips.dof_vel[frame[:n]], bodies[:n],
        jnp.where(follows[:, None], angle_bend, 0.0).astype(jnp.float16),
        jnp.where(follows[:, None, None], body_bend, 0.0).astype(jnp.float16),
    )  # fmt: skip


class _Blend(NamedTuple):
    """What a pose is made of, between two rows."""

    bodies: Array  # [...,N,3] m, of the world
    root_quat: Array  # [...,4]
    root_vel: Array  # [...,3]
    root_ang_vel: Array  # [...,3]
    angles: Array  # [...,H] rad
    balls: Array  # [...,L,4]
    dof_vel: Array  # [...,D]


def lookup(robot: Robot, table: Table, clip: Array, time: Array) -> Pose:
    """The pose of clip [...] int at time [...] s, as `library.query` has it; clip may broadcast against time.

    Velocities are the library's, of the frame before, where every frame has a row; between rows that skip frames they
    change step by step. What nobody uses of the pose costs nothing. Dear are only the rotations of joints (a sine and
    a cosine each) and of bodies, for which limbs are walked.
    """
    return _pose(robot, _blend(table, clip, time))


def now_and_ahead(robot: Robot, table: Table, clip: Array, time: Array, ahead: Array) -> tuple[Pose, Pose]:
    """Poses at time [...] s, and at time + ahead, ahead [S] s: [...] and [...,S].

    Rows are blended for all together, as a program for each takes half a second more to compile; the rest is apart,
    because of the coming poses only little is used.
    """
    times = time[..., None] + jnp.concatenate([jnp.zeros(1), ahead])
    every = _blend(table, clip[..., None], times)
    # else a CPU's program has the blending twice, once for each of the two
    every, axis = jax.lax.optimization_barrier(every), times.ndim - 1
    cut = lambda begin, end: jax.tree.map(lambda x: jax.lax.slice_in_dim(x, begin, end, axis=axis), every)  # noqa: E731
    now = jax.tree.map(lambda x: jnp.squeeze(x, axis), cut(0, 1))
    return _pose(robot, now), _pose(robot, cut(1, len(ahead) + 1))


def _blend(table: Table, clip: Array, time: Array) -> _Blend:
    clips, rows = table.clips, table.rows
    stride, split = table.stride[clip], table.split[clip]
    frame, share = library.place(clips, clip, time)
    share = share * split.astype(jnp.float32)
    part = jnp.floor(share)
    unit = frame * split + part.astype(jnp.int32)  # splits of frames since the clip began
    number = unit // stride
    since = unit - number * stride
    width = jnp.clip((clips.frames[clip] - 1) * split - number * stride, 1, stride).astype(jnp.float32)
    a = table.first[clip] + number
    v = (since.astype(jnp.float32) / width)[..., None]
    s = ((since.astype(jnp.float32) + share - part) / width)[..., None]
    # else a CPU computes all of this again for every number of the pose
    a, s, v = jax.lax.optimization_barrier((a, s, v))
    b = a + 1  # after a clip's last row it is another's, and weighs nothing

    def line(x: Array, t: Array) -> Array:
        return x[a] + t * (x[b] - x[a])

    loops = jnp.where(clips.loop[clip] == WRAP, jnp.floor(time / clips.duration[clip]), 0.0)
    shift = loops[..., None] * clips.loop_offset[clip]
    curve = (4.0 * s * (1.0 - s))[..., None] * rows.body_bend[a].astype(jnp.float32)
    bend = (1.0 - jnp.abs(2.0 * s - 1.0)) * rows.angle_bend[a].astype(jnp.float32)
    return _Blend(
        bodies=line(rows.body_pos, s[..., None]) + curve + shift[..., None, :],
        root_quat=rotation.nlerp(rows.root_quat[a], rows.root_quat[b], s[..., 0]),
        root_vel=line(rows.root_vel, v),
        root_ang_vel=line(rows.root_ang_vel, v),
        angles=_wrap(rows.angles[a] + s * _wrap(rows.angles[b] - rows.angles[a]) + bend),
        balls=rotation.nlerp(rows.balls[a], rows.balls[b], s),
        dof_vel=line(rows.dof_vel, v),
    )


def _pose(robot: Robot, blend: _Blend) -> Pose:
    root_pos = blend.bodies[..., 0, :]
    joint_quat, dof_pos = _joints(robot, blend)
    return Pose(
        root_pos=root_pos,
        root_quat=blend.root_quat,
        root_vel=blend.root_vel,
        root_ang_vel=blend.root_ang_vel,
        joint_quat=joint_quat,
        dof_pos=dof_pos,
        dof_vel=blend.dof_vel,
        body_pos=blend.bodies,
        body_quat=kinematics.forward(robot, root_pos, blend.root_quat, joint_quat)[1],
    )


def _joints(robot: Robot, blend: _Blend) -> tuple[Array, Array]:
    """Joint rotations [...,J,4] and coordinates [...,D]."""
    angles = blend.angles
    hinges, balls = np.flatnonzero(robot.joint_kinds == HINGE), np.flatnonzero(robot.joint_kinds == BALL)
    half = jnp.zeros((*angles.shape[:-1], robot.num_joints)).at[..., hinges].set(0.5 * angles)[..., None]
    # not rotation.about, which looks for axes of zero: that costs more than all the rest
    quats = jnp.concatenate([jnp.cos(half), jnp.asarray(robot.joint_axis, jnp.float32) * jnp.sin(half)], axis=-1)
    if not len(balls):
        return quats, angles
    quats = quats.at[..., balls, :].set(blend.balls)
    return quats, kinematics.joint_angles(robot, quats)


def _wrap(angle: Array) -> Array:
    """The same angle in [-pi, pi]."""
    return angle - 2.0 * jnp.pi * jnp.round(angle / (2.0 * jnp.pi))
