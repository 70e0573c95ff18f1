"""What domain randomisation costs in training speed: python benchmarks/randomisation.py [--config add_g1].

Every case is whole training of the config, compiled as `train` does it, all in one process and in turns, so that ratios
hold when the machine is shared. `full` has every key of `randomize` on, a new model at every reset. Its dry friction
needs an engine that has any, which is slower by itself: `full with dry friction` is compared with that engine.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
import report

from mimicjax import build, commands, config
from mimicjax.benchmark import throughput
from mimicjax.config.randomize import StartSettings
from mimicjax.config.settings import RandomizeSettings, RunSettings

PARTS = (
    "root_height", "root_rotation", "root_velocity", "root_angular_velocity", "joint_angles", "joint_velocities",
    "key_bodies", "target_position", "target_rotation",
)  # fmt: skip
MODELS = RandomizeSettings(
    friction=[0.3, 1.2], friction_each=True, base_mass=[-1.0, 3.0], base_com=[0.025, 0.05, 0.05], link_mass=[0.9, 1.1],
    armature=[1.0, 1.05], gravity=[0.05, 0.05, 0.1], kp=[0.9, 1.1], kd=[0.9, 1.1], torque_limit=[0.8, 1.0],
)  # fmt: skip
ENV = RandomizeSettings(
    joint_zero=0.01, torque_noise=0.05, torque_noise_per="substep", delay=[0, 3], smoothing=[0.0, 0.2],
    noise=dict.fromkeys(PARTS, 0.01), bias=dict.fromkeys(PARTS, 0.005),
    start=StartSettings("uniform", *[[0.05] * 3] * 4, 0.1, 0.1),
)  # fmt: skip
NOTHING = RandomizeSettings()


def both(**changes: Any) -> RandomizeSettings:
    """MODELS and ENV together."""
    models = {
        f.name: getattr(MODELS, f.name)
        for f in dataclasses.fields(MODELS)
        if getattr(MODELS, f.name) != getattr(NOTHING, f.name)
    }
    return dataclasses.replace(ENV, **models, **changes)


class Option(NamedTuple):
    """A row of the table."""

    name: str
    randomize: RandomizeSettings
    base: str  # the case that it is compared with
    frictionloss: bool = False


OPTIONS = [
    Option("none", NOTHING, "none"),
    Option("models", MODELS, "none"),
    Option("sensors, motors, starts", ENV, "none"),
    Option("full", both(), "none"),
    Option("none with dry friction", NOTHING, "none with dry friction", True),
    Option("full with dry friction", both(frictionloss=[0.5, 2.0]), "none with dry friction", True),
]


def case(settings: RunSettings, option: Option) -> throughput.Case:
    """Training with an option's randomisation, compiled."""
    engine = settings.engine
    if option.frictionloss:
        engine = dataclasses.replace(engine, frictionloss=True)
    world = build.world(dataclasses.replace(settings, randomize=option.randomize, engine=engine))
    training = build.training(world)
    state = training.place(training.first())
    made = build.parts(world)
    return throughput.training(made, training.chunk, training.motion, state)._replace(name=option.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="add_g1")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--num-envs", type=int, default=0, help="0 chooses for the machine")
    parser.add_argument("--seconds", type=float, default=20.0, help="to time each case (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="turns of the cases (%(default)s)")
    parser.add_argument("--only", default="", metavar="NAMES", help="cases, separated by ;")
    parser.add_argument("--name", default="randomisation", help="results/<name>.json (%(default)s)")
    given = parser.parse_args()
    settings = config.load(RunSettings, given.config, {"engine.name": given.engine, "num_envs": given.num_envs})
    commands.fit_threads(settings.engine.name)
    facts = report.begin()
    wanted = [name.strip() for name in given.only.split(";") if name.strip()]
    options = [option for option in OPTIONS if not wanted or option.name in wanted]
    cases = [case(settings, option) for option in options]
    rates = throughput.measure(cases, given.seconds, given.rounds)
    rows = [
        {
            "name": option.name, "base": option.base, "steps_per_second": float(np.median(rates[option.name].rate)),
            "ratio_to_base": throughput.ratio(rates, option.name, option.base) if option.base in rates else None,
            "compile_seconds": each.compile_seconds, "rates": rates[option.name].rate,
        }
        for option, each in zip(options, cases, strict=True)
    ]  # fmt: skip
    setup = {
        "config": given.config,
        "engine": given.engine,
        "num_envs": given.num_envs,
        "device": jax.devices()[0].device_kind,
    }
    path = report.write(given.name, facts, {**setup, "rows": rows})
    cells = [
        [
            r["name"],
            f"{r['steps_per_second']:,.0f}",
            r["base"],
            f"{r['ratio_to_base']:.3f}" if r["ratio_to_base"] else "-",
        ]
        for r in rows
    ]
    print(report.table(["randomised", "steps/s", "compared with", "ratio"], cells), report.footer(facts), sep="\n\n")
    print(f"written: results/{path.name}")


if __name__ == "__main__":
    main()
