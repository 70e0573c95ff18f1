"""A push sweep of one policy: from its profile to the curves of its episodes, in as many parts as fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimicjax.engine import scene
from mimicjax.evaluation.episodes import Player
from mimicjax.evaluation.push import cells, memory, outcomes, report, sweep
from mimicjax.evaluation.push.cells import Cell, Plan, SweepRows
from mimicjax.evaluation.push.profile import SweepSettings
from mimicjax.evaluation.push.report import Sweep
from mimicjax.evaluation.push.sweep import Curves, Program
from mimicjax.evaluation.restored import Restored, engine_for
from mimicjax.motion.reference import Motion, clips_of
from mimicjax.types import Clip, Robot
from mimicjax.world import World

MEMORY_SHARE = 0.6  # of what is free


class Trial(NamedTuple):
    """What to push, checked against a robot."""

    name: str  # of the profile
    settings: SweepSettings
    cells: list[Cell]
    bodies: list[str]  # that are pushed


class Schedule(NamedTuple):
    """The episodes of a trial in one world."""

    plan: Plan
    rows: SweepRows
    onset: int  # control step in which pushes begin
    steps: int  # control steps of an episode
    short: list[str]  # clips that end before an episode does; their last pose is held


class Compiled(NamedTuple):
    """The program of a schedule, or of one of its equal parts."""

    program: Program
    parts: int
    needed: int  # bytes for all episodes at once
    free: int  # bytes; 0 where nobody tells


def prepare(profile: str, settings: SweepSettings, robot: Robot) -> Trial:
    """The pushes of a profile (name or file) for a robot. Raises UserError."""
    pushes = cells.expand(settings, robot, profile)
    return Trial(Path(profile).stem, settings, pushes, list(dict.fromkeys(cell.body for cell in pushes)))


def schedule(trial: Trial, world: World, seed: int) -> Schedule:
    """The episodes, the same for every world with the same clips and control frequency."""
    return schedule_on(trial, world.motion, world.clips, world.test_env.dt, seed)


def schedule_on(trial: Trial, motion: Motion, clips: Sequence[Clip], dt: float, seed: int) -> Schedule:
    """The episodes on clips, with control steps of dt s."""
    settings = trial.settings
    plan, rows = cells.plan(trial.cells, trial.bodies, clips_of(motion), settings, dt, seed)
    onset, left = (max(0, round(seconds / dt)) for seconds in (settings.warm_up, settings.watched))
    steps = onset + max(1, left)
    short = [clip.name for clip in clips if not clip.loop and clip.duration < steps * dt - 1e-6]
    return Schedule(plan, rows, onset, steps, short)


def compile_for(restored: Restored, trial: Trial, episodes: Schedule, seed: int) -> Compiled:
    """The program for all episodes at once, or if memory is short for equal parts. Raises UserError."""
    world = restored.world
    pushed = [world.robot.body_names.index(body) for body in trial.bodies]
    world = world._replace(scene=scene.with_wrench_bodies(world.scene, pushed))

    def program(parts: int) -> Program:
        plan = sweep.part_of(episodes.plan, 0, parts)
        player = Player(world.test_env, engine_for(restored, len(plan.clip), world.scene), restored.policy)
        return sweep.program(world, player, restored.agent, plan, episodes.onset, seed)

    whole, free = program(1), memory.free()
    budget = int(MEMORY_SHARE * free)
    if not free or whole.bytes <= budget:
        return Compiled(whole, 1, whole.bytes, free)
    parts = sweep.parts(len(episodes.plan.clip), whole.bytes, budget)
    return Compiled(program(parts), parts, whole.bytes, free)


def run(compiled: Compiled, restored: Restored, episodes: Schedule, tell: Callable[[int, int], None]) -> Curves:
    """The curves [T,E] of all episodes. tell: called with a part's number and the control steps of it that are done."""
    parts = []
    for number in range(compiled.parts):
        plan = sweep.part_of(episodes.plan, number, compiled.parts)
        show = lambda done, number=number: tell(number, done)  # noqa: E731
        motion = restored.world.motion
        parts.append(sweep.collect(compiled.program, restored.agent, motion, plan, episodes.steps, show))
    count = len(episodes.plan.clip)
    return Curves(*(np.concatenate(values, axis=1)[:, :count] for values in zip(*parts, strict=True)))


def summarise(label: str, trial: Trial, episodes: Schedule, curves: Curves, dt: float, seed: int) -> Sweep:
    """All figures of a sweep. dt: s, a control step."""
    results = outcomes.judge(curves, episodes.plan, episodes.rows, episodes.onset, dt)
    return report.summarise(label, trial.cells, episodes.rows, results, seed)
