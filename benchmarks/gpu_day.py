"""All that only a GPU can prove, most important first: python benchmarks/gpu_day.py.

For a machine with an NVIDIA GPU, a CUDA jax and Warp, and no network. Every stage is a command of its own, which a user could
give as well, with a limit in seconds; what it printed and measured lies in the folder of results as soon as it is done, and
summary.json says what passed. `--stages` chooses; `--tiny` rehearses all on a CPU, Warp on its CPU device.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
WARP = "mjx-warp"


class Sizes(NamedTuple):
    """How large everything is: for the GPU, or to rehearse."""

    envs: str  # numbers of environments whose throughput is measured
    seconds: str
    learn: tuple[str, ...]  # flags of runs that learn
    minutes: float  # of the run with pushes
    sweep: str


FULL = Sizes(
    envs="1024,4096,16384,32768",
    seconds="2",
    # rollouts of 16 steps in 8 minibatches: as many gradient steps an iteration as the presets take on a CPU, from 16 times
    # the samples; what anneals does so over as many iterations
    learn=(
        "--num-envs", "4096", "--learn.steps_per_iter", "16", "--learn.actor.batch_size", "2",
        "--learn.critic.batch_size", "2", "--learn.std.anneal_samples", "2e7",
    ),
    minutes=5.0,
    sweep="full",
)  # fmt: skip
TINY = Sizes(
    envs="4",
    seconds="0.1",
    learn=(
        "--num-envs", "4", "--learn.steps_per_iter", "2", "--learn.actor_hidden", "[8]", "--learn.critic_hidden", "[8]",
        "--learn.actor.epochs", "1", "--learn.critic.epochs", "1", "--max-iterations", "2", "--keep.test_episodes", "1",
        "--keep.iters_per_output", "1", "--keep.curves", "false",
    ),
    minutes=1.0,
    sweep="tiny",
)  # fmt: skip


class Stage(NamedTuple):
    """One step of the day."""

    seconds: float  # at most
    commands: Callable[[Sizes, Path], list[list[str]]]  # (sizes, folder of results) -> command lines
    verdict: Callable[[Path], Any] = lambda out: None  # what else its files say, for the summary


def module(name: str, *flags: str) -> list[str]:
    """The command line of `python -m mimicjax.<name>`."""
    return [PYTHON, "-m", f"mimicjax.{name}", *flags]


def throughput(
    engine: str, config: str = "deepmimic_g1", which: slice = slice(None)
) -> Callable[[Sizes, Path], list[list[str]]]:
    """Control steps per second. which: of the numbers of environments; all where there are fewer."""

    def commands(sizes: Sizes, out: Path) -> list[list[str]]:
        name, counts = out / f"throughput_{engine}_{config}.json", sizes.envs.split(",")
        chosen = ",".join(counts[which] or counts)
        flags = ("--engines", engine, "--num-envs", chosen, "--seconds", sizes.seconds, "--json", str(name))
        return [module("benchmark", "--config", config, *flags)]

    return commands


def train(config: str, motion: str, minutes: float, engine: str = WARP) -> Callable[[Sizes, Path], list[list[str]]]:
    def commands(sizes: Sizes, out: Path) -> list[list[str]]:
        length = str(min(minutes, sizes.minutes))
        run = str(out / f"{config}_{Path(motion).stem}")
        where = ("--out", run, "--motion", motion, "--engine.name", engine, "--max-minutes", length)
        return [module("train", "--config", config, *where, *sizes.learn)]

    return commands


def repeat(engine: str = WARP) -> Callable[[Sizes, Path], list[list[str]]]:
    """Two runs of one seed."""

    def commands(sizes: Sizes, out: Path) -> list[list[str]]:
        budget = ("--max-iterations", "20", "--keep.iters_per_output", "10")
        flags = ("--config", "deepmimic_g1", "--engine.name", engine, *sizes.learn, *budget)
        return [module("train", *flags, "--out", str(out / f"repeat_{number}")) for number in (0, 1)]

    return commands


def same(out: Path) -> Any:
    """Whether both runs wrote the same rows, but for times."""
    rows = [(out / f"repeat_{number}" / "metrics.jsonl").read_text().splitlines() for number in (0, 1)]
    timeless = [[{k: v for k, v in json.loads(row).items() if k in LEARNED} for row in each] for each in rows]
    return {"the same bit for bit": timeless[0] == timeless[1]}


LEARNED = ("Test_Return", "Test_Episode_Length", "Train_Return", "Actor_Loss", "Critic_Loss", "Samples")


def agreement(*engines: str) -> Callable[[Sizes, Path], list[list[str]]]:
    """The policy of the stage `push` on each of the engines."""

    def commands(sizes: Sizes, out: Path) -> list[list[str]]:
        run = str(out / "deepmimic_g1_push_walk")
        return [
            module("evaluate", "--run", run, "--engine", name, "--out", str(out / f"engine_{name}")) for name in engines
        ]

    return commands


def sweep(engine: str = WARP) -> Callable[[Sizes, Path], list[list[str]]]:
    """Pushes at the policy of the stage `push`."""

    def commands(sizes: Sizes, out: Path) -> list[list[str]]:
        flags = ("--engine", engine, "--out", str(out / "sweep"), "--push-sweep", sizes.sweep)
        return [module("evaluate", "--run", str(out / "deepmimic_g1_push_walk"), *flags)]

    return commands


def contract(engine: str) -> Callable[[Sizes, Path], list[list[str]]]:
    files = [str(ROOT / "tests" / "contract" / "test_engines.py")]
    return lambda sizes, out: [[PYTHON, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", "-k", engine, *files]]


STAGES: dict[str, Stage] = {
    "contract_warp": Stage(200, contract(WARP)),
    "throughput_warp": Stage(240, throughput(WARP)),
    "push": Stage(420, train("deepmimic_g1_push", "walk", 5.0)),
    "walk": Stage(200, train("deepmimic_g1", "walk", 2.0)),
    "throughput_push": Stage(120, throughput(WARP, "deepmimic_g1_push")),
    "sweep": Stage(300, sweep()),
    "agreement": Stage(300, agreement("native", WARP, "mjx-jax")),
    "repeat": Stage(120, repeat(), same),
    "contract_jax": Stage(300, contract("mjx-jax")),
    "throughput_jax": Stage(300, throughput("mjx-jax", which=slice(1, 2))),
    "throughput_native": Stage(120, throughput("native", which=slice(0, 2))),
}


def perform(name: str, stage: Stage, sizes: Sizes, out: Path) -> dict[str, Any]:
    """Run a stage's commands one after the other; what they print goes to NAME.txt."""
    begin, codes = time.monotonic(), []
    with (out / f"{name}.txt").open("w") as log:
        for command in stage.commands(sizes, out):
            left = stage.seconds - (time.monotonic() - begin)
            print("$", *command[1:], file=log, flush=True)
            try:
                done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=max(left, 1.0), cwd=ROOT)
                codes.append(done.returncode)
            except subprocess.TimeoutExpired:
                codes.append(None)
                break
    result: dict[str, Any] = {"exit_codes": codes, "seconds": round(time.monotonic() - begin, 1)}
    if all(code == 0 for code in codes):
        result["verdict"] = stage.verdict(out)
    return result


