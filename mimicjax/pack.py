"""python -m mimicjax.pack: a trained policy as a small folder to pass on. See docs/deploy.md."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimicjax import commands, pretrained
from mimicjax.errors import UserError

if TYPE_CHECKING:
    from mimicjax.evaluation.restored import Restored

CARD = "README.md"
FIGURES = {  # of an evaluation: name -> (what the card calls it, factor, unit)
    "Completed": ("episodes of the clip that are completed", 100.0, "%"),
    "MPJPE_Root": ("mean error of the bodies about the root", 1.0, "mm"),
    "Return_Per_Step": ("return per step, of at most 1", 1.0, ""),
    "Speed": ("speed over the ground", 1.0, "m/s"),
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line. Raises UserError."""
    parser = commands.Parser(
        prog="python -m mimicjax.pack", allow_abbrev=False,
        description="Pack a run's policy, without critic and optimisers, with its settings and a card that says what it can: "
        "a folder of less than a megabyte that all commands take as --run.",
    )  # fmt: skip
    parser.add_argument("--run", type=pretrained.folder_of, required=True, metavar="DIR|NAME", help=pretrained.HELP)
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder to make; must not be there yet"
    )
    parser.add_argument("--checkpoint", metavar="STEP", help="its iteration, or best (the latest)")
    parser.add_argument("--command", default="", metavar="TEXT", help="what made the run, for the card")
    parser.add_argument("--evaluation", type=Path, metavar="DIR",
                        help="results of evaluate whose figures the card shows (those of the run)")  # fmt: skip
    options = parser.parse_args(argv)
    options.checkpoint = commands.checkpoint(options.checkpoint)
    if options.out.exists():
        raise UserError(f"-o {options.out}: is there already; name a folder to make, or remove it")
    return options


def run(argv: Sequence[str]) -> int:
    """Pack as the command line says."""
    options = parse(argv)
    restored = commands.restore(options.run, None, None, options.checkpoint)
    found = results(options.evaluation or pretrained.results_of(options.run), restored.step)
    size = write(restored, options.out, card(restored, options.out.name, options.command, found))
    print(f"{options.out}: {size / 1e6:.1f} MB, iteration {restored.step}; {len(found)} results on its card")
    if not found:
        print(
            f"note: no results of iteration {restored.step} for the card: evaluate the run first, with --push-sweep too"
        )
    if (clip := Path(restored.world.settings.motion)).suffix:
        print(f"note: its clip {clip.name} is not packed; whoever has it gives it with --motion")
    return 0


def results(folder: Path, step: int) -> list[dict[str, Any]]:
    """What `evaluate` wrote about a checkpoint, of its own clip, oldest first. Raises UserError for a file that is damaged."""
    found = []
    for file in sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime):
        try:
            data = json.loads(file.read_text())
        except (OSError, ValueError) as problem:
            raise UserError(f"{file}: no result of evaluate: {problem}") from None
        if isinstance(data, dict) and data.get("checkpoint") == step:
            found.append(data)
    return found


def _figures(data: dict[str, Any]) -> list[str]:
    """Lines of the card about one result."""
    if "quote" in data:
        return [f"- {line.partition(': ')[2]} ({data['profile']} sweep)" for line in data["quote"][:1]]
    overall = data.get("overall", {}).get("all", {})
    lines = []
    for name, (meaning, factor, unit) in FIGURES.items():
        if (value := overall.get(name, {}).get("value")) is not None:
            lines.append(f"- {meaning}: {factor * value:.3g}{'' if unit == '%' else ' '}{unit}".rstrip())
    count = overall.get("episodes")
    return [*lines, f"- measured in {count} episodes on {data['engine']}"] if lines else []


def card(restored: Restored, name: str, command: str, found: Sequence[dict[str, Any]]) -> str:
    """The model card, as markdown."""
    settings, robot, clips = restored.world.settings, restored.world.robot, restored.world.clips
    samples, made = restored.facts.get("samples") or 0, restored.facts.get("versions") or {}
    versions = ", ".join(f"{package} {version}" for package, version in made.items())
    names = ", ".join(clip.name for clip in clips[:8]) + (f" and {len(clips) - 8} more" if len(clips) > 8 else "")
    licences = ", ".join(sorted({clip.licence for clip in clips if clip.licence})) or "not said"
    figures = [line for data in found for line in _figures(data)] or ["- not measured"]
    made_by = [f"- made by `{command}`"] if command else []
    pushed = ", ".join(sorted(settings.disturb.profiles)) or "none"
    lines = [
        f"# {name}", "",
        f"A policy of {settings.learn.algorithm} for the robot {robot.name}: imitates {names}, "
        f"{settings.engine.control_freq} actions a second.", "",
        *made_by,
        f"- trained on {samples / 1e6:.3g} M samples (iteration {restored.step}), seed {settings.seed}, "
        f"engine {restored.trained_on or 'not said'}",
        f"- pushes while training: {pushed}",
        f"- versions: {versions}",
        f"- licence of the clips: {licences}", "",
        "## What it can", "", *dict.fromkeys(figures), "",
        "## Limits", "",
        "- flat ground, the model of the robot as given, its state known exactly; other clips than its own are not learned",
        f"- seen in simulation only: {'' if settings.randomize.models else 'no '}randomised models while training", "",
        f"Evaluate: `python -m mimicjax.evaluate --run {name}`",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def write(restored: Restored, out: Path, text: str) -> int:
    """Makes the folder in one step, as a run folder with one checkpoint of what acts; gives its size in bytes.

    Raises UserError where it cannot be written.
    """
    from mimicjax import config
    from mimicjax.evaluation.restored import lean, settings_of
    from mimicjax.run import checkpoint

    half = out.with_name(f".{out.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    facts = {key: value for key, value in restored.facts.items() if key != "format_version"}
    try:
        half.mkdir(parents=True)
        checkpoint.save(half / "checkpoints", restored.step, {"agent": lean(restored.agent)}, {**facts, "packed": True})
        for note in half.rglob(
            "commit_success.txt"
        ):  # Orbax's, with a path of this machine in it; only object stores need it
            note.unlink()
        settings = settings_of(restored.folder)
        # whoever gets the folder may have no accelerator, and no Warp; the card says what it was trained on
        engine = dataclasses.replace(settings.engine, name="auto")
        config.dump(dataclasses.replace(settings, engine=engine), half / "config.yaml")
        (half / CARD).write_text(text)
        half.rename(out)
    except OSError as problem:
        raise UserError(f"-o {out}: cannot be written: {problem.strerror or problem}") from problem
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


if __name__ == "__main__":
    raise SystemExit(commands.main("pack", run))
