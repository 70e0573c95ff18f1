"""What the number of clips costs: python benchmarks/clips.py [--counts 1,100,1000,10000].

Whole training of a config on so many clips of 4 s, small variations of the shipped walk. Every count has a process of
its own, which starts alone (seconds from the command to the end of the second iteration, without the making of the
clips; nothing comes from the compilation cache). Then the processes train in turns, while the others wait, so that
ratios hold when the machine is shared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import report

from mimicjax import build, commands, config
from mimicjax.benchmark import machine, throughput
from mimicjax.config.settings import RunSettings
from mimicjax.motion import reference
from mimicjax.motion.datasets import load_motions
from mimicjax.robot.load import load
from mimicjax.run import devices
from mimicjax.types import WRAP, Clip

LOOPS, SKIP = 4, 4  # of the shipped walk, 125 frames a loop at 120 a second: 4.2 s at 30 a second
SWING = 0.02  # rad, standard deviation of how far a joint of a variation swings beside the walk


def variations(robot_name: str, count: int) -> tuple[Clip, ...]:
    """So many walks of LOOPS loops, the joints of each with small slow swings of its own, by its number."""
    walk = load_motions("walk", load(robot_name))[0]
    travel = (walk.root_pos[-1] - walk.root_pos[0]) * [1.0, 1.0, 0.0]
    frames = np.arange(0, LOOPS * (len(walk.root_pos) - 1) + 1, SKIP)
    loop, frame = np.divmod(frames, len(walk.root_pos) - 1)
    root_pos = walk.root_pos[frame] + loop[:, None] * travel
    phase = 2 * np.pi * frames / frames[-1]
    clips = []
    for number in range(count):
        draw = np.random.default_rng(number)
        swing = SWING * draw.normal(size=walk.dof_pos.shape[1])
        dofs = walk.dof_pos[frame] + swing * np.sin(phase[:, None] + draw.uniform(0, 2 * np.pi, len(swing)))
        clips.append(
            Clip(f"walk_{number}", walk.robot, walk.dof_names, walk.fps / SKIP, WRAP, root_pos, walk.root_quat[frame], dofs)
        )  # fmt: skip
    return tuple(clips)


def serve(settings: RunSettings, count: int) -> None:
    """A process of one count: a line of JSON when it has trained two iterations, then one for every line of seconds."""
    import jax

    commands.fit_threads(settings.engine.name)
    jax.config.update("jax_enable_compilation_cache", False)
    begin = time.perf_counter()
    clips = variations(settings.robot, count)
    making = time.perf_counter() - begin
    world = build.world(settings, clips=clips)
    jax.block_until_ready(world.motion)
    preparing = time.perf_counter() - begin - making
    parts = build.parts(world)
    chunk, place = devices.compiled(parts, world.devices)
    case = throughput.training(parts, chunk, world.motion, place(build.first_state(world, parts)))
    say(
        {
            "clips": count, "hours": sum(clip.duration for clip in clips) / 3600, "making_seconds": making,
            "motion_seconds": preparing, "rows_per_step": reference.rows_per_step(world.motion),
            "motion_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(world.motion)), "num_envs": world.settings.num_envs,
            "engine": world.settings.engine.name, "device": world.devices[0].device_kind,
            "note": world.notes[-1],
        }
    )  # fmt: skip
    begin = time.perf_counter()
    case.run(1)
    single = time.perf_counter() - begin
    for line in sys.stdin:
        passes = max(1, round(float(line) / single))
        begin = time.perf_counter()
        case.run(passes)
        rate = passes * case.steps / (time.perf_counter() - begin)
        memory = {"peak_bytes": machine.peak_rss(), "device_peak_bytes": throughput.device_peak(world.devices)}
        say({"rate": rate, **memory})


def say(data: dict[str, Any]) -> None:
    print(json.dumps(data), flush=True)


class Server:
    """The process of one count."""

    def __init__(self, count: int) -> None:
        # several processes share a GPU: none may take most of its memory at once
        environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, *sys.argv, "--serve", str(count)], env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.facts = self.hear()
        self.facts["start_seconds"] = time.perf_counter() - begin - self.facts["making_seconds"]
        self.rates: list[float] = []

    def hear(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"{' '.join(map(str, self.process.args))}: ended with status {self.process.wait()}")  # pyright: ignore
        return json.loads(line)

    def train(self, seconds: float) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{seconds}\n")
        answer = self.hear()
        self.rates.append(answer.pop("rate"))
        self.facts.update(answer)

    def end(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()


def row(server: Server, base: Server) -> dict[str, Any]:
    """What was measured of a count, against the count that came first."""
    return {
        **server.facts, "steps_per_second": float(np.median(server.rates)),
        "ratio_to_first": float(np.median(np.divide(server.rates, base.rates))), "rates": server.rates,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="deepmimic_g1")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--num-envs", type=int, default=0, help="0 chooses for the machine")
    parser.add_argument("--counts", default="1,100,1000,10000", help="numbers of clips (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="to time each count, all rounds (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="turns of the counts (%(default)s)")
    parser.add_argument("--name", default="clips", help="results/<name>.json (%(default)s)")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    settings = config.load(RunSettings, options.config, {"engine.name": options.engine, "num_envs": options.num_envs})
    if options.serve:
        return serve(settings, options.serve)
    facts = report.begin(devices=False)  # jax is for the processes: this one would hold a part of a GPU
    servers = []
    for count in map(int, options.counts.split(",")):
        servers.append(Server(count))
        print(f"{count} clips: ready after {servers[-1].facts['start_seconds']:.1f} s", flush=True)
    for turn in range(options.rounds):
        for server in servers if turn % 2 == 0 else reversed(servers):
            server.train(options.seconds / options.rounds)
    for server in servers:
        server.end()
    rows = [row(server, servers[0]) for server in servers]
    path = report.write(options.name, facts, {"config": options.config, "seconds": options.seconds, "rows": rows})
    cells = [
        [
            f"{r['clips']:,}", f"{r['hours']:.2g}", f"{r['steps_per_second']:,.0f}", f"{r['ratio_to_first']:.2f}",
            f"{r['motion_bytes'] / 1e6:,.3g}", f"{(r['device_peak_bytes'] or r['peak_bytes']) / 1e9:.2f}",
            f"{r['motion_seconds']:.1f}", f"{r['start_seconds']:.1f}",
        ]
        for r in rows
    ]  # fmt: skip
    columns = [
        "clips",
        "hours",
        "samples/s",
        "ratio",
        "reference, MB",
        "peak memory, GB",
        "reference ready, s",
        "start, s",
    ]
    print(report.table(columns, cells), report.footer(facts), sep="\n\n")
    print(f"written: results/{path.name}")


if __name__ == "__main__":
    main()
