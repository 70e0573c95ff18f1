"""Untrained policies in worlds of a few clips, as if they were restored from a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax

from mimicjax import build
from mimicjax.config.settings import RunSettings
from mimicjax.engine import scene
from mimicjax.env import env as environment
from mimicjax.env.view import Scope
from mimicjax.evaluation.restored import Restored
from mimicjax.learn import actor_critic
from mimicjax.motion import library
from mimicjax.types import Clip, Robot
from mimicjax.world import World


def untrained(robot: Robot, clips: Sequence[Clip], settings: RunSettings, pushed: Sequence[str] = ()) -> Restored:
    """A first agent. pushed: bodies that wrenches act on, the robot's own if none are named."""
    bodies = [robot.body_names.index(name) for name in pushed] or None
    there = scene.build(robot, settings.engine, bodies)
    scope = Scope(robot, settings.env, there.layout, 1.0 / settings.engine.control_freq)
    env = environment.make(scope)
    world = World(
        settings=settings,
        robot=robot,
        scene=there,
        scope=scope,
        clips=tuple(clips),
        motion=library.pack(robot, clips),
        env=env,
        test_env=env,
        devices=tuple(jax.devices()),
        notes=(),
    )
    policy, spec = build.policy(world), build.spec(world)
    agent = jax.jit(lambda key: actor_critic.init(key, settings.learn, spec, policy))(jax.random.key(0))
    return Restored(Path("untrained"), world, policy, agent, 0, {}, ())
