"""Randomisation of what stands between policy and physics, for one environment: sensors, motors, delays, starts.

Every draw folds a constant of its own into the environment's key, so that switching one randomisation on leaves the
random numbers of all others as they were. What is off costs nothing: its field is () and its function returns its
input unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.randomize import RandomizeSettings, StartSettings, check_axes, check_ranges, check_start
from mimicjax.env import observations
from mimicjax.env.view import Scope, Term
from mimicjax.errors import unknown
from mimicjax.robot import kinematics
from mimicjax.types import Array, Pose, Robot

# constants that are folded into keys; far from the small numbers that jax.random.split counts with
EPISODE, MODEL, START, SENSORS, MOTORS = (0x52414E44 + n for n in range(5))
SPREAD = (0.5, 1.5)  # of the torque noise that is drawn at every substep, from joint to joint


class Noise(NamedTuple):
    """What was drawn for an episode, and the earlier targets and actions that delay and smoothing need; () where off."""

    zero: Any  # [D] rad, what encoders read too much
    torque: Any  # [D] N m, constant, or the half-width of what every substep draws
    delay: Any  # [] int32, substeps
    targets: Any  # [H,D] rad, of the control steps before, the latest first
    share: Any  # [] of the action before that stays
    action: Any  # [A], the smoothed action of the control step before
    bias: Any  # [O], of the actor's observation


class Randomisation(NamedTuple):
    """Functions of one environment."""

    # (key, its row so far, whether the environment is new) -> row of the engine's table of models
    model: Callable[[Array, Array, bool], Array]
    # (key, pose, qpos, qvel) of the reference -> the same of the state that the episode starts in
    start: Callable[[Array, Pose, Array, Array], tuple[Pose, Array, Array]]
    draw: Callable[[Array, Pose], Any]  # (key, start pose) -> Noise, or () if all is off
    measured: Callable[[Any, Pose], Pose]  # the pose as the robot's sensors tell it
    sense: Callable[[Any, Array, Array], Array]  # (noise, key, observation [O]) -> what the actor gets
    smooth: Callable[[Any, Array, Array], tuple[Any, Array]]  # (noise, action [A], episode's step) -> (noise, action)
    drive: Callable[[Any, Array, Array], tuple[Any, Array]]  # (noise, key, targets [D]) -> (noise, ctrl [D] or [S,D])
    imperfect: bool  # whether sensors tell the actor anything else than what is


def make(scope: Scope, settings: RandomizeSettings, seen: Term, substeps: int) -> Randomisation:
    """The functions for a robot. seen: what its sensors tell the actor. Raises UserError for settings that cannot be meant."""
    robot = scope.robot
    check(settings, scope)
    noise, bias = (
        np.asarray([sizes.get(part.name, 0.0) for part in seen.parts for _ in range(part.size)], np.float32)
        for sizes in (settings.noise, settings.bias)
    )

    def sense(drawn: Any, key: Array, seen: Array) -> Array:
        if bias.any():
            seen = seen + drawn.bias
        if noise.any():
            seen = seen + noise * _between(jax.random.fold_in(key, SENSORS), -1.0, 1.0, noise.shape)
        return seen

    def measured(drawn: Any, pose: Pose) -> Pose:
        if not settings.joint_zero:
            return pose
        angles = pose.dof_pos + drawn.zero
        joints = kinematics.dof_quats(robot, angles)
        bodies = kinematics.forward(robot, pose.root_pos, pose.root_quat, joints)
        return pose._replace(dof_pos=angles, joint_quat=joints, body_pos=bodies[0], body_quat=bodies[1])

    return Randomisation(
        model=_model(settings),
        start=_start(scope, settings.start),
        draw=_draw(robot, settings, bias, substeps),
        measured=measured,
        sense=sense,
        smooth=_smooth(settings),
        drive=_drive(robot, settings, substeps),
        imperfect=bool(settings.joint_zero or noise.any() or bias.any()),
    )


def check(settings: RandomizeSettings, scope: Scope) -> None:
    """Raises UserError for a range that is upside down or of the wrong length, and for noise of what nothing sees."""
    names = observations.part_names(scope)
    for key, sizes in (("noise", settings.noise), ("bias", settings.bias)):
        for name in sizes:
            if name not in names:
                raise unknown(f"randomize.{key}", "part of an observation", name, names)
    check_ranges(settings, ("delay", "smoothing"))
    axes = ("root_position", "root_rotation", "root_velocity", "root_angular_velocity")
    check_axes(settings.start, axes, "randomize.start")
    check_start(settings.start)


def _between(key: Array, low: float, high: float, shape: tuple[int, ...] = ()) -> Array:
    return jax.random.uniform(key, shape, minval=low, maxval=high)


def _model(settings: RandomizeSettings) -> Callable[[Array, Array, bool], Array]:
    """Draws a row of the engine's table, but never row 0, the unchanged model."""

    def model(key: Array, row: Array, first: bool) -> Array:
        if not settings.models or (settings.when == "once" and not first):
            return row
        return jax.random.randint(jax.random.fold_in(key, MODEL), (), 1, settings.models + 1, jnp.int32)

    return model


