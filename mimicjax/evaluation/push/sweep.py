"""Running a push sweep: all its episodes as one batch in one compiled program, or in equal parts where memory is short."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import LearnSettings
from mimicjax.env import terminations
from mimicjax.env.env import Env
from mimicjax.evaluation.push.cells import Plan
from mimicjax.learn import actor_critic
from mimicjax.learn.actor_critic import ActorCritic
from mimicjax.motion.reference import Motion, poses_at
from mimicjax.robot import kinematics
from mimicjax.run import rollout
from mimicjax.types import Array, Engine, EnvState, Layout, Pose, Robot

CHUNK = 5  # control steps of one call of the program: often enough for a progress bar, seldom enough to cost nothing
WARP_BYTES = 400_000  # of an environment in mjx-warp, which allocates outside the compiled program


class Curves(NamedTuple):
    """What was seen after every control step of every episode; also of those that fell, which go on lying there.

    Arrays on the device in compiled functions, numpy once collected.
    """

    fallen: Any  # [T,E] bool: a body that may not touches the ground, or physics became unstable
    body_error: Any  # [T,E] m, mean over bodies of the distance from the reference, about the root
    global_error: Any  # [T,E] m, the same in the world
    tilt: Any  # [T,E] rad, between the root's upward axis and the vertical
    torque: Any  # [T,E] N m, largest of all joints
    load: Any  # [T,E], largest of all joints' torque / limit


class Carry(NamedTuple):
    """Between two calls of the program."""

    env: EnvState
    obs: Any
    heading: Array  # [B,4] the robot's heading at the onset
    step: Array  # [] int32


class Program(NamedTuple):
    """A sweep's two compiled functions, for B episodes."""

    begin: Callable[[Motion, Any, Plan], Carry]  # (motion, keys [B], plan)
    advance: Callable[[ActorCritic, Motion, Plan, Carry], tuple[Carry, Curves]]  # CHUNK control steps
    bytes: int  # of memory that it takes, as far as the compiler knows


def joint_torque(robot: Robot, ctrl: Array, pose: Pose) -> Array:
    """Torques [D] N m of the joints' position controllers for targets [D] rad, cut to the limits."""
    limit = np.asarray(robot.torque_limit, np.float32)
    return jnp.clip(robot.kp * (ctrl - pose.dof_pos) - robot.kd * pose.dof_vel, -limit, limit)


def wrench_at(plan: Plan, heading: Array, step: Array, onset: int, bodies: int) -> Array:
    """[B,W,6] N, N m in the world during control step `step`; the last step of a push takes the share that is left of it."""
    share = jnp.where(step >= onset, jnp.clip(plan.steps - (step - onset), 0.0, 1.0), 0.0)
    turned = rotation.rotate(heading[:, None], jnp.reshape(plan.wrench, (-1, 2, 3))).reshape(-1, 6)
    mine = jax.nn.one_hot(plan.body, bodies)
    return mine[:, :, None] * (share[:, None] * turned)[:, None]


def _seen(
    robot: Robot, layout: Layout, fall: terminations.Failure, before: EnvState, after: EnvState, ctrl: Array,
    reference: Pose,
) -> Curves:  # fmt: skip
    """One environment after a control step -> Curves of scalars."""
    old, pose = (
        kinematics.pose_of(robot, *layout.of_robot(state.physics.qpos, state.physics.qvel)) for state in (before, after)
    )
    targets = ctrl.reshape(-1, robot.num_dofs)  # of every substep, or one for all
    torque = jnp.maximum(jnp.abs(joint_torque(robot, targets[0], old)), jnp.abs(joint_torque(robot, targets[-1], pose)))
    up = rotation.rotate(pose.root_quat, jnp.asarray([0.0, 0.0, 1.0]))[2]
    return Curves(
        fall(pose, reference) | after.physics.unstable,
        terminations.tracking_errors(pose, reference)["Body_Pos_Err"],
        jnp.mean(jnp.linalg.norm(reference.body_pos - pose.body_pos, axis=-1)),
        jnp.arccos(jnp.clip(up, -1.0, 1.0)), jnp.max(torque),
        jnp.max(torque / np.maximum(robot.torque_limit, 1e-9)),
    )  # fmt: skip


