"""A clip's report: its figures, a verdict (good, mendable, broken) with reasons, and the command that mends it."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

import numpy as np

from mimicjax.motion.check import figures as figure_parts
from mimicjax.motion.check.figures import Figure
from mimicjax.motion.check.limits import HOVER, LIMITS
from mimicjax.motion.check.measure import Measures, measure
from mimicjax.motion.check.suspicion import suspicions
from mimicjax.robot.kinematics import plane
from mimicjax.types import WRAP, Clip, Ground, Robot

GOOD, MENDABLE, BROKEN = VERDICTS = ("good", "mendable", "broken")
TRACE = 200  # points of a plot
UNMENDED = ("beyond the motors", "beyond the ground", "self-collision", "frame time")  # only a better clip has less


class Report(NamedTuple):
    """What is known of a clip. A file that cannot be read has frames 0, no figures, and why as its reason."""

    source: str  # the file or name as it was given
    name: str
    robot: str
    frames: int
    fps: float
    seconds: float
    loop: bool
    verdict: str
    reasons: tuple[str, ...]  # why it is not good, the worst first
    notes: tuple[str, ...]  # what is worth knowing beside
    command: str  # what mends it, or ""
    figures: dict[str, Figure]
    traces: dict[str, list[float]]  # by frame, for plots: name with unit -> values


def check(robot: Robot, clip: Clip, ground: Ground = plane) -> dict[str, Figure]:
    """All figures of a clip whose columns are the robot's degrees of freedom (read_clip with robot sees to that).

    ground: the ground that the clip is for.
    """
    return _figures(robot, clip, measure(robot, clip, ground))


def report(robot: Robot, clip: Clip, source: str = "", ground: Ground = plane, dynamics: bool = True) -> Report:
    """The report of a clip; source: how the clip was given, for the command that mends it. dynamics: forces too."""
    measures = measure(robot, clip, ground, dynamics)
    found = _figures(robot, clip, measures)
    wrong = tuple(suspicions(robot, clip))
    verdict, reasons = judge(found, wrong)
    mended = any(found[name].value > LIMITS[name].good for name in found if name not in UNMENDED)
    return Report(
        source=source or clip.name,
        name=clip.name,
        robot=robot.name,
        frames=len(clip.root_pos),
        fps=clip.fps,
        seconds=clip.duration,
        loop=clip.loop == WRAP,
        verdict=verdict,
        reasons=reasons,
        notes=tuple(_notes(robot, clip, measures)),
        command=_command(source or clip.name, robot) if mended and verdict == MENDABLE else "",
        figures=found,
        traces=_traces(clip, measures),
    )


def unreadable(source: str, robot: Robot, why: str) -> Report:
    """The report of a file that is no clip of the robot."""
    return Report(source, source, robot.name, 0, 0.0, 0.0, False, BROKEN, (why,), (), "", {}, {})


def judge(figures: dict[str, Figure], wrong: tuple[str, ...] = ()) -> tuple[str, tuple[str, ...]]:
    """(verdict, reasons) of figures and of suspicions about how the clip was read."""
    beyond = [name for name, f in figures.items() if f.value > LIMITS[name].good]
    lost = [name for name in beyond if figures[name].value > LIMITS[name].broken]
    beyond.sort(key=lambda name: (name not in lost, name in UNMENDED))
    reasons = [LIMITS[name].reason.format(value=figures[name].value, where=figures[name].where) for name in beyond]
    verdict = BROKEN if lost or wrong else MENDABLE if beyond else GOOD
    return verdict, (*wrong, *reasons)


def as_dict(report: Report) -> dict[str, Any]:
    """The report for JSON, without traces."""
    data = report._asdict()
    del data["traces"]
    data["figures"] = {
        name: {"value": round(f.value, 4), "unit": f.unit, "limit": f.limit, "where": f.where, "frame": f.at}
        for name, f in report.figures.items()
    }
    return data


def _figures(robot: Robot, clip: Clip, measures: Measures) -> dict[str, Figure]:
    return {
        **figure_parts.of_ground(robot, clip, measures),
        **figure_parts.of_joints(robot, clip),
        **figure_parts.of_bodies(robot, measures),
    }


def _command(source: str, robot: Robot) -> str:
    out = source.rsplit(".", 1)[0] + "_clean.npz"
    return shlex.join(["python", "-m", "mimicjax.motion", "clean", source, "--robot", robot.name, "--out", out])


def _notes(robot: Robot, clip: Clip, measures: Measures) -> list[str]:
    lowest = measures.points[..., 2].min(axis=1)
    root = clip.root_pos[:, 2]
    notes = [f"the root is {root.min():.2f} to {root.max():.2f} m high; it stands at {robot.start_qpos[2]:.2f}"]
    air = float(np.mean(figure_parts.flying(measures) & (lowest > HOVER)))
    if air > 0.0:
        notes.append(f"it is in flight for {100.0 * air:.0f} % of the time")
    may = np.isin(robot.ground_body, robot.contact_bodies)
    touches = (measures.points[..., 2] <= 0.0) & ~may
    if len(robot.contact_bodies) and touches.any():
        bodies = dict.fromkeys(robot.body_names[b] for b in robot.ground_body[touches.any(axis=0)])
        notes.append(
            f"in {touches.any(axis=1).sum()} of {len(touches)} frames {', '.join(bodies)} may not touch the ground but do: "
            "allowed by the reference (with env.terminations.fall.reference -1 they would end an episode)"
        )
    return notes


def _traces(clip: Clip, measures: Measures) -> dict[str, list[float]]:
    every = measures.frames
    speed = np.abs(np.gradient(clip.dof_pos, axis=0)).max(axis=1) * clip.fps
    traces = {
        "lowest point, mm": 1000.0 * measures.points[..., 2].min(axis=1),
        "root height, m": clip.root_pos[every, 2],
        "fastest joint, rad/s": speed[every],
        "largest torque, share of its limit": np.minimum(measures.load, 5.0),
        "missing push, share of the weight": np.minimum(measures.missing, 5.0),
    }
    few = np.unique(np.linspace(0, len(every) - 1, TRACE).round().astype(int))
    return {
        name: [round(float(v), 3) for v in values[few]] for name, values in traces.items() if np.isfinite(values).all()
    }
