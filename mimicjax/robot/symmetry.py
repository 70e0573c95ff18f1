"""Left and right: what vectors of a robot become in a mirror, the xz plane of the world.

Bodies and joints are paired by their names (left_knee and right_knee, FL_calf and FR_calf); one without a side is its own
partner. Places, velocities and forces turn their y around, rotations and torques their x and z.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from mimicjax.errors import UserError
from mimicjax.types import Reflection, Robot

PLACE = np.asarray([1.0, -1.0, 1.0])
TURN = -PLACE
ALIKE = 0.99  # least cosine between a joint's axis and its partner's reflected one
SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))


QUADRUPED = re.compile(r"^([FR])([LR])(?=_|$)")  # FL_hip, RR_calf: front and rear, left and right


def _partner(name: str) -> str:
    if leg := QUADRUPED.match(name):
        return f"{leg[1]}{'R' if leg[2] == 'L' else 'L'}{name[2:]}"
    for left, right in SIDES:
        if left in name:
            return name.replace(left, right)
        if right in name:
            return name.replace(right, left)
    return name


def bodies(robot: Robot) -> np.ndarray:
    """Every body's partner [N]. Raises UserError for one that has none."""
    for name in robot.body_names:
        if _partner(name) not in robot.body_names:
            raise UserError(f"learn.symmetry: robot {robot.name}: body {name} has no partner {_partner(name)}")
    return np.asarray([robot.body_names.index(_partner(name)) for name in robot.body_names])


def among(robot: Robot, some: Sequence[int] | np.ndarray, what: str) -> np.ndarray:
    """Partners within a list of bodies, as places in the list. Raises UserError, which says `what` the list is."""
    partner, members = bodies(robot), [int(body) for body in some]
    for body in members:
        if partner[body] not in members:
            names = robot.body_names[body], robot.body_names[partner[body]]
            raise UserError(f"learn.symmetry: robot {robot.name}: {names[0]} is among the {what}, {names[1]} is not")
    return np.asarray([members.index(partner[body]) for body in members])


def dofs(robot: Robot) -> Reflection:
    """Of joint angles, velocities and torques [D]. Raises UserError if an axis is not its partner's reflected one."""
    partner, axes = bodies(robot), _axes(robot)
    within = np.arange(robot.num_dofs) - robot.joint_dof[robot.dof_joint]
    index = robot.joint_dof[partner[robot.dof_joint + 1] - 1] + within
    sign = np.sum(TURN * axes[index] * axes, axis=-1)
    if np.min(np.abs(sign)) < ALIKE:
        worst = int(np.argmin(np.abs(sign)))
        names = robot.dof_names[worst], robot.dof_names[index[worst]]
        raise UserError(f"learn.symmetry: robot {robot.name}: axes of {names[0]} and {names[1]} are not mirror images")
    return _reflection(index, sign)


def _axes(robot: Robot) -> np.ndarray:
    """Every degree of freedom's axis [D,3] with all joints at zero; a ball joint has three, its child's."""
    import mujoco  # here, since observations import this module and commands list their names before they load MuJoCo

    frames = [np.eye(3)]
    for body in range(1, robot.num_bodies):
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, robot.body_quat[body].astype(float))
        frames.append(frames[robot.parents[body]] @ turn.reshape(3, 3))
    within = np.arange(robot.num_dofs) - robot.joint_dof[robot.dof_joint]
    hinge = robot.joint_axis[robot.dof_joint]
    local = np.where(hinge.any(axis=-1, keepdims=True), hinge, np.eye(3)[within])
    return np.einsum("dij,dj->di", np.stack(frames)[robot.dof_joint + 1], local)


def vectors(partner: Sequence[int] | np.ndarray, signs: np.ndarray) -> Reflection:
    """Of vectors [n,c], flattened, of things with these partners [n]."""
    width = len(signs)
    index = np.asarray(partner)[:, None] * width + np.arange(width)
    return _reflection(index.reshape(-1), np.tile(signs, len(index)))


def same(size: int) -> Reflection:
    """Of numbers that are the same in a mirror."""
    return _reflection(np.arange(size), np.ones(size))


def join(parts: Sequence[Reflection]) -> Reflection:
    """Of vectors laid end to end."""
    begins = np.cumsum([0, *(len(part.index) for part in parts)])
    index = [part.index + begin for part, begin in zip(parts, begins, strict=False)]
    return _reflection(np.concatenate(index), np.concatenate([part.sign for part in parts]))


def _reflection(index: np.ndarray, sign: np.ndarray) -> Reflection:
    return Reflection(index.astype(np.int32), np.sign(sign).astype(np.float32))
