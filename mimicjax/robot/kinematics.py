"""Kinematics: joint coordinates to body poses, for the simulated robot and the reference alike; ground clearance.

All bodies are turned together: rotations are multiplied over 1, 2, 4, ... generations, so that a robot whose longest limb
has n bodies costs log2(n) products. Level by level it would be n, and a program three times as long to compile.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.types import BALL, HINGE, Ground, Pose, Robot


def qpos_index(robot: Robot) -> np.ndarray:
    """[J] where a joint's coordinates begin in qpos; -1 for a fixed joint."""
    width = np.where(robot.joint_kinds == BALL, 4, robot.joint_kinds)
    return np.where(robot.joint_kinds > 0, 7 + np.cumsum(width) - width, -1)


def joint_quats(robot: Robot, qpos: jax.Array) -> jax.Array:
    """Joint rotations [...,J,4] from qpos [...,nq]; fixed joints give the identity."""
    at = qpos_index(robot)
    quats = _hinge_quats(robot, jnp.take(qpos, np.maximum(at, 0), axis=-1))
    balls = np.flatnonzero(robot.joint_kinds == BALL)
    if len(balls):
        ball_quats = jnp.take(qpos, at[balls][:, None] + np.arange(4), axis=-1)
        quats = quats.at[..., balls, :].set(rotation.normalize(ball_quats))
    return quats


def _hinge_quats(robot: Robot, angles: jax.Array) -> jax.Array:
    """Rotations [...,J,4] of the hinges by their angles [...,J] rad; other joints give the identity."""
    theta = jnp.where(robot.joint_kinds == HINGE, angles, 0.0)
    axes = jnp.broadcast_to(jnp.asarray(robot.joint_axis, theta.dtype), (*theta.shape, 3))
    return rotation.about(axes, theta)


def joint_angles(robot: Robot, joint_quat: jax.Array) -> jax.Array:
    """Joint coordinates [...,D] from joint rotations [...,J,4]: hinge angles, exponential maps for balls."""
    if np.all(robot.joint_kinds != BALL):
        moving = np.flatnonzero(robot.joint_kinds == HINGE)
        return rotation.twist(joint_quat[..., moving, :], jnp.asarray(robot.joint_axis[moving], joint_quat.dtype))
    hinge = rotation.twist(joint_quat, jnp.asarray(robot.joint_axis, joint_quat.dtype))[..., None]
    ball = rotation.log(joint_quat)
    both = jnp.concatenate([hinge, ball], axis=-1)
    columns = [4 * j + (0 if robot.joint_kinds[j] == HINGE else 1 + d - robot.joint_dof[j])
               for d, j in enumerate(robot.dof_joint)]  # fmt: skip
    return both.reshape(*both.shape[:-2], -1)[..., np.asarray(columns)]


def dof_quats(robot: Robot, dof_pos: jax.Array) -> jax.Array:
    """Joint rotations [...,J,4] from joint coordinates [...,D] (balls as exponential maps), each with w >= 0."""
    quats = _hinge_quats(robot, jnp.take(dof_pos, np.maximum(robot.joint_dof, 0), axis=-1))
    balls = np.flatnonzero(robot.joint_kinds == BALL)
    if len(balls):
        maps = jnp.take(dof_pos, robot.joint_dof[balls][:, None] + np.arange(3), axis=-1)
        quats = quats.at[..., balls, :].set(rotation.exp(maps))
    return rotation.positive(quats)


def qpos_of(robot: Robot, pose: Pose) -> tuple[jax.Array, jax.Array]:
    """qpos [...,nq] and qvel [...,nv] in MuJoCo's order: the root's angular velocity in the body frame."""
    angles = pose.dof_pos
    if np.any(robot.joint_kinds == BALL):
        parts = []
        for j in np.flatnonzero(robot.joint_kinds > 0):
            dof = robot.joint_dof[j]
            ball = robot.joint_kinds[j] == BALL
            parts.append(pose.joint_quat[..., j, :] if ball else angles[..., dof : dof + 1])
        angles = jnp.concatenate(parts, axis=-1)
    spin = rotation.rotate(rotation.conjugate(pose.root_quat), pose.root_ang_vel)
    qpos = jnp.concatenate([pose.root_pos, pose.root_quat, angles], axis=-1)
    return qpos, jnp.concatenate([pose.root_vel, spin, pose.dof_vel], axis=-1)


def _ancestors(robot: Robot) -> list[np.ndarray]:
    """The ancestor of every body 1, 2, 4, ... generations up, [N] each, -1 for none; as many as the longest limb needs."""
    up, rounds = np.asarray(robot.parents), []
    while (up >= 0).any():
        rounds.append(up)
        up = np.where(up >= 0, up[up], -1)
    return rounds


