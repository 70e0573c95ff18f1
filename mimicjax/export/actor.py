"""What of a restored policy an exported file holds."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from mimicjax import build
from mimicjax.errors import UserError
from mimicjax.evaluation.restored import Restored
from mimicjax.export.graph import Actor
from mimicjax.export.reference import Baked
from mimicjax.learn import normalizers
from mimicjax.learn.sockets import Agent, Spec
from mimicjax.robot import actuation
from mimicjax.types import BALL
from mimicjax.world import World


def check(restored: Restored) -> None:
    """Raises UserError for a policy whose action is not a function of one observation, and for ball joints."""
    settings, robot = restored.world.settings, restored.world.robot
    if jax.tree.leaves(jax.eval_shape(restored.policy.begin, jax.random.split(jax.random.key(0), 1))):
        raise UserError(
            f"{restored.folder}: a policy of {settings.learn.algorithm} acts on a latent that it draws as it goes, which an "
            "exported file has no place for; allowed are policies without: DeepMimic, ADD, AMP, AWR, LCP, SMP"
        )
    if jax.tree.leaves(restored.agent.frozen):
        raise UserError(f"{restored.folder}: a policy of {settings.learn.algorithm} drives another one: export that")
    if (robot.joint_kinds == BALL).any():
        raise UserError(f"{restored.folder}: robot {robot.name} has ball joints; an exported policy drives hinges only")


def actor(restored: Restored, baked: Baked) -> Actor:
    """Its numbers, with the joint targets of an action of zero at every baked time step."""
    world, agent, spec = restored.world, jax.device_get(restored.agent), build.spec(restored.world)
    mean, std = _normaliser(agent, spec)
    return Actor(mean, std, _layers(agent.actor["net"]["params"]), _mirror(spec), *_targets(world, baked))


def _normaliser(agent: Agent, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    states = [agent.norm[name] for name in spec.actor]
    return (
        np.concatenate([np.asarray(state.mean) for state in states]),
        np.concatenate([np.asarray(normalizers.std(state)) for state in states]),
    )


def _layers(params: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    hidden = [params[f"Dense_{number}"] for number in range(len(params) - 1)]
    return [(np.asarray(each["kernel"]), np.asarray(each["bias"])) for each in [*hidden, params["last"]]]


def _mirror(spec: Spec) -> Any:
    """Reflections of the whole observation and of the action; None without symmetry."""
    if spec.mirror is None:
        return None
    images, before = [], 0
    for name in spec.actor:
        image = spec.mirror.blocks[name]
        images.append((np.asarray(image.index) + before, np.asarray(image.sign)))
        before += spec.blocks[name]
    index, sign = (np.concatenate(each) for each in zip(*images, strict=True))
    return type(spec.mirror.action)(index, sign), spec.mirror.action


def _targets(world: World, baked: Baked) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(targets of an action of zero [T,D] or [1,D], rad for an output of 1 [D], lowest [D], highest [D])."""
    robot, settings = world.robot, world.settings.env.action
    low, high = actuation.bounds(robot, settings.zero_center)
    if settings.mode == "absolute":
        return 0.5 * (high + low)[None], 0.5 * (high - low), low, high
    scale = actuation.offsets(robot, settings)
    if settings.mode == "start":
        return np.asarray(robot.start_qpos[7:], np.float32)[None], scale, low, high
    # an action leads to the reference one control step ahead; the last pose has none before it
    lag = np.asarray(robot.kd / robot.kp, np.float32)
    ahead = baked.joint_pos + settings.velocity_lead * lag * baked.joint_vel
    return np.concatenate([ahead[1:], ahead[-1:]]).astype(np.float32), scale, low, high
