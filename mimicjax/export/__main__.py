"""python -m mimicjax.export: a policy as an ONNX file that a robot's computer plays. See docs/deploy.md."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimicjax import commands, pretrained
from mimicjax.errors import UserError, pick

if TYPE_CHECKING:
    from mimicjax.evaluation.restored import Restored


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line. Raises UserError."""
    parser = commands.Parser(
        prog="python -m mimicjax.export", allow_abbrev=False,
        description="Write a run's policy as FILE.onnx, and beside it its scene (FILE.xml) and a recorded episode (FILE.npz).",
    )  # fmt: skip
    parser.add_argument("--run", type=pretrained.folder_of, required=True, metavar="DIR|NAME", help=pretrained.HELP)
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE.onnx",
        help="what to write (policy.onnx in the run folder)",
    )
    parser.add_argument("--checkpoint", metavar="STEP", help="its iteration, or best (the latest)")
    parser.add_argument("--motion", metavar="NAME|FILE", help="clip or set whose reference is baked in (the run's)")
    parser.add_argument("--clip", metavar="NAME", help="which clip of a set (the first)")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="of the clip that are baked in (it all, at least an episode)"
    )
    parser.add_argument(
        "--stablehlo", action="store_true", help="also FILE.stablehlo: observations to actions, by jax.export"
    )
    options = parser.parse_args(argv)
    options.checkpoint = commands.checkpoint(options.checkpoint)
    options.out = options.out or pretrained.results_of(options.run).with_name("policy.onnx")
    if options.out.suffix != ".onnx":
        raise UserError(f"-o {options.out}: the name must end in .onnx")
    if options.seconds is not None and not options.seconds > 0:
        raise UserError(f"--seconds {options.seconds:g}: must be above 0")
    return options


def run(argv: Sequence[str]) -> int:
    """Export as the command line says."""
    options = parse(argv)
    from mimicjax.export import graph

    graph.library()  # before the run is read
    restored = commands.restore(options.run, None, options.motion, options.checkpoint)
    for path in write(restored, options.out, options.clip, options.seconds, options.stablehlo):
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def write(
    restored: Restored, out: Path, clip_name: str | None = None, seconds: float | None = None, stablehlo: bool = False
) -> list[Path]:
    """Writes FILE.onnx, FILE.xml, FILE.npz (and FILE.stablehlo), each in one step; gives their paths. Raises UserError."""
    from mimicjax.engine import scene
    from mimicjax.export import actor, graph, metadata, reference, trace
    from mimicjax.files import replace_file, replace_text

    world = restored.world
    actor.check(restored)
    names = {clip.name: number for number, clip in enumerate(world.clips)}
    clip = pick(names, clip_name, "--clip", "clip") if clip_name else 0
    steps = reference.steps_of(world, clip, seconds)
    baked = reference.bake(world, clip, steps)
    numbers = actor.actor(restored, baked)
    model = graph.build(numbers, baked, metadata.metadata(restored, numbers, clip, steps), f"{world.robot.name}_policy")
    furnish = [world.task.furnish] if world.task and world.task.furnish else []
    rows = trace.record(restored, clip, steps - 1)
    replace_file(out, lambda half: half.write_bytes(model.SerializeToString(deterministic=True)))
    replace_text(out.with_suffix(".xml"), scene.xml(world.robot, world.settings.engine, furnish))
    replace_file(out.with_suffix(".npz"), lambda half: np.savez_compressed(half, allow_pickle=False, **rows))
    written = [out, out.with_suffix(".xml"), out.with_suffix(".npz")]
    if stablehlo:
        from mimicjax.export import hlo

        replace_file(out.with_suffix(".stablehlo"), lambda half: half.write_bytes(hlo.program(restored)))
        written.append(out.with_suffix(".stablehlo"))
    return written


if __name__ == "__main__":
    raise SystemExit(commands.main("export", run))
