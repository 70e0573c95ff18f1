"""A robot's MJCF as everything here reads it: three hinges x, y, z on one body stand for a ball joint.

That is MimicKit's convention for spherical joints, which its clips follow: their columns are exponential maps.
"""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

HINGE = mujoco.mjtJoint.mjJNT_HINGE


def read(xml: Path) -> mujoco.MjSpec:
    """The file as a spec, ball joints in place of three hinges. Raises ValueError or FatalError, as MuJoCo does.

    The ball is limited to the largest angle of the three, has the first's armature and dry friction, and a position
    actuator for each axis with the hinge's gains: its position actuator's, else its stiffness and damping.
    """
    spec = mujoco.MjSpec.from_file(str(xml))
    for body in spec.bodies:
        if _is_ball(body.joints):
            _join(spec, body)
    return spec


def model(xml: Path) -> mujoco.MjModel:
    """The compiled model of the file, as `read` sees it."""
    return read(xml).compile()


def _is_ball(joints: list[mujoco.MjsJoint]) -> bool:
    """Whether joints are three hinges about x, y and z, in this order and in one place."""
    if len(joints) != 3 or any(joint.type != HINGE for joint in joints):
        return False
    axes = np.array([joint.axis / np.linalg.norm(joint.axis) for joint in joints])
    return bool(np.allclose(axes, np.eye(3)) and np.allclose([joint.pos for joint in joints], joints[0].pos))


def _join(spec: mujoco.MjSpec, body: mujoco.MjsBody) -> None:
    hinges = list(body.joints)
    names = [hinge.name for hinge in hinges]
    servos = [_servo(spec, hinge) for hinge in hinges]
    values = {
        "pos": hinges[0].pos.copy(),
        "range": [0.0, max(np.abs(hinge.range).max() for hinge in hinges)],
        "armature": hinges[0].armature,
        "frictionloss": hinges[0].frictionloss,
    }
    for element in [*spec.actuators, *spec.sensors]:
        if (element.target if isinstance(element, mujoco.MjsActuator) else element.objname) in names:
            spec.delete(element)
    for key in list(spec.keys):  # their qpos are of the hinges
        spec.delete(key)
    for hinge in hinges:
        spec.delete(hinge)
    stems = {name[:-1].rstrip("_-") for name in names}
    name = stems.pop() if len(stems) == 1 and [name[-1:] for name in names] == list("xyz") else body.name
    ball = body.add_joint(
        name=name, type=mujoco.mjtJoint.mjJNT_BALL, limited=mujoco.mjtLimited.mjLIMITED_TRUE, **values
    )
    ball.stiffness, ball.damping = np.zeros_like(ball.stiffness), np.zeros_like(ball.damping)
    ball.actfrclimited = mujoco.mjtLimited.mjLIMITED_FALSE
    for axis, (kp, kv, limit) in enumerate(servos):
        if kp > 0:
            _drive(spec, ball, axis, kp, kv, limit)


def _servo(spec: mujoco.MjSpec, hinge: mujoco.MjsJoint) -> tuple[float, float, float]:
    """kp, kv and torque limit (0: none) of a hinge: of its position actuator, else of its spring and damper."""
    limit = float(np.abs(hinge.actfrcrange).min())
    for actuator in spec.actuators:
        kp = actuator.gainprm[0]
        if actuator.target == hinge.name and kp > 0 and kp == -actuator.biasprm[1]:
            own = float(np.abs(actuator.forcerange).min())
            return float(kp), float(-actuator.biasprm[2]), own or limit
    return float(np.ravel(hinge.stiffness)[0]), float(np.ravel(hinge.damping)[0]), limit


def _drive(spec: mujoco.MjSpec, ball: mujoco.MjsJoint, axis: int, kp: float, kv: float, limit: float) -> None:
    actuator = spec.add_actuator(name=f"{ball.name}_{'xyz'[axis]}", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=ball.name)
    actuator.set_to_position(kp=kp, kv=kv)
    actuator.gear = np.eye(6)[axis]
    actuator.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE if limit else mujoco.mjtLimited.mjLIMITED_FALSE
    actuator.forcerange = [-limit, limit]
