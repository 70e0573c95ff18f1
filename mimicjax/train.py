"""python -m mimicjax.train: train a controller."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mimicjax import commands, config, files
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.names import NAMES
from mimicjax.run import checkpoint, hosts, seeds

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
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="train N seeds from --seed on, one after the other, each in a folder of its own",
    )
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
        argv = [*_without(argv, "--config"), "--config", str(out / "config.yaml")]
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
    first.add_argument("--seeds")
    first.error = lambda message: None  # type: ignore[method-assign]  # the full parser says it better
    return first.parse_known_args(argv)[0]


def _without(argv: Sequence[str], *flags: str) -> list[str]:
    """The command line without these flags and their values."""
    kept, skip = [], False
    for word in argv:
        if skip and not word.startswith("--"):
            skip = False
            continue
        skip = word in flags
        if not skip and not word.startswith(tuple(f"{flag}=" for flag in flags)):
            kept.append(word)
    return kept


class Run(NamedTuple):
    """A run that is to begin, or to go on."""

    settings: RunSettings
    out: Path
    resume: bool


def runs(argv: Sequence[str]) -> tuple[list[Run], Path | None]:
    """(what a command line asks for, the folder of all if they are seeds of one run). Raises UserError."""
    argv = commands.long_flags(argv)
    place = _folders(argv)
    folder = Path(place.resume or place.out or "")
    if place.resume is not None and not (folder / "config.yaml").is_file() and (there := seeds.folders(folder)):
        rest = _without(argv, "--resume", "--out")
        return [Run(*parse([*rest, "--resume", str(each)])) for each in there], folder
    settings, out, resume = parse(argv)
    if place.seeds is None:
        return [Run(settings, out, resume)], None
    if resume:
        raise UserError(f"--seeds: {out} is one run; seeds that were begun go on with --resume and the folder of all")
    return [Run(one, there, False) for one, there in seeds.split(settings, int(place.seeds), out)], out


def run(argv: Sequence[str]) -> int:
    """Train as the command line says; exit code 0 if the budget was used up, 130 if interrupted."""
    asked, whole = runs(argv)
    hosts.join(*hosts.named(argv))
    with hosts.together():
        if whole is None:
            return _run(*asked[0])
        return _in_turn(asked, whole)


def _in_turn(asked: list[Run], out: Path) -> int:
    """Train one seed after the other."""
    import jax

    from mimicjax.run import loop

    commands.fit_threads(asked[0].settings.engine.name)
    if hosts.leads() and not asked[0].resume:
        loop.check_folder(out, False)
        for each in asked:  # so that what has not begun when it is interrupted is known too
            loop.write_config(each.settings, each.out)
    for number, each in enumerate(asked, start=1):
        if hosts.leads():
            print(f"seed {each.settings.seed}, {number} of {len(asked)}", flush=True)
        code = _run(each.settings, each.out, True)
        jax.clear_caches()  # the next seed's programs are others: those of eight seeds would fill the memory
        if hosts.leads():
            seeds.draw(out)
        if code:
            if hosts.leads():
                print(f"all seeds go on with: python -m mimicjax.train --resume {out}")
            return code
    if hosts.leads():
        print(seeds.summary(out))
    return 0


def _run(settings: RunSettings, out: Path, resume: bool) -> int:
    """Train one run. resume: its folder and config are there; it begins anew where there is no checkpoint yet."""
    from mimicjax import build  # after parsing: --help and mistakes answer at once
    from mimicjax.evaluation import skill
    from mimicjax.motion.check import show
    from mimicjax.motion.datasets import load_motions
    from mimicjax.robot.load import load
    from mimicjax.run import checks, loop

    commands.fit_threads(settings.engine.name)
    if hosts.leads():
        loop.check_folder(out, resume)
    begun = resume and checkpoint.latest(out / "checkpoints") is not None
    settings = skill.resolve(settings)
    checks.settings_fit(settings)
    robot = load(settings.robot)
    clips = load_motions(settings.motion, robot)
    world = build.fitted_world(settings, clips)
    training = build.training(world, begun)
    if not begun:
        verdict = show.in_a_line(robot, clips, settings.motion)
        training = training._replace(notes=(*training.notes, verdict))
    with files.alone(out) if hosts.leads() else contextlib.nullcontext():
        if hosts.leads():
            loop.check_folder(out, resume)  # again: another start may have been faster
        if not begun and hosts.leads():
            loop.write_config(world.settings, out)
        done = loop.train(training, out, begun)
    return 0 if done else 130


if __name__ == "__main__":
    raise SystemExit(commands.main("train", run))
