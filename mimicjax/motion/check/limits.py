"""Where the figures of a clip stop being fit for imitation, and where no tool can mend it: every threshold, with its source."""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    """A clip is fit for imitation up to `good`, and beyond mending from `broken` on."""

    good: float
    broken: float
    unit: str
    reason: str  # what a figure beyond `good` means, with {value} and {where}
    source: str


NEVER = float("inf")
LIMITS = {
    "sinking": Limit(10.0, 500.0, "mm", "{where}: {value:.0f} mm in the ground",
        "MimicKit's g1_walk, which a policy follows to 11 mm, has 5; its run has 21"),
    "floating": Limit(30.0, 500.0, "mm", "{where}: {value:.0f} mm above the ground though not in flight",
        "a control step of falling is 5 mm, and a policy's feet miss by 10 to 20; MimicKit's walk has 9"),
    "sliding": Limit(5.0, NEVER, "cm", "{where}: slides {value:.0f} cm while it bears",
        "clips made here have at most 1.3, MimicKit's run 4.8"),
    "joint limits": Limit(0.01, 1.5, "rad", "{where}: {value:.2f} rad outside its limits",
        "retargeting that keeps limits is off by rounding; 1.5 rad is another joint, or degrees"),
    "joint speed": Limit(25.0, NEVER, "rad/s", "{where}: moves at {value:.0f} rad/s",
        "Unitree's g1_29dof: 20 rad/s at knees, 32 at hip pitch, 37 at ankles; MimicKit's spin kicks have 15 and 25"),
    "spikes": Limit(0.0, NEVER, "frames", "{value:.0f} frames jump out of their neighbours' path ({where})",
        "Hampel's identifier: farther than 8 medians of 11 neighbours, and than SPIKE_ACCELERATION allows"),
    "held frames": Limit(0.0, NEVER, "frames", "{value:.0f} frames repeat the one before amid a motion ({where})",
        "a moving robot never holds all coordinates to 1e-7: frames were dropped"),
    "turn of the root": Limit(20.0, NEVER, "rad/s", "{where}: the root turns at {value:.0f} rad/s",
        "MimicKit's spin kicks have 8 and 9; a flip by 180 degrees between frames has 90 and more"),
    "loop gap of joints": Limit(0.1, NEVER, "rad", "over the loop's seam {where} jumps by {value:.2f} rad",
        "a control step at 3 rad/s"),
    "loop gap of the root's rotation": Limit(0.1, NEVER, "rad", "over the loop's seam the root turns by {value:.2f} rad",
        "a control step at 3 rad/s"),
    "loop gap of the root's height": Limit(20.0, NEVER, "mm", "over the loop's seam the root rises by {value:.0f} mm",
        "half a control step of a jump"),
    "self-collision": Limit(25.0, NEVER, "mm", "{where}: {value:.0f} mm in each other",
        "collision shapes are rounder than shells: MimicKit's walk has 11, its cartwheel 35"),
    "beyond the motors": Limit(75.0, NEVER, "% of frames", "{value:.0f} % of its frames need more torque than the motors have",
        "inverse dynamics; MimicKit's spin kick, which is learned, has 58, its walk 0"),
    "beyond the ground": Limit(85.0, NEVER, "% of frames",
        "in {value:.0f} % of its frames no push of the ground can cause the motion",
        "half the weight is missing; MimicKit's spin kicks have 62 and 76, its walk 0"),
    "frame time": Limit(1000.0 / 23.9, NEVER, "ms", "{value:.0f} ms lie between its frames: what is between is guessed",
        "24 frames per second, the slowest usual video"),
}  # fmt: skip

NEAR = 0.005  # m above the clip's ground: below it a point of a foot bears
HOVER = 0.02  # m: what is lower touches
FLIGHT = 0.5  # share of free fall that the centre of mass has in flight
SHARE = 0.1  # of the supported frames that may float: retargeted feet leave the ground early
MISSING = 0.5  # share of the weight: beyond it the ground cannot cause a frame's motion
SPIKE_RAD, SPIKE_M, SPIKE_MEDIANS, SPIKE_REACH = 0.08, 0.03, 8.0, 5
SPIKE_ACCELERATION = 400.0, 60.0  # rad/s^2 and m/s^2 that are no spike: motors of the G1 reach 400 without load
HELD, MOVING = 1e-7, 0.1  # rad or m of all coordinates of a held frame; rad/s or m/s of its neighbours
UPRIGHT = 0.3  # cosine: a clip that is less upright, and upright with another order, was read in the wrong one
EASY = 0.2  # rad beyond a limit, and share of the joints, from which a wrong order or unit is suspected
