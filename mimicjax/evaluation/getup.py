"""How a policy gets up: episodes that begin on the ground, and whether and when the robot is with the clip again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from mimicjax.env import getup, terminations
from mimicjax.env.env import Env
from mimicjax.env.view import Scope, View
from mimicjax.evaluation import metrics, report
from mimicjax.evaluation.episodes import Player
from mimicjax.evaluation.metrics import Estimate
from mimicjax.evaluation.output import number, plain
from mimicjax.evaluation.restored import Restored
from mimicjax.learn.sockets import Agent
from mimicjax.motion.reference import Motion, clips_of, poses_at
from mimicjax.robot import kinematics
from mimicjax.run.rollout import Actors
from mimicjax.types import RUNNING, Array, Engine, EnvState

WATCHED = 10.0  # s from the start of an episode to its end
WITHIN = 5.0  # s in which a robot should be with the clip again
HOLD = 0.5  # s for which it must stay there
BODIES, HEIGHT = 0.1, 0.1  # m: of what counts as being with the clip, at most


class Falls(NamedTuple):
    """E episodes that began on the ground (numpy)."""

    clip: np.ndarray  # [E] int
    start: np.ndarray  # [E] s, in the clip
    bodies: np.ndarray  # [T,E] m, mean over bodies of the distance from the reference about root and heading
    height: np.ndarray  # [T,E] m, of the root from the reference's, absolute
    fallen: np.ndarray  # [T,E] bool, a body that may not touches the ground, or physics became unstable
    dt: float  # s, a control step


class GetupOutcomes(NamedTuple):
    """What came of each of E falls."""

    time: np.ndarray  # [E] s from the start until the robot was with the clip again, for HOLD; inf if it never was
    stayed: np.ndarray  # [E] bool, it was, and did not fall again before the end


def run(restored: Restored, env: Env, engine: Engine, count: int, seed: int) -> Falls:
    """Mode actions from `count` states on the ground, at random phases spread over the clips, for WATCHED seconds.

    env: build_world.env_on_the_ground. engine: for `count` environments. Nothing ends an episode before its time.
    """
    world = restored.world
    player, steps = Player(env, engine, restored.policy), round(WATCHED / env.dt)
    duration = np.asarray(jax.device_get(clips_of(world.motion).duration), np.float64)
    clip, start, _ = (rows[len(duration) :] for rows in report.cases(duration, count, seed))
    fall = terminations.fall(world.scope)

    def step(agent: Agent, motion: Motion, actors: Actors) -> tuple[Actors, tuple[Array, ...]]:
        before, ctrl, wrench = env.before(motion, actors.env, player.action(agent, actors))
        physics = engine.step(before.physics, ctrl, wrench, before.variant)
        after, step = env.advance(motion, before._replace(physics=physics))
        memory = player.remember(actors, jnp.full_like(step.done, RUNNING))
        rows = jax.vmap(lambda each: _seen(world.scope, fall, env.dt, motion, each))(after)
        return Actors(after, step.last_obs, memory), rows

    def program(agent: Agent, motion: Motion, keys: Array, clip: Array, start: Array) -> tuple[Array, ...]:
        actors = player.begin(motion, keys, clip, start)
        return jax.lax.scan(lambda actors, _: step(agent, motion, actors), actors, None, length=steps)[1]

    keys = jax.random.split(jax.random.key(seed), count)
    curves = jax.jit(program)(restored.agent, world.motion, keys, jnp.asarray(clip), jnp.asarray(start))
    bodies, height, fallen = jax.device_get(curves)
    return Falls(clip, start, bodies, height, fallen, env.dt)


def _seen(scope: Scope, fall: terminations.Failure, dt: float, motion: Motion, state: EnvState) -> tuple[Array, ...]:
    """Of one environment after a control step: bodies, height, fallen, as in Falls."""
    pose = kinematics.pose_of(scope.robot, *scope.layout.of_robot(state.physics.qpos, state.physics.qvel))
    reference = poses_at(scope.robot, motion, state.clip, state.clip_time(dt))
    height = jnp.abs(pose.root_pos[2] - reference.root_pos[2])
    down = fall(View.of(pose, reference)) | state.physics.unstable
    return getup.body_distance(pose, reference), height, down


def judge(falls: Falls) -> GetupOutcomes:
    """Times and outcomes. The time is that of the first control step of the first HOLD s of being with the clip throughout."""
    with_clip = (falls.bodies <= BODIES) & (falls.height <= HEIGHT) & ~falls.fallen
    hold, steps = max(1, round(HOLD / falls.dt)), len(with_clip)
    held = np.stack([with_clip[first : first + hold].all(axis=0) for first in range(steps - hold + 1)])
    first = np.where(held.any(axis=0), held.argmax(axis=0), steps)
    later = np.arange(steps)[:, None] >= first
    rejoined = first < steps
    return GetupOutcomes(
        np.where(rejoined, (first + 1) * falls.dt, np.inf), rejoined & ~(falls.fallen & later).any(axis=0)
    )


def median(times: np.ndarray) -> Estimate:
    """Median of times [E] s, with the interval of order statistics; None where it is infinite: most never got there."""
    count = len(times)
    if not count:
        return Estimate(None, None, None, 0)
    ordered = np.sort(times)
    low = int(stats.binom.ppf(0.5 - metrics.CONFIDENCE / 2, count, 0.5))
    ends = ordered[max(low - 1, 0)], ordered[min(count - low, count - 1)]
    finite = lambda x: float(x) if np.isfinite(x) else None  # noqa: E731
    return Estimate(finite(np.median(ordered)), finite(ends[0]), finite(ends[1]), count)


def figures(outcomes: GetupOutcomes) -> dict[str, Estimate]:
    """All figures of some falls."""
    return {
        "Rejoined_5s": metrics.share(outcomes.time <= WITHIN),
        "Rejoined": metrics.share(np.isfinite(outcomes.time)),
        "Stayed": metrics.share(outcomes.stayed),
        "Time": median(outcomes.time),
    }


def data(falls: Falls, names: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation as JSON data. names: of the clips. facts: what was evaluated, where and with what."""
    outcomes = judge(falls)
    groups = {"": np.ones(len(falls.clip), bool)} | {name: falls.clip == n for n, name in enumerate(names)}
    table = {
        name: {"episodes": int(which.sum())}
        | {key: plain(value) for key, value in figures(GetupOutcomes(*(rows[which] for rows in outcomes))).items()}
        for name, which in groups.items()
    }
    return {
        "format_version": report.FORMAT_VERSION, **facts, "confidence": metrics.CONFIDENCE,
        "definitions": {"watched": WATCHED, "within": WITHIN, "hold": HOLD, "bodies": BODIES, "height": HEIGHT},
        "units": {"Time": "s"}, "overall": table.pop(""), "clips": table,
        "episodes": [
            {"clip": names[clip], "start": number(start), "time": number(time), "stayed": bool(stayed)}
            for clip, start, time, stayed in zip(falls.clip, falls.start, *outcomes, strict=True)
        ],
    }  # fmt: skip


def rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for all clips together (an empty `clip`) and for each."""
    about = {key: data[key] for key in ("run", "checkpoint", "engine", "seed")}
    table = []
    for clip, group in [("", data["overall"]), *data["clips"].items()]:
        row = {**about, "clip": clip, "episodes": group["episodes"]}
        for name, estimate in group.items():
            if name != "episodes":
                row |= {name: estimate["value"], f"{name}_low": estimate["low"], f"{name}_high": estimate["high"]}
        table.append(row)
    return table
