"""From settings to the world of a run: robot, scene, clips, and the environments of training and of tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from mimicjax.config.push import PushSettings
from mimicjax.config.settings import RunSettings
from mimicjax.engine import choose, fallen, randomisation, scene
from mimicjax.engine.scene import Furnish, Scene
from mimicjax.env import disturbances, getup, push_profiles, tasks
from mimicjax.env import env as environment
from mimicjax.env.env import Env
from mimicjax.env.task import Task
from mimicjax.env.view import Scope
from mimicjax.errors import UserError
from mimicjax.evaluation import skill
from mimicjax.learn import algorithms
from mimicjax.motion import library, reference
from mimicjax.motion.coordinates import touching
from mimicjax.motion.datasets import load_motions
from mimicjax.robot import gains
from mimicjax.robot.load import load as load_robot
from mimicjax.run import checks, hosts
from mimicjax.types import Clip, Robot
from mimicjax.world import World

UNSEEN = 0x756E7365  # seeds of the states that getting up is evaluated from differ from those of training by it
ENVS_PER_DEVICE = {"cpu": 128, "gpu": 4096, "tpu": 4096}  # docs/architecture.md says how these were found


def world(settings: RunSettings, furnish: Sequence[Furnish] = (), clips: tuple[Clip, ...] = ()) -> World:
    """Load robot and clips, choose engine and number of environments. Raises UserError for what does not fit.

    furnish: adds objects to the scene beside those of the task, as `scene.build` takes it. clips: instead of those of
    `settings.motion`.
    """
    settings = skill.resolve(settings)
    checks.settings_fit(settings)
    robot = gains.of(load_robot(settings.robot), settings.engine)
    clips = clips or load_motions(settings.motion, robot)
    cores = tuple(jax.devices())
    kind = cores[0].platform
    name, reason = choose.choose(settings.engine)
    settings, friction = _with_friction(settings)
    notes = [f"engine {name}: {reason}", *friction]
    count = settings.num_envs
    if not count:
        count = ENVS_PER_DEVICE.get(kind, 4096) * len(cores)
        notes.append(f"{count} environments: {count // len(cores)} for each of {len(cores)} {kind} device(s)")
    if hosts.count() > 1:
        notes.append(f"{hosts.count()} processes, {len(cores)} devices together")
    if count % len(cores):
        low = max(len(cores), count - count % len(cores))
        raise UserError(f"num_envs is {count}; it must be divisible by the {len(cores)} devices, for example {low}")
    settings = dataclasses.replace(settings, num_envs=count, engine=dataclasses.replace(settings.engine, name=name))
    dt = 1.0 / settings.engine.control_freq
    checks.clips_fit(settings, clips)
    motion, note = reference.prepare(robot, library.pack(robot, clips), dt, hosts.own(cores))
    notes.append(note)
    task = tasks.of(robot, settings.env, dt)
    furnish = [*furnish, *([task.furnish] if task and task.furnish else [])]
    there = scene.build(robot, settings.engine, push_profiles.wrench_bodies(robot, _profiles(settings)), furnish)
    near = _touching(settings, robot, there, clips)
    if near.any():
        names = ", ".join(np.asarray(robot.body_names)[near])
        notes.append(f"the clips bring {names} near the ground: there they may touch it")
    scope = Scope(robot, settings.env, there.layout, dt, near)
    env, test_env = _environments(settings, there, scope, task)
    return World(
        settings=settings,
        robot=robot,
        scene=there,
        scope=scope,
        clips=clips,
        motion=motion,
        env=env,
        test_env=test_env,
        task=task,
        devices=cores,
        notes=tuple(notes),
    )


def _touching(settings: RunSettings, robot: Robot, there: Scene, clips: Sequence[Clip]) -> np.ndarray:
    """Scope.touching: none where no fall ends an episode, or where clips excuse none."""
    fall = settings.env.terminations.get("fall")
    if fall is None or fall.reference < 0.0 or not settings.env.early_termination or not len(robot.contact_bodies):
        return np.zeros(0, bool)
    return touching(robot, clips, fall.reference, there.layout.ground)


def _environments(settings: RunSettings, there: Scene, scope: Scope, task: Task | None) -> tuple[Env, Env]:
    """(env of training, env of tests: the same on the model as given, without pushes or noise)."""
    engine, randomize, disturb = settings.engine, settings.randomize, settings.disturb
    if randomize.models:  # before anything is compiled
        randomisation.check(there, randomize)
    views = [model.needs for model in algorithms.of(settings.learn.algorithm).reward_models]
    pushes = disturbances.make(scope, _profiles(settings), settings.num_envs, disturb.observe, disturb.quiet)
    test_env = environment.make(scope, task=task)
    share = settings.env.fallen_start
    ground = fallen.make(there, engine, settings.env.getup.states, settings.seed) if share else None
    rise = getup.make(scope, ground, share)
    env = environment.make(scope, pushes, randomize, scene.substeps(engine), views, task, rise)
    return env, test_env


def env_on_the_ground(of: World, seed: int) -> Env:
    """The env of tests, in which every episode begins on the ground, and goes on however long a robot lies there.

    seed: of the states on the ground, which are not those of the training. Raises UserError.
    """
    settings = of.settings.env
    asked = dataclasses.replace(settings.getup, grace=np.inf, falls=False, lift=0.0)
    scope = of.scope._replace(settings=dataclasses.replace(settings, getup=asked))
    ground = fallen.make(of.scene, of.settings.engine, asked.states, seed ^ UNSEEN)
    return environment.make(scope, task=of.task, getup=getup.make(scope, ground, 1.0))


def _with_friction(settings: RunSettings) -> tuple[RunSettings, list[str]]:
    """Dry friction that is to be randomised must be there; and a note that says so."""
    if settings.randomize.frictionloss is None or settings.engine.frictionloss:
        return settings, []
    engine = dataclasses.replace(settings.engine, frictionloss=True)
    note = "randomize.frictionloss: engine.frictionloss is on, and physics by a quarter slower for it"
    return dataclasses.replace(settings, engine=engine), [note]


def _profiles(settings: RunSettings) -> Mapping[str, PushSettings]:
    return push_profiles.collect(settings.disturb.profiles, settings.env, 1.0 / settings.engine.control_freq)
