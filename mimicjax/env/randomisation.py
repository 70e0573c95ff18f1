"""Randomisation of what stands between policy and physics, for one environment: sensors, motors, delays, starts.

Everything is drawn from keys that the environment's own is folded with, so that nothing else draws other numbers
because of it. What is off costs nothing: its field is () and its function gives back what it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import RandomizeSettings
from mimicjax.env import observations
from mimicjax.env.view import Scope, Term
from mimicjax.errors import UserError, nearest
from mimicjax.robot import kinematics
from mimicjax.types import Array, Pose, Robot

# what keys are folded with; far from the small numbers that split counts with
EPISODE, MODEL, START, SENSORS, MOTORS = (0x52414E44 + n for n in range(5))
SPREAD = (0.5, 1.5)  # of the torque noise that is drawn at every substep, from joint to joint


class Noise(NamedTuple):
    """What was drawn for an episode, and what motors remember; () where it is off."""

    zero: Any  # [D] rad, what encoders read too much
    torque: Any  # [D] N m, constant, or the half-width of what every substep draws
    delay: Any  # [] int32, substeps
    targets: Any  # [H,D] rad, of the control steps before, the latest first
    share: Any  # [] of the action before that stays
    action: Any  # [A], the smoothed action of the control step before
    bias: Any  # [O], of the actor's observation


class Randomisation(NamedTuple):
    """Functions of one environment."""

    model: Callable[
        [Array, Array, bool], Array
    ]  # (key, row it has, whether the environment is new) -> row of the engine's table
    start: Callable[
        [Array, Pose, Array, Array], tuple[Pose, Array, Array]
    ]  # (key, pose, qpos, qvel) -> the same, moved
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
        _model(settings), _start(robot, settings), _draw(robot, settings, bias, substeps), measured, sense,
        _smooth(settings), _drive(robot, settings, substeps),
        bool(settings.joint_zero or noise.any() or bias.any()),
    )  # fmt: skip


def check(settings: RandomizeSettings, scope: Scope) -> None:
    """Raises UserError for a range that is upside down or of the wrong length, and for noise of what nothing sees."""
    names = observations.part_names(scope)
    for key, sizes in (("noise", settings.noise), ("bias", settings.bias)):
        for name in sizes:
            if name not in names:
                raise UserError(
                    f"randomize.{key}.{name}: no part of an observation; allowed: {', '.join(names)}{nearest(name, names)}"
                )
    for key in ("delay", "smoothing"):
        given = getattr(settings, key)
        if given is not None and (len(given) != 2 or given[0] > given[1]):
            raise UserError(f"randomize.{key}: given {given}, allowed is [low, high] with low not above high")
    for key in ("root_position", "root_rotation", "root_velocity", "root_angular_velocity"):
        given = getattr(settings.start, key)
        if len(given) != 3:
            raise UserError(f"randomize.start.{key}: given {given}, allowed are three sizes, one for each axis")


def _between(key: Array, low: float, high: float, shape: tuple[int, ...] = ()) -> Array:
    return jax.random.uniform(key, shape, minval=low, maxval=high)


def _model(settings: RandomizeSettings) -> Callable[[Array, Array, bool], Array]:
    """Row 0, the model as given, is never drawn."""

    def model(key: Array, row: Array, first: bool) -> Array:
        if not settings.models or (settings.when == "once" and not first):
            return row
        return jax.random.randint(jax.random.fold_in(key, MODEL), (), 1, settings.models + 1, jnp.int32)

    return model


def _start(robot: Robot, settings: RandomizeSettings) -> Callable:
    """Root and joints moved from the reference; joints that are in their range stay in it."""
    start = settings.start
    parts = (start.root_position, start.root_rotation, start.root_velocity, start.root_angular_velocity)
    joints = [[size] * robot.num_dofs for size in (start.joint_angles, start.joint_velocities)]
    sizes = np.concatenate([*parts, *joints]).astype(np.float32)
    ends = np.cumsum([3, 3, 3, 3, robot.num_dofs])
    low, high = robot.dof_range.T.astype(np.float32)

    def moved(key: Array, pose: Pose, qpos: Array, qvel: Array) -> tuple[Pose, Array, Array]:
        key = jax.random.fold_in(key, START)
        normal = start.distribution == "normal"
        unit = jax.random.normal(key, sizes.shape) if normal else _between(key, -1.0, 1.0, sizes.shape)
        place, turn, velocity, spin, angles, speeds = jnp.split(sizes * unit, ends)
        angles = pose.dof_pos + angles
        angles = jnp.clip(angles, jnp.minimum(low, pose.dof_pos), jnp.maximum(high, pose.dof_pos))
        pose = pose._replace(
            root_pos=pose.root_pos + place, root_quat=rotation.multiply(rotation.exp(turn), pose.root_quat),
            root_vel=pose.root_vel + velocity, root_ang_vel=pose.root_ang_vel + spin,
            dof_pos=angles, joint_quat=kinematics.dof_quats(robot, angles), dof_vel=pose.dof_vel + speeds,
        )  # fmt: skip
        qpos, qvel = kinematics.qpos_of(robot, pose)
        return kinematics.pose_of(robot, qpos, qvel), qpos, qvel

    return moved if sizes.any() else lambda key, pose, qpos, qvel: (pose, qpos, qvel)


def _draw(robot: Robot, settings: RandomizeSettings, bias: np.ndarray, substeps: int) -> Callable[[Array, Pose], Any]:
    """What an episode has; targets begin where the robot stands, by its own encoders."""
    dofs, limit = robot.num_dofs, np.asarray(robot.torque_limit, np.float32)
    constant = settings.torque_noise_per == "episode"

    def draw(key: Array, pose: Pose) -> Noise:
        zero, torque, delay, share, offset = jax.random.split(jax.random.fold_in(key, EPISODE), 5)
        level = jax.random.normal(torque, (dofs,)) if constant else _between(torque, *SPREAD, (dofs,))
        zeros, measured, late, kept = (), pose.dof_pos, settings.delay, settings.smoothing
        if settings.joint_zero:
            zeros = settings.joint_zero * _between(zero, -1.0, 1.0, (dofs,))
            measured = measured + zeros
        return Noise(
            zeros, settings.torque_noise * limit * level if settings.torque_noise else (),
            jax.random.randint(delay, (), late[0], late[1] + 1, jnp.int32) if late else (),
            jnp.tile(measured, (_depth(settings, substeps), 1)) if late else (),
            _between(share, kept[0], kept[1]) if kept else (), jnp.zeros(dofs) if kept else (),
            bias * jax.random.normal(offset, bias.shape) if bias.any() else (),
        )  # fmt: skip

    off = not (settings.joint_zero or settings.torque_noise or settings.delay or settings.smoothing or bias.any())
    return (lambda key, pose: ()) if off else draw


def _depth(settings: RandomizeSettings, substeps: int) -> int:
    """Control steps before this one whose targets may still act."""
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
    """Targets as they reach the motors: late, by encoders that are off, and with torque noise in them.

    The engine takes targets only. A position servo that is to give a torque T more before its limit has a target
    T / kp farther, with the kp of the model as given.
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
