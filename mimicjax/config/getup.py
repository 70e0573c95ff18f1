"""The schema of getting up: episodes that begin on the ground, and how long they may stay there (docs/terms.md)."""

from __future__ import annotations

import dataclasses

from mimicjax.config.key import key


@dataclasses.dataclass(frozen=True)
class GetupSettings:
    """What happens to a robot on the ground; read where env.fallen_start is above 0 or `falls` is true."""

    states: int = key(256, "states of robots that lie on the ground, which episodes begin in", low=1)
    grace: float = key(5.0, "s on the ground before the failures of env.terminations end an episode", above=0.0)
    falls: bool = key(False, "a failure of env.terminations in mid-episode begins a grace as well, and ends nothing")
    height: float = key(0.1, "up again: m of the root's height from the reference's, at most", above=0.0)
    tilt: float = key(0.5, "up again: rad between the root's vertical and the reference's, at most", above=0.0)
    bodies: float | None = key(
        0.2, "up again: m of the mean distance of bodies about root and heading, at most; null for any", above=0.0
    )
    hold: float = key(0.5, "up again: s for which all of this has held, and no failure", low=0.0)
    gated: bool = key(False, "multiply all other reward terms by exp(-scale x error) of the term getup")
    lift: float = key(
        0.0, "largest force that helps up, at the first of the robot's wrench bodies, in parts of its weight", low=0.0
    )
    lift_step: float = key(
        0.05, "by which that force shrinks in an environment that got up, and grows where the grace ran out", low=0.0
    )
