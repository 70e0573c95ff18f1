"""One tracking policy for clips of different kind: python benchmarks/ten_clips.py FOLDER FILE ... [--by failures,weights].

Takes the clips in the folders and files that are named (.npz, .pkl, and .csv with rows of place, quaternion and joints),
trains one policy on all of them by `python -m mimicjax.train`, as a user does, then evaluates it by
`python -m mimicjax.evaluate`. Stores the curve, a table per clip, and the versions. Flags that this script does not know
go to the training. The clips themselves are not stored.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import learning
import numpy as np
import report

from mimicjax import config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.evaluation import table
from mimicjax.motion.files import read_clip, write_clip
from mimicjax.robot.load import load
from mimicjax.types import CLAMP, Clip, Robot

FIGURES = ("Completed", "Completion", "Success_0.5m", "MPJPE_Global", "MPJPE_Root", "Root_Pos_Err", "Root_Rot_Err")


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files named, and all that may be clips in the folders named and below."""
    found = []
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in below if file.suffix.lower() in (".npz", ".pkl", ".csv")]
    return found


def from_rows(path: Path, robot: Robot, fps: float) -> Clip:
    """A headerless CSV: root position 3 m, quaternion 4, joints [D] rad, depth first.

    Makers differ in where the quaternion has w; the order in which the robot stands more upright is taken. Raises UserError.
    """
    try:
        rows = np.loadtxt(path, delimiter=",", ndmin=2)
    except ValueError as problem:
        raise UserError(f"{path}: is no table of numbers ({problem})") from None
    if rows.shape[1] != 7 + robot.num_dofs or len(rows) < 2:
        raise UserError(f"{path}: has {rows.shape[1]} columns; {robot.name} needs {7 + robot.num_dofs}")
    orders = rows[:, [6, 3, 4, 5]], rows[:, 3:7]
    upright = [float(np.mean(1 - 2 * (quat[:, 1] ** 2 + quat[:, 2] ** 2))) for quat in orders]
    quat = orders[int(np.argmax(upright))]
    return Clip(path.stem, robot.name, robot.dof_names, fps, CLAMP, rows[:, :3], quat, rows[:, 7:])


def collect(paths: Sequence[Path], robot: Robot, fps: float, folder: Path) -> tuple[Path, dict[str, float], list[str]]:
    """(set file in `folder`, clip -> its seconds, files that are no clips of the robot and why)."""
    durations: dict[str, float] = {}
    left_out: list[str] = []
    entries: list[str] = []
    for number, path in enumerate(files_of(paths)):
        try:
            clip = from_rows(path, robot, fps) if path.suffix.lower() == ".csv" else read_clip(path, robot)
        except UserError as problem:
            left_out.append(str(problem).replace(str(path), path.name))
            continue
        name = clip.name if clip.name not in durations else f"{clip.name}_{number}"
        write_clip(folder / f"{name}.npz", clip)
        durations[name] = clip.duration
        entries.append(f"  - {{file: {name}.npz}}\n")
    if not entries:
        raise SystemExit(f"no clip of {robot.name} in {', '.join(map(str, paths))}; left out: {left_out}")
    (folder / "set.yaml").write_text("motions:\n" + "".join(entries))
    return folder / "set.yaml", durations, left_out


def train(given: argparse.Namespace, flags: list[str], by: str, motion: Path, out: Path) -> dict[str, Any]:
    """A run on the set, watched, and what came of it."""
    command = [
        sys.executable, "-m", "mimicjax.train", f"--config={given.config}", f"--motion={motion}", f"--seed={given.seed}",
        f"--max-minutes={given.max_minutes:g}", f"--env.sampling.by={by}", f"--out={out}", *flags,
    ]  # fmt: skip
    log = out.with_suffix(".txt")
    process = learning.watch(command, out / "metrics.jsonl", log)
    if process.code or not process.rows:
        raise SystemExit(f"training ended with exit code {process.code}:\n{log.read_text()[-2000:]}")
    drawn = [name for name in process.rows[-1] if name.startswith(("Success_", "Sampling_"))]
    curve = [learning.point(row) | {name: row.get(name) for name in drawn} for row in process.rows]
    return {"minutes": process.minutes, "peak_mib": process.peak_bytes / 2**20, "curve": curve}


def evaluate(run: Path, episodes: int, seed: int) -> dict[str, Any]:
    """The figures of an evaluation: over all clips, and of each, the worst first."""
    data = learning.evaluate(run, episodes, seed)
    pick = lambda group: {"episodes": group["episodes"], **{name: group[name] for name in FIGURES}}  # noqa: E731
    return {
        "overall": pick(data["overall"]["all"]), "versions": data["versions"], "engine": data["engine"],
        "clips": {name: pick(data["clips"][name]["all"]) for name in table.worst_first(data)},
    }  # fmt: skip


def shown(by: str, result: dict[str, Any], durations: dict[str, float]) -> str:
    """The table per clip in Markdown."""
    cells = [
        [name, f"{durations[name]:.1f}" if name in durations else "", group["episodes"],
         *(f"{100 * group[key]['value']:.0f} %" for key in FIGURES[:3]),
         *("-" if group[key]["value"] is None else f"{group[key]['value']:.0f}" for key in FIGURES[3:5])]
        for name, group in [("all", result["overall"]), *result["clips"].items()]
    ]  # fmt: skip
    columns = [
        f"starts by {by}",
        "seconds",
        "episodes",
        "completed",
        "completion",
        "within 0.5 m",
        "MPJPE, mm",
        "about the root",
    ]
    return report.table(columns, cells)


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("motions", nargs="+", type=Path, metavar="FOLDER|FILE", help="where clips are")
    parser.add_argument("--config", default="deepmimic_g1")
    parser.add_argument("--by", default="failures", help="failures, weights, or both by a comma (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-minutes", type=float, default=60.0, help="of training, each (%(default)s)")
    parser.add_argument("--episodes", type=int, default=640, help="of the evaluation, over all clips (%(default)s)")
    parser.add_argument("--csv-fps", type=float, default=30.0, help="frames per second of CSV files (%(default)s)")
    parser.add_argument("--name", default="ten_clips", help="results/<name>.json (%(default)s)")
    parser.add_argument("--runs", type=Path, help="keep the run folders below this one (they are thrown away)")
    return parser.parse_known_args()


def main() -> int:
    given, flags = parse()
    facts = report.begin(devices=False)  # jax would take memory that belongs to the run
    folder = given.runs or Path(tempfile.mkdtemp(prefix="ten_clips_"))
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    robot = load(config.load(RunSettings, given.config).robot)
    try:
        motion, durations, left_out = collect(given.motions, robot, given.csv_fps, folder / "clips")
        print(
            "\n".join([f"{len(durations)} clips: {', '.join(durations)}", *(f"left out: {line}" for line in left_out)])
        )
        sys.stdout.flush()
        results = {}
        for by in given.by.split(","):
            run = train(given, flags, by, motion, folder / by)
            results[by] = run | evaluate(folder / by, given.episodes, given.seed)
            print(f"\n{shown(by, results[by], durations)}", flush=True)
    finally:
        if not given.runs:
            shutil.rmtree(folder, ignore_errors=True)
    setup = {
        "config": given.config,
        "seed": given.seed,
        "max_minutes": given.max_minutes,
        "flags": learning.plain(flags),
    }
    path = report.write(given.name, facts, {**setup, "clips": durations, "starts": results})
    print(f"\n{report.footer(facts)}\nwritten: results/{path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
