"""python -m mimicjax.play: look at a policy in the browser, and shove it. See docs/viewer.md."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimicjax import commands, pretrained
from mimicjax.errors import UserError

if TYPE_CHECKING:
    from mimicjax.evaluation.restored import Restored
    from mimicjax.viewer.page import Page
    from mimicjax.viewer.simulation import Acting, Simulation

FIRST = "g1_walk"  # what plays if nothing is named
LATE = 0.25  # s behind which the clock is set anew instead of being caught up with
IDLE = 1 / 30  # s between two looks while paused


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line. Raises UserError."""
    parser = commands.Parser(
        prog="python -m mimicjax.play", allow_abbrev=False,
        description="Serve a page on which a policy plays and can be pushed, paused, stepped and compared with its clip.",
    )  # fmt: skip
    parser.add_argument("--run", type=pretrained.folder_of, action="append", metavar="DIR|NAME",
                        help=f"{pretrained.HELP}; several can be chosen among on the page ({FIRST})")  # fmt: skip
    parser.add_argument(
        "--config", metavar="NAME", help="no run, but an untrained policy of a config, for the next three"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--zero-policy", dest="acting", action="store_const", const="zero", help="actions of zero")
    how.add_argument("--random-policy", dest="acting", action="store_const", const="random", help="actions of noise")
    how.add_argument("--clip-only", dest="acting", action="store_const", const="clip", help="the clip, without physics")
    parser.add_argument("--motion", metavar="NAME|FILE", help="clip or set instead of the run's")
    parser.add_argument("--checkpoint", metavar="STEP", help="its iteration, or best (the latest)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine alone)")
    parser.add_argument("--port", type=int, default=8080, help="%(default)s, or the next that is free")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop by itself")
    options = parser.parse_args(argv)
    options.checkpoint = commands.checkpoint(options.checkpoint)
    if options.config and options.run:
        raise UserError("--config goes without --run: a run has its own")
    if options.config and not options.acting:
        raise UserError("--config: has no policy; say --zero-policy, --random-policy or --clip-only")
    options.run = options.run or [pretrained.folder_of(FIRST)]
    options.acting = options.acting or "policy"
    if not 0 < options.port < 65536:
        raise UserError(f"--port {options.port}: allowed is 1 to 65535")
    return options


def run(argv: Sequence[str]) -> int:
    """Serve as the command line says, until Ctrl-C."""
    options = parse(argv)
    from mimicjax.viewer import page

    page.library()  # before the run is read
    names = [options.config] if options.config else _names(options.run)
    loaded: dict[str, tuple[Restored, Simulation]] = {}
    current = [names[0]]

    def load(name: str) -> Simulation:
        if name not in loaded:
            restored = _restored(options, names.index(name))
            print(f"{name}: compiling", flush=True)
            loaded[name] = restored, _simulation(restored, options.acting)
        current[0] = name
        return loaded[name][1]

    simulation = load(names[0])
    shown = page.Page(options.host, options.port, names, lambda: _export(loaded[current[0]][0]))
    shown.show(simulation)
    print(f"http://{options.host}:{shown.port} (Ctrl-C ends)", flush=True)
    try:
        _loop(shown, simulation, load, options.seconds)
    except KeyboardInterrupt:
        print("closed")
    finally:
        shown.close()
    return 0


def _names(runs: Sequence[Path]) -> list[str]:
    """Of the runs on the page: their folders' names, or whole paths where these are called alike."""
    names = [folder.resolve().name for folder in runs]
    return names if len(set(names)) == len(names) else [str(folder) for folder in runs]


def _restored(options: argparse.Namespace, number: int) -> Restored:
    if not options.config:
        return commands.restore(options.run[number], "native", options.motion, options.checkpoint)
    import dataclasses

    import jax

    from mimicjax import build, config
    from mimicjax.config.settings import RunSettings
    from mimicjax.evaluation.restored import Restored
    from mimicjax.names import NAMES

    commands.fit_threads("native")
    settings = config.load(RunSettings, options.config, names=NAMES)
    engine = dataclasses.replace(settings.engine, name="native")
    settings = dataclasses.replace(settings, motion=options.motion or settings.motion, engine=engine)
    world = build.world(settings)
    agent = jax.jit(lambda key: build.first_agent(world, key))(jax.random.key(0))
    return Restored(Path(options.config), world, build.policy(world), agent, 0, {}, ())


def _simulation(restored: Restored, acting: Acting) -> Simulation:
    """Compiled: the first step is taken here."""
    from mimicjax.viewer.simulation import Simulation

    made = Simulation(restored, acting)
    made.step()
    made.reset(0, 0.0)
    return made


def _export(restored: Restored) -> str:
    """What the page's button does."""
    from mimicjax.export.__main__ import write

    files = write(restored, pretrained.results_of(restored.folder).with_name("policy.onnx"))
    return ", ".join(str(file) for file in files)


def _loop(shown: Page, simulation: Simulation, load, seconds: float | None) -> None:
    """Steps in real time, times the speed that the page says, and draws."""
    begun = due = time.monotonic()
    while seconds is None or time.monotonic() - begun < seconds:
        wishes = shown.wishes()
        if wishes.run:
            simulation = load(wishes.run)
            shown.show(simulation)
        if wishes.reset:
            shown.draw(simulation.reset(*wishes.reset))
        if shown.paused and not wishes.single:
            time.sleep(IDLE)
            due = time.monotonic()
            continue
        shown.draw(simulation.step(shown.wrench()))
        due += simulation.dt / shown.speed
        rest = due - time.monotonic()
        if rest < -LATE:
            due = time.monotonic()
        time.sleep(max(rest, 0.0))


if __name__ == "__main__":
    raise SystemExit(commands.main("play", run))
