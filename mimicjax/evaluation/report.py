"""Evaluation of a policy: which episodes, how they went, and the report of it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.env import rewards, terminations
from mimicjax.env.task import Criterion
from mimicjax.env.view import View
from mimicjax.evaluation import endings, episodes, metrics
from mimicjax.evaluation.episodes import Player
from mimicjax.evaluation.metrics import FROM, Group, Results
from mimicjax.evaluation.output import number, plain
from mimicjax.evaluation.restored import Restored
from mimicjax.learn.sockets import Agent
from mimicjax.motion.reference import Motion, clips_of, poses_at
from mimicjax.robot import kinematics
from mimicjax.run import rollout
from mimicjax.types import WRAP, Array, Engine
from mimicjax.world import World

FORMAT_VERSION = 1
RULE_DISTANCE = 1.0  # m, MimicKit's pose_termination_dist


def cases(duration: np.ndarray, random: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clip, start and origin [E] of the episodes: the start of every clip [M], and `random` phases spread over clips.

    Every clip gets random // M phases, and random % M clips chosen by the seed get one more; weights do not count.
    """
    generator, count = np.random.default_rng(seed), len(duration)
    extra = generator.permutation(count)[: random % count]
    clip = np.sort(np.concatenate([np.tile(np.arange(count), random // count), extra]).astype(np.int32))
    last = np.nextafter(duration[clip].astype(np.float32), np.float32(0))  # never the end of the clip itself
    start = np.minimum(generator.random(random) * duration[clip], last)
    clips = np.concatenate([np.arange(count, dtype=np.int32), clip])
    starts = np.concatenate([np.zeros(count), start]).astype(np.float32)
    return clips, starts, np.repeat(np.arange(2), [count, random])


def measure(world: World) -> episodes.Measure:
    """What evaluation follows at every step, beside what training does: (motion, moment) -> name -> [E]."""
    scope = world.scope
    fall, strayed = terminations.fall(scope), terminations.strayed(scope, RULE_DISTANCE)

    def measure_one(motion: Motion, moment: rollout.Moment) -> dict[str, Array]:
        qpos, qvel = scope.layout.of_robot(moment.physics.qpos, moment.physics.qvel)
        pose = kinematics.pose_of(scope.robot, qpos, qvel)
        reference = poses_at(scope.robot, motion, moment.clip, moment.time)
        view = View.of(pose, reference)
        distance = jnp.mean(jnp.linalg.norm(reference.body_pos - pose.body_pos, axis=-1))
        broke = (fall(view) | strayed(view)).astype(jnp.float32)
        errors = terminations.tracking_errors(pose, reference)
        speeds = {
            "Speed": jnp.linalg.norm(pose.root_vel[:2]),
            "Reference_Speed": jnp.linalg.norm(reference.root_vel[:2]),
        }
        ending = endings.watch(scope, view, moment.time)
        return {**errors, **speeds, **ending, "global_error": distance, "broke_rule": broke}

    return lambda motion, moment: jax.vmap(lambda each: measure_one(motion, each))(moment)


def figures_of(world: World) -> Mapping[str, Criterion]:
    """The figures of the world's task; none without one."""
    return world.task.figures if world.task else {}


def run(restored: Restored, engine: Engine, random: int, seed: int) -> Results:
    """Mode actions from the start of every clip and from `random` random phases, all at once, each to its first end.

    engine: for as many environments as the world has clips and random phases together.
    """
    world = restored.world
    env, follow = world.test_env, measure(world)
    player = Player(env, engine, restored.policy)
    whole = episodes.make(player, follow)

    def program(agent: Agent, motion: Motion, keys: jax.Array, clip: jax.Array, start: jax.Array):
        physics = player.begin(motion, keys, clip, start).env.physics
        return whole(agent, motion, keys, clip, start), follow(motion, rollout.Moment(physics, clip, start))

    clips = jax.device_get(clips_of(world.motion))
    clip, start, origin = cases(np.asarray(clips.duration, np.float64), random, seed)
    keys = jax.random.split(jax.random.key(seed), len(clip))
    outputs = jax.jit(program)(restored.agent, world.motion, keys, jnp.asarray(clip), jnp.asarray(start))
    episode, first = jax.device_get(outputs)
    left = np.ceil((clips.duration[clip] - start) / env.dt - 1e-3)
    limit = np.where(clips.loop[clip] == WRAP, env.episode_steps, np.clip(left, 1, env.episode_steps))
    return Results(
        clip=clip,
        start=start,
        origin=origin,
        length=episode.length,
        limit=limit.astype(int),
        done=episode.done,
        total=episode.total if rewards.any_of(world.settings.env) else np.full(len(clip), np.nan),
        mean_error={name: episode.errors[name] for name in metrics.ERRORS},
        first_error={name: first[name] for name in metrics.ERRORS},
        global_error=episode.errors["global_error"],
        worst_error=episode.worst["global_error"],
        means={name: episode.errors[name] for name in (*metrics.MEANS, *figures_of(world))},
        broke_rule=episode.worst["broke_rule"] > 0,
        last={name: episode.last[name] for name in endings.WATCHED},
        strays="pose" in world.settings.env.terminations,
    )


def report(
    results: Results, world: World, facts: Mapping[str, Any], figures: Mapping[str, Criterion] | None = None
) -> dict[str, Any]:
    """All of an evaluation as JSON data. facts: what was evaluated, where and with what. figures: of the task."""
    names = [clip.name for clip in world.clips]
    groups = list(metrics.groups(results, tuple(names)))
    units = metrics.UNITS | {name: figure.unit for name, figure in (figures or {}).items()}
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "format_version": FORMAT_VERSION, **facts, "time": when,
        "confidence": metrics.CONFIDENCE, "units": units,
        "overall": {group.origin: _plain(group) for group in groups if group.clip is None},
        "clips": {name: {g.origin: _plain(g) for g in groups if g.clip == name} for name in names},
        "endings": endings.rows(results, world.robot.body_names, durations(world)),
        "episodes": list(_episodes(results, world)),
    }  # fmt: skip


def _plain(group: Group) -> dict[str, Any]:
    return {"episodes": group.episodes, **{name: plain(estimate) for name, estimate in group.figures.items()}}


def rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for every group; each names run, engine and checkpoint, so that tables of several runs can be joined."""
    about = {key: data[key] for key in ("run", "checkpoint", "engine", "seed")}
    groups = [("", data["overall"]), *data["clips"].items()]
    table = []
    for clip, origins in groups:
        for origin, figures in origins.items():
            row = {**about, "clip": clip, "from": origin, "episodes": figures["episodes"]}
            for name, estimate in figures.items():
                if name != "episodes":
                    row |= {name: estimate["value"], f"{name}_low": estimate["low"], f"{name}_high": estimate["high"]}
            table.append(row)
    return table


def durations(world: World) -> np.ndarray:
    """Of the clips [M], s."""
    return np.asarray(jax.device_get(clips_of(world.motion).duration), np.float64)


def _episodes(results: Results, world: World):
    done = ("running", "failed", "succeeded", "time up")
    names, share = [clip.name for clip in world.clips], metrics.completion(results)
    ways, bodies = endings.classify(results, world.robot.body_names)
    begin, end = (endings.phase(results, durations(world), at_end) for at_end in (False, True))
    for row in range(len(results.clip)):
        yield {
            "clip": names[results.clip[row]], "from": FROM[results.origin[row]], "start": number(results.start[row]),
            "length": int(results.length[row]), "done": done[int(results.done[row])],
            "ended": ways[row], "body": bodies[row], "start_phase": number(begin[row]), "end_phase": number(end[row]),
            "Completion": number(share[row]), "Return": number(results.total[row]),
            "MPJPE_Global": number(1000.0 * results.global_error[row]),
            "MPJPE_Root": number(1000.0 * results.mean_error["Body_Pos_Err"][row]),
            "worst_body_error": number(results.worst_error[row]),
        }  # fmt: skip
