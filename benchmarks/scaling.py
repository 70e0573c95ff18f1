"""What devices tell each other in an iteration, and what that makes of 1 to 1,024 of them: python benchmarks/scaling.py.

The program that `train` compiles is traced for eight faked devices, and its collectives are counted: how often, how many bytes,
inside which loop. Nothing is run, so the counts are exact and the same on any machine. The rest is a model: one device's
measured samples per second, and a collective that takes its bytes over the bandwidth of the slowest link and a delay for every
hop of a tree. Gradients of a step are separate sums in the program, which XLA may combine: the model gives both ends.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import report

from mimicjax.draw import figure
from mimicjax.errors import UserError

DEVICES = 8  # faked
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
REDUCE = ("psum", "pmax", "pmin")  # primitives begin so; a sum over one device is none
RATE, ENVS = 367_000.0, 4096  # samples/s of deepmimic_g1_push_gpu on one H100: docs/benchmarks.md
GIGA, MICRO = 1e9, 1e-6


class Collective(NamedTuple):
    """One kind of all-reduce in an iteration."""

    loop: int  # which gradient loop it is in, 0 for none
    times: int  # an iteration
    bytes: int  # each


class Links(NamedTuple):
    """Assumptions about the machine."""

    per_node: int = 8  # devices
    inside: float = (
        300.0  # GB/s of a device to others of its node, as an all-reduce sees it (NVLink of an H100: 450 at most)
    )
    between: float = 40.0  # GB/s of a device to other nodes (a 400 Gb/s adapter each: 50 at most)
    hop_inside: float = 5.0  # us
    hop_between: float = 15.0  # us


def collectives(jaxpr: Any, times: int = 1, loop: int = 0) -> Iterator[Collective]:
    """Those of a jaxpr and all inside it; a scan's count as often as it turns, a while loop's (iterations of a chunk) once."""
    for place, equation in enumerate(jaxpr.eqns, start=1):
        name, length = equation.primitive.name, equation.params.get("length", 1)
        if name.startswith(REDUCE):
            for value in equation.invars:
                yield Collective(loop, times, math.prod(value.aval.shape) * value.aval.dtype.itemsize)
        inside = length if name == "scan" else 1
        for inner in _inner(equation.params):
            # a scan that turns once is no loop
            yield from collectives(inner, times * inside, place if inside > 1 else loop)


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs among an equation's parameters."""
    for value in params.values():
        for each in value if isinstance(value, list | tuple) else [value]:
            if hasattr(each, "eqns"):
                yield each
            elif hasattr(each, "jaxpr"):
                yield each.jaxpr


def combined(found: list[Collective]) -> list[Collective]:
    """The fewest messages: all sums of one turn of a loop as one, and all outside of loops as one."""
    groups: dict[tuple[int, int], int] = {}
    for each in found:
        groups[each.loop, each.times] = groups.get((each.loop, each.times), 0) + each.bytes
    return [Collective(loop, times, size) for (loop, times), size in groups.items()]


def seconds(found: list[Collective], devices: int, links: Links) -> float:
    """What the collectives of an iteration take: 2 (n-1)/n of the bytes over the slowest link, and up and down a tree."""
    if devices == 1:
        return 0.0
    near = min(devices, links.per_node)
    nodes = math.ceil(devices / links.per_node)
    bandwidth = links.inside if nodes == 1 else links.between
    hops = math.log2(near) * links.hop_inside + math.log2(nodes) * links.hop_between
    share = 2 * (devices - 1) / devices
    return sum(each.times * (share * each.bytes / (bandwidth * GIGA) + 2 * hops * MICRO) for each in found)


def model(found: list[Collective], iteration: float, links: Links) -> dict[str, list[float]]:
    """Share of n times one device's speed, for every count: as separate sums, and combined. iteration: s, on one device."""
    share = lambda kind: [iteration / (iteration + seconds(kind, count, links)) for count in COUNTS]  # noqa: E731
    return {"separate": share(found), "combined": share(combined(found))}


