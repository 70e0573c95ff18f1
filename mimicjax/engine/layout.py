"""What is in a scene and where: read from the compiled model, once, for everything that takes sizes or places."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import mujoco
import numpy as np

from mimicjax.errors import UserError
from mimicjax.types import BALL, HINGE, Ground, Layout, Object, Robot

KINDS = {int(mujoco.mjtJoint.mjJNT_HINGE): HINGE, int(mujoco.mjtJoint.mjJNT_BALL): BALL}


def of(model: mujoco.MjModel, robot: Robot, wrench_bodies: Sequence[int] | np.ndarray, ground: Ground) -> Layout:
    """The layout of a compiled scene, in which everything on the world that is not the robot's root is an object.

    wrench_bodies: [W] indices into robot.body_names. ground: height of the ground as a function of place.
    Raises UserError where model and robot differ in sizes or order, and for objects without a name or with a motor.
    """
    root = model.body(robot.body_names[0]).id
    tops = [body for body in range(1, model.nbody) if model.body_parentid[body] == 0 and body != root]
    _check(model, robot, root)
    objects = {}
    for body in tops:
        name = model.body(body).name
        if not name:
            raise UserError(
                f"scene of robot {robot.name}: body {body} beside the robot has no name; every object needs one"
            )
        start = np.concatenate([model.body_pos[body], model.body_quat[body]])
        objects[name] = Object(body, *_shares(model, body), start)
    qpos, qvel = _shares(model, root)
    start_qpos = model.qpos0.astype(np.float32)
    start_qpos[qpos] = robot.start_qpos
    bare = Layout(
        nq=model.nq, nv=model.nv, nu=model.nu, start_qpos=start_qpos, robot_qpos=qpos, robot_qvel=qvel, objects=objects,
        wrench_bodies=np.zeros(0, np.int32), wrench_ids=np.zeros(0, np.int32), ground=ground,
    )  # fmt: skip
    return with_wrench_bodies(bare, model, robot, wrench_bodies)


def with_wrench_bodies(
    layout: Layout, model: mujoco.MjModel, robot: Robot, wrench_bodies: Sequence[int] | np.ndarray
) -> Layout:
    """The same layout with wrenches on these bodies: [W] indices into robot.body_names."""
    bodies = np.asarray(wrench_bodies, np.int32).reshape(-1)
    ids = np.array([model.body(robot.body_names[body]).id for body in bodies], np.int32).reshape(-1)
    return dataclasses.replace(layout, wrench_bodies=bodies, wrench_ids=ids)


def robot_ids(model: mujoco.MjModel, robot: Robot) -> np.ndarray:
    """[N] MuJoCo's ids of the robot's bodies, in the order of robot.body_names."""
    return np.array([model.body(name).id for name in robot.body_names], np.int32)


def _shares(model: mujoco.MjModel, root: int) -> tuple[slice, slice]:
    """The slices of qpos and qvel of a body on the world and all below it; contiguous, as MuJoCo numbers depth first."""
    joints = np.flatnonzero(model.body_rootid[model.jnt_bodyid] == root)
    if not len(joints):
        return slice(0, 0), slice(0, 0)
    first, after = joints[0], joints[-1] + 1
    ends = [
        int(addresses[after]) if after < model.njnt else size
        for addresses, size in ((model.jnt_qposadr, model.nq), (model.jnt_dofadr, model.nv))
    ]
    return slice(int(model.jnt_qposadr[first]), ends[0]), slice(int(model.jnt_dofadr[first]), ends[1])


def _check(model: mujoco.MjModel, robot: Robot, root: int) -> None:
    """Raises UserError where the compiled model and the robot's figures differ in size or order."""
    qpos, qvel = _shares(model, root)
    nq, nv = qpos.stop - qpos.start, qvel.stop - qvel.start
    if (nq, nv) != (robot.nq, robot.nv):
        raise UserError(
            f"robot {robot.name}: {robot.xml} has nq, nv = {nq}, {nv}, but the robot's figures say "
            f"{robot.nq}, {robot.nv}: one free root, hinges and balls only, and one start coordinate for each"
        )
    names = tuple(model.body(int(body)).name for body in np.flatnonzero(model.body_rootid == root))
    if names != robot.body_names:
        raise UserError(f"robot {robot.name}: bodies of {robot.xml} are {names}, expected {robot.body_names}")
    for index, name in enumerate(robot.joint_names):
        if not robot.joint_kinds[index]:
            continue
        joint = model.joint(name)
        same = KINDS.get(int(model.jnt_type[joint.id])) == robot.joint_kinds[index]
        if not same or model.jnt_dofadr[joint.id] != qvel.start + 6 + robot.joint_dof[index]:
            raise UserError(f"robot {robot.name}: joint {name} of {robot.xml} has another kind or place in the robot")
    if model.nu != robot.num_dofs:
        raise UserError(
            f"scene of robot {robot.name}: it has {model.nu} actuators, but only the robot's {robot.num_dofs} degrees of "
            "freedom are driven"
        )
