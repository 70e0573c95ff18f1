"""The host's side of training: call compiled chunks, and between them test, log, save and show."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mimicjax import config, files, statistics
from mimicjax.config.settings import RunSettings
from mimicjax.env import rewards
from mimicjax.errors import UserError
from mimicjax.motion import sampling_table
from mimicjax.run import checkpoint, guard, hosts
from mimicjax.run.display import Display, Extent
from mimicjax.run.interrupt import Interrupt
from mimicjax.run.log import Logger, Silent
from mimicjax.run.sickness import Watch
from mimicjax.statistics import Statistics
from mimicjax.types import Episodes, TrainState

SHOW_SECONDS = 1.0  # how often the display and Ctrl-C get their turn
# MimicKit's order of the update statistics (4.13) with ours among their kin; the rest follows
ORDER = (
    "Critic_Loss", "Actor_Loss", "Clip_Frac", "Imp_Ratio", "KL", "Action_Bound_Loss", "Disc_Loss", "Disc_Grad_Penalty",
    "Disc_Agent_Acc", "Disc_Demo_Acc", "Disc_Agent_Logit", "Disc_Demo_Logit", "Disc_Logit_Loss", "Disc_Pos_Acc",
    "Disc_Neg_Acc", "Disc_Pos_Logit", "Disc_Neg_Logit", "Adv_Mean", "Adv_Std", "Disc_Reward_Mean", "Disc_Reward_Std",
    "Motion_Distance", "Demo_Distance", "Demo_Spread",
)  # fmt: skip
LAST = ("Obs_Norm_Mean", "Obs_Norm_Std", "Exp_Prob", "Action_Std", "Actor_Learning_Rate")
WITHIN = ("episodes", "unstable", "reward_mean")  # statistics that other columns hold
CLIPS = "sampling.csv"  # in the run folder: how often episodes begin in each clip, and succeed
FREE = ("max_samples", "max_minutes", "max_iterations", "keep.", "engine.threads")  # keys a resumed run may change


class Training(NamedTuple):
    """What the loop needs of a run; made by build.training."""

    settings: RunSettings
    chunk: Callable  # (state, motion, n) -> (state, statistics)
    first: Callable[[], TrainState]
    place: Callable[[TrainState], TrainState]
    test: Callable[[Any, jax.Array], Episodes]  # (agent, key) -> Episodes
    motion: Any
    facts: dict[str, Any]  # stored with checkpoints: robot, its hash, config
    notes: tuple[str, ...] = ()  # what was chosen for this machine and why, for the user
    clips: Callable[[TrainState], list[dict[str, Any]]] | None = None  # sampling_table.rows; None if by weights


class Clock:
    """Wall time of a run over all its sessions, in hours."""

    def __init__(self, before: float) -> None:
        self.before, self.begin = before, time.monotonic()

    def hours(self) -> float:
        return self.before + (time.monotonic() - self.begin) / 3600


def check_folder(out: Path, resume: bool) -> None:
    """Raises UserError if a run in `out` cannot begin, or not be resumed."""
    exists = out.exists() and (not out.is_dir() or any(path.name != files.LOCK for path in out.iterdir()))
    if exists and not resume:
        raise UserError(f"{out} exists; go on with it: --resume {out}, or choose another folder: --out DIR")
    if resume and not (out / "config.yaml").is_file():
        raise UserError(f"{out}: there is no run to resume (no config.yaml)")


def write_config(settings: RunSettings, out: Path) -> None:
    """Make the run folder with its resolved config. Raises UserError if it cannot be written."""
    try:
        config.dump(settings, out / "config.yaml")
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from error


def restore(training: Training, folder: Path) -> tuple[TrainState, dict[str, Any]]:
    """The latest checkpoint as a state of this run. Raises UserError if the run's settings differ in what matters."""
    facts = checkpoint.read_facts(folder)
    # keys that did not exist yet when the run began have their defaults
    there = config.to_dict(config.from_dict(RunSettings, facts["config"], f"{folder}: config of the run"))
    differ = [line for line in config.difference(there, training.facts["config"]) if not line.startswith(FREE)]
    if differ:
        raise UserError(f"{folder}: was trained with other settings (there -> here): {'; '.join(differ[:5])}")
    if facts["motion_hash"] != training.facts["motion_hash"]:
        raise UserError(f"{folder}: the motion {training.settings.motion} was changed since the run began")
    rows = facts.get("reference_rows"), training.facts["reference_rows"]
    if rows[0] != rows[1]:
        raise UserError(
            f"{folder}: was trained with {rows[0]} reference rows per control step, and this machine's memory allows "
            f"{rows[1]}; resume it on one with as much memory"
        )
    return checkpoint.restore(folder, training.place(training.first()), training.facts)