def traced(config: str, flags: list[str]) -> tuple[list[Collective], int]:
    """(collectives of an iteration, control steps of a rollout) of a config. Raises UserError."""
    import jax
    import numpy as np

    jax.config.update("jax_num_cpu_devices", DEVICES)
    jax.config.update("jax_platforms", "cpu")
    from mimicjax import build, train
    from mimicjax.run import devices

    settings = train.parse(["--config", config, *flags])[0]
    engine = dataclasses.replace(settings.engine, name="native")  # physics tells nobody anything
    world = build.world(dataclasses.replace(settings, num_envs=2 * DEVICES, engine=engine))
    parts = build.parts(world)
    chunk, _ = devices.compiled(parts, world.devices)
    state = jax.eval_shape(lambda: build.first_state(world, parts))
    jaxpr = jax.make_jaxpr(chunk)(state, world.motion, np.int32(1))
    return list(collectives(jaxpr.jaxpr)), settings.learn.steps_per_iter


def plot(shares: dict[str, list[float]], rate: float, links: Links, path: Path) -> None:
    """Samples per second and the share of ideal, over the number of devices."""
    sheet = figure.make(9.0, 3.6)
    left, right = sheet.subplots(1, 2)
    both = [shares["separate"], shares["combined"]]
    speeds = [[rate * count * share for count, share in zip(COUNTS, each, strict=True)] for each in both]
    left.plot(COUNTS, [rate * count for count in COUNTS], "k:", linewidth=1, label="n times one device")
    for axes, (low, high) in ((left, speeds), (right, both)):
        axes.fill_between(COUNTS, low, high, alpha=0.3, label="model: sums separate to combined")
        axes.set_xscale("log", base=2)
        axes.set_xticks(COUNTS, [str(count) if place % 2 == 0 else "" for place, count in enumerate(COUNTS)])
        axes.axvline(links.per_node, color="grey", linewidth=0.7)
        axes.set_xlabel(f"devices ({links.per_node} a node)")
        axes.grid(alpha=0.3)
    left.set_yscale("log")
    left.set_ylabel("samples/s")
    right.set_ylabel("share of n times one device")
    right.set_ylim(0.0, 1.05)
    left.legend(frameon=False)
    figure.write(sheet, path, dpi=100)


def flags() -> argparse.ArgumentParser:
    """What the command takes; other flags are the config's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--config", default="deepmimic_g1_push_gpu", help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=RATE, help="samples/s of one device (%(default)g, an H100)")
    parser.add_argument(
        "--envs", type=int, default=ENVS, help="environments of a device that --rate is for (%(default)s)"
    )
    for name, value in Links()._asdict().items():
        text = f"assumed: {name.replace('_', ' ')} (%(default)s)"
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=text)
    parser.add_argument("--name", default="scaling", help="of the result (%(default)s)")
    return parser


def main() -> int:
    """Count, model, print, store and plot."""
    options, rest = flags().parse_known_args()
    links = Links(*(getattr(options, name) for name in Links._fields))
    if options.rate <= 0 or options.envs < 1 or min(links) <= 0:
        raise UserError("--rate, --envs and what is assumed of links: allowed are numbers above 0")
    found, steps = traced(options.config, rest)
    facts = report.begin()
    iteration = steps * options.envs / options.rate
    shares = model(found, iteration, links)
    fewest = combined(found)
    total, messages = sum(each.times * each.bytes for each in found), [sum(x.times for x in y) for y in (found, fewest)]
    print(f"{options.config}: {total / 1e6:.1f} MB an iteration in {messages[0]} sums, {messages[1]} if combined;")
    print(f"an iteration of {steps} steps of {options.envs:,} environments takes {iteration:.3f} s on one device")
    columns = ("devices", "M samples/s", "of ideal, sums separate", "sums combined")
    rows = []
    for count, low, high in zip(COUNTS, shares["separate"], shares["combined"], strict=True):
        speeds = " to ".join(f"{options.rate * count * share / 1e6:.1f}" for share in (low, high))
        rows.append((f"{count:,}", speeds, f"{low:.2f}", f"{high:.2f}"))
    print(report.table(columns, rows))
    results = {
        "config": options.config, "rate_of_one": options.rate, "envs_per_device": options.envs, "links": links._asdict(),
        "bytes_per_iteration": total, "sums_per_iteration": messages[0], "if_combined": messages[1],
        "largest_bytes": max(each.bytes for each in fewest), "devices": COUNTS, "share_of_ideal": shares,
    }  # fmt: skip
    path = report.write(options.name, facts, results)
    plot(shares, options.rate, links, path.with_suffix(".png"))
    print(f"{path}, {path.with_suffix('.png')}")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except UserError as error:
        sys.exit(f"scaling.py: error: {error}")
