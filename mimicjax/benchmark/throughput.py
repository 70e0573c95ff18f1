"""How fast the parts of training run: physics alone, with environment and policy, and whole training.

Every measurement is a `Case`; `measure` runs all of them in turns, so that whatever else the machine does meanwhile
falls on all alike and ratios hold even where rates drift.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from mujoco.batch import Batch

from mimicjax.config.settings import ActionSettings
from mimicjax.engine import native
from mimicjax.engine.scene import Scene, substeps
from mimicjax.learn.sockets import Agent
from mimicjax.motion import library, reference
from mimicjax.motion.reference import Motion
from mimicjax.robot import actuation, kinematics
from mimicjax.run import rollout
from mimicjax.run.devices import AXIS
from mimicjax.run.iteration import Parts
from mimicjax.run.rollout import Actors
from mimicjax.types import Engine, Physics, TrainState
from mimicjax.world import World

STEPS = 16  # control steps from one reset to the next when physics runs alone: open loop, the robot would fall later
NOISE = 0.1  # rad, standard deviation of the targets about the reference, as a policy that learns explores

Devices = Sequence[Any]  # of jax.Device, which type checkers take for a variable


class Case(NamedTuple):
    """Something to time."""

    name: str
    run: Callable[[int], None]  # so many passes; returns when they are done
    steps: int  # control steps of all environments in a pass
    compile_seconds: float = 0.0


class Drive(NamedTuple):
    """States on the reference and controls from there on, the same for every engine."""

    qpos: np.ndarray  # [B,nq]
    qvel: np.ndarray  # [B,nv]
    ctrl: np.ndarray  # [STEPS,B,D] rad


def drive(
    scene: Scene, motion: Motion, num_envs: int, dt: float, steps: int = STEPS, noise: float = NOISE, seed: int = 0
) -> Drive:
    """States at random times of the clips, and targets one step (dt, s) ahead of the reference, with noise (rad)."""
    robot = scene.robot
    target = actuation.make(robot, ActionSettings(mode="reference", velocity_lead=1.0))

    @jax.jit
    def make(key: jax.Array, motion: Motion):
        draw, rattle = jax.random.split(key)
        keys = jax.random.split(draw, num_envs)
        clip, start = jax.vmap(lambda k: library.sample(reference.clips_of(motion), k))(keys)
        place = kinematics.qpos_of(robot, reference.poses_at(robot, motion, clip, start))
        qpos, qvel = scene.layout.with_robot(*place)
        when = start + dt * (1 + jnp.arange(steps, dtype=jnp.float32))[:, None]
        ahead = reference.poses_at(robot, motion, jnp.broadcast_to(clip, when.shape), when)
        return qpos, qvel, target(noise * jax.random.normal(rattle, (steps, num_envs, robot.num_dofs)), ahead)

    return Drive(*(np.asarray(x) for x in make(jax.random.key(seed), motion)))


def physics(world: World, engine: Engine) -> Case:
    """The physics of a world's training alone, from states on the reference; native without a compiled loop around it."""
    settings = world.settings.engine
    pushed = drive(world.scene, world.motion, world.settings.num_envs, world.env.dt)
    if settings.name == "native":
        return native_physics(world.scene.model, pushed, substeps(settings), settings.threads)
    return compiled_physics(engine, pushed, len(world.scene.layout.wrench_bodies), world.devices)


def native_physics(model: mujoco.MjModel, pushed: Drive, count: int, threads: int = 0) -> Case:
    """MuJoCo's C engine in a bare loop: nothing around it, not even a compiled program."""
    native.quiet()
    batch = Batch(model, len(pushed.qpos), threads)
    qpos, qvel, warmstart, ctrl = (batch.bind(name) for name in ("qpos", "qvel", "qacc_warmstart", "ctrl"))
    targets = pushed.ctrl.astype(np.float64)

    def run(passes: int) -> None:
        for _ in range(passes):
            qpos[:], qvel[:], warmstart[:] = pushed.qpos, pushed.qvel, 0.0
            for row in targets:
                ctrl[:] = row
                batch.step(nstep=count)

    return Case("physics", run, targets.shape[0] * targets.shape[1])


