"""From settings to a run's parts; with build_world.py and build_sizes.py the only file that knows every part by name."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import config
from mimicjax.build_sizes import bytes_per_env, sizes
from mimicjax.build_world import world
from mimicjax.config.settings import RunSettings
from mimicjax.engine import choose
from mimicjax.env import observations
from mimicjax.env.view import tracks_root
from mimicjax.evaluation import episodes, skill
from mimicjax.evaluation.episodes import Player
from mimicjax.evaluation.restored import Restored, lean, settings_of
from mimicjax.learn import actor_critic, algorithms, prior_files, score
from mimicjax.learn.sockets import Agent, Mirror, Policy, Spec
from mimicjax.motion import reference, sampling, sampling_table
from mimicjax.motion.memory import of_a_device
from mimicjax.motion.reference import Motion
from mimicjax.motion.sampling import Sampler
from mimicjax.robot import sources, symmetry
from mimicjax.run import checkpoint, checkpoint_files, checks, devices, hosts, memory, rollout
from mimicjax.run.iteration import Parts
from mimicjax.run.loop import Training
from mimicjax.run.memory import Room
from mimicjax.types import Clip, Engine, Episodes, TrainState
from mimicjax.world import World


def spec(of: World) -> Spec:
    """What a policy has to fit. Raises UserError where learn.symmetry is on and something has no mirror image."""
    parts, robot = {**of.env.actor, **of.env.critic}, of.robot
    mirror = None
    if of.settings.learn.symmetry:
        images = {name: observations.reflection(robot, block) for name, block in parts.items()}
        mirror = Mirror(images, symmetry.dofs(robot))
    blocks = {name: sum(part.size for part in block) for name, block in parts.items()}
    return Spec(blocks, tuple(of.env.actor), tuple(of.env.critic), robot.num_dofs, of.env.dt, mirror)


def policy(of: World) -> Policy:
    """The policy that the run's algorithm trains."""
    return algorithms.of(of.settings.learn.algorithm).policy(of.settings.learn, spec(of))


def engine(of: World, num_envs: int, randomised: bool = False) -> Engine:
    """An engine for this world, sized for `num_envs` environments; randomised for `env`, else for `test_env`."""
    settings = of.settings
    return choose.make(of.scene, settings.engine, num_envs, settings.randomize if randomised else None, settings.seed)


def parts(of: World) -> Parts:
    """What a training iteration is made of."""
    settings, count = of.settings, len(of.devices)
    per_device = settings.num_envs // count
    algorithm = algorithms.of(settings.learn.algorithm)
    size = sizes(of)
    if score.VIEW in size.views and settings.learn.smp.prior:
        prior_files.check(Path(settings.learn.smp.prior), prior_facts(of))
    models = [
        maker.make(settings.learn, size.views[maker.needs], per_device, count) for maker in algorithm.reward_models
    ]
    physics = engine(of, per_device, True)
    return Parts(
        env=of.env,
        engine=physics,
        settings=settings.learn,
        spec=spec(of),
        policy=policy(of),
        algorithm=algorithm,
        reward_models=tuple(models),
        envs=per_device,
        devices=count,
        axis=devices.AXIS if count > 1 else None,
        bytes_per_env=bytes_per_env(of, size, physics.bytes_per_env),
        sampler=sampler(of),
    )


def sampler(of: World) -> Sampler | None:
    """What draws starts where episodes fail; None where they are drawn by the clips' weights."""
    settings = of.settings.env
    if settings.sampling.by == "weights":
        return None
    # where episodes begin at the beginning of a clip, only which clip is to be chosen
    return sampling.make(settings.sampling, sampling.cut(of.clips, not settings.random_start), of.env.dt)


def room(of: World) -> Room:
    """The memory of a device of the run, and what is in it; an engine for all environments is not made yet."""
    count = len(of.devices)
    one = parts(of._replace(settings=dataclasses.replace(of.settings, num_envs=count)))
    learned = lambda key: (first_agent(of, key), [model.init(key) for model in one.reward_models])  # noqa: E731
    trees = jax.eval_shape(learned, jax.random.key(0)), of.motion
    fixed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(trees))
    return Room(sum(one.bytes_per_env.values()), fixed, of_a_device(hosts.own(of.devices)))


