"""What an exported policy says of itself: under the keys of BeyondMimic and mjlab for their players, and ours for the rest."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import numpy as np

from mimicjax import build
from mimicjax.evaluation.restored import Restored
from mimicjax.export import reference
from mimicjax.export.graph import Actor
from mimicjax.versions import versions
from mimicjax.world import World

KEY = "mimicjax"  # of what is ours, as JSON
FORMAT = 1


def _csv(values: Iterable[Any]) -> str:
    """As their players read lists; numbers in full precision."""
    return ",".join(str(value) if isinstance(value, str) else repr(float(value)) for value in values)


def observation(world: World) -> list[dict[str, Any]]:
    """Parts of the observation in their order: name and size; neighbours of one name are one part."""
    parts = [part for block in world.test_env.actor.values() for part in block if part.size]
    return [{"name": name, "size": sum(part.size for part in same)} for name, same in groupby(parts, lambda p: p.name)]


def _action(world: World, actor: Actor) -> dict[str, Any]:
    settings = world.settings.env.action
    return {
        "mode": settings.mode, "scale": actor.scale.tolist(), "low": actor.low.tolist(), "high": actor.high.tolist(),
        "velocity_lead": settings.velocity_lead,
    }  # fmt: skip


def ours(restored: Restored, actor: Actor, clip: int, steps: int) -> dict[str, Any]:
    """All that a player must know and theirs do not say, as JSON data; no path of this machine is in it."""
    world, robot, settings = restored.world, restored.world.robot, restored.world.settings
    motion = world.clips[clip]
    return {
        "format": FORMAT, "algorithm": settings.learn.algorithm, "robot": robot.name,
        "robot_hash": build.facts(world)["robot_hash"], "mass": robot.mass,
        "control_dt": 1.0 / settings.engine.control_freq, "sim_dt": 1.0 / settings.engine.sim_freq,
        "quaternions": "w first", "torque_limit": robot.torque_limit.tolist(), "joint_range": robot.dof_range.tolist(),
        "observation": {
            "parts": observation(world), "size": len(actor.mean), "clip": 10.0,
            **dataclasses.asdict(settings.env.observations), "before": reference.before(world, clip),
        },
        "key_bodies": [robot.body_names[body] for body in robot.key_bodies],
        "contact_bodies": [robot.body_names[body] for body in robot.contact_bodies],
        "action": _action(world, actor), "follow": dataclasses.asdict(settings.env.follow),
        "terminations": {name: dataclasses.asdict(each) for name, each in settings.env.terminations.items()},
        "motion": {
            "name": motion.name, "steps": steps, "loops": bool(motion.loop), "maker": motion.maker,
            "licence": motion.licence,
        },
        "samples": restored.facts.get("samples"), "checkpoint": restored.step, "versions": versions(),
    }  # fmt: skip


def metadata(restored: Restored, actor: Actor, clip: int, steps: int) -> dict[str, str]:
    """The file's metadata: strings by key.

    `default_joint_pos + action_scale * actions` are the joint targets where one pose is the origin of all actions; where
    the clip is (`action.mode: reference`), only the output `joint_targets` has them.
    """
    robot = restored.world.robot
    origin = actor.base[0] if len(actor.base) == 1 else robot.start_qpos[7:]
    names = [part["name"] for part in observation(restored.world)]
    past = restored.world.settings.env.observations.past_steps if "past" in names else 1
    return {
        "joint_names": _csv(robot.dof_names), "joint_stiffness": _csv(robot.kp), "joint_damping": _csv(robot.kd),
        "default_joint_pos": _csv(np.asarray(origin)), "action_scale": _csv(actor.scale), "command_names": "motion",
        "observation_names": _csv(names), "observation_history_lengths": _csv([str(past)] * len(names)),
        "anchor_body_name": robot.body_names[0], "body_names": _csv(robot.body_names),
        "run_path": restored.folder.resolve().name, KEY: json.dumps(ours(restored, actor, clip, steps)),
    }  # fmt: skip
