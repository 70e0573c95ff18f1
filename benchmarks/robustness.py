"""What training with pushes buys, and what it costs: python benchmarks/robustness.py --pairs add_g1:add_g1_push --seeds 0,1,2.

For every pair of configs and every seed: trains both with equal samples, as a user does (`python -m mimicjax.train`), and
sweeps both with equal pushes (`python -m mimicjax.evaluate --push-sweep --compare`). What is complete below --runs is not
done again, so the command may be interrupted and repeated. Flags that this script does not know go to both trainings.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import report
from learning import plain, watch

from mimicjax.files import replace_text

SHARE = "survive_50"
PICTURES = report.RESULTS / "robustness"
SWEEP = Path(__file__).with_name("torso_sweep.yaml")


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--pairs", default="add_g1:add_g1_push,deepmimic_g1:deepmimic_g1_push", help="(%(default)s)")
    parser.add_argument("--motion", default="walk")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas (%(default)s)")
    parser.add_argument("--max-samples", type=float, default=4e6, help="of each training (%(default)s)")
    parser.add_argument(
        "--sweep", default=str(SWEEP), help="profile or file of the push sweep (torso_sweep.yaml beside this)"
    )
    parser.add_argument("--name", default="walk", help="results/robustness_<name>.json (%(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs/robustness"), help="run folders (%(default)s)")
    return parser.parse_known_args()


def recipe(given: argparse.Namespace, flags: list[str]) -> dict[str, Any]:
    """What a training below --runs was made with: another one is not taken for it."""
    return {"motion": str(given.motion), "max_samples": given.max_samples, "flags": flags}


def train(given: argparse.Namespace, flags: list[str], config: str, seed: str) -> Path:
    """The folder of a finished training, from an earlier call if there is one."""
    out = given.runs / f"{Path(config).stem}-seed{seed}"
    done, wanted = out.with_suffix(".done.json"), recipe(given, flags)
    if done.is_file() and json.loads(done.read_text()) == wanted:
        print(f"{out}: trained already", flush=True)
        return out
    if out.exists():
        shutil.rmtree(out)  # half a run, or one with other flags
    command = [
        sys.executable, "-m", "mimicjax.train", f"--config={config}", f"--motion={given.motion}", f"--seed={seed}",
        f"--max-samples={given.max_samples:g}", f"--out={out}", *flags,
    ]  # fmt: skip
    log = out.with_suffix(".txt")
    process = watch(command, out / "metrics.jsonl", log)
    if process.code:
        raise SystemExit(f"{out} ended with exit code {process.code}:\n{log.read_text()[-2000:]}")
    replace_text(done, json.dumps(wanted))
    print(f"{out}: trained in {process.minutes:.1f} minutes", flush=True)
    return out


def sweep(given: argparse.Namespace, plain_run: Path, pushed_run: Path) -> Path:
    """The JSON of the two runs' sweep, from an earlier call if there is one for their checkpoints."""
    out = given.runs / f"sweep-{Path(given.sweep).stem}-{plain_run.name}"
    trained = max(run.with_suffix(".done.json").stat().st_mtime for run in (plain_run, pushed_run))
    found = sorted(out.glob("push-*.json"), key=lambda path: path.stat().st_mtime)
    if found and found[-1].stat().st_mtime > trained:
        print(f"{found[-1]}: swept already", flush=True)
        return found[-1]
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable, "-m", "mimicjax.evaluate", f"--run={plain_run}", f"--compare={pushed_run}",
        "--push-sweep", given.sweep, f"--out={out}",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return next(iter(out.glob("push-*.json")))


