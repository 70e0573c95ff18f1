"""What makes a policy hard to push over, one change at a time: python benchmarks/ablation.py --seeds 0,1.

Every case of a file of changes (unshakable.yaml) is a preset with some flags, another config, motion, or number of samples;
or another case with more of them (`extends`).
Each is trained as a user does, then pushed (`python -m mimicjax.evaluate --push-sweep`). What is complete below --runs is not
done again, so the command may be interrupted and repeated, and cases be added. Flags that this script does not know go to all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import report
import robustness
import yaml
from learning import plain

HERE = Path(__file__).parent


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", default=str(HERE / "pushed.yaml"), help="that is changed (pushed.yaml)")
    parser.add_argument("--motion", default="walk", help="(%(default)s)")
    parser.add_argument(
        "--changes", type=Path, default=HERE / "unshakable.yaml", help="file of cases (unshakable.yaml)"
    )
    parser.add_argument("--cases", help="some of them, separated by commas (all)")
    parser.add_argument("--seeds", default="0", help="separated by commas (%(default)s)")
    parser.add_argument("--max-samples", type=float, default=4e6, help="of each training (%(default)s)")
    parser.add_argument(
        "--sweep", default=str(HERE / "shoves.yaml"), help="profile or file of the push sweep (shoves.yaml)"
    )
    parser.add_argument("--name", default="unshakable", help="results/ablation_<name>.json (%(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"), help="run folders (%(default)s)")
    return parser.parse_known_args()


def chosen(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The cases to do, each with what it extends."""
    cases = {name: case or {} for name, case in yaml.safe_load(given.changes.read_text()).items()}
    names = given.cases.split(",") if given.cases else list(cases)
    if unknown := [name for name in names if name not in cases]:
        raise SystemExit(f"--cases: {', '.join(unknown)} is not in {given.changes.name}; there are {', '.join(cases)}")
    return {name: whole(cases, name) for name in names}


def whole(cases: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """A case with what it extends: its flags come after the other's, so that they win."""
    case = dict(cases[name])
    base = whole(cases, case.pop("extends")) if "extends" in case else {}
    return {**base, **case, "flags": [*base.get("flags", []), *case.get("flags", [])]}


def sweep(run: Path, profile: str) -> dict[str, Any]:
    """The JSON of a run's sweep, from an earlier call if there is one of its checkpoint."""
    out = run.with_name(f"{run.name}-{Path(profile).stem}")
    trained = run.with_suffix(".done.json").stat().st_mtime
    swept = [path for path in out.glob("push-*.json") if path.stat().st_mtime > trained]
    if not swept:
        shutil.rmtree(out, ignore_errors=True)
        command = [sys.executable, "-m", "mimicjax.evaluate", f"--run={run}", "--push-sweep", profile, f"--out={out}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        swept = list(out.glob("push-*.json"))
    return json.loads(swept[0].read_text())


def measure(given: argparse.Namespace, flags: list[str], name: str, case: dict[str, Any], seed: str) -> dict[str, Any]:
    """Train and push one case."""
    own = argparse.Namespace(**{
        **vars(given), "runs": given.runs / name, "motion": case.get("motion", given.motion),
        "max_samples": float(case.get("max_samples", given.max_samples)),
    })  # fmt: skip
    own.runs.mkdir(parents=True, exist_ok=True)
    run = robustness.train(own, [*flags, *case.get("flags", [])], case.get("config", given.config), seed)
    data = sweep(run, given.sweep)
    rows = [row for row in data["sweeps"][0]["thresholds"] if row["direction"] == "headings"]
    ends = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()[-1:]]
    unpushed = data["sweeps"][0]["unpushed"]
    return {
        "survive_50": rows[0]["survive_50"] if rows else None, "survive_90": rows[0]["survive_90"] if rows else None,
        "error_mm": unpushed["body_error"]["value"], "unpushed_survived": unpushed["survived"], "of": unpushed["episodes"],
        "minutes": 60 * ends[0]["Wall_Time"], "samples": ends[0]["Samples"], "quote": data["quote"][0],
        "directions": {row["direction"]: row["survive_50"]["value"] for row in data["sweeps"][0]["thresholds"]},
    }  # fmt: skip


def table(cases: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row for every case and seed."""
    rows = [
        [f"{name}, seed {seed}", _level(each["survive_50"]), _level(each["survive_90"]), _number(each["error_mm"]),
         f"{each['unpushed_survived']} of {each['of']}", f"{each['samples'] / 1e6:.1f}", f"{each['minutes']:.1f}"]
        for name, seeds in cases.items() for seed, each in seeds.items()
    ]  # fmt: skip
    columns = ["case", "half survive, N s", "90 %", "error, mm", "un-pushed, survived", "million samples", "minutes"]
    return report.table(columns, rows)


def _level(level: dict[str, Any] | None) -> str:
    if level is None or level["value"] is None:
        return "-" if level is None else str(level["beyond"])
    ends = (_number(level[end]) for end in ("low", "high"))
    return f"{level['value']:.1f} [{', '.join(ends)}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def main() -> int:
    given, flags = parse()
    facts = report.begin(devices=False)  # jax would take memory that belongs to the runs
    results: dict[str, dict[str, Any]] = {}
    stored = report.RESULTS / f"ablation_{given.name}.json"
    if stored.is_file():
        results = json.loads(stored.read_text())["cases"]
    cases, path = chosen(given), stored
    for name, case in cases.items():
        for seed in given.seeds.split(","):
            figures = measure(given, flags, name, case, seed)
            results.setdefault(name, {})[seed] = {**figures, "date": facts["date"], "change": case}
            setup = {k: plain(str(v)) for k, v in vars(given).items() if k not in ("runs", "cases", "seeds")}
            path = report.write(f"ablation_{given.name}", facts, {**setup, "flags": plain(flags), "cases": results})
            print(f"{name}, seed {seed}: {figures['quote']}", flush=True)
    print(f"\n{table(results)}\n\n{report.footer(facts)}\nwritten: results/{path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
