"""Profiles of pushes (`disturb.profiles`): checked against the robot, and drawn from, for one environment.

All numbers of a draw come from one call of the generator, which on a CPU costs more than the arithmetic after it.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.config.push import PushSettings
from mimicjax.config.settings import EnvSettings
from mimicjax.errors import UserError
from mimicjax.robot import bodies
from mimicjax.types import Array, Layout, Robot

RANDOM_FORCE = "random_force"  # the profile that MimicKit's flat keys stand for


class Profile(NamedTuple):
    """A checked profile for a robot; static."""

    name: str
    settings: PushSettings
    bodies: np.ndarray  # [P] int, indices into robot.body_names
    slots: np.ndarray  # [P] int, which of the layout's wrench bodies
    code: int  # of the name: the profile's own stream of random numbers, whatever other profiles there are

    @property
    def pushed(self) -> int:
        """Bodies of one push."""
        return len(self.bodies) if self.settings.together else min(1, len(self.bodies))

    @property
    def wrenches(self) -> bool:
        """Whether a push has a force or torque."""
        return self.settings.force[1] > 0 or self.settings.torque[1] > 0

    @property
    def moves_root(self) -> bool:
        """Whether a push changes the root's velocity."""
        s = self.settings
        return any(s.velocity) or any(s.angular_velocity) or s.velocity_magnitude[1] > 0


class Pulse(NamedTuple):
    """One push as drawn, at its full size; n bodies at once."""

    live: Array  # [] bool, whether there is one; without, only the payload counts
    length: Array  # [] s
    place: Array  # [n] int32, which of the profile's bodies
    force: Array  # [n,3] N at the peak, in the profile's frame
    torque: Array  # [n,3] N m
    offset: Array  # [n,3] m, from the centre of mass, body frame
    velocity: Array  # [6] m/s and rad/s, world frame
    payload: Array  # [P] kg


def collect(profiles: Mapping[str, PushSettings], env: EnvSettings, dt: float) -> dict[str, PushSettings]:
    """The profiles by name, with MimicKit's flat keys as one more. dt: s, a control step. Raises UserError."""
    if not env.enable_random_force:
        return dict(profiles)
    if RANDOM_FORCE in profiles:
        raise UserError(
            f"env.enable_random_force and disturb.profiles.{RANDOM_FORCE} are the same profile: take out one of them"
        )
    if len(env.random_force_scale) != 3 or not any(env.random_force_scale):
        raise UserError(
            f"env.random_force_scale: given {env.random_force_scale}, allowed are three N, not all of them 0"
        )
    random_force = PushSettings(
        bodies=env.random_force_bodies, together=True, force=[1.0, 1.0], force_axes=env.random_force_scale,
        direction="box", interval=[0.0, 0.0], duration=[dt, dt], probability=env.random_force_probability,
    )  # fmt: skip
    return {**profiles, RANDOM_FORCE: random_force}


def wrench_bodies(robot: Robot, profiles: Mapping[str, PushSettings]) -> np.ndarray:
    """[W] indices into robot.body_names: the robot's own wrench bodies, then those that only profiles name, in its order.

    Raises UserError for names that the robot does not have.
    """
    named = [bodies.indices(robot, settings.bodies, f"{_key(name)}bodies") for name, settings in profiles.items()]
    more = np.setdiff1d(np.concatenate([np.zeros(0, np.int32), *named]), robot.wrench_bodies)
    return np.concatenate([robot.wrench_bodies, more]).astype(np.int32)


