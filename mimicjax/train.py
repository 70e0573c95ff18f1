"""python -m mimicjax.train: train a controller."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mimicjax import commands, config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.names import NAMES
from mimicjax.run import checkpoint, hosts

DEFAULT = "add_g1"


def parse(argv: Sequence[str]) -> tuple[RunSettings, Path, bool]:
    """(settings, run folder, whether to resume) of a command line. Raises UserError."""
    parser = argparse.ArgumentParser(
        prog="python -m mimicjax.train", description="Train a controller that imitates motion clips.",
        usage="%(prog)s [--config CONFIG] [--out DIR] [--resume [DIR]] [--skill RUN] [--KEY VALUE ...]",
        allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"configs: {config.listing()}\n--engine stands for --engine.name, "
        "--skill for --learn.skill.run, and - for _ in flags.",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="run folder (runs/<config>)")
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="DIR",
        help="go on with the run in DIR, --out or runs/<config>, and its own config",
    )  # fmt: skip
    hosts.add_flags(parser)
    argv = commands.long_flags(argv)
    place = _folders(argv)
    resume = place.resume is not None
    folder = place.resume or place.out
    out = Path(folder or Path("runs") / _name(place.config or DEFAULT))
    if resume:
        if folder and place.config:
            raise UserError(f"--resume goes on with the config in {out}; leave out --config {place.config}")
        if not (out / "config.yaml").is_file():
            raise UserError(f"--resume: there is no run in {out} (no config.yaml)")
        checkpoint.check_format(out / "checkpoints")
        argv = [*_without_config(argv), "--config", str(out / "config.yaml")]
    _, settings = config.command_line(parser, RunSettings, argv, DEFAULT, NAMES)
    return settings, out, resume


def _name(config_or_file: str) -> str:
    """What a run is called: a config by its whole name (there is an add_g1 in mimickit/ too), a file by its stem."""
    is_file = config_or_file.endswith((".yaml", ".yml"))
    return Path(config_or_file).stem if is_file else config_or_file


def _folders(argv: Sequence[str]) -> argparse.Namespace:
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config")
    first.add_argument("--out")
    first.add_argument("--resume", nargs="?", const="")
    first.error = lambda message: None  # type: ignore[method-assign]  # the full parser says it better
    return first.parse_known_args(argv)[0]


def _without_config(argv: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for word in argv:
        if skip or word == "--config":
            skip = word == "--config"
            continue
        if not word.startswith("--config="):
            kept.append(word)
    return kept


def run(argv: Sequence[str]) -> int:
    """Train as the command line says; exit code 0 if the budget was used up, 130 if interrupted."""
    settings, out, resume = parse(argv)
    hosts.join(*hosts.named(argv))
    with hosts.together():
        return _run(settings, out, resume)


def _run(settings: RunSettings, out: Path, resume: bool) -> int:
    from mimicjax import build  # after parsing: --help and mistakes answer at once
    from mimicjax.evaluation import skill
    from mimicjax.motion.check import show
    from mimicjax.motion.datasets import load_motions
    from mimicjax.robot.load import load
    from mimicjax.run import checks, loop

    commands.fit_threads(settings.engine.name)
    if hosts.leads():
        loop.check_folder(out, resume)
    settings = skill.resolve(settings)
    checks.settings_fit(settings)
    robot = load(settings.robot)
    clips = load_motions(settings.motion, robot)
    world = build.fitted_world(settings, clips)
    training = build.training(world, resume)
    if not resume:
        verdict = show.in_a_line(robot, clips, settings.motion)
        training = training._replace(notes=(*training.notes, verdict))
    if not resume and hosts.leads():
        loop.write_config(world.settings, out)
    done = loop.train(training, out, resume)
    return 0 if done else 130


if __name__ == "__main__":
    raise SystemExit(commands.main("train", run))