def step_of(robot: Robot, layout: Layout, env: Env, engine: Engine, learn: LearnSettings, onset: int) -> Callable:
    """The function (agent, motion, plan, carry) -> (carry, Curves [B]): one control step in which nobody begins anew."""
    fall, bodies = terminations.fall(robot, layout.ground), len(layout.wrench_bodies)

    def one(agent: ActorCritic, motion: Motion, plan: Plan, carry: Carry) -> tuple[Carry, Curves]:
        qpos, _ = layout.of_robot(carry.env.physics.qpos, carry.env.physics.qvel)
        heading = jnp.where(carry.step == onset, rotation.heading_quat(qpos[:, 3:7]), carry.heading)
        before, ctrl, _ = env.before(motion, carry.env, actor_critic.mode(agent, learn, carry.obs))
        wrench = wrench_at(plan, heading, carry.step, onset, bodies)
        moved = before._replace(physics=engine.step(before.physics, ctrl, wrench, before.variant))
        ended, step, _ = env.after(motion, moved)
        # env gives those that ended a new start, which is not taken: an episode of a sweep ends with its time
        after = ended._replace(step=before.step + 1, clip=before.clip, start=before.start)
        reference = poses_at(robot, motion, after.clip, after.start + env.dt * after.step.astype(jnp.float32))
        rows = jax.vmap(lambda *each: _seen(robot, layout, fall, *each))(before, after, ctrl, reference)
        return Carry(after, step.last_obs, heading, carry.step + 1), rows

    return one


def program(
    robot: Robot, layout: Layout, env: Env, engine: Engine, learn: LearnSettings, onset: int,
    agent: ActorCritic, motion: Motion, plan: Plan, seed: int,
) -> Program:  # fmt: skip
    """Compile a sweep for as many episodes as `plan` has.

    layout: of the engine's scene; its wrench bodies are the plan's bodies. onset: the control step in which pushes begin.
    """
    one = step_of(robot, layout, env, engine, learn, onset)

    def begin(motion: Motion, keys: jax.Array, plan: Plan) -> Carry:
        state, obs = rollout.begin(env, engine, motion, keys, jnp.asarray(plan.clip), jnp.asarray(plan.start))
        return Carry(state, obs, jnp.tile(jnp.asarray([1.0, 0.0, 0.0, 0.0]), (len(plan.clip), 1)), jnp.int32(0))

    def advance(agent: ActorCritic, motion: Motion, plan: Plan, carry: Carry) -> tuple[Carry, Curves]:
        return jax.lax.scan(lambda carry, _: one(agent, motion, plan, carry), carry, None, length=CHUNK)

    plan = jax.tree.map(jnp.asarray, plan)
    keys = jax.random.split(jax.random.key(seed), len(plan.clip))
    first = jax.jit(begin)
    carry = jax.eval_shape(first, motion, keys, plan)
    compiled = jax.jit(advance, donate_argnums=3).lower(agent, motion, plan, carry).compile()
    used = compiled.memory_analysis()
    size = sum(getattr(used, f"{name}_size_in_bytes", 0) for name in ("temp", "argument", "output"))
    outside = WARP_BYTES * len(plan.clip) if engine.name == "mjx-warp" else 0
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
    made: Program, agent: ActorCritic, motion: Motion, plan: Plan, seed: int, steps: int,
    tell: Callable[[int], None] = lambda done: None,
) -> Curves:  # fmt: skip
    """Run the episodes of a plan to the end, `steps` control steps. tell: called with the control steps done so far."""
    plan = jax.tree.map(jnp.asarray, plan)
    carry = made.begin(motion, jax.random.split(jax.random.key(seed), len(plan.clip)), plan)
    rows: list[Curves] = []
    for done in range(0, steps, CHUNK):
        carry, found = made.advance(agent, motion, plan, carry)
        rows.append(jax.device_get(found))
        tell(min(done + CHUNK, steps))
    return Curves(*(np.concatenate(values)[:steps] for values in zip(*rows, strict=True)))