def fitted_world(settings: RunSettings, clips: tuple[Clip, ...] = ()) -> World:
    """`world`; if settings say so, with as many environments as fit into their share of a device's memory.

    Raises UserError for what does not fit.
    """
    if settings.num_envs or not settings.memory_fraction:
        return world(settings, clips=clips)
    cores = jax.devices()
    one = world(dataclasses.replace(settings, num_envs=len(cores)), clips=clips)
    count, why = memory.fitting(room(one), settings.memory_fraction, cores[0].platform)
    count, _ = hosts.agree(count, False)  # machines may have more or less memory
    there = world(dataclasses.replace(settings, num_envs=count * len(cores)), clips=one.clips)
    return there._replace(notes=(*there.notes, why))


def prior_facts(of: World) -> dict[str, Any]:
    """What a diffusion prior must have been trained with, to judge this world's motion."""
    settings, seen = of.settings, of.settings.env.observations
    return {
        "robot": of.robot.name, "robot_hash": facts(of)["robot_hash"],
        "control_freq": settings.engine.control_freq, "disc_steps": settings.env.disc_steps, "frame": seen.frame,
        "root_height": seen.root_height, "tracks_root": tracks_root(settings.env),
        "timesteps": settings.learn.smp.timesteps, "hidden": list(settings.learn.smp.hidden),
        "size": sizes(of).views[score.VIEW],  # last: what it follows from says more
    }  # fmt: skip


def first_agent(of: World, key: jax.Array) -> Agent:
    """Actor and critic before any training."""
    return actor_critic.init(key, of.settings.learn, spec(of), policy(of))


def first_state(of: World, parts: Parts) -> TrainState:
    """The state a run begins with; a function of the seed alone."""

    def begin(seed_key: jax.Array, motion: Motion) -> TrainState:
        agent_key, model_key, env_key, memory_key, key = jax.random.split(seed_key, 5)
        model_keys = jax.random.split(model_key, 8)
        per_env = lambda key: jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(of.settings.num_envs))  # noqa: E731
        keys = per_env(env_key)
        state, obs = rollout.begin(of.env, parts.engine, motion, keys, *of.env.draw(motion, keys))
        return TrainState(
            agent=actor_critic.init(agent_key, parts.settings, parts.spec, parts.policy),
            reward_models=tuple(model.init(k) for model, k in zip(parts.reward_models, model_keys, strict=False)),
            env=state,
            obs=obs,
            memory=parts.policy.begin(per_env(memory_key)),
            iteration=jnp.int32(0),
            key=key,
            sampling=parts.sampler.init() if parts.sampler else (),
        )

    # compiled: run op by op it takes ten times as long, and its outputs may share buffers, which cannot be donated
    return jax.jit(begin)(jax.random.key(of.settings.seed), of.motion)


def facts(of: World) -> dict[str, Any]:
    """What a checkpoint says of itself, so that it is not restored into another run."""
    xml, *others = sources.files(of.robot.xml)
    files = [xml, xml.with_name("robot.yaml"), *others]
    robot = hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file()))
    motion = hashlib.sha256()
    for clip in of.clips:
        for rows in (clip.root_pos, clip.root_quat, clip.dof_pos, np.asarray([clip.fps, clip.loop, clip.weight])):
            motion.update(np.ascontiguousarray(rows, np.float64).tobytes())
    return {
        "robot": of.robot.name, "robot_hash": robot.hexdigest()[:16], "motion_hash": motion.hexdigest()[:16],
        "reference_rows": reference.rows_per_step(of.motion), "config": config.to_dict(of.settings),
    }  # fmt: skip