def train(training: Training, out: Path, resume: bool) -> bool:
    """Train until the budget is used up or the user interrupts; returns whether the budget was used up.

    The caller holds the folder (files.alone).
    """
    settings, folder = training.settings, out / "checkpoints"
    facts: dict[str, Any] = {"hours": 0.0}
    if resume and checkpoint.latest(folder) is not None:
        state, facts = restore(training, folder)
    else:
        state = training.place(training.first())
    per = settings.learn.steps_per_iter * settings.num_envs
    done = int(state.iteration)
    clock = Clock(facts["hours"])
    budget = Extent(settings.max_samples, settings.max_minutes, settings.max_iterations)
    keep = settings.keep
    with (
        Logger(out, done * per if resume else None, curves=keep.curves) if hosts.leads() else Silent() as log,
        Display(budget, Extent(done * per, clock.hours() * 60, done), mute=not hosts.leads()) as display,
        Interrupt(display.message) as interrupt,
    ):
        for note in (*training.notes, *log.notes):
            display.message(note)
        log.tell = display.message
        display.message(
            f"{'goes on' if resume else 'writes'} in {out}" + (f" at iteration {done}" if done else "; compiling")
        )
        session = _Session(training, state, done, clock, out, log, display)
        if session.finished():
            display.message(f"its budget is used up ({_budget(settings)}): nothing to do; a larger one goes on")
        while True:
            n, stop = hosts.agree(0 if session.finished() else session.next(), interrupt.asked)
            if stop or not n:
                break
            session.advance(n)
        if session.done > session.saved:
            session.output()
    if stop:  # said when the live line is gone, so as to be the last that stands there
        display.message(f"stopped at iteration {session.done}; go on with: python -m mimicjax.train --resume {out}")
    return not stop


def _budget(settings: RunSettings) -> str:
    names = ("max_samples", "max_minutes", "max_iterations")
    return ", ".join(f"--{name} {getattr(settings, name):g}" for name in names if getattr(settings, name))


def _score(row: dict[str, Any]) -> list[float]:
    """How good a policy is: by the length of its test episodes, then by its tracking error."""
    length, error = row["Test_Episode_Length"], row.get("Body_Pos_Err", math.nan)
    return [length, -error if math.isfinite(error) else -1e9]


