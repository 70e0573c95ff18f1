"""Error against speed of the native engine's solver options: python benchmarks/solver.py [--motion walk,run].

Every case steps the same states of the clips with the same controls (the reference one control step ahead). Errors are
means over bodies or joints, then median and 95th percentile over environments, after 1 and after 10 control steps:

- solver: against the same case with its solver converged (Newton, 100 iterations, 50 line-search, tolerance 1e-12);
- physics: against converged physics of the base case in 16 substeps (so other cones, no friction, coarser steps show).

Speed is raw physics in turns with the base case, so that the ratio holds when the machine is shared; the ratio of
processor time holds even when others use it heavily.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import re
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
import report
from mujoco.batch import Batch

from mimicjax.benchmark import throughput
from mimicjax.benchmark.throughput import Drive
from mimicjax.config.settings import EngineSettings
from mimicjax.engine import native, scene
from mimicjax.motion import library
from mimicjax.motion.datasets import load_motions
from mimicjax.robot.load import load
from mimicjax.types import Robot

BASE = EngineSettings()
AFTER = (1, 10)  # control steps
FINEST = 16  # substeps
NEWTON = ((1, 4), (1, 8), (2, 4), (2, 8), (3, 6), (8, 16), (100, 50))  # iterations, line-search iterations at most
CG = ((4, 8), (8, 8), (16, 16), (100, 50))
CONVERGED = {"tolerance": 1e-12, "ls_tolerance": 1e-6}


class Option(NamedTuple):
    """A row of the table: settings that differ from the base case, and MuJoCo options that settings do not have."""

    name: str
    changes: dict[str, Any] = {}
    raw: dict[str, Any] = {}

    @property
    def settings(self) -> EngineSettings:
        return dataclasses.replace(BASE, **self.changes)


def _hz(substeps: int) -> int:
    return BASE.control_freq * substeps


def _tries(iterations: int, ls_iterations: int, **rest: Any) -> dict[str, Any]:
    return {"iterations": iterations, "ls_iterations": ls_iterations, **rest}


OPTIONS = [
    Option(f"base: newton {BASE.iterations}/{BASE.ls_iterations}, {BASE.sim_freq // BASE.control_freq} substeps"),
    *(Option(f"newton {i}/{ls}", _tries(i, ls)) for i, ls in NEWTON),
    *(Option(f"cg {i}/{ls}", _tries(i, ls, solver="cg")) for i, ls in CG),
    Option("tolerance 1e-6", raw={"tolerance": 1e-6}),
    Option("tolerance 1e-4", raw={"tolerance": 1e-4}),
    Option("jacobian dense", {"jacobian": "dense"}),
    Option("jacobian sparse", {"jacobian": "sparse"}),
    Option("sparse, newton 2/8", _tries(2, 8, jacobian="sparse")),
    Option("sparse, newton 8/16", _tries(8, 16, jacobian="sparse")),
    Option("sparse, cg 8/8", _tries(8, 8, jacobian="sparse", solver="cg")),
    Option("islands off", raw={"disableflags": int(mujoco.mjtDisableBit.mjDSBL_ISLAND)}),
    Option("cone elliptic", {"cone": "elliptic"}),
    Option("integrator euler", {"integrator": "euler"}),
    Option("sparse, euler", {"jacobian": "sparse", "integrator": "euler"}),
    Option("frictionloss off", {"frictionloss": False}),
    Option("sparse, frictionloss off", {"jacobian": "sparse", "frictionloss": False}),
    Option("self-collision on", {"self_collision": True}),
    Option("2 substeps", {"sim_freq": _hz(2)}),
    Option("2 substeps, newton 8/16", _tries(8, 16, sim_freq=_hz(2))),
    Option("2 substeps, sparse", {"sim_freq": _hz(2), "jacobian": "sparse"}),
    Option("2 substeps, sparse, newton 8/16", _tries(8, 16, sim_freq=_hz(2), jacobian="sparse")),
    Option("3 substeps, sparse, newton 8/16", _tries(8, 16, sim_freq=_hz(3), jacobian="sparse")),
    Option("8 substeps", {"sim_freq": _hz(8)}),
    Option("8 substeps, newton 2/8", _tries(2, 8, sim_freq=_hz(8))),
    Option("16 substeps", {"sim_freq": _hz(FINEST)}),
]  # fmt: skip


def model_of(robot: Robot, settings: EngineSettings, raw: dict[str, Any]) -> mujoco.MjModel:
    """The scene's model with further options of MuJoCo set."""
    model = scene.build(robot, settings).model
    for name, value in raw.items():
        setattr(model.opt, name, value)
    return model


