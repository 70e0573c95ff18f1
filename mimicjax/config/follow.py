"""The schema of a reference that follows the robot (docs/terms.md)."""

from __future__ import annotations

import dataclasses

from mimicjax.config.key import key
from mimicjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class FollowSettings:
    """How the reference is displaced over the ground, so that a robot that was shoved need not come back at once."""

    time: float | None = key(
        None, "s, time constant with which the reference goes after the robot; 0 at once, null for never", low=0.0
    )
    heading: bool = key(True, "turn the reference with the robot's heading too, not only shift it")
    pull: float = key(0.0, "m/s with which a displaced reference goes back to its place in the world", low=0.0)
    wait: float | None = key(
        None,
        "m, mean distance of the bodies from the reference above which the clip stands still; null for never",
        above=0.0,
    )
    pull_heading: float = key(0.0, "rad/s with which it turns back", low=0.0)


def check(settings: FollowSettings) -> None:
    """Raises UserError for keys that nothing reads."""
    for name in ("pull", "pull_heading"):
        value, heading = getattr(settings, name), name == "pull_heading"
        if value and settings.time is None:
            raise UserError(
                f"env.follow.{name} is {value:g}, and env.follow.time is null: the reference stays in its place; "
                f"leave {name} out, or give env.follow.time in s"
            )
        if value and heading and not settings.heading:
            raise UserError(
                f"env.follow.{name} is {value:g}, and env.follow.heading is false: the reference never turns; "
                "leave one of them out"
            )
