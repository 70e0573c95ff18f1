"""What a push sweep is made of: the schema of a profile, the profiles that are built in, and reading one from a file."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from mimicjax import config
from mimicjax.config.key import key
from mimicjax.errors import UserError, nearest

Direction = Literal[
    "headings", "vertical", "torques", "forward", "forward_left", "left", "back_left", "back", "back_right", "right",
    "forward_right", "up", "down", "roll+", "roll-", "pitch+", "pitch-", "yaw+", "yaw-",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PushGroup:
    """Some pushes of a sweep: every body with every direction, duration and level."""

    bodies: list[str] = key(["all"], "names; all: the robot's wrench bodies; first: the first of these")
    directions: list[Direction] = key(["headings"], "directions; headings, vertical and torques stand for several")
    durations: list[float] = key([0.2], "seconds of a short push", above=0.0, high=60.0)
    impulses: list[float] = key([], "N s, levels of short forces", above=0.0, high=1e5)
    forces: list[float] = key([], "N, levels of forces from the onset to the end", above=0.0, high=1e6)
    angular_impulses: list[float] = key([], "N m s, levels of short torques", above=0.0, high=1e5)
    torques: list[float] = key([], "N m, levels of torques from the onset to the end", above=0.0, high=1e6)


@dataclasses.dataclass(frozen=True)
class SweepSettings:
    """A push sweep."""

    warm_up: float = key(1.0, "seconds from an episode's start to the onset of its push", low=0.0, high=60.0)
    watched: float = key(2.0, "seconds from the onset to the episode's end", above=0.0, high=600.0)
    repeats: int = key(16, "episodes of every cell, their phases spread evenly over the clips", low=1)
    pushes: dict[str, PushGroup] = key({}, "named groups of pushes")


IMPULSES, FORCES = [5, 10, 15, 22, 32, 45, 65, 90], [10, 20, 30, 45, 65, 90, 130, 180]
ANGULAR, TORQUES = [1, 2, 3, 5, 8, 12, 18, 25], [5, 10, 15, 25, 40, 60, 90, 130]
SIDES = ["forward", "left", "back", "right"]

PROFILES: dict[str, dict[str, Any]] = {
    "tiny": {
        "repeats": 12,
        "pushes": {"torso": {"bodies": ["first"], "directions": SIDES, "impulses": IMPULSES}},
    },
    "quick": {
        "repeats": 16,
        "pushes": {
            "torso": {
                "bodies": ["first"], "directions": ["headings", "vertical"], "durations": [0.1, 0.2, 0.5],
                "impulses": IMPULSES, "forces": FORCES,
            },
            "twist": {"bodies": ["first"], "directions": ["torques"], "angular_impulses": ANGULAR},
            "bodies": {"directions": SIDES, "impulses": IMPULSES},
        },
    },
    # as sharp as a punch: 100 to 600 N for 0.08 s, on any body of the upper half and from any side
    "punch": {
        "repeats": 4,
        "pushes": {"punch": {"durations": [0.08], "impulses": [8, 16, 24, 32, 40, 48]}},
    },
    "full": {
        "repeats": 12,
        "pushes": {
            "all": {
                "directions": ["headings", "vertical", "torques"], "durations": [0.1, 0.2, 0.5],
                "impulses": IMPULSES, "forces": FORCES, "angular_impulses": ANGULAR, "torques": TORQUES,
            }
        },
    },
}  # fmt: skip


def load(name: str) -> SweepSettings:
    """The profile of that name, or the one in a file that ends in .yaml or .yml. Raises UserError."""
    if name.endswith((".yaml", ".yml")):
        sweep = config.load(SweepSettings, name)
    elif name in PROFILES:
        sweep = config.from_dict(SweepSettings, PROFILES[name], f"profile {name}")
    else:
        raise UserError(
            f"--push-sweep {name}: no such profile{nearest(name, PROFILES)}; there are: {', '.join(PROFILES)}, "
            "or give a .yaml file"
        )
    _check(sweep, name)
    return sweep


def _check(sweep: SweepSettings, source: str) -> None:
    """Raises UserError for mistakes that show only when several keys are seen together."""
    if not sweep.pushes:
        raise UserError(f"{source}: pushes: none given; name at least one group, such as pushes: {{torso: {{...}}}}")
    for name, group in sweep.pushes.items():
        place = f"{source}: pushes.{name}"
        levels = {f: getattr(group, f) for f in ("impulses", "forces", "angular_impulses", "torques")}
        for field, values in levels.items():
            if any(b <= a for a, b in zip(values, values[1:], strict=False)):
                raise UserError(f"{place}.{field}: given {values}, allowed is a list that rises from low to high")
        if not any(levels.values()):
            raise UserError(f"{place}: no levels; give at least one of {', '.join(levels)}")
        for field in ("bodies", "directions"):
            if not getattr(group, field):
                raise UserError(f"{place}.{field}: the list is empty")
        if (group.impulses or group.angular_impulses) and not group.durations:
            raise UserError(f"{place}.durations: the list is empty, but short pushes need one")
        if any(duration > sweep.watched for duration in group.durations):
            raise UserError(
                f"{place}.durations: given {max(group.durations):g} s, but an episode ends {sweep.watched:g} s after the "
                "onset; make `watched` longer"
            )
