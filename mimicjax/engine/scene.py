"""Robot and ground as one MuJoCo model: the same for every engine."""

from __future__ import annotations

import mujoco
import numpy as np

from mimicjax.config.settings import EngineSettings
from mimicjax.errors import UserError
from mimicjax.robot import stage
from mimicjax.types import BALL, HINGE, Robot

_INTEGRATORS = {
    "euler": mujoco.mjtIntegrator.mjINT_EULER,
    "implicitfast": mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    "implicit": mujoco.mjtIntegrator.mjINT_IMPLICIT,
}
_SOLVERS = {"newton": mujoco.mjtSolver.mjSOL_NEWTON, "cg": mujoco.mjtSolver.mjSOL_CG}
_CONES = {"pyramidal": mujoco.mjtCone.mjCONE_PYRAMIDAL, "elliptic": mujoco.mjtCone.mjCONE_ELLIPTIC}
_JACOBIANS = {
    "auto": mujoco.mjtJacobian.mjJAC_AUTO,
    "dense": mujoco.mjtJacobian.mjJAC_DENSE,
    "sparse": mujoco.mjtJacobian.mjJAC_SPARSE,
}


def substeps(settings: EngineSettings) -> int:
    """Physics steps in one control step.

    Raises UserError if sim_freq is not a multiple of control_freq.
    """
    count, rest = divmod(settings.sim_freq, settings.control_freq)
    if rest or count < 1:
        raise UserError(
            f"engine.sim_freq = {settings.sim_freq} is not a multiple of engine.control_freq = {settings.control_freq}"
            f"; use {settings.control_freq * max(1, round(settings.sim_freq / settings.control_freq))}"
        )
    return count


def build(robot: Robot, settings: EngineSettings) -> mujoco.MjModel:
    """The robot on a floor, driven by one position actuator per degree of freedom.

    Control d is the target of degree of freedom d (rad; for ball joints a component of the exponential map) and its
    torque is kp (target - position) - kd velocity, cut to the torque limit. Passive stiffness and damping of the
    joints are zero: in robot files of imitation learning they are the gains. Armature, limits and, if settings say
    so, dry friction stay as the MJCF has them; its actuators, sensors and keyframes do not.

    Raises UserError if the MJCF cannot be compiled, does not match the robot's figures, or sim_freq does not fit.
    """
    substeps(settings)
    try:
        spec = mujoco.MjSpec.from_file(str(robot.xml))
    except (ValueError, OSError, mujoco.FatalError) as error:
        raise UserError(f"robot {robot.name}: {robot.xml} is no valid MJCF: {error}") from error
    _options(spec, settings)
    for element in [*spec.actuators, *spec.sensors, *spec.keys]:
        spec.delete(element)
    _joints(spec, settings.frictionloss)
    stage.furnish(spec)
    _floor(robot, spec)
    _collisions(spec, settings.self_collision)
    if not settings.self_collision:
        _pairs(spec)
    _actuators(spec, robot)
    try:
        model = spec.compile()
    except (ValueError, mujoco.FatalError) as error:
        raise UserError(f"robot {robot.name}: {robot.xml} cannot be compiled: {error}") from error
    _check(model, robot)
    return model


def body_ids(model: mujoco.MjModel, robot: Robot, bodies: np.ndarray) -> np.ndarray:
    """MuJoCo's ids of robot bodies, found by name: [W] indices into robot.body_names -> [W] indices into model.body."""
    return np.array([model.body(robot.body_names[body]).id for body in bodies], dtype=np.int32).reshape(-1)


def _options(spec: mujoco.MjSpec, settings: EngineSettings) -> None:
    spec.option.timestep = 1.0 / settings.sim_freq
    spec.option.integrator = _INTEGRATORS[settings.integrator]
    spec.option.solver = _SOLVERS[settings.solver]
    spec.option.iterations = settings.iterations
    spec.option.ls_iterations = settings.ls_iterations
    spec.option.cone = _CONES[settings.cone]
    spec.option.jacobian = _JACOBIANS[settings.jacobian]
    spec.option.impratio = settings.impratio
    # one robot is one island: looking for more costs the native engine a twentieth and finds none
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND


def _joints(spec: mujoco.MjSpec, frictionloss: bool) -> None:
    for joint in spec.joints:
        if joint.type == mujoco.mjtJoint.mjJNT_FREE:
            continue
        joint.stiffness = np.zeros_like(joint.stiffness)
        joint.damping = np.zeros_like(joint.damping)
        joint.springdamper = np.zeros_like(joint.springdamper)  # would derive both again when compiling
        if not frictionloss:
            joint.frictionloss = 0.0


