"""Robot, ground and objects as one MuJoCo model: the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import mujoco
import numpy as np

from mimicjax.config.settings import EngineSettings
from mimicjax.engine import contacts, layout
from mimicjax.errors import UserError
from mimicjax.robot import mjcf, stage
from mimicjax.robot.kinematics import plane
from mimicjax.types import Ground, Layout, Robot

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


class Scene(NamedTuple):
    """A robot in its world, compiled; whoever simulates or draws it starts from here."""

    model: mujoco.MjModel
    robot: Robot
    layout: Layout


Furnish = Callable[[mujoco.MjSpec], None]  # adds objects to a scene's spec: named bodies on the world


def build(
    robot: Robot,
    settings: EngineSettings,
    wrench_bodies: Sequence[int] | np.ndarray | None = None,
    furnish: Sequence[Furnish] = (),
    ground: Ground = plane,
) -> Scene:
    """The robot on a floor, driven by one position actuator per degree of freedom, and the objects that furnish it.

    Control d is the target of degree of freedom d (rad; for ball joints a component of the exponential map) and its
    torque is kp (target - position) - kd velocity, cut to the torque limit. Passive stiffness and damping of the
    joints are zero: in robot files of imitation learning they are the gains. Armature, limits and, if settings say
    so, dry friction stay as the MJCF has them; its actuators, sensors and keyframes do not.

    wrench_bodies: indices into robot.body_names of the bodies that wrenches act on; None for the robot's own.
    furnish: called in turn with the spec of robot and floor. Objects keep what they are given (joints, friction,
    condim; the rest comes from the default class of the robot's MJCF), but for the bits of their contact masks: they
    meet ground, robot and each other. ground: the height of what the furnishing lays on the world itself, if it does.

    Raises UserError if the MJCF cannot be compiled, does not match the robot's figures, or sim_freq does not fit.
    """
    model = compiled(robot, settings, furnish)[1]
    bodies = robot.wrench_bodies if wrench_bodies is None else wrench_bodies
    return Scene(model, robot, layout.of(model, robot, bodies, ground))


def xml(robot: Robot, settings: EngineSettings, furnish: Sequence[Furnish] = ()) -> str:
    """The scene that `build` makes, as an MJCF of its own, for who plays an exported policy. Raises UserError as `build`."""
    return compiled(robot, settings, furnish)[0].to_xml()


def compiled(
    robot: Robot, settings: EngineSettings, furnish: Sequence[Furnish]
) -> tuple[mujoco.MjSpec, mujoco.MjModel]:
    """The spec and the model of `build`. Raises UserError as it does."""
    substeps(settings)
    try:
        spec = mjcf.read(robot.xml)
    except (ValueError, OSError, mujoco.FatalError) as error:
        raise UserError(f"robot {robot.name}: {robot.xml} is no valid MJCF: {error}") from error
    _options(spec, settings)
    for element in [*spec.actuators, *spec.sensors, *spec.keys]:
        spec.delete(element)
    _joints(spec, settings.frictionloss)
    stage.furnish(spec)
    contacts.floor(robot, spec)
    _actuators(spec, robot)
    try:
        for add in furnish:
            add(spec)
        contacts.decide(robot, spec, settings.self_collision)
        _islands(spec, robot)
        return spec, spec.compile()
    except (ValueError, mujoco.FatalError) as error:
        what = "with the objects of its scene cannot" if furnish else "cannot"
        raise UserError(f"robot {robot.name}: {robot.xml} {what} be compiled: {error}") from error


def with_wrench_bodies(scene: Scene, wrench_bodies: Sequence[int] | np.ndarray) -> Scene:
    """The same scene with wrenches on other bodies: [W] indices into robot.body_names."""
    return scene._replace(layout=layout.with_wrench_bodies(scene.layout, scene.model, scene.robot, wrench_bodies))


def _options(spec: mujoco.MjSpec, settings: EngineSettings) -> None:
    spec.option.timestep = 1.0 / settings.sim_freq
    spec.option.integrator = _INTEGRATORS[settings.integrator]
    spec.option.solver = _SOLVERS[settings.solver]
    spec.option.iterations = settings.iterations
    spec.option.ls_iterations = settings.ls_iterations
    spec.option.cone = _CONES[settings.cone]
    spec.option.jacobian = _JACOBIANS[settings.jacobian]
    spec.option.impratio = settings.impratio


def _islands(spec: mujoco.MjSpec, robot: Robot) -> None:
    """Turns off MuJoCo's islands (groups of bodies that are solved separately) unless there are objects that move.

    A robot alone is one island, and the search for others costs the native engine a twentieth of its time. With one ball
    islands save a fiftieth, with four a fifth; and a ball far away then does not change the solution for the robot.
    """
    if all(joint.parent.name in robot.body_names for joint in spec.joints):
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
