"""The schema of tasks: what the robot is asked to do beside imitating (docs/tasks.md)."""

from __future__ import annotations

import dataclasses

from mimicjax.config.key import key


@dataclasses.dataclass(frozen=True)
class LocationSettings:
    """Go to a place that changes; MimicKit's task_location, with its names."""

    tar_speed: float = key(1.0, "m/s towards the target from which on going faster earns nothing more", low=0.0)
    tar_dist_min: float = key(0.0, "m from the robot to a target drawn, at least", low=0.0)
    tar_dist_max: float = key(10.0, "m, at most", low=0.0)
    tar_change_time: list[float] = key([5.0, 10.0], "[low, high] s from one target to the next", low=0.0)
    dist_threshold: float = key(0.5, "m^2, squared distance within which the target is reached", low=0.0)
    pos_reward_w: float = key(0.5, "weight of being near", low=0.0)
    vel_reward_w: float = key(0.4, "weight of going towards it", low=0.0)
    face_reward_w: float = key(0.1, "weight of facing it", low=0.0)
    pos_err_scale: float = key(0.5, "1/m^2", low=0.0)
    vel_err_scale: float = key(4.0, "s^2/m^2", low=0.0)


@dataclasses.dataclass(frozen=True)
class ReachSettings:
    """Keep a hand at a target that moves about the robot."""

    bodies: list[str] = key([], "bodies that may reach it; the nearest counts")
    forward: list[float] = key([0.15, 0.45], "[low, high] m before the root, of places that the target goes to")
    sideways: list[float] = key([-0.4, 0.4], "[low, high] m to its left")
    height: list[float] = key([0.7, 1.2], "[low, high] m above the world's origin")
    tar_change_time: list[float] = key([1.0, 3.0], "[low, high] s from one place to the next", low=0.01)
    err_scale: float = key(10.0, "1/m^2, of the nearest body's squared distance", low=0.0)
    reward_w: float = key(1.0, "weight", low=0.0)


@dataclasses.dataclass(frozen=True)
class SteeringSettings:
    """Go and face where one is told; MimicKit's task_steering, with its names."""

    rand_tar_dir: bool = key(True, "draw directions, else along x")
    rand_face_dir: bool = key(False, "draw where to face by itself, else where to go")
    tar_speed: list[float] = key([0.5, 1.5], "[low, high] m/s", low=0.0)
    tar_change_time: list[float] = key([4.0, 7.0], "[low, high] s from one command to the next", low=0.0)
    reward_steering_vel_scale: float = key(0.5, "s^2/m^2", low=0.0)
    reward_steering_tar_w: float = key(0.7, "weight of the velocity", low=0.0)
    reward_steering_face_w: float = key(0.3, "weight of the facing", low=0.0)
