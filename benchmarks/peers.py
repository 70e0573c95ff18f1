"""Other groups' policies under our pushes: python benchmarks/peers.py [--wheel FILE] [--policies ppo,fastsac].

Fetches their package with pip into a cache folder (or takes --wheel), plays their policies to the clip that is in their
files, on our model of the robot and on theirs, with their gains, and pushes them as `python -m mimicjax.evaluate
--push-sweep` does ours: the same episodes, the same falls, the same fit. Needs onnxruntime: pip install ".[benchmarks]".
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import peer_policies
import report
from peer_policies import FPS, LARGEST, PACKAGE, POLICIES, VERSION, Peer

from mimicjax import commands, config
from mimicjax.config.settings import EngineSettings, EnvSettings, RunSettings
from mimicjax.engine import native, scene
from mimicjax.engine.scene import Scene
from mimicjax.env import terminations
from mimicjax.env.view import Scope
from mimicjax.errors import UserError, pick
from mimicjax.evaluation.progress import Progress
from mimicjax.evaluation.push import profile as profiles
from mimicjax.evaluation.push import report as sweeps
from mimicjax.evaluation.push import sweep, trial
from mimicjax.evaluation.push.profile import SweepSettings
from mimicjax.evaluation.push.sweep import Curves
from mimicjax.evaluation.push.trial import Schedule
from mimicjax.motion import library
from mimicjax.robot import kinematics
from mimicjax.robot.load import load
from mimicjax.rotation import heading_quat
from mimicjax.types import Array, Clip, Clips, Physics, Robot

SWEEP = Path(__file__).with_name("peer_sweep.yaml")
SUBSTEPS = 4  # of physics in a control step: 200 a second, as where they trained


class Stage(NamedTuple):
    """A robot with a policy's gains, on a floor, and the policy's clip on it."""

    robot: Robot
    scene: Scene
    engine: EngineSettings
    scope: Scope
    clip: Clip
    motion: Clips


# the robot of a scene, from the policy and a folder for files
SCENES: dict[str, Callable[[Peer, Path], Robot]] = {
    "ours": lambda peer, cache: load("g1"),
    "theirs": lambda peer, cache: peer_policies.their_robot(peer, cache / f"{peer.name}_g1"),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--wheel", type=Path, help="their package, instead of downloading it")
    parser.add_argument("--cache", type=Path, default=home / "mimicjax" / "peers", help="folder (%(default)s)")
    parser.add_argument("--policies", default=",".join(POLICIES), help="separated by commas (%(default)s)")
    parser.add_argument("--scenes", default=",".join(SCENES), help="models of the robot (%(default)s)")
    parser.add_argument(
        "--sweeps", default=f"{SWEEP},punch", help="profiles or files (peer_sweep.yaml beside this, and punch)"
    )
    parser.add_argument("--repeats", type=int, help="episodes of every push (what the sweep says)")
    parser.add_argument("--seed", type=int, default=0, help="of the phases (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="of physics; 0 takes all cores (%(default)s)")
    parser.add_argument("--name", default="peers", help="results/<name>.json (%(default)s)")
    options = parser.parse_args()
    options.policies, options.scenes, options.sweeps = (
        str(getattr(options, name)).split(",") for name in ("policies", "scenes", "sweeps")
    )
    return options


def stage_of(peer: Peer, where: str, cache: Path, threads: int) -> Stage:
    """The policy's clip and gains on a robot of SCENES, with the solver of our presets: no dry friction, no self-collision."""
    robot = SCENES[where](peer, cache)
    to_robot, _ = peer_policies.columns(peer, robot)
    robot = dataclasses.replace(robot, kp=peer.kp[to_robot], kd=peer.kd[to_robot])
    engine = dataclasses.replace(
        config.load(RunSettings, "deepmimic_g1").engine,
        name="native", control_freq=FPS, sim_freq=SUBSTEPS * FPS, threads=threads,
    )  # fmt: skip
    there, clip = scene.build(robot, engine), peer_policies.clip_for(peer, robot)
    scope = Scope(robot, EnvSettings(), there.layout, 1.0 / FPS)
    return Stage(robot, there, engine, scope, clip, library.pack(robot, [clip]))


def play(peer: Peer, stage: Stage, bodies: list[str], episodes: Schedule, tell: Callable[[int], None]) -> Curves:
    """The curves [T,E] of all episodes. bodies: that the plan numbers. tell: called with the control steps done."""
    robot, count = stage.robot, len(episodes.plan.clip)
    there = scene.with_wrench_bodies(stage.scene, [robot.body_names.index(body) for body in bodies])
    engine, fall = native.make(there, count, stage.engine), terminations.fall(stage.scope)
    first = np.round(episodes.plan.start * FPS).astype(np.int32)
    plan = jax.tree.map(jnp.asarray, episodes.plan)
    to_robot, _ = peer_policies.columns(peer, robot)
    measure = jax.vmap(lambda *each: sweep.measure(stage.scope, fall, *each))
    at = lambda frame: library.query(robot, stage.motion, plan.clip, frame / FPS)  # noqa: E731

    def advance(physics: Physics, heading: Array, action: Array, step: Array) -> tuple[Physics, Array, Curves]:
        heading = jnp.where(step == episodes.onset, heading_quat(physics.qpos[:, 3:7]), heading)
        ctrl = (peer.default + peer.scale * action)[:, to_robot]
        wrench = sweep.wrench_at(plan, heading, step, episodes.onset, len(bodies))
        after = engine.step(physics, ctrl, wrench)
        return after, heading, measure(physics, after, ctrl, at(first + step + 1))

    see = jax.jit(lambda physics, *rest: peer_policies.observation(peer, robot, physics.qpos, physics.qvel, *rest))
    forward = jax.jit(advance)
    physics = engine.init(*kinematics.qpos_of(robot, at(first)))
    action, heading = np.zeros((count, len(peer.joints)), np.float32), jnp.zeros((count, 4)).at[:, 0].set(1.0)
    rows = []
    for step in range(episodes.steps):
        frame = np.minimum(first + step, len(peer.joint_pos) - 1)
        seen = np.asarray(see(physics, action, frame))
        action = np.clip(peer.act(seen, frame), -LARGEST, LARGEST).astype(np.float32)
        physics, heading, curves = forward(physics, heading, action, step)
        rows.append(jax.device_get(curves))
        tell(step + 1)
    return Curves(*(np.stack(values) for values in zip(*rows, strict=True)))


