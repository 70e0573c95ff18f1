"""python -m mimicjax.train_prior: train the diffusion prior by which SMP judges motion."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimicjax import commands, config
from mimicjax.bar import Bar
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.names import NAMES

if TYPE_CHECKING:
    from mimicjax.learn.diffusion import Prior
    from mimicjax.world import World

DEFAULT = "smp_g1"
STEPS = 100  # gradient steps between two looks at Ctrl-C and the progress


def parse(argv: Sequence[str]) -> tuple[RunSettings, Path]:
    """(settings, the prior's folder) of a command line. Raises UserError."""
    parser = argparse.ArgumentParser(
        prog="python -m mimicjax.train_prior", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [--config CONFIG] [--out DIR] [--KEY VALUE ...]",
        description="Train SMP's diffusion prior on the clips of a config; --learn.smp.prior DIR then trains with it.",
        epilog=f"configs: {config.listing()}",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="the prior's folder (priors/<robot>_<motion>)")
    options, settings = config.command_line(parser, RunSettings, commands.long_flags(argv), DEFAULT, NAMES)
    if settings.learn.algorithm != "SMP":
        raise UserError(
            f"train_prior: config {options.config} has learn.algorithm {settings.learn.algorithm}, allowed: SMP"
        )
    out = options.out or Path("priors") / f"{Path(settings.robot).stem}_{Path(settings.motion).stem}"
    if out.exists() and not (out / "prior.json").is_file():
        raise UserError(f"--out {out}: exists and is no prior; choose another folder")
    return settings, out


def fit(of: World) -> tuple[Prior, float]:
    """(the prior of the world's clips, the mean loss of its last steps)."""
    import jax
    import jax.numpy as jnp

    from mimicjax import build
    from mimicjax.learn import diffusion, score

    settings = of.settings.learn.smp
    size = build.sizes(of).views[score.VIEW]
    # the motion is an argument, as a constant it would be compiled in
    parts = lambda motion: diffusion.fitting(settings, size, lambda keys: of.env.demonstrate(score.VIEW, motion, keys))  # noqa: E731
    begin = jax.jit(lambda motion, key: parts(motion)[0](key))
    train = jax.jit(lambda motion, *rest: parts(motion)[1](*rest))
    first, key = jax.random.split(jax.random.key(of.settings.seed))
    state, prior = begin(of.motion, first)
    loss, began, bar = 0.0, time.monotonic(), Bar(sys.stdout, 30)
    bar.start()
    try:
        for done in range(0, settings.gradient_steps, STEPS):
            state, value = train(of.motion, state, prior, key, jnp.int32(min(STEPS, settings.gradient_steps - done)))
            loss, share = float(value), min(1.0, (done + STEPS) / settings.gradient_steps)
            text = f"step {int(state.step)} of {settings.gradient_steps} | {time.monotonic() - began:.0f} s | loss {loss:.4f}"
            if bar.shown:
                bar.update(share, text)
            elif (done // STEPS) % 10 == 9 or share == 1.0:
                bar.print(text)
    finally:
        bar.stop()
    return prior._replace(params=state.averaged), loss


def run(argv: Sequence[str]) -> int:
    """Train and save as the command line says; nothing is left of a prior that was interrupted."""
    settings, out = parse(argv)
    from mimicjax import build, versions
    from mimicjax.learn import prior_files

    commands.fit_threads(settings.engine.name)
    world = build.world(settings)
    prior_files.prepare(out)
    facts = build.prior_facts(world)
    prior, loss = fit(world)
    prior_files.save(
        out, prior, {**facts, "motion": settings.motion, "clips": len(world.clips), "loss": loss,
                     "gradient_steps": settings.learn.smp.gradient_steps, "versions": versions.versions()},
    )  # fmt: skip
    print(f"written: {out}; python -m mimicjax.train with the same config and --learn.smp.prior {out} trains with it")
    return 0


if __name__ == "__main__":
    raise SystemExit(commands.main("train_prior", run))
