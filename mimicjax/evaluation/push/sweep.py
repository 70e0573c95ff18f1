"""Running a push sweep: all its episodes as one batch in one compiled program, or in equal parts where memory is short."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.env import follow, terminations
from mimicjax.env.view import Scope, View
from mimicjax.evaluation.episodes import Player
from mimicjax.evaluation.push.cells import Plan
from mimicjax.learn.sockets import Agent
from mimicjax.motion.reference import Motion, poses_at
from mimicjax.robot import kinematics
from mimicjax.run.rollout import Actors
from mimicjax.types import RUNNING, Array, EnvState, Pose, Robot
from mimicjax.world import World

CHUNK = 5  # control steps of one call of the program: often enough for a progress bar, seldom enough to cost nothing
WARP_BYTES = 400_000  # of an environment in mjx-warp, which allocates outside the compiled program


class Curves(NamedTuple):
    """Measurements after every control step of every episode. Robots that fell are not reset: they stay on the ground.

    Arrays on the device in compiled functions, numpy once collected.
    """

    fallen: Any  # [T,E] bool: a body that may not touches the ground, or physics became unstable
    body_error: Any  # [T,E] m, mean over bodies of the distance from the reference, about what `error_about` says
    global_error: Any  # [T,E] m, the same in the world
    tilt: Any  # [T,E] rad, between the root's upward axis and the vertical
    torque: Any  # [T,E] N m, largest of all joints
    load: Any  # [T,E], largest of all joints' torque / limit


class Carry(NamedTuple):
    """Between two calls of the program."""

    actors: Actors
    heading: Array  # [B,4] the robot's heading at the onset
    step: Array  # [] int32


class Program(NamedTuple):
    """A sweep's two compiled functions, for B episodes."""

    begin: Callable[[Motion, Plan], Carry]
    advance: Callable[[Agent, Motion, Plan, Carry], tuple[Carry, Curves]]  # CHUNK control steps
    bytes: int  # of memory that it takes, as far as the compiler knows


def joint_torque(robot: Robot, ctrl: Array, pose: Pose) -> Array:
    """Torques [D] N m of the joints' position controllers for targets [D] rad, cut to the limits."""
    limit = np.asarray(robot.torque_limit, np.float32)
    return jnp.clip(robot.kp * (ctrl - pose.dof_pos) - robot.kd * pose.dof_vel, -limit, limit)


def wrench_at(plan: Plan, heading: Array, step: Array, onset: int, bodies: int) -> Array:
    """[B,W,6] N, N m in the world during control step `step`; the last step of a push takes the share that is left of it."""
    share = jnp.where(step >= onset, jnp.clip(plan.steps - (step - onset), 0.0, 1.0), 0.0)
    turned = rotation.rotate(heading[:, None], jnp.reshape(plan.wrench, (-1, 2, 3))).reshape(-1, 6)
    pushed = jax.nn.one_hot(plan.body, bodies)
    return pushed[:, :, None] * (share[:, None] * turned)[:, None]


def error_about(scope: Scope) -> str:
    """What body errors are about: `root`, in the axes of the world, or where nothing rewards the heading of the clip in the
    world, as the reference turns with the robot, `root and heading`."""
    settings = scope.settings.follow
    return "root" if settings.time is None or not settings.heading else "root and heading"


def _body_error(scope: Scope, pose: Pose, reference: Pose) -> Array:
    if error_about(scope) != "root":
        pose, reference = (follow.moved(each, follow.to_origin(each)) for each in (pose, reference))
    return terminations.tracking_errors(pose, reference)["Body_Pos_Err"]


def _seen(
    scope: Scope, fall: terminations.Failure, before: EnvState, after: EnvState, ctrl: Array, reference: Pose
) -> Curves:
    """One environment after a control step -> Curves of scalars."""
    robot, layout = scope.robot, scope.layout
    old, pose = (
        kinematics.pose_of(robot, *layout.of_robot(state.physics.qpos, state.physics.qvel)) for state in (before, after)
    )
    targets = ctrl.reshape(-1, robot.num_dofs)  # of every substep, or one for all
    torque = jnp.maximum(jnp.abs(joint_torque(robot, targets[0], old)), jnp.abs(joint_torque(robot, targets[-1], pose)))
    up = rotation.rotate(pose.root_quat, jnp.asarray([0.0, 0.0, 1.0]))[2]
    return Curves(
        fallen=fall(View.of(pose, reference)) | after.physics.unstable,
        body_error=_body_error(scope, pose, reference),
        global_error=jnp.mean(jnp.linalg.norm(reference.body_pos - pose.body_pos, axis=-1)),
        tilt=jnp.arccos(jnp.clip(up, -1.0, 1.0)),
        torque=jnp.max(torque),
        load=jnp.max(torque / np.maximum(robot.torque_limit, 1e-9)),
    )