def outcome(model: mujoco.MjModel, states: Drive, substeps: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """After so many control steps: body positions [B,N,3] m and joint coordinates [B,D] rad."""
    batch = Batch(model, len(states.qpos))
    batch.bind("qpos")[:], batch.bind("qvel")[:] = states.qpos, states.qvel
    places, found = batch.bind("xpos"), {}
    for step, row in enumerate(states.ctrl[: max(AFTER)], start=1):
        batch.bind("ctrl")[:] = row
        batch.step(nstep=substeps, stage=mujoco.mjtStage.mjSTAGE_POS)
        if step in AFTER:
            found[step] = places[:, 1:].copy(), batch.bind("qpos")[:, 7:].copy()
    return found


def errors(ours: dict, theirs: dict) -> dict[str, float]:
    """Differences of two outcomes: name -> mm (bodies) or rad (joints)."""
    found = {}
    for step in AFTER:
        bodies = 1e3 * np.linalg.norm(ours[step][0] - theirs[step][0], axis=-1).mean(axis=-1)
        joints = np.abs(ours[step][1] - theirs[step][1]).mean(axis=-1)
        for kind, values in (("body_mm", bodies), ("joint_rad", joints)):
            found[f"{kind}_{step}_median"] = float(np.median(values))
            found[f"{kind}_{step}_p95"] = float(np.percentile(values, 95))
    return found


def processor(rates: throughput.Rates) -> float:
    """Microseconds of processor time for a control step: hardly changes when others use the machine too."""
    return 1e6 * float(np.median(np.divide(rates.cores, rates.rate)))


class Bench:
    """All cases on one robot and one set of states."""

    def __init__(self, robot: Robot, states: Drive, seconds: float) -> None:
        self.robot, self.states, self.seconds = robot, states, seconds
        self.finest = self.converged(dataclasses.replace(BASE, sim_freq=_hz(FINEST)))
        self.base = self.case(OPTIONS[0])

    @functools.cache  # noqa: B019  (lives as long as the process)
    def converged(self, settings: EngineSettings) -> dict:
        """The outcome with the solver run to its end; other solvers and forms of the Jacobian end there too."""
        settings = dataclasses.replace(settings, iterations=100, ls_iterations=50, solver="newton", jacobian="auto")
        return outcome(model_of(self.robot, settings, CONVERGED), self.states, scene.substeps(settings))

    def case(self, option: Option) -> throughput.Case:
        model = model_of(self.robot, option.settings, option.raw)
        case = throughput.native_physics(model, self.states, scene.substeps(option.settings))
        return case._replace(name="case")

    def row(self, option: Option) -> dict[str, Any]:
        """Speed, ratio to the base case and errors of an option."""
        settings = option.settings
        rates = throughput.measure([self.base._replace(name="base"), self.case(option)], self.seconds)
        ours = outcome(model_of(self.robot, settings, option.raw), self.states, scene.substeps(settings))
        return {
            "name": option.name, "settings": option.changes, "options": option.raw,
            "steps_per_second": float(np.median(rates["case"].rate)),
            "ratio_to_base": throughput.ratio(rates, "case", "base"),
            "processor_ratio_to_base": processor(rates["base"]) / processor(rates["case"]),
            "processor_us_per_step": processor(rates["case"]),
            "solver_error": errors(ours, self.converged(settings)), "physics_error": errors(ours, self.finest),
        }  # fmt: skip


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the Markdown table."""
    text = [
        row["name"],
        f"{row['steps_per_second']:,.0f}",
        f"{row['ratio_to_base']:.2f}",
        f"{row['processor_ratio_to_base']:.2f}",
    ]
    for error in (row["solver_error"], row["physics_error"]):
        for step in AFTER:
            text.append(f"{error[f'body_mm_{step}_median']:.3g} / {error[f'body_mm_{step}_p95']:.3g}")
        text.append(f"{error[f'joint_rad_{AFTER[-1]}_median']:.2g} / {error[f'joint_rad_{AFTER[-1]}_p95']:.2g}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robot", default="g1")
    parser.add_argument("--motion", default="walk,run", help="clips, names or files, separated by commas (%(default)s)")
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=2.0, help="to time each case (%(default)s)")
    parser.add_argument("--only", default="", metavar="REGEX", help="only cases whose name this is found in")
    parser.add_argument("--name", default="solver", help="results/<name>.json (%(default)s)")
    given = parser.parse_args()
    facts = report.begin()
    native.quiet()
    robot = load(given.robot)
    clips = [clip for motion in given.motion.split(",") for clip in load_motions(motion, robot)]
    packed = library.pack(robot, clips)
    states = throughput.drive(scene.build(robot, BASE), packed, given.num_envs, 1.0 / BASE.control_freq, noise=0.0)
    bench = Bench(robot, states, given.seconds)
    rows, chosen = [], [option for option in OPTIONS if re.search(given.only, option.name)]
    for option in chosen:
        rows.append(bench.row(option))
        print(f"{len(rows)} of {len(chosen)}", *cells(rows[-1])[:5], sep="  ", flush=True)
    clip_names = [Path(motion).stem for motion in given.motion.split(",")]
    setup = {"robot": given.robot, "motions": clip_names, "num_envs": given.num_envs, "seconds": given.seconds}
    path = report.write(given.name, facts, {**setup, "rows": rows})
    head = [f"{which} error, bodies after {step}, mm" for which in ("solver", "physics") for step in AFTER]
    head.insert(2, f"joints after {AFTER[-1]}, rad")
    columns = ["case", "control steps/s", "ratio", "ratio by processor time", *head, f"joints after {AFTER[-1]}, rad"]
    print(
        f"\n{report.table(columns, [cells(row) for row in rows])}\n\n(median / 95th percentile) {report.footer(facts)}"
    )
    print(f"written: results/{path.name}")


if __name__ == "__main__":
    main()