def check(robot: Robot, layout: Layout, name: str, settings: PushSettings) -> Profile:
    """The profile for a layout whose wrench bodies hold those it names. Raises UserError, which names the key."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UserError(f"disturb.profiles: the name {name!r} may have letters, digits, _ and - only")
    for key in ("force", "torque", "interval", "duration", "payload", "velocity_magnitude"):
        limits = getattr(settings, key)
        fits = len(limits) == 2 and 0.0 <= limits[0] <= limits[1] < math.inf
        _need(fits, name, key, f"given {limits}, allowed is [low, high] with 0 <= low <= high")
        if (
            settings.distribution == "log_uniform"
            and key in ("force", "torque", "velocity_magnitude")
            and limits[1] > 0
        ):
            _need(limits[0] > 0, name, key, f"given {limits}, a log_uniform distribution needs low above 0")
    for key in ("force_axes", "torque_axes", "offset", "velocity", "angular_velocity"):
        axes = getattr(settings, key)
        _need(len(axes) == 3 and max(axes) < math.inf, name, key, f"given {axes}, allowed are three finite numbers")
    acting = np.asarray(robot.wrench_bodies)
    if settings.bodies:
        acting = bodies.indices(robot, settings.bodies, f"{_key(name)}bodies")
    code = zlib.crc32(name.encode()) & 0x7FFFFFFF
    slots = [list(layout.wrench_bodies).index(body) for body in acting]
    profile = Profile(name=name, settings=settings, bodies=acting, slots=np.asarray(slots, np.int32), code=code)
    _check_sense(robot, profile)
    return profile


def _check_sense(robot: Robot, profile: Profile) -> None:
    """Raises UserError for a profile that could not do what it says."""
    name, s = profile.name, profile.settings
    loaded = s.payload[1] > 0
    _need(
        profile.wrenches or profile.moves_root or loaded, name, "force",
        "nothing is given; a profile needs a range of force, torque, payload, velocity, angular_velocity or "
        "velocity_magnitude",
    )  # fmt: skip
    for key, axes in (("force", s.force_axes), ("torque", s.torque_axes)):
        _need(not getattr(s, key)[1] or any(axes), name, f"{key}_axes", "all are 0, so there is no direction")
    if profile.wrenches or loaded:
        _need(len(profile.bodies) > 0, name, "bodies", f"none is given, and robot {robot.name} has no wrench_bodies")
        empty = bodies.massless(robot) & {robot.body_names[body] for body in profile.bodies}
        why = f"{', '.join(sorted(empty))} has no mass of its own; push the body it is part of"
        _need(not empty, name, "bodies", why)
    if profile.wrenches and not s.sustained:
        _need(s.duration[1] > 0, name, "duration", f"given {s.duration}, in which force and torque have no time to act")
    endless = s.sustained and s.shape == "half_sine"
    _need(not endless, name, "shape", "half_sine has an end, but the push is sustained")
    _need(not any(s.offset) or s.force[1] > 0, name, "offset", "moves a force, but there is none")
    c = s.curriculum
    _need(c.by != "success" or c.rise > 0 or c.begin == 1.0, name, "curriculum.rise", "is 0: pushes would never grow")


def _key(name: str) -> str:
    return f"disturb.profiles.{name}" + (" (env.random_force_*): " if name == RANDOM_FORCE else ".")


def _need(holds: bool, name: str, key: str, otherwise: str) -> None:
    if not holds:
        raise UserError(f"{_key(name)}{key}: {otherwise}")


def draw(profile: Profile, key: jax.Array) -> tuple[jax.Array, Pulse]:
    """(interval before it in s, push) from one random key."""
    s, n, bodies_in_profile = profile.settings, profile.pushed, len(profile.bodies)
    sizes = {
        "time": 3, "place": n, "force": 3 * n, "force_size": n, "torque": 3 * n, "torque_size": n, "offset": 3 * n,
        "velocity": 6, "heading": 2, "payload": bodies_in_profile,
    }  # fmt: skip
    numbers = jax.random.uniform(key, (sum(sizes.values()),))
    parts = jnp.split(numbers, np.cumsum(list(sizes.values()))[:-1])
    u = dict(zip(sizes, parts, strict=True))
    place = jnp.arange(n)
    if not s.together:
        place = jnp.minimum((bodies_in_profile * u["place"]).astype(jnp.int32), bodies_in_profile - 1)
    vectors = {
        name: _vectors(profile, u[f"{name}_size"], u[name].reshape(n, 3), limits, axes)
        for name, limits, axes in (("force", s.force, s.force_axes), ("torque", s.torque, s.torque_axes))
    }
    half_ranges = jnp.asarray([*s.velocity, *s.angular_velocity], jnp.float32)
    velocity = half_ranges * (2.0 * u["velocity"] - 1.0)
    heading = 2.0 * jnp.pi * u["heading"][0]
    speed = _size(s, u["heading"][1], s.velocity_magnitude)
    velocity = velocity.at[:2].add(speed * jnp.stack([jnp.cos(heading), jnp.sin(heading)]))
    offset = jnp.asarray(s.offset, jnp.float32) * (2.0 * u["offset"].reshape(n, 3) - 1.0)
    interval, chance, length = u["time"]
    live = chance < s.probability
    pulse = Pulse(
        live=live,
        length=jnp.where(live, _between(s.duration, length), 0.0),
        place=place.astype(jnp.int32),
        force=vectors["force"],
        torque=vectors["torque"],
        offset=offset,
        velocity=velocity,
        payload=_between(s.payload, u["payload"]),
    )
    return _between(s.interval, interval), pulse


def _between(limits: list[float], u: jax.Array) -> jax.Array:
    return limits[0] + (limits[1] - limits[0]) * u


def _size(settings: PushSettings, u: jax.Array, limits: list[float]) -> jax.Array:
    """Sizes from uniform numbers [...]: the inverse of the distribution function."""
    low, high = limits
    if settings.distribution == "uniform" or high == 0.0:
        return _between(limits, u)
    if settings.distribution == "log_uniform":
        return low * (high / low) ** u
    # half a normal distribution with 2 sigma at `high`, cut there: |z| < 2 has the probability erf(sqrt 2)
    z = math.sqrt(2.0) * jax.lax.erf_inv(u * math.erf(math.sqrt(2.0)))
    return jnp.minimum(low + 0.5 * (high - low) * z, high)


def _vectors(profile: Profile, size: jax.Array, u: jax.Array, limits: list[float], axes: list[float]) -> jax.Array:
    """Forces or torques [n,3] from uniform numbers, size [n] and u [n,3]."""
    if limits[1] == 0.0:
        return jnp.zeros_like(u)
    scale, settings = jnp.asarray(axes, jnp.float32), profile.settings
    size = _size(settings, size, limits)[:, None]
    if settings.direction == "box":
        return size * scale * (2.0 * u - 1.0)
    up, turn = 2.0 * u[:, :1] - 1.0, 2.0 * jnp.pi * u[:, 1:2]
    level = jnp.sqrt(jnp.maximum(1.0 - up**2, 0.0))
    way = scale * jnp.concatenate([level * jnp.cos(turn), level * jnp.sin(turn), up], axis=-1)
    return size * way / jnp.maximum(jnp.linalg.norm(way, axis=-1, keepdims=True), 1e-9)