def restore(
    folder: Path, *, engine: str | None = None, motion: str | None = None, step: int | str | None = None
) -> Restored:
    """The agent of a run folder and the world it was trained in, for evaluation, films and export.

    engine, motion: instead of the run's. step: of the checkpoint, None for the latest, "best". Raises UserError for whatever is
    missing, damaged or does not fit.
    """
    trained = settings_of(folder)
    # chosen once: a run that still trains may write a later one, and remove this one, while we read
    number = int(checkpoint_files.find(folder / "checkpoints", step).name.partition(".")[0])
    saved = checkpoint.read_facts(folder / "checkpoints", number)
    chosen = dataclasses.replace(trained.engine, name=engine or trained.engine.name)
    settings = dataclasses.replace(trained, num_envs=len(jax.devices()), motion=motion or trained.motion, engine=chosen)
    there = world(settings)
    whole = jax.eval_shape(lambda key: first_agent(there, key), jax.random.key(0))
    like = {"agent": lean(whole) if saved.get("packed") else whole}
    agent = checkpoint.restore(folder / "checkpoints", like, step=number, part=True)[0]["agent"]
    here, notes = facts(there), []
    if here["robot_hash"] != saved.get("robot_hash"):
        notes.append(f"the files of robot {settings.robot} have changed since the run was trained")
    if not motion and here["motion_hash"] != saved.get("motion_hash"):
        notes.append(f"the motion {settings.motion} has changed since the run was trained")
    return Restored(folder, there, policy(there), agent, number, saved, tuple(notes))


def _memory(parts: Parts, there: Room) -> str:
    """What environments take, in words."""
    each = ", ".join(f"{name} {size / 1024:.1f}" for name, size in parts.bytes_per_env.items() if size)
    taken, has = memory.gib(there.needed(parts.envs)), memory.gib(there.device)
    return f"memory: about {there.per_env / 1024:.0f} KiB per environment ({each}), {taken} of a device's {has}"


def _beginning(of: World, whole: Parts, resume: bool) -> Callable[[], TrainState]:
    """What makes the first state, with the skill policy's numbers if it drives one."""
    if resume or of.settings.learn.algorithm != skill.DRIVER:
        return lambda: first_state(of, whole)
    key = jax.random.key(0)
    agent = jax.eval_shape(lambda key: first_agent(of, key), key)
    numbers = skill.read(of, agent.frozen, jax.eval_shape(whole.reward_models[0].init, key), facts(of))
    return lambda: skill.put(first_state(of, whole), *numbers)


def training(of: World, resume: bool = False) -> Training:
    """Everything the training loop needs; nothing is compiled yet.

    resume: what the run begins with is read from its own checkpoint, so that the run of a skill policy may be gone.
    Raises UserError for a skill policy that does not fit.
    """
    settings, there = of.settings, room(of)
    memory.check(there, settings.num_envs // len(of.devices))
    whole = parts(of)
    chunk, place = devices.compiled(whole, of.devices)
    count = settings.keep.test_episodes
    first = _beginning(of, whole, resume)
    run = episodes.make(Player(of.test_env, engine(of, count), whole.policy))

    def test(agent: Agent, motion: Motion, key: jax.Array) -> Episodes:
        keys = jax.random.split(key, count)
        return run(agent, motion, keys, *of.test_env.draw(motion, keys))

    compiled_test = jax.jit(test)
    return Training(
        settings=settings,
        chunk=chunk,
        first=first,
        place=place,
        test=lambda agent, key: compiled_test(agent, of.motion, key),
        motion=devices.everywhere(of.motion, of.devices),
        facts=facts(of) | {"bytes_per_env": whole.bytes_per_env},
        notes=(*of.notes, _memory(whole, there), *checks.sizes(settings, whole.envs)),
        clips=_clips(of, whole.sampler),
    )


def _clips(of: World, sampler: Sampler | None) -> Callable[[TrainState], list[dict[str, Any]]] | None:
    """The table of what a state knows of each clip."""
    if sampler is None:
        return None
    settings = of.settings.env.sampling
    return lambda state: sampling_table.rows(settings, sampler.cuts, of.clips, of.env.dt, state.sampling)
