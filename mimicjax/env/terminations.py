"""Failures of an episode, and the tracking errors by which it is judged (MimicKit 3.2).

Each failure is a maker of a function of a `View` to a bool [], and a line in TERMINATIONS with what is said of an episode
that ended so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.env import TerminationSettings
from mimicjax.env.view import Scope, View, tracks_root
from mimicjax.errors import pick
from mimicjax.robot.kinematics import ground_clearance
from mimicjax.types import Pose

Failure = Callable[[View], jax.Array]


class Termination(NamedTuple):
    """A kind of failure."""

    words: str  # of an episode that ended so
    make: Callable[[Scope, float], Failure]  # (scope, limit); the limit's unit is the failure's own


def fall(scope: Scope, limit: float = 0.0) -> Failure:
    """A body that may not touch the ground is at most `limit` m above it. Off without contact bodies, as in MimicKit.

    What the clip itself has near the ground may touch it meanwhile, as the hands of a cartwheel.
    """
    fell = down(scope, limit)
    return lambda view: jnp.any(fell(view))


def down(scope: Scope, limit: float = 0.0) -> Callable[[View], jax.Array]:
    """Which bodies [N] `fall` is about."""
    robot, ground = scope.robot, scope.layout.ground
    may = np.isin(np.arange(robot.num_bodies), robot.contact_bodies)
    if not len(robot.contact_bodies):
        return lambda view: jnp.zeros(robot.num_bodies, bool)
    near = scope.settings.terminations.get("fall", TerminationSettings()).reference
    some = scope.touching.any()  # else the clip's clearance is not computed: it costs as much as the robot's

    def failed(view: View) -> jax.Array:
        fell = jnp.asarray(~may) & (ground_clearance(robot, view.pose, ground) <= limit)
        if some:
            fell &= ~(ground_clearance(robot, view.reference, ground) <= near)
        return fell

    return failed


def strayed(scope: Scope, limit: float) -> Failure:
    """Some body is farther than `limit` m from the reference: in the world if the root is tracked, else about the root."""
    track, local = tracks_root(scope.settings), scope.settings.observations.frame != "global"

    def about_root(pose: Pose) -> jax.Array:
        bodies = pose.body_pos[1:] - pose.root_pos
        back = jnp.broadcast_to(rotation.conjugate(pose.root_quat), (*bodies.shape[:-1], 4))
        return rotation.rotate(back, bodies) if local else bodies

    def failed(view: View) -> jax.Array:
        robot, clip = view.pose, view.reference
        gap = clip.body_pos - robot.body_pos if track else about_root(clip) - about_root(robot)
        return jnp.max(jnp.sum(gap**2, axis=-1)) > limit**2

    return failed


TERMINATIONS: dict[str, Termination] = {
    "fall": Termination("fell", fall),
    "pose": Termination("left the reference", strayed),
}


def tests(scope: Scope) -> dict[str, Failure]:
    """The configured failures by name. Raises UserError for an unknown one."""
    settings = scope.settings
    rows = {name: pick(TERMINATIONS, name, "env.terminations", "failure") for name in settings.terminations}
    if not settings.early_termination:
        return {}
    return {name: row.make(scope, settings.terminations[name].limit) for name, row in rows.items()}


def make(scope: Scope) -> Failure:
    """Whether any configured failure holds."""
    failures = tests(scope).values()
    return lambda view: jnp.any(jnp.stack([jnp.asarray(False), *(failed(view) for failed in failures)]))


def reason(scope: Scope, view: View) -> str:
    """In words, why an episode failed that failed in this view: it fell, or left the reference; else only that it failed."""
    failures = tests(scope).items()
    # failed: physics was unstable
    return next((TERMINATIONS[name].words for name, failed in failures if failed(view)), "failed")


def tracking_errors(pose: Pose, ref: Pose) -> dict[str, jax.Array]:
    """MimicKit's seven errors (m, rad, m, rad, rad/s, m/s, rad/s), root-relative positions in world axes."""
    about_root, ref_about_root = pose.body_pos - pose.root_pos, ref.body_pos - ref.root_pos
    return {
        "Root_Pos_Err": jnp.linalg.norm(ref.root_pos - pose.root_pos),
        "Root_Rot_Err": rotation.angle(pose.root_quat, ref.root_quat),
        "Body_Pos_Err": jnp.mean(jnp.linalg.norm(ref_about_root - about_root, axis=-1)),
        "Body_Rot_Err": jnp.mean(rotation.angle(pose.body_quat, ref.body_quat)),
        "Dof_Vel_Err": jnp.mean(jnp.abs(ref.dof_vel - pose.dof_vel)),
        "Root_Vel_Err": jnp.mean(jnp.abs(ref.root_vel - pose.root_vel)),
        "Root_Ang_Vel_Err": jnp.mean(jnp.abs(ref.root_ang_vel - pose.root_ang_vel)),
    }