def push(peer: Peer, stage: Stage, label: str, profile: str, options: argparse.Namespace) -> dict[str, Any]:
    """A sweep of a policy, what is kept of it."""
    begin, settings = time.monotonic(), profiles.load(profile)
    if options.repeats:
        settings = dataclasses.replace(settings, repeats=options.repeats)
    pushes = trial.prepare(profile, settings, stage.robot)
    episodes = trial.schedule_on(pushes, stage.motion, [stage.clip], 1.0 / FPS, options.seed)
    count, steps = len(episodes.plan.clip), episodes.steps
    print(f"{label}, {pushes.name}: {count:,} episodes of {steps / FPS:g} s", flush=True)
    with Progress(count * steps, 1, steps, sys.stderr) as bar:
        curves = play(peer, stage, pushes.bodies, episodes, lambda done: bar.update(0, done))
    found = trial.summarise(label, pushes, episodes, curves, 1.0 / FPS, options.seed)
    return {"episodes": count, "seconds": round(time.monotonic() - begin), **summary(found, settings)}


def summary(found: sweeps.Sweep, settings: SweepSettings) -> dict[str, Any]:
    """Thresholds (of several bodies only those over all headings), survivors by level, un-pushed figures, a line to quote."""
    levels: dict[float, np.ndarray] = {}
    for cell in found.cells:
        levels[cell["level"]] = levels.get(cell["level"], np.zeros(2, int)) + [cell["stood"], cell["survived"]]
    single = len({cell["body"] for cell in found.cells}) == 1
    return {
        "quote": sweeps.quote(found), "unpushed": found.unpushed, "sweep": config.to_dict(settings),
        "thresholds": [r for r in sweeps.thresholds(found) if single or r["direction"] == sweeps.ALL_HEADINGS],
        "levels": [
            {"level": level, "stood": int(n), "survived": int(k)} for level, (n, k) in sorted(levels.items())
        ],
    }  # fmt: skip


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row for every policy and scene, its impulses by sweep and its un-pushed error."""
    names = list(dict.fromkeys(name for each in results.values() for name in each))
    rows = []
    for label, found in results.items():
        cells = [_text(found[name]["thresholds"], share) if name in found else "-"
                 for name in names for share in ("survive_50", "survive_90")]  # fmt: skip
        error = next(iter(found.values()))["unpushed"]["body_error"]["value"]
        rows.append([label, *cells, "-" if error is None else f"{error:.0f} mm"])
    heads = [f"{name}: {share} % survive" for name in names for share in (50, 90)]
    return report.table(["policy, scene", *heads, "un-pushed error about the root"], rows)


def _text(thresholds: list[dict[str, Any]], share: str) -> str:
    """The threshold over all headings, and all bodies if there are several: '62 N s [60, 64]'."""
    rows = {row["body"]: row for row in thresholds if row["direction"] == sweeps.ALL_HEADINGS}
    if not rows:
        return "-"
    row = rows.get(sweeps.ANY_BODY, next(iter(rows.values())))
    at = row[share]
    if at["value"] is None:
        return f"{at['beyond']} the levels tried"
    low, high = ("beyond" if at[end] is None else f"{at[end]:.0f}" for end in ("low", "high"))
    return f"{at['value']:.0f} {row['unit']} [{low}, {high}]"


def run(options: argparse.Namespace) -> int:
    """All sweeps of all policies on all scenes, stored after each. Raises UserError."""
    for table_of, name, words in ((POLICIES, "policies", "policy"), (SCENES, "scenes", "scene")):
        for word in getattr(options, name):
            pick(table_of, word, f"--{name}", words)
    facts = report.begin(devices=False)
    wheel = options.wheel or peer_policies.fetch(options.cache)
    peers = [peer_policies.read(wheel, name) for name in options.policies]
    facts["versions"] |= {PACKAGE: VERSION, "onnxruntime": importlib.metadata.version("onnxruntime")}
    stages = [(peer, where, stage_of(peer, where, options.cache, options.threads))
              for peer in peers for where in options.scenes]  # fmt: skip
    clips = {peer.name: round((len(peer.joint_pos) - 1) / FPS, 2) for peer in peers}
    results: dict[str, dict[str, Any]] = {}
    for profile in options.sweeps:
        for peer, where, stage in stages:
            label = f"{peer.name}, {where}"
            found = results.setdefault(label, {})[Path(profile).stem] = push(peer, stage, label, profile, options)
            print(found["quote"], flush=True)
            report.write(options.name, facts, {"seed": options.seed, "clip_seconds": clips, "policies": results})
    print(f"\n{table(results)}\n\n{report.footer(facts)}\nwritten: results/{options.name}.json")
    return 0


def main() -> int:
    options = parse()
    try:
        return run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    commands.fit_threads("native")
    raise SystemExit(main())
