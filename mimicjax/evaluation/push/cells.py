"""The cells of a push sweep, and the episodes that fill them: who is pushed where, how hard, and from which phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mimicjax.errors import UserError, unknown
from mimicjax.evaluation.push.profile import PushGroup, SweepSettings
from mimicjax.types import FIXED, WRAP, Clips, Robot

FORCE, TORQUE = "force", "torque"
# anticlockwise from the robot's own heading at the onset: where the push drives it to, not where it comes from
HEADINGS = ("forward", "forward_left", "left", "back_left", "back", "back_right", "right", "forward_right")
GROUPS = {
    "headings": HEADINGS, "vertical": ("up", "down"),
    "torques": ("roll+", "roll-", "pitch+", "pitch-", "yaw+", "yaw-"),
}  # fmt: skip
UNITS = {(FORCE, False): "N s", (FORCE, True): "N", (TORQUE, False): "N m s", (TORQUE, True): "N m"}
SPREAD = 4  # times as many phases as repeats: cells take turns, so that a fit over levels sees them all
FOREVER = 1e9  # control steps


class Cell(NamedTuple):
    """One kind of push; its episodes differ in the phase only."""

    body: str
    direction: str
    duration: float | None  # s; None: from the onset to the end of the episode
    level: float  # impulse (N s, N m s), or force or torque (N, N m) where there is no duration

    @property
    def kind(self) -> str:
        return TORQUE if self.direction in GROUPS["torques"] else FORCE

    @property
    def unit(self) -> str:
        return UNITS[self.kind, self.duration is None]


class Plan(NamedTuple):
    """The E episodes of a sweep: numpy on the host, the leading axis of a batch on the device."""

    clip: np.ndarray  # [E] int32
    start: np.ndarray  # [E] float32 s, in the clip
    body: np.ndarray  # [E] int32, index into the bodies of the sweep
    wrench: np.ndarray  # [E,6] float32 N, N m in axes x to the robot's heading at the onset, z up; 0 if un-pushed
    steps: np.ndarray  # [E] float32, control steps that the push lasts, fractions included


class SweepRows(NamedTuple):
    """Where the rows of a plan belong: first the un-pushed episode of every phase, then cell by cell."""

    cell: np.ndarray  # [E] int, -1 for un-pushed
    phase: np.ndarray  # [E] int, the row of the un-pushed episode with the same start


def vector(direction: str) -> np.ndarray:
    """[6] unit force or torque of a direction, x along the heading, y to the left, z up."""
    out = np.zeros(6)
    if direction in HEADINGS:
        angle = np.pi / 4 * HEADINGS.index(direction)
        out[:2] = np.cos(angle), np.sin(angle)
    elif direction in GROUPS["vertical"]:
        out[2] = 1.0 if direction == "up" else -1.0
    else:
        out[3 + ("roll", "pitch", "yaw").index(direction[:-1])] = float(direction[-1] + "1")
    return out


def expand(sweep: SweepSettings, robot: Robot, source: str) -> list[Cell]:
    """All cells in the order of the profile, none twice. Raises UserError for a body that cannot be pushed so."""
    cells: dict[Cell, None] = {}
    for name, group in sweep.pushes.items():
        place = f"{source}: pushes.{name}"
        directions = [each for name in group.directions for each in GROUPS.get(name, (name,))]
        pushed = [d for d in directions if d not in GROUPS["torques"]]
        turned = [d for d in directions if d in GROUPS["torques"]]
        if pushed and not (group.impulses or group.forces):
            raise UserError(f"{place}: {pushed[0]} is a force, but neither impulses nor forces are given")
        if turned and not (group.angular_impulses or group.torques):
            raise UserError(f"{place}: {turned[0]} is a torque, but neither angular_impulses nor torques are given")
        bodies = _bodies(group, robot, place)
        for body in bodies:
            welded = _welded(robot, body)
            if turned and welded and body in group.bodies:
                raise UserError(
                    f"{place}: torque on {body}, which is fixed to {welded}: that is a torque on {welded}, so name it instead"
                )
            for direction in pushed + ([] if welded else turned):
                cells |= dict.fromkeys(_levels(group, body, direction))
    return list(cells)


def _bodies(group: PushGroup, robot: Robot, place: str) -> list[str]:
    default = [robot.body_names[body] for body in robot.wrench_bodies]
    names: list[str] = []
    for name in group.bodies:
        if name in ("all", "first") and not default:
            raise UserError(f"{place}.bodies: {name}: robot {robot.name} names no wrench_bodies; give names of bodies")
        if name not in ("all", "first", *robot.body_names):
            raise unknown(f"{place}.bodies", "body", name, robot.body_names)
        names += {"all": default, "first": default[:1]}.get(name, [name])
    return list(dict.fromkeys(names))


def _welded(robot: Robot, body: str) -> str | None:
    """The body that this one is fixed to, if it is."""
    index = robot.body_names.index(body)
    if index == 0 or robot.joint_kinds[index - 1] != FIXED:
        return None
    return robot.body_names[robot.parents[index]]


def _levels(group: PushGroup, body: str, direction: str) -> list[Cell]:
    turned = direction in GROUPS["torques"]
    short, lasting = (group.angular_impulses, group.torques) if turned else (group.impulses, group.forces)
    cells = [Cell(body, direction, float(d), float(level)) for d in group.durations for level in short]
    return cells + [Cell(body, direction, None, float(level)) for level in lasting]


def starts(clips: Clips, count: int, seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clip and start [count] of episodes, uniform over all clips' phases, one in each of `count` equal strata.

    Where a clip does not loop, starts leave room for an episode of `seconds`, if the clip is that long.
    """
    duration, loop = np.asarray(clips.duration, np.float64), np.asarray(clips.loop)
    place = (np.arange(count) + np.random.default_rng(seed).random(count)) / count * len(duration)
    clip = np.minimum(place.astype(np.int32), len(duration) - 1)
    room = np.where(loop == WRAP, duration, np.maximum(duration - seconds, 0.0))[clip]
    start = np.minimum((place - clip) * room, np.nextafter(np.float32(duration[clip]), np.float32(0)))
    return clip.astype(np.int32), start.astype(np.float32)


def plan(
    cells: Sequence[Cell], bodies: Sequence[str], clips: Clips, sweep: SweepSettings, dt: float, seed: int
) -> tuple[Plan, SweepRows]:
    """The episodes of a sweep: SPREAD x repeats un-pushed ones, then `repeats` of every cell from as many of their starts."""
    count = SPREAD * sweep.repeats
    clip, start = starts(clips, count, sweep.warm_up + sweep.watched, seed)
    turn = np.random.default_rng([seed, 1]).integers(SPREAD, size=len(cells))
    phase = np.concatenate([np.arange(count), (turn[:, None] + SPREAD * np.arange(sweep.repeats)).reshape(-1)])
    cell = np.concatenate([np.full(count, -1), np.repeat(np.arange(len(cells)), sweep.repeats)])
    # the last row of each array is that of the un-pushed episodes, whose cell is -1
    wrench = np.array([vector(c.direction) * c.level / (c.duration or 1.0) for c in cells] + [np.zeros(6)])
    steps = np.array([FOREVER if c.duration is None else c.duration / dt for c in cells] + [0.0])
    body = np.array([bodies.index(c.body) for c in cells] + [0])
    episodes = Plan(
        clip=clip[phase],
        start=start[phase],
        body=body[cell].astype(np.int32),
        wrench=wrench[cell].astype(np.float32),
        steps=steps[cell].astype(np.float32),
    )
    return episodes, SweepRows(cell, phase)