def _floor(robot: Robot, spec: mujoco.MjSpec) -> None:
    """Planes are at height 0 and have friction in them: contacts take the larger condim, robots often have 1."""
    planes = [geom for geom in spec.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    for plane in planes:
        if plane.pos[2] != 0.0:
            raise UserError(
                f"robot {robot.name}: plane {plane.name!r} in {robot.xml} is at height {plane.pos[2]:g} m, but the "
                "ground must be at 0: set its pos to 0 0 0 or take it out"
            )
        plane.condim = max(3, plane.condim)
        plane.friction = [1.0, *plane.friction[1:]]


def _collisions(spec: mujoco.MjSpec, self_collision: bool) -> None:
    """Bits: shapes of the world have 1 in both masks, of the robot only in conaffinity unless it meets itself."""
    world = {geom.name for geom in spec.worldbody.geoms}
    for geom in spec.geoms:
        fixed = geom.parent.name == "world"
        plane = fixed and geom.type == mujoco.mjtGeom.mjGEOM_PLANE
        if plane or geom.contype or geom.conaffinity:  # neither: something to look at
            geom.contype = int(fixed or self_collision)
            geom.conaffinity = 1
    for pair in spec.pairs:
        if not self_collision and pair.geomname1 not in world and pair.geomname2 not in world:
            spec.delete(pair)


def _pairs(spec: mujoco.MjSpec) -> None:
    """Where the robot can meet nothing but planes, names every pair of shape and plane instead of bits in masks.

    Contacts are the same, bit for bit, but MuJoCo need not search for neighbours: a tenth of the native engine's time.
    Masks stay in a model that excludes contacts with the world, or whose shapes differ in softness, margin or priority.
    """
    shapes = [geom for geom in spec.geoms if geom.contype or geom.conaffinity]
    planes = [geom for geom in shapes if geom.parent.name == "world"]
    flat = all(geom.type == mujoco.mjtGeom.mjGEOM_PLANE for geom in planes)
    alike = len({(g.priority, *g.solref, *g.solimp) for g in shapes}) == 1 and not any(
        g.margin or g.gap for g in shapes
    )
    if not (flat and alike) or any("world" in (e.bodyname1, e.bodyname2) for e in spec.excludes):
        return
    for number, geom in enumerate(shapes):
        geom.name = geom.name or f"unnamed shape {number}"
    known = {frozenset((pair.geomname1, pair.geomname2)) for pair in spec.pairs}
    for geom in shapes:
        for plane in planes:
            if geom.parent.name != "world" and frozenset((plane.name, geom.name)) not in known:
                slide, twist, roll = np.maximum(plane.friction, geom.friction)
                pair = spec.add_pair(geomname1=plane.name, geomname2=geom.name, condim=max(plane.condim, geom.condim))
                pair.friction, pair.solref, pair.solimp = [slide, slide, twist, roll, roll], geom.solref, geom.solimp
    for geom in shapes:
        geom.contype = geom.conaffinity = 0


def _actuators(spec: mujoco.MjSpec, robot: Robot) -> None:
    for dof, name in enumerate(robot.dof_names):
        joint = robot.dof_joint[dof]
        gear = np.zeros(6)
        gear[dof - robot.joint_dof[joint]] = 1.0  # a ball joint takes its exponential map along x, y, z of the child
        actuator = spec.add_actuator(name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=robot.joint_names[joint])
        actuator.set_to_position(kp=robot.kp[dof], kv=robot.kd[dof])
        # everything that a default class of the MJCF could have changed
        actuator.gear = gear
        actuator.ctrllimited = mujoco.mjtLimited.mjLIMITED_FALSE
        actuator.actlimited = mujoco.mjtLimited.mjLIMITED_FALSE
        actuator.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
        actuator.forcerange = [-robot.torque_limit[dof], robot.torque_limit[dof]]
        actuator.armature = np.zeros_like(actuator.armature)
        actuator.damping = np.zeros_like(actuator.damping)


def _check(model: mujoco.MjModel, robot: Robot) -> None:
    """Raises UserError where the compiled model and the robot's figures differ in size or order."""
    if (model.nq, model.nv, model.nu) != (robot.nq, robot.nv, robot.num_dofs):
        raise UserError(
            f"robot {robot.name}: {robot.xml} has nq, nv = {model.nq}, {model.nv}, but the robot's figures say "
            f"{robot.nq}, {robot.nv}: one free root, hinges and balls only, and one start coordinate for each"
        )
    names = tuple(model.body(body).name for body in range(1, model.nbody))
    if names != robot.body_names:
        raise UserError(f"robot {robot.name}: bodies of {robot.xml} are {names}, expected {robot.body_names}")
    kinds = {int(mujoco.mjtJoint.mjJNT_HINGE): HINGE, int(mujoco.mjtJoint.mjJNT_BALL): BALL}
    for index, name in enumerate(robot.joint_names):
        if not robot.joint_kinds[index]:
            continue
        joint = model.joint(name)
        same = kinds.get(int(model.jnt_type[joint.id])) == robot.joint_kinds[index]
        if not same or model.jnt_dofadr[joint.id] != 6 + robot.joint_dof[index]:
            raise UserError(f"robot {robot.name}: joint {name} of {robot.xml} has another kind or place in the robot")