def _chains(robot: Robot) -> np.ndarray:
    """[N,N] 1 where the second body lies between the root and the first, both included."""
    chains = np.eye(robot.num_bodies)
    for body in range(1, robot.num_bodies):
        chains[body] += chains[robot.parents[body]]
    return chains


def forward(
    robot: Robot, root_pos: jax.Array, root_quat: jax.Array, joint_quat: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Body positions [...,N,3] and rotations [...,N,4] in the world from the root pose and joint rotations [...,J,4]."""
    turned = np.any(np.abs(robot.body_quat[1:, 1:]) > 0, axis=-1)
    local = joint_quat
    if turned.any():
        local = rotation.multiply(
            jnp.broadcast_to(jnp.asarray(robot.body_quat[1:], joint_quat.dtype), joint_quat.shape), joint_quat
        )
    quat = jnp.concatenate([root_quat[..., None, :], local], axis=-2)
    for ancestor in _ancestors(robot):  # afterwards each is seen from the body twice as far up, at last from the world
        bodies = np.flatnonzero(ancestor >= 0)
        product = rotation.multiply(quat[..., ancestor[bodies], :], quat[..., bodies, :])
        quat = quat.at[..., bodies, :].set(product, unique_indices=True, indices_are_sorted=True)
    parents = quat[..., robot.parents[1:], :]
    offset = jnp.broadcast_to(jnp.asarray(robot.body_pos[1:], root_pos.dtype), (*parents.shape[:-1], 3))
    links = jnp.concatenate([root_pos[..., None, :], rotation.rotate(parents, offset)], axis=-2)
    # a body stands where the links that lead to it add up to; accelerators would round factors to 10 bits or fewer
    chains = jnp.asarray(_chains(robot), root_pos.dtype)
    return jnp.einsum("nm,...mi->...ni", chains, links, precision=jax.lax.Precision.HIGHEST), quat


def pose_of(robot: Robot, qpos: jax.Array, qvel: jax.Array) -> Pose:
    """The pose of a simulated robot from its share of MuJoCo's qpos and qvel (`Layout.of_robot`)."""
    root_pos, root_quat = qpos[..., :3], rotation.normalize(qpos[..., 3:7])
    quats = joint_quats(robot, qpos)
    body_pos, body_quat = forward(robot, root_pos, root_quat, quats)
    return Pose(
        root_pos=root_pos,
        root_quat=root_quat,
        root_vel=qvel[..., :3],
        root_ang_vel=rotation.rotate(root_quat, qvel[..., 3:6]),
        joint_quat=quats,
        dof_pos=joint_angles(robot, quats) if np.any(robot.joint_kinds == BALL) else qpos[..., 7:],
        dof_vel=qvel[..., 6:],
        body_pos=body_pos,
        body_quat=body_quat,
    )


def plane(xy: jax.Array) -> jax.Array:
    """The ground of a flat world: height 0 [...] m at all places xy [...,2] m."""
    return jnp.zeros(xy.shape[:-1], xy.dtype)


def ground_clearance(robot: Robot, pose: Pose, ground: Ground = plane) -> jax.Array:
    """Height [...,N] m of each body's collision shapes above the ground below them, at their lowest; inf without shapes.

    Vertically, at the lowest points that the shapes have on a plane. There the compiler drops all but heights.
    """
    bodies, points = _points_by_body(robot)
    pos, quat = pose.body_pos[..., bodies, None, :], pose.body_quat[..., bodies, None, :]
    local, radius = (jnp.asarray(x, pos.dtype)[points] for x in (robot.ground_points, robot.ground_radius))
    w, x, y, z = jnp.moveaxis(quat, -1, 0)
    # the third row of the rotation matrix, apart from the others, which only uneven ground needs
    lift = 2.0 * (x * z - w * y) * local[..., 0] + 2.0 * (y * z + w * x) * local[..., 1]
    lift = lift + (1.0 - 2.0 * (x * x + y * y)) * local[..., 2]
    turned = rotation.rotate(*(jnp.broadcast_to(each, (*lift.shape, each.shape[-1])) for each in (quat, local)))
    height = pos[..., 2] + lift - radius - ground(pos[..., :2] + turned[..., :2])
    clearance = jnp.full((*height.shape[:-2], robot.num_bodies), jnp.inf, height.dtype)
    return clearance.at[..., bodies].set(jnp.min(height, axis=-1))


def _points_by_body(robot: Robot) -> tuple[np.ndarray, np.ndarray]:
    """The bodies [n] that have collision shapes, and the numbers [n,p] of their points, in short rows the first again."""
    bodies, count = np.unique(robot.ground_body, return_counts=True)
    order = np.argsort(robot.ground_body, kind="stable")
    first = np.cumsum(count) - count
    place = np.arange(max(count, default=1))
    return bodies, order[first[:, None] + np.where(place < count[:, None], place, 0)]
