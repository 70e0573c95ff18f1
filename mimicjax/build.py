"""From settings to a run's parts; the only file that knows every part by name."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import config
from mimicjax.config.push import PushSettings
from mimicjax.config.settings import RandomizeSettings, RunSettings
from mimicjax.engine import choose, randomisation, scene
from mimicjax.env import disturbances, observations, push_profiles
from mimicjax.env import env as environment
from mimicjax.env.env import Env
from mimicjax.errors import UserError
from mimicjax.evaluation import episodes
from mimicjax.evaluation.restored import Restored, settings_of
from mimicjax.learn import actor_critic
from mimicjax.learn.actor_critic import ActorCritic
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.motion import library, reference
from mimicjax.motion.datasets import load_motions
from mimicjax.motion.reference import Motion
from mimicjax.robot import symmetry
from mimicjax.robot.bodies import with_wrench_bodies
from mimicjax.robot.load import load as load_robot
from mimicjax.run import checkpoint, checkpoint_files, devices, rollout
from mimicjax.run.iteration import Parts
from mimicjax.run.loop import Training
from mimicjax.types import Engine, Episodes, Robot, TrainState
from mimicjax.world import World

ENVS_PER_DEVICE = {"cpu": 128, "gpu": 4096, "tpu": 4096}  # docs/architecture.md says how these were found


def world(settings: RunSettings) -> World:
    """Load robot and clips, choose engine and number of environments. Raises UserError for what does not fit."""
    robot = load_robot(settings.robot)
    clips = load_motions(settings.motion, robot)
    found = tuple(jax.devices())
    kind = found[0].platform
    name, reason = choose.choose(settings.engine)
    settings, friction = _with_friction(settings)
    notes = [f"engine {name}: {reason}", *friction]
    count = settings.num_envs
    if not count:
        count = ENVS_PER_DEVICE.get(kind, 4096) * len(found)
        notes.append(f"{count} environments: {count // len(found)} for each of {len(found)} {kind} device(s)")
    if count % len(found):
        low = max(len(found), count - count % len(found))
        raise UserError(f"num_envs is {count}; it must be divisible by the {len(found)} devices, for example {low}")
    settings = dataclasses.replace(settings, num_envs=count, engine=dataclasses.replace(settings.engine, name=name))
    motion, note = reference.prepare(robot, library.pack(robot, clips), 1.0 / settings.engine.control_freq, found)
    notes.append(note)
    robot, env, calm = _environments(settings, robot)
    return World(settings, robot, clips, motion, env, calm, found, tuple(notes))


def _environments(settings: RunSettings, robot: Robot) -> tuple[Robot, Env, Env]:
    """(the robot with all bodies that are pushed among its wrench bodies, env of training, the calm env)."""
    engine, randomize, dt = settings.engine, settings.randomize, 1.0 / settings.engine.control_freq
    if randomize.models:  # before anything is compiled
        randomisation.check(scene.build(robot, engine), robot, randomize)
    profiles = _profiles(settings)
    robot = with_wrench_bodies(robot, push_profiles.pushed_bodies(robot, profiles))
    disturb = disturbances.make(
        robot, profiles, dt, settings.num_envs, settings.disturb.observe, settings.disturb.quiet
    )
    calm = environment.make(robot, settings.env, engine.control_freq)
    if disturb is None and randomize == RandomizeSettings():
        return robot, calm, calm
    env = environment.make(robot, settings.env, engine.control_freq, disturb, randomize, scene.substeps(engine))
    return robot, env, calm


def _with_friction(settings: RunSettings) -> tuple[RunSettings, list[str]]:
    """Dry friction that is to be randomised must be there; and a note that says so."""
    if settings.randomize.frictionloss is None or settings.engine.frictionloss:
        return settings, []
    engine = dataclasses.replace(settings.engine, frictionloss=True)
    note = "randomize.frictionloss: engine.frictionloss is on, and physics by a quarter slower for it"
    return dataclasses.replace(settings, engine=engine), [note]


def sizes(of: World) -> dict[str, int]:
    """Sizes of the observations {"actor", "critic", "disc"}, from shapes alone."""

    def probe(motion: Motion):
        keys = jax.random.split(jax.random.key(0), 1)
        state, obs, _ = of.env.place(motion, keys, jnp.zeros(1, jnp.int32), jnp.zeros(1))
        _, step, _ = of.env.after(motion, state)
        return obs, step.disc_robot

    obs, disc = jax.eval_shape(probe, of.motion)
    return {"actor": obs["actor"].shape[-1], "critic": obs["critic"].shape[-1], "disc": disc.shape[-1]}


def engine(of: World, num_envs: int, randomised: bool = False) -> Engine:
    """An engine for this world, sized for `num_envs` environments; randomised for `env`, else for `calm`."""
    settings = of.settings
    return choose.make(of.robot, settings.engine, num_envs, settings.randomize if randomised else None, settings.seed)


def parts(of: World) -> Parts:
    """What a training iteration is made of."""
    settings = of.settings
    per_device = settings.num_envs // len(of.devices)
    algorithm = ALGORITHMS[settings.learn.algorithm]
    disc = sizes(of)["disc"]
    models = tuple(make(settings.learn, disc, per_device, len(of.devices)) for make in algorithm.reward_models)
    axis = devices.AXIS if len(of.devices) > 1 else None
    return Parts(
        of.env, engine(of, per_device, True), settings.learn, algorithm, models, per_device, len(of.devices), axis
    )


def first_agent(of: World, seed_key: jax.Array) -> ActorCritic:
    """Actor and critic before any training."""
    width = sizes(of)
    learn = of.settings.learn
    return actor_critic.init(seed_key, learn, width["actor"], width["critic"], of.robot.num_dofs, _mirror(of))


def _mirror(of: World) -> actor_critic.Mirror | tuple[()]:
    """What observations and actions are in a mirror; () without learn.symmetry. Raises UserError."""
    settings, robot = of.settings, of.robot
    if not settings.learn.symmetry:
        return ()
    seen, profiles = observations.reflection(robot, settings.env.observations), _profiles(settings)
    parts = [seen, disturbances.reflection(robot, len(profiles), settings.disturb.observe)] if profiles else [seen]
    return actor_critic.Mirror(seen, symmetry.join(parts), symmetry.dofs(robot))


def _profiles(settings: RunSettings) -> Mapping[str, PushSettings]:
    return push_profiles.collect(settings.disturb.profiles, settings.env, 1.0 / settings.engine.control_freq)


def first_state(of: World, made: Parts) -> TrainState:
    """The state a run begins with; a function of the seed alone."""

    def begin(seed_key: jax.Array, motion: Motion) -> TrainState:
        agent_key, model_key, env_key, key = jax.random.split(seed_key, 4)
        agent = first_agent(of, agent_key)
        model_keys = jax.random.split(model_key, 8)
        models = tuple(model.init(k) for model, k in zip(made.reward_models, model_keys, strict=False))
        keys = jax.vmap(lambda i: jax.random.fold_in(env_key, i))(jnp.arange(of.settings.num_envs))
        clip, start = of.env.draw(motion, keys)
        state, obs = rollout.begin(of.env, made.engine, motion, keys, clip, start)
        return TrainState(agent, models, state, obs, jnp.int32(0), key)

    # compiled: run op by op it takes ten times as long, and its outputs may share buffers, which cannot be donated
    return jax.jit(begin)(jax.random.key(of.settings.seed), of.motion)


def facts(of: World) -> dict[str, Any]:
    """What a checkpoint says of itself, so that it is not restored into another run."""
    files = [of.robot.xml, of.robot.xml.with_name("robot.yaml")]
    robot = hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file()))
    motion = hashlib.sha256()
    for clip in of.clips:
        for rows in (clip.root_pos, clip.root_quat, clip.dof_pos, np.asarray([clip.fps, clip.loop, clip.weight])):
            motion.update(np.ascontiguousarray(rows, np.float64).tobytes())
    return {
        "robot": of.robot.name, "robot_hash": robot.hexdigest()[:16], "motion_hash": motion.hexdigest()[:16],
        "reference_rows": reference.rows_per_step(of.motion), "config": config.to_dict(of.settings),
    }  # fmt: skip


def restore(folder: Path, *, engine: str | None = None, motion: str | None = None, step: int | None = None) -> Restored:
    """The agent of a run folder and the world it was trained in, for evaluation, films and export.

    engine, motion: instead of the run's. step: of the checkpoint, None for the latest. Raises UserError for whatever is
    missing, damaged or does not fit.
    """
    trained = settings_of(folder)
    saved = checkpoint.read_facts(folder / "checkpoints", step)
    chosen = dataclasses.replace(trained.engine, name=engine or trained.engine.name)
    settings = dataclasses.replace(trained, num_envs=len(jax.devices()), motion=motion or trained.motion, engine=chosen)
    there = world(settings)
    number = int(checkpoint_files.find(folder / "checkpoints", step).name.partition(".")[0])
    like = {"agent": jax.eval_shape(lambda key: first_agent(there, key), jax.random.key(0))}
    agent = checkpoint.restore(folder / "checkpoints", like, step=step, part=True)[0]["agent"]
    here, notes = facts(there), []
    if here["robot_hash"] != saved.get("robot_hash"):
        notes.append(f"the files of robot {settings.robot} have changed since the run was trained")
    if not motion and here["motion_hash"] != saved.get("motion_hash"):
        notes.append(f"the motion {settings.motion} has changed since the run was trained")
    return Restored(there, agent, number, saved, tuple(notes))


def training(of: World) -> Training:
    """Everything the training loop needs; nothing is compiled yet."""
    settings = of.settings
    made = parts(of)
    chunk, place = devices.compiled(made, of.devices)
    count = settings.keep.test_episodes
    run = episodes.make(of.calm, engine(of, count), settings.learn)

    def test(agent: Any, motion: Motion, key: jax.Array) -> Episodes:
        keys = jax.random.split(key, count)
        return run(agent, motion, keys, *of.calm.draw(motion, keys))

    compiled_test = jax.jit(test)
    return Training(
        settings, chunk, lambda: first_state(of, made), place,
        lambda agent, key: compiled_test(agent, of.motion, key), of.motion, facts(of),
    )  # fmt: skip
