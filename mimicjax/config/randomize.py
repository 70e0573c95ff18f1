"""The schema of domain randomisation: what differs from one simulated robot to the next (docs/randomisation.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

from mimicjax.config.key import key
from mimicjax.errors import UserError

# the keys whose randomisation needs a model of its own in the engine; all others are drawn by the environment
MODEL = (
    "friction", "link_mass", "base_mass", "base_com", "armature", "frictionloss", "gravity", "kp", "kd", "torque_limit",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class StartSettings:
    """How far from the reference episodes begin."""

    distribution: Literal["uniform", "normal"] = key(
        "uniform", "uniform: sizes are half-widths; normal: standard deviations"
    )
    root_position: list[float] = key([0.0, 0.0, 0.0], "m along x, y, z of the world", low=0.0)
    root_rotation: list[float] = key([0.0, 0.0, 0.0], "rad, roll, pitch and yaw about the world's axes", low=0.0)
    root_velocity: list[float] = key([0.0, 0.0, 0.0], "m/s along x, y, z of the world", low=0.0)
    root_angular_velocity: list[float] = key([0.0, 0.0, 0.0], "rad/s about x, y, z of the world", low=0.0)
    joint_angles: float = key(0.0, "rad; joints stay in their range", low=0.0)
    joint_velocities: float = key(0.0, "rad/s", low=0.0)
    share: float = key(1.0, "share of the episodes that begin so; the others begin on the reference", low=0.0, high=1.0)
    thrown: float = key(
        0.0, "share of the episodes, among those, that begin thrown_by times as far off", low=0.0, high=1.0
    )
    thrown_by: float = key(4.0, "factor of all sizes in those", above=0.0)
    above_ground: bool = key(
        False, "raise the robot until no shape is in the ground deeper than it is on the reference"
    )


@dataclasses.dataclass(frozen=True)
class RandomizeSettings:
    """Domain randomisation; null or 0 leaves a thing as the model has it."""

    when: Literal["reset", "once"] = key(
        "reset", "whether an environment takes another model at every reset or keeps its first"
    )
    variants: int = key(512, "models in the table, beside the one as given", low=1)
    friction: list[float] | None = key(None, "[low, high] sliding friction of the robot with the ground", low=0.0)
    friction_each: bool = key(False, "draw the friction of every shape by itself, not one for the robot")
    base_bodies: list[str] = key([], "bodies of base_mass and base_com; [] for the root")
    base_mass: list[float] | None = key(None, "[low, high] kg added to each of base_bodies; its inertia grows with it")
    base_com: list[float] | None = key(
        None, "[x, y, z] m, half-widths of the shift of the centre of mass of base_bodies", low=0.0
    )
    link_mass: list[float] | None = key(None, "[low, high] factor of every body's mass and inertia", above=0.0)
    armature: list[float] | None = key(None, "[low, high] factor of every joint's reflected inertia", low=0.0)
    frictionloss: list[float] | None = key(
        None, "[low, high] factor of every joint's dry friction; keeps engine.frictionloss on", low=0.0
    )
    gravity: list[float] | None = key(None, "[x, y, z] m/s^2, half-widths of what is added to gravity", low=0.0)
    kp: list[float] | None = key(None, "[low, high] factor of every joint's stiffness", low=0.0)
    kd: list[float] | None = key(None, "[low, high] factor of every joint's damping", low=0.0)
    gain_distribution: Literal["uniform", "normal"] = key(
        "uniform", "of kp and kd; normal: the range is the mean -+ one standard deviation, cut at three"
    )
    torque_limit: list[float] | None = key(None, "[low, high] factor of every joint's torque limit", low=0.0)
    joint_zero: float = key(0.0, "rad, half-width of what every encoder reads too much, in an episode", low=0.0)
    torque_noise: float = key(0.0, "share of the torque limits (random force injection)", low=0.0, high=1.0)
    torque_noise_per: Literal["episode", "substep"] = key(
        "episode", "episode: normal and constant; substep: uniform, within 0.5 to 1.5 times the share by joint"
    )
    delay: list[int] | None = key(
        None, "[low, high] physics steps by which targets come late, drawn for an episode", low=0
    )
    smoothing: list[float] | None = key(
        None, "[low, high] share of the action before that stays in an action, drawn for an episode", low=0.0, high=0.99
    )
    noise: dict[str, float] = key(
        {}, "half-width of uniform noise on a part of the actor's observation, drawn at every step", low=0.0
    )
    bias: dict[str, float] = key(
        {},
        "standard deviation of an offset of such a part, drawn for an episode; the critic sees all as it is",
        low=0.0,
    )
    start: StartSettings = key(StartSettings, "")

    @property
    def models(self) -> int:
        """Rows of the table of models beside the unchanged one; 0 if no key asks for other models."""
        return self.variants if any(getattr(self, name) is not None for name in MODEL) else 0


def check_ranges(settings: RandomizeSettings, keys: Iterable[str]) -> None:
    """Raises UserError for a key whose value is neither null nor [low, high]."""
    for name in keys:
        value = getattr(settings, name)
        if value is not None and (len(value) != 2 or value[0] > value[1]):
            raise UserError(f"randomize.{name}: given {value}, allowed is [low, high] with low not above high")


def check_start(settings: StartSettings) -> None:
    """Raises UserError for shares of episodes that cannot be."""
    if settings.thrown > settings.share:
        raise UserError(
            f"randomize.start.thrown: given {settings.thrown:g}, allowed is at most randomize.start.share, {settings.share:g}"
        )


def check_axes(settings: RandomizeSettings | StartSettings, keys: Iterable[str], section: str) -> None:
    """Raises UserError for a key whose value is neither null nor [x, y, z]; `section` is where the keys are."""
    for name in keys:
        value = getattr(settings, name)
        if value is not None and len(value) != 3:
            raise UserError(f"{section}.{name}: given {value}, allowed are three numbers [x, y, z]")
