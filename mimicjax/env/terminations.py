"""Failures of an episode, and the tracking errors by which it is judged (MimicKit 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import ObservationSettings, TerminationSettings
from mimicjax.env.rewards import tracks_root
from mimicjax.robot.kinematics import ground_clearance
from mimicjax.types import Ground, Pose, Robot

Failure = Callable[[Pose, Pose], jax.Array]  # (pose, reference) -> bool


def fall(robot: Robot, ground: Ground) -> Failure:
    """A body that may not touch the ground touches it. Without contact bodies the test is off, as in MimicKit."""
    may = np.isin(np.arange(robot.num_bodies), robot.contact_bodies)
    if not len(robot.contact_bodies):
        return lambda pose, ref: jnp.asarray(False)
    return lambda pose, ref: jnp.any(jnp.where(may, jnp.inf, ground_clearance(robot, pose, ground)) <= 0.0)


def strayed(robot: Robot, settings: ObservationSettings, distance: float) -> Failure:
    """Some body is farther than `distance` m from the reference: in the world if the root is tracked, else about the root."""
    track, local = tracks_root(settings), settings.frame == "heading"

    def about_root(pose: Pose) -> jax.Array:
        bodies = pose.body_pos[1:] - pose.root_pos
        away = jnp.broadcast_to(rotation.conjugate(pose.root_quat), (*bodies.shape[:-1], 4))
        return rotation.rotate(away, bodies) if local else bodies

    def failed(pose: Pose, ref: Pose) -> jax.Array:
        gap = ref.body_pos - pose.body_pos if track else about_root(ref) - about_root(pose)
        return jnp.max(jnp.sum(gap**2, axis=-1)) > distance**2

    return failed


def _tests(
    robot: Robot, settings: TerminationSettings, observations: ObservationSettings, ground: Ground
) -> dict[str, Failure]:
    """What is tested, by what it says of an episode that ended so."""
    tests: dict[str, Failure] = {}
    if settings.early and settings.fall:
        tests["fell"] = fall(robot, ground)
    if settings.early and settings.pose:
        tests["left the reference"] = strayed(robot, observations, settings.pose_distance)
    return tests


def make(robot: Robot, settings: TerminationSettings, observations: ObservationSettings, ground: Ground) -> Failure:
    """Whether any configured failure holds; ground: the layout's."""
    tests = _tests(robot, settings, observations, ground).values()
    return lambda pose, ref: jnp.any(jnp.stack([jnp.asarray(False), *(test(pose, ref) for test in tests)]))


def reason(
    robot: Robot,
    settings: TerminationSettings,
    observations: ObservationSettings,
    ground: Ground,
    pose: Pose,
    ref: Pose,
) -> str:
    """In words, why an episode failed that failed in this pose: it fell, or left the reference; else only that it failed."""
    tests = _tests(robot, settings, observations, ground)
    return next((words for words, test in tests.items() if test(pose, ref)), "failed")  # failed: physics was unstable


def tracking_errors(pose: Pose, ref: Pose) -> dict[str, jax.Array]:
    """MimicKit's seven errors (m, rad, m, rad, rad/s, m/s, rad/s), root-relative positions in world axes."""
    own, its = pose.body_pos - pose.root_pos, ref.body_pos - ref.root_pos
    return {
        "Root_Pos_Err": jnp.linalg.norm(ref.root_pos - pose.root_pos),
        "Root_Rot_Err": rotation.angle(pose.root_quat, ref.root_quat),
        "Body_Pos_Err": jnp.mean(jnp.linalg.norm(its - own, axis=-1)),
        "Body_Rot_Err": jnp.mean(rotation.angle(pose.body_quat, ref.body_quat)),
        "Dof_Vel_Err": jnp.mean(jnp.abs(ref.dof_vel - pose.dof_vel)),
        "Root_Vel_Err": jnp.mean(jnp.abs(ref.root_vel - pose.root_vel)),
        "Root_Ang_Vel_Err": jnp.mean(jnp.abs(ref.root_ang_vel - pose.root_ang_vel)),
    }