def summary(file: Path) -> dict[str, Any]:
    """Of one seed: the torso's 50 % impulses over all headings by duration, un-pushed errors, their ratios."""
    data = json.loads(file.read_text())
    body = data["sweeps"][0]["cells"][0]["body"]
    rows = [r for r in data["comparison"] if (r["body"], r["direction"], r["kind"]) == (body, "headings", "force")]
    unpushed = [each["unpushed"] for each in data["sweeps"]]
    errors = [each["body_error"]["value"] for each in unpushed]
    return {
        "body": body, "thresholds": {_how(row): {**row[SHARE], "unit": row["unit"]} for row in rows},
        "unpushed": [{**each["body_error"], "survived": each["survived"], "episodes": each["episodes"]} for each in unpushed],
        "error_ratio": errors[1] / errors[0] if None not in errors and errors[0] else None,
        "quote": data["quote"], "file": file.name,
    }  # fmt: skip


def _how(row: dict[str, Any]) -> str:
    return f"{row['duration']:g} s" if row["duration"] else "sustained"


def keep(file: Path, name: str, heat: bool) -> list[str]:
    """Copies a sweep's pictures of the first body to results/robustness/, the large heat map if asked; gives their names."""
    body = json.loads(file.read_text())["sweeps"][0]["cells"][0]["body"]
    PICTURES.mkdir(parents=True, exist_ok=True)
    kept = []
    for end in (*([f"heat-{body}"] if heat else []), "polar", "polar-sustained"):
        picture = file.with_name(f"{file.stem}-{end}.png")
        if picture.is_file():
            kept.append(f"{name}_{end}.png")
            shutil.copy(picture, PICTURES / kept[-1])
    return kept


def table(pairs: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row for every pair, seed and duration, then the medians over seeds."""
    rows = []
    for pair, seeds in pairs.items():
        how = list(dict.fromkeys(name for found in seeds.values() for name in found["thresholds"]))
        for name in how:
            mine = {seed: found for seed, found in seeds.items() if name in found["thresholds"]}
            for seed, found in mine.items():
                at = found["thresholds"][name]
                ratio = (at["ratio"] or {}).get("value")
                rows.append([f"{pair}, seed {seed}, {name}", *(_text(at[k]) + f" {at['unit']}" for k in ("first", "second")),
                             _text(ratio, ".2f"), *(_text(each["value"]) for each in found["unpushed"]),
                             _text(found["error_ratio"], ".2f")])  # fmt: skip
            ratios = [r["value"] for found in mine.values() if (r := found["thresholds"][name]["ratio"])]
            errors = [found["error_ratio"] for found in mine.values() if found["error_ratio"]]
            middle = [_text(statistics.median(values) if values else None, ".2f") for values in (ratios, errors)]
            rows.append([f"**{pair}, median, {name}**", "", "", middle[0], "", "", middle[1]])
    columns = [
        "pair, seed, push",
        "50 % survive, plain",
        "with pushes",
        "ratio",
        "error, plain, mm",
        "with pushes, mm",
        "ratio",
    ]
    return report.table(columns, rows)


def _text(value: float | None, form: str = ".1f") -> str:
    return "beyond" if value is None else format(value, form)


def main() -> int:
    given, flags = parse()
    facts = report.begin(devices=False)  # jax would take memory that belongs to the runs
    given.runs.mkdir(parents=True, exist_ok=True)
    pairs: dict[str, dict[str, Any]] = {}
    path = report.RESULTS
    for pair in given.pairs.split(","):
        configs = pair.split(":")
        if len(configs) != 2:
            raise SystemExit(
                f"--pairs {pair}: must be two configs with a colon between them, such as add_g1:add_g1_push"
            )
        seeds = given.seeds.split(",")
        for seed in seeds:
            runs = [train(given, flags, config, seed) for config in configs]
            file = sweep(given, *runs)
            kept = keep(file, f"{given.name}_{Path(configs[0]).stem}_seed{seed}", seed == seeds[0])
            pairs.setdefault(pair, {})[seed] = {**summary(file), "pictures": kept}
            setup = {k: plain(str(v)) for k, v in vars(given).items() if k != "runs"}
            path = report.write(f"robustness_{given.name}", facts, {**setup, "flags": plain(flags), "pairs": pairs})
    print(f"\n{table(pairs)}\n\n{report.footer(facts)}\nwritten: results/{path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