def _share(start: StartSettings, key: Array) -> Array:
    """Factor [] of how far off an episode begins: 0, 1 or `thrown_by`."""
    u = jax.random.uniform(jax.random.fold_in(key, 1))
    return jnp.where(u < start.thrown, start.thrown_by, jnp.where(u < start.share, 1.0, 0.0))


def _raised(scope: Scope, pose: Pose, reference: Pose) -> Array:
    """Height [] m by which a pose must be raised so that it is in the ground no deeper than the reference."""
    lowest = lambda pose: jnp.min(kinematics.ground_clearance(scope.robot, pose, scope.layout.ground))  # noqa: E731
    return jnp.maximum(0.0, jnp.minimum(0.0, lowest(reference)) - lowest(pose))


def _start(scope: Scope, start: StartSettings) -> Callable:
    """Root and joints moved from the reference; joints that are in their range stay in it."""
    robot = scope.robot
    parts = (start.root_position, start.root_rotation, start.root_velocity, start.root_angular_velocity)
    joints = [[size] * robot.num_dofs for size in (start.joint_angles, start.joint_velocities)]
    sizes = np.concatenate([*parts, *joints]).astype(np.float32)
    ends = np.cumsum([3, 3, 3, 3, robot.num_dofs])
    low, high = robot.dof_range.T.astype(np.float32)

    def moved(key: Array, pose: Pose, qpos: Array, qvel: Array) -> tuple[Pose, Array, Array]:
        key = jax.random.fold_in(key, START)
        normal = start.distribution == "normal"
        unit = jax.random.normal(key, sizes.shape) if normal else _between(key, -1.0, 1.0, sizes.shape)
        if start.thrown or start.share < 1.0:
            unit = unit * _share(start, key)
        place, turn, velocity, spin, angles, speeds = jnp.split(sizes * unit, ends)
        angles = pose.dof_pos + angles
        angles = jnp.clip(angles, jnp.minimum(low, pose.dof_pos), jnp.maximum(high, pose.dof_pos))
        reference, pose = pose, pose._replace(
            root_pos=pose.root_pos + place, root_quat=rotation.multiply(rotation.exp(turn), pose.root_quat),
            root_vel=pose.root_vel + velocity, root_ang_vel=pose.root_ang_vel + spin,
            dof_pos=angles, joint_quat=kinematics.dof_quats(robot, angles), dof_vel=pose.dof_vel + speeds,
        )  # fmt: skip
        qpos, qvel = kinematics.qpos_of(robot, pose)
        if start.above_ground:
            qpos = qpos.at[2].add(_raised(scope, kinematics.pose_of(robot, qpos, qvel), reference))
        return kinematics.pose_of(robot, qpos, qvel), qpos, qvel

    return moved if sizes.any() else lambda key, pose, qpos, qvel: (pose, qpos, qvel)