@dataclasses.dataclass
class _Session:
    """One process's part of a run: the state and what was counted since the last log row."""

    training: Training
    state: TrainState
    done: int  # iterations
    clock: Clock
    out: Path
    log: Logger | Silent
    display: Display
    saved: int = -1
    sums: Statistics = dataclasses.field(default_factory=dict)  # on the host, since the last log row
    counted: int = 0  # iterations in sums
    seconds: float = 0.0  # of training (not testing or saving) in sums
    per_iteration: float = math.inf  # s, of the last chunk
    setbacks: int = 0  # times that it went back since the last output

    def __post_init__(self) -> None:
        settings = self.training.settings
        self.per = settings.learn.steps_per_iter * settings.num_envs
        self.saved = self.done
        self.watch = Watch(settings.learn)

    def finished(self) -> bool:
        """Whether the budget is used up."""
        s = self.training.settings
        over = [
            s.max_iterations and self.done >= s.max_iterations,
            s.max_samples and self.done * self.per >= s.max_samples,
        ]
        return bool(any(over) or (s.max_minutes and self.clock.hours() * 60 >= s.max_minutes))

    def next(self) -> int:
        """Iterations of the next chunk: about SHOW_SECONDS, never past an output or the end of the budget."""
        s = self.training.settings
        limits = [max(1, int(SHOW_SECONDS / self.per_iteration)) if self.per_iteration > 0 else 1]
        limits.append(s.keep.iters_per_output - self.done % s.keep.iters_per_output)
        if s.max_iterations:
            limits.append(s.max_iterations - self.done)
        if s.max_samples:
            limits.append(math.ceil(s.max_samples / self.per) - self.done)
        return max(1, min(limits))

    def advance(self, n: int) -> None:
        """One chunk of n iterations, and an output when it is due."""
        begin = time.monotonic()
        self.state, stats = self.training.chunk(self.state, self.training.motion, np.int32(n))
        stats = jax.device_get(stats)
        if names := guard.unsound(self.state):
            return self._go_back(self.done + n, names)
        seconds = time.monotonic() - begin
        if self.per_iteration < math.inf or n > 1:
            self.seconds += seconds
        self.per_iteration = seconds / n
        self.done, self.counted = self.done + n, self.counted + n
        self.sums = jax.device_get(statistics.merge(self.sums, stats)) if self.sums else stats
        if self.done % self.training.settings.keep.iters_per_output == 0:
            self.output()
        else:
            self._show(statistics.values(stats), logged=False)

    def _go_back(self, at: int, names: list[str]) -> None:
        """To the last checkpoint, or the beginning, with other random keys. Raises UserError where that did not help."""
        what = f"noticed at iteration {at}: {', '.join(names[:3])}{' and others' if len(names) > 3 else ''} not finite"
        self.setbacks += 1
        if self.setbacks > guard.TRIES:
            raise UserError(
                f"{self.out}: {what}, after it went back to iteration {self.saved} {guard.TRIES} times; what is saved there is "
                "sound: try gentler settings, such as lower learning rates, in another run"
            )
        folder = self.out / "checkpoints"
        saved = checkpoint.latest(folder) is not None
        state = restore(self.training, folder)[0] if saved else self.training.place(self.training.first())
        self.state, self.done = guard.other_way(state, self.setbacks), int(state.iteration)
        self.sums, self.counted, self.seconds = {}, 0, 0.0
        self.display.message(
            f"warning: {what}: back to iteration {self.done}, with other random keys ({self.setbacks} of {guard.TRIES})"
        )

    def _show(self, row: dict[str, Any], logged: bool) -> None:
        self.display.update(self.done * self.per, self.clock.hours() * 60, self.done, row, logged)

    def output(self) -> None:
        """Test, log, save: a row of log.txt and a checkpoint."""
        settings = self.training.settings
        key = jax.random.fold_in(jax.random.key(settings.seed + 1), self.done)
        result = jax.device_get(self.training.test(hosts.on_one(self.state.agent), key))
        row = self._columns(result, statistics.values(self.sums))
        if self.training.clips:
            table = self.training.clips(self.state)
            row |= sampling_table.columns(table)
            self.log.write_beside(CLIPS, sampling_table.csv_of(table))
        self.log.write(row)
        facts = {
            "samples": self.done * self.per,
            "iteration": self.done,
            "hours": self.clock.hours(),
            "score": _score(row),
        }
        state = hosts.gathered(self.state)
        if hosts.leads():
            kept = settings.keep.keep_checkpoints
            checkpoint.save(self.out / "checkpoints", self.done, state, {**self.training.facts, **facts}, keep=kept)
        self.saved, self.setbacks = self.done, 0
        self.sums, self.counted, self.seconds = {}, 0, 0.0
        self._show(row, logged=True)
        for line in self.watch.look(row):
            self.display.message(line)

    def _columns(self, test: Episodes, values: dict[str, float]) -> dict[str, Any]:
        """MimicKit's columns (4.13), then ours; returns are NaN where the environment rewards nothing, and would always be 0."""
        scale = 1.0 if rewards.any_of(self.training.settings.env) else math.nan
        row = {
            "Iteration": self.done, "Wall_Time": self.clock.hours(), "Samples": self.done * self.per,
            "Test_Return": scale * float(np.mean(test.total)), "Test_Episode_Length": float(np.mean(test.length)),
            "Test_Episodes": len(test.length),
            "Train_Return": scale * values.get("Train_Return", 0.0),
            "Train_Episode_Length": values.get("Train_Episode_Length", 0.0),
            "Train_Episodes": int(values.get("episodes", 0)),
        }  # fmt: skip
        steps = np.asarray(test.length, np.float64)
        errors = {k: float(np.sum(v * steps) / max(steps.sum(), 1)) for k, v in test.errors.items()}
        row |= {k: values[k] for k in ORDER if k in values} | errors | {k: values[k] for k in LAST if k in values}
        row |= {k: v for k, v in values.items() if k not in row and k not in WITHIN}
        row["Unstable"] = int(values.get("unstable", 0))
        row["Samples_Per_Second"] = self.counted * self.per / self.seconds if self.seconds else math.nan
        return row