def tail(file: Path, lines: int) -> str:
    """The end of a text."""
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])


def main(
    argv: Sequence[str] | None = None, stages: dict[str, Stage] = STAGES, name: str = "gpu", about: str = __doc__ or ""
) -> int:
    """Perform the chosen of `stages`; results go to results/NAME."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results" / name, help="folder of the results"
    )
    parser.add_argument("--stages", default=",".join(stages), help="which, in this order (%(default)s)")
    parser.add_argument("--tiny", action="store_true", help="rehearse on a CPU")
    options = parser.parse_args(argv)
    names = options.stages.split(",")
    for each in names:
        if each not in stages:
            parser.error(f"--stages: given {each!r}, allowed are {', '.join(stages)}")
    sizes, out = TINY if options.tiny else FULL, options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.6")  # Warp allocates beside jax
    if not options.tiny:  # tests take the CPU unless told otherwise
        os.environ.setdefault("JAX_PLATFORMS", {"gpu": "cuda,cpu", "tpu": "tpu,cpu"}[name])
    summary: dict[str, Any] = {}
    for each in names:
        print(f"== {each}", flush=True)
        summary[each] = perform(each, stages[each], sizes, out)
        (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
        print(tail(out / f"{each}.txt", 12), summary[each], sep="\n", flush=True)
    return int(any(code != 0 for result in summary.values() for code in result["exit_codes"]))


if __name__ == "__main__":
    raise SystemExit(main())