def compiled_physics(engine: Engine, pushed: Drive, wrench_bodies: int, devices: Devices) -> Case:
    """An engine's control steps in a compiled loop, without environment and policy."""

    def steps(qpos: jax.Array, qvel: jax.Array, ctrl: jax.Array) -> Physics:
        wrench, variant = jnp.zeros((len(qpos), wrench_bodies, 6)), jnp.zeros(len(qpos), jnp.int32)
        return jax.lax.scan(lambda p, c: (engine.step(p, c, wrench, variant), None), engine.init(qpos, qvel), ctrl)[0]

    split = PartitionSpec(AXIS)
    function, seconds = _compile(_over(steps, devices, (split, split, PartitionSpec(None, AXIS)), split), *pushed)
    arguments = jax.device_put(tuple(pushed), function.input_shardings[0])

    def run(passes: int) -> None:
        for _ in range(passes):
            jax.block_until_ready(function(*arguments))

    return Case("physics", run, pushed.ctrl.shape[0] * pushed.ctrl.shape[1], seconds)


def policy(parts: Parts, motion: Motion, state: TrainState, devices: Devices) -> Case:
    """Rollouts as training makes them: engine, environment and policy, no learning."""
    equal, split, later = PartitionSpec(), PartitionSpec(AXIS), PartitionSpec(None, AXIS)
    mapped = _over(_collect(parts), devices, (equal, equal, split), (split, later))
    actors = Actors(state.env, state.obs, state.memory)
    function, seconds = _compile(mapped, state.agent, motion, actors)
    agent, motion, actors = jax.device_put((state.agent, motion, actors), function.input_shardings[0])

    def run(passes: int) -> None:
        nonlocal actors
        for _ in range(passes):
            actors, rows = function(agent, motion, actors)
            jax.block_until_ready(rows)

    return Case("policy", run, parts.settings.steps_per_iter * parts.envs * parts.devices, seconds)


def training(parts: Parts, chunk: Callable, motion: Motion, state: TrainState) -> Case:
    """Whole iterations: the compiled chunk that `train` calls, on a real state (which it uses up)."""

    def run(passes: int) -> None:
        nonlocal state
        state, stats = chunk(state, motion, jnp.int32(passes))
        jax.block_until_ready(stats)

    case = Case("training", run, parts.settings.steps_per_iter * parts.envs * parts.devices)
    first, second = _time(case, 1)[0], _time(case, 1)[0]  # a chunk is one program or several: the first call compiles
    return case._replace(compile_seconds=max(first - second, 0.0))


class Rates(NamedTuple):
    """One value a round."""

    rate: list[float]  # control steps per second
    cores: list[float]  # processor seconds of this process per second; fewer than there are: others ran, or it waited


def measure(cases: Sequence[Case], seconds: float, rounds: int = 5) -> dict[str, Rates]:
    """Control steps per second of every case, by name; about `seconds` for each case, all rounds together.

    Cases take turns within a round, forwards and backwards in turn: compare them round by round.
    """
    passes = {}
    for case in cases:
        case.run(1)  # memory, caches
        passes[case.name] = max(1, round(seconds / rounds / _time(case, 1)[0]))
    rates = {case.name: Rates([], []) for case in cases}
    for turn in range(rounds):
        for case in cases if turn % 2 == 0 else reversed(cases):
            n = passes[case.name]
            wall, processor = _time(case, n)
            rates[case.name].rate.append(n * case.steps / wall)
            rates[case.name].cores.append(processor / wall)
    return rates


def ratio(rates: dict[str, Rates], name: str, base: str) -> float:
    """Median over the rounds of case / base."""
    return float(np.median(np.divide(rates[name].rate, rates[base].rate)))


def device_peak(devices: Devices) -> int:
    """Most bytes in use on any of the devices so far; 0 where the device does not tell."""
    return max(int((device.memory_stats() or {}).get("peak_bytes_in_use", 0)) for device in devices)


def _collect(parts: Parts) -> Callable:
    """The function (agent, motion, actors) -> (actors, what is kept of T control steps [T,B,...]), sampled actions."""

    def collect(agent: Agent, motion: Motion, actors: Actors) -> tuple[Actors, Any]:
        steps, probability = parts.settings.steps_per_iter, jnp.float32(1.0)
        actors, rows, _ = rollout.collect(
            parts.env, parts.engine, motion, parts.policy, agent, actors, probability, steps
        )
        return actors, rows._replace(last_obs={}, pushed=())

    return collect


def _time(case: Case, passes: int) -> tuple[float, float]:
    """Seconds by the clock, and of processors (all threads of this process)."""
    begin, processor = time.perf_counter(), time.process_time()
    case.run(passes)
    return time.perf_counter() - begin, time.process_time() - processor


def _compile(function: Any, *arguments: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    return compiled, time.perf_counter() - begin


def _over(function: Callable, devices: Devices, ins: Any, outs: Any) -> Any:
    """The function compiled for one device, or with its arguments split over several as devices.py does it."""
    if len(devices) == 1:
        return jax.jit(function)
    mesh = Mesh(np.asarray(devices), (AXIS,))
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=ins, out_specs=outs, check_vma=False))
