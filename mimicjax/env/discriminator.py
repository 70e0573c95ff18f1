"""What reward models ask to see of a step (MimicKit 3.4): each a maker of a function of a `View`, and a line in VIEWS."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimicjax import rotation
from mimicjax.env import follow
from mimicjax.env.observations import away, turn
from mimicjax.env.view import Scope, View, tracks_root
from mimicjax.types import Pose


class Sight(NamedTuple):
    """What a reward model sees; also of a clip, whose poses then stand in for the robot's."""

    see: Callable[[View], jax.Array]  # -> [size]
    history: int = 0  # poses it wants in View.history


def features(scope: Scope) -> Callable[[Pose], jax.Array]:
    """ADD's numbers of one pose, robot or reference: root, joints, all bodies, velocities."""
    local = scope.settings.observations.frame == "heading"

    def of_pose(pose: Pose) -> jax.Array:
        place, quat, vel, spin = pose.root_pos, pose.root_quat, pose.root_vel, pose.root_ang_vel
        bodies = pose.body_pos - pose.root_pos
        if local:
            back = away(quat)
            place = place * jnp.asarray([0.0, 0.0, 1.0])
            quat, bodies = rotation.multiply(back, quat), turn(back, bodies)
            vel, spin = rotation.rotate(back, vel), rotation.rotate(back, spin)
        joints = rotation.six(pose.joint_quat).reshape(-1)
        return jnp.concatenate([place, rotation.six(quat), joints, bodies.reshape(-1), vel, spin, pose.dof_vel])

    return of_pose


def difference(scope: Scope) -> Sight:
    """The reference's features minus the robot's: what ADD tells from nothing. In the frame `robot`, from where that stands."""
    of_pose = features(scope)

    def see(view: View) -> jax.Array:
        both = view.reference, view.pose
        if scope.settings.observations.frame == "robot":
            both = tuple(follow.moved(pose, follow.to_origin(view.pose)) for pose in both)
        return of_pose(both[0]) - of_pose(both[1])

    return Sight(see)


def motion(scope: Scope, dof_vel: bool = True) -> Sight:
    """AMP's window of the last poses, the oldest first: places and headings as seen from the newest one's root.

    dof_vel: with the joints' velocities, which SMP leaves out.
    """
    robot, settings = scope.robot, scope.settings.observations
    local, height = settings.frame != "global", settings.root_height
    track = tracks_root(scope.settings) and not local

    def of_pose(pose: Pose, origin: jax.Array, back: jax.Array) -> jax.Array:
        place, quat = pose.root_pos - origin, pose.root_quat
        keys = pose.body_pos[robot.key_bodies] - pose.root_pos
        vel, spin = pose.root_vel, pose.root_ang_vel
        if local:
            place, quat, keys = rotation.rotate(back, place), rotation.multiply(back, quat), turn(back, keys)
            vel, spin = rotation.rotate(back, vel), rotation.rotate(back, spin)
        joints = rotation.six(pose.joint_quat).reshape(-1)
        tall = pose.root_pos[2:] if height else pose.root_pos[:0]
        speeds = pose.dof_vel if dof_vel else pose.dof_vel[:0]
        return jnp.concatenate([place[:2], tall, rotation.six(quat), joints, keys.reshape(-1), vel, spin, speeds])

    def see(view: View) -> jax.Array:
        last = view.pose
        origin = jnp.zeros(3) if track else last.root_pos
        back = away(last.root_quat)
        return jax.vmap(lambda pose: of_pose(pose, origin, back))(view.history).reshape(-1)

    return Sight(see, scope.settings.disc_steps)


VIEWS: dict[str, Callable[[Scope], Sight]] = {
    "difference": difference,
    "motion": motion,
    "motion_without_dof_vel": functools.partial(motion, dof_vel=False),
}