def step_of(world: World, player: Player, onset: int) -> Callable:
    """The function (agent, motion, plan, carry) -> (carry, Curves [B]): one control step in which nobody begins anew."""
    env, scope, bodies = player.env, world.scope, len(world.scene.layout.wrench_bodies)
    fall = terminations.fall(scope)

    def pushed_step(agent: Agent, motion: Motion, plan: Plan, carry: Carry) -> tuple[Carry, Curves]:
        actors = carry.actors
        qpos, _ = scope.layout.of_robot(actors.env.physics.qpos, actors.env.physics.qvel)
        heading = jnp.where(carry.step == onset, rotation.heading_quat(qpos[:, 3:7]), carry.heading)
        before, ctrl, _ = env.before(motion, actors.env, player.action(agent, actors))
        wrench = wrench_at(plan, heading, carry.step, onset, bodies)
        physics = player.engine.step(before.physics, ctrl, wrench, before.variant)
        after, step = env.advance(motion, before._replace(physics=physics))
        reference = poses_at(scope.robot, motion, after.clip, before.clip_time(env.dt, 1))
        rows = jax.vmap(lambda *each: _seen(scope, fall, *each))(before, after, ctrl, reference)
        running = jnp.full_like(step.done, RUNNING)  # robots that fell are not reset
        actors = Actors(after, step.last_obs, player.remember(actors, running))
        return Carry(actors, heading, carry.step + 1), rows

    return pushed_step


def program(world: World, player: Player, agent: Agent, plan: Plan, onset: int, seed: int) -> Program:
    """Compile a sweep for as many episodes as `plan` has, with mode actions.

    world: the wrench bodies of its scene are those that the plan numbers. player: in the env of tests, on an engine of
    that scene. onset: the control step in which pushes begin.
    """
    pushed_step = step_of(world, player, onset)

    def begin(motion: Motion, plan: Plan) -> Carry:
        keys = jax.random.split(jax.random.key(seed), len(plan.clip))
        actors = player.begin(motion, keys, jnp.asarray(plan.clip), jnp.asarray(plan.start))
        return Carry(actors, jnp.tile(jnp.asarray([1.0, 0.0, 0.0, 0.0]), (len(plan.clip), 1)), jnp.int32(0))

    def advance(agent: Agent, motion: Motion, plan: Plan, carry: Carry) -> tuple[Carry, Curves]:
        return jax.lax.scan(lambda carry, _: pushed_step(agent, motion, plan, carry), carry, None, length=CHUNK)

    plan = jax.tree.map(jnp.asarray, plan)
    first = jax.jit(begin)
    carry = jax.eval_shape(first, world.motion, plan)
    compiled = jax.jit(advance, donate_argnums=3).lower(agent, world.motion, plan, carry).compile()
    used = compiled.memory_analysis()
    size = sum(getattr(used, f"{name}_size_in_bytes", 0) for name in ("temp", "argument", "output"))
    outside = WARP_BYTES * len(plan.clip) if player.engine.name == "mjx-warp" else 0
    return Program(first, compiled, size + outside)


def parts(episodes: int, bytes_used: int, budget: int) -> int:
    """How many equal parts a sweep must be run in, so that each takes at most `budget` bytes."""
    return min(episodes, max(1, math.ceil(bytes_used / budget)))


def part_of(plan: Plan, number: int, count: int) -> Plan:
    """Part `number` of `count` equal ones; the last is filled up with the last episode."""
    size = math.ceil(len(plan.clip) / count)
    rows = np.minimum(np.arange(size) + number * size, len(plan.clip) - 1)
    return Plan(*(values[rows] for values in plan))


def collect(
    program: Program, agent: Agent, motion: Motion, plan: Plan, steps: int,
    tell: Callable[[int], None] = lambda done: None,
) -> Curves:  # fmt: skip
    """Run the episodes of a plan to the end, `steps` control steps. tell: called with the control steps done so far."""
    plan = jax.tree.map(jnp.asarray, plan)
    carry = program.begin(motion, plan)
    rows: list[Curves] = []
    for done in range(0, steps, CHUNK):
        carry, curves = program.advance(agent, motion, plan, carry)
        rows.append(jax.device_get(curves))
        tell(min(done + CHUNK, steps))
    return Curves(*(np.concatenate(values)[:steps] for values in zip(*rows, strict=True)))