def _draw(robot: Robot, settings: RandomizeSettings, bias: np.ndarray, substeps: int) -> Callable[[Array, Pose], Any]:
    """Draws the noise of an episode. Delayed targets start as the start pose, as the robot's encoders measure it."""
    dofs, limit = robot.num_dofs, np.asarray(robot.torque_limit, np.float32)
    constant = settings.torque_noise_per == "episode"

    def draw(key: Array, pose: Pose) -> Noise:
        zero, torque, delay, share, offset = jax.random.split(jax.random.fold_in(key, EPISODE), 5)
        level = jax.random.normal(torque, (dofs,)) if constant else _between(torque, *SPREAD, (dofs,))
        zeros, measured, delays, shares = (), pose.dof_pos, settings.delay, settings.smoothing
        if settings.joint_zero:
            zeros = settings.joint_zero * _between(zero, -1.0, 1.0, (dofs,))
            measured = measured + zeros
        return Noise(
            zero=zeros,
            torque=settings.torque_noise * limit * level if settings.torque_noise else (),
            delay=jax.random.randint(delay, (), delays[0], delays[1] + 1, jnp.int32) if delays else (),
            targets=jnp.tile(measured, (_depth(settings, substeps), 1)) if delays else (),
            share=_between(share, shares[0], shares[1]) if shares else (),
            action=jnp.zeros(dofs) if shares else (),
            bias=bias * jax.random.normal(offset, bias.shape) if bias.any() else (),
        )

    off = not (settings.joint_zero or settings.torque_noise or settings.delay or settings.smoothing or bias.any())
    return (lambda key, pose: ()) if off else draw


def _depth(settings: RandomizeSettings, substeps: int) -> int:
    """How many earlier control steps' targets may still act, with the longest delay."""
    return -(-settings.delay[1] // substeps) if settings.delay else 0


def _smooth(settings: RandomizeSettings) -> Callable[[Any, Array, Array], tuple[Any, Array]]:
    """A first-order filter over control steps; an episode's first action passes as it is."""

    def smooth(noise: Noise, action: Array, step: Array) -> tuple[Noise, Array]:
        before = jnp.where(step == 0, action, noise.action)
        action = noise.share * before + (1.0 - noise.share) * action
        return noise._replace(action=action), action

    return smooth if settings.smoothing else lambda noise, action, step: (noise, action)


def _drive(
    robot: Robot, settings: RandomizeSettings, substeps: int
) -> Callable[[Any, Array, Array], tuple[Any, Array]]:
    """Targets as they reach the motors: delayed, relative to miscalibrated encoders, and with torque noise.

    The engine takes targets only, so a torque T is added by moving the target of the position servo by T / kp, with the
    kp of the unchanged model.
    """
    stiffness = np.asarray(robot.kp, np.float32)
    softness = np.divide(1.0, stiffness, out=np.zeros_like(stiffness), where=stiffness > 0)
    by_substep = settings.torque_noise > 0 and settings.torque_noise_per == "substep"

    def drive(noise: Noise, key: Array, targets: Array) -> tuple[Noise, Array]:
        if settings.delay:
            known = jnp.concatenate([targets[None], noise.targets])
            age = jnp.maximum(0, -((jnp.arange(substeps) - noise.delay) // substeps))
            noise, targets = noise._replace(targets=known[:-1]), known[age]
        if settings.joint_zero:
            targets = targets - noise.zero
        if by_substep:
            unit = _between(jax.random.fold_in(key, MOTORS), -1.0, 1.0, (substeps, robot.num_dofs))
            targets = targets + unit * noise.torque * softness
        elif settings.torque_noise:
            targets = targets + noise.torque * softness
        return noise, targets

    return drive
