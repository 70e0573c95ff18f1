"""The records that travel between the parts of mimicjax.

Shapes: B environments on this device, T control steps, M clips, F frames of all clips together, J joints without
the root (fixed ones included), D degrees of freedom, N = J + 1 bodies, K key bodies, W wrench bodies, A actions.
Units are metres, radians, seconds, kilograms, newtons. Quaternions are w first. A record whose comment gives a
leading B is used both for one environment (without B) and for a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array  # inside host callbacks the same fields hold numpy arrays

FIXED, HINGE, BALL = 0, 1, 3  # joint kinds; the value is the number of degrees of freedom
Device = Any  # jax.Device, which type checkers do not see as a class

CLAMP, WRAP = 0, 1  # loop modes of a clip
RUNNING, FAILED, SUCCEEDED, TIME_UP = 0, 1, 2, 3  # done codes, as MimicKit's NULL, FAIL, SUCC, TIME


@dataclasses.dataclass(frozen=True, eq=False)
class Robot:
    """What is known of a robot before any physics: static numpy arrays, never traced."""

    name: str
    xml: Path  # the MJCF file it was loaded from
    body_names: tuple[str, ...]  # [N], depth first, the root first
    joint_names: tuple[str, ...]  # [J], joint j moves body j + 1; a body without joint gives its own name
    dof_names: tuple[str, ...]  # [D], hinge: its joint name; ball: name_x, name_y, name_z
    joint_kinds: np.ndarray  # [J] int, FIXED, HINGE or BALL
    parents: np.ndarray  # [N] int, -1 for the root
    body_pos: np.ndarray  # [N,3] m, in the parent body's frame
    body_quat: np.ndarray  # [N,4], in the parent body's frame
    joint_axis: np.ndarray  # [J,3] unit, in the child body's frame; zero unless hinge
    joint_dof: np.ndarray  # [J] int, first degree of freedom of the joint; -1 if fixed
    dof_joint: np.ndarray  # [D] int, the joint a degree of freedom belongs to
    dof_range: np.ndarray  # [D,2] rad, position limits
    kp: np.ndarray  # [D] N m / rad
    kd: np.ndarray  # [D] N m s / rad
    torque_limit: np.ndarray  # [D] N m
    armature: np.ndarray  # [D] kg m^2, the motors' inertia reflected through their gears; 0 if the MJCF has none
    joint_error_weights: np.ndarray  # [J]
    key_bodies: np.ndarray  # [K] int, in the order of robot.yaml
    contact_bodies: np.ndarray  # [C] int, bodies that may touch the ground
    wrench_bodies: np.ndarray  # [W] int, bodies that disturbances act on unless they name others
    start_qpos: np.ndarray  # [7 + joint coordinates], start pose in MuJoCo's order
    ground_points: (
        np.ndarray
    )  # [P,3] m, in the frame of their body; the lowest of point z - radius is the lowest of the shape
    ground_radius: np.ndarray  # [P] m
    ground_body: np.ndarray  # [P] int
    mass: float  # kg

    @property
    def num_joints(self) -> int:
        return len(self.joint_kinds)

    @property
    def num_bodies(self) -> int:
        return len(self.parents)

    @property
    def num_dofs(self) -> int:
        return len(self.dof_joint)

    @property
    def nq(self) -> int:
        return len(self.start_qpos)

    @property
    def nv(self) -> int:
        return 6 + self.num_dofs


Ground = Callable[[Array], Array]  # places xy [...,2] m in the world -> height of the ground there [...] m


@dataclasses.dataclass(frozen=True, eq=False)
class Object:
    """Something in the scene that is not the robot: a body on the world, and all that hangs on it."""

    body: int  # MuJoCo's id
    qpos: slice  # its share of the scene's: 7 coordinates of a free body, none of a fixed one
    qvel: slice  # 6 of a free body, none of a fixed one
    start: np.ndarray  # [7] m and quaternion, world: where it is at the start


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """What is in a scene and where; static. Whoever wants sizes or places of physics asks this, never a `Robot`.

    Without objects the robot's share is all there is.
    """

    nq: int
    nv: int
    nu: int
    start_qpos: np.ndarray  # [nq] float32, robot in its start pose, objects where the scene puts them
    robot_qpos: slice  # the robot's share of qpos, root first
    robot_qvel: slice
    objects: Mapping[str, Object]  # by name, in MuJoCo's order
    wrench_bodies: np.ndarray  # [W] int, the bodies that wrenches act on: indices into robot.body_names
    wrench_ids: np.ndarray  # [W] int, the same: MuJoCo's ids
    ground: Ground  # may be called from compiled code

    def of_robot(self, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        """The robot's share of qpos [...,nq] and qvel [...,nv]."""
        return qpos[..., self.robot_qpos], qvel[..., self.robot_qvel]

    def with_robot(self, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        """The scene's qpos [...,nq] and qvel [...,nv] from the robot's share; objects are at the start, at rest."""
        if not self.objects:
            return qpos, qvel
        places = jnp.broadcast_to(jnp.asarray(self.start_qpos, qpos.dtype), (*qpos.shape[:-1], self.nq))
        speeds = jnp.zeros((*qvel.shape[:-1], self.nv), qvel.dtype)
        return places.at[..., self.robot_qpos].set(qpos), speeds.at[..., self.robot_qvel].set(qvel)


class Reflection(NamedTuple):
    """What a vector becomes in a mirror between left and right: vector[index] * sign."""

    index: Any  # [n] int32
    sign: Any  # [n] float32, +1 or -1


class Pose(NamedTuple):
    """A pose with velocities; simulated and reference poses are the same type."""

    root_pos: Array  # [3] m, world
    root_quat: Array  # [4]
    root_vel: Array  # [3] m/s, world frame, of the root body's origin
    root_ang_vel: Array  # [3] rad/s, world frame
    joint_quat: Array  # [J,4], joint-local
    dof_pos: Array  # [D] rad, hinge angles and exponential maps of balls
    dof_vel: Array  # [D] rad/s, ball joints in the child's frame
    body_pos: Array  # [N,3] m, world
    body_quat: Array  # [N,4], world


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """One motion clip on the host (numpy), as files hold it."""

    name: str
    robot: str  # name of the robot, "" if the file does not say
    dof_names: tuple[str, ...]  # [D], () if the file does not say
    fps: float
    loop: int  # CLAMP or WRAP
    root_pos: np.ndarray  # [F,3] m
    root_quat: np.ndarray  # [F,4]
    dof_pos: np.ndarray  # [F,D] rad; ball joints as exponential maps
    maker: str = ""  # the command that made it, or where it came from
    licence: str = ""
    weight: float = 1.0  # share in sampling, any scale

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (len(self.root_pos) - 1) / self.fps


class Bins(NamedTuple):
    """Parts of the clips, of about a second each, by which the starts of episodes are drawn; K of all clips end to end."""

    clip: Array  # [K] int32, the clip it is a part of
    first: Array  # [M] int32, a clip's first
    count: Array  # [M] int32, how many equal parts a clip has
    share: Array  # [K], probability that an episode begins there; sums to 1
    cumulative: Array  # [K], sums of the shares up to a bin and with it


class Clips(NamedTuple):
    """All frames of all clips packed end to end, on the device; an argument of compiled functions, never a constant."""

    root_pos: Array  # [F,3]
    root_quat: Array  # [F,4]
    root_vel: Array  # [F,3]
    root_ang_vel: Array  # [F,3]
    joint_quat: Array  # [F,J,4]
    dof_vel: Array  # [F,D]
    start: Array  # [M] int32, first frame
    frames: Array  # [M] int32, number of frames
    duration: Array  # [M] s
    loop: Array  # [M] int32
    weight: Array  # [M], sums to 1
    cumulative: Array  # [M], sums of the weights up to a clip and with it; clips are drawn from these
    loop_offset: Array  # [M,3] m, root displacement of one loop, z = 0
    bins: Any = ()  # Bins, where starts are drawn by them instead of by weight and evenly over a clip


class Physics(NamedTuple):
    """All that physics carries from one control step to the next; of the whole scene, as its `Layout` says."""

    qpos: Array  # [B,nq] float32
    qvel: Array  # [B,nv] float32
    warmstart: Array  # [B,nv] float32, the solver's start (qacc_warmstart)
    unstable: Array  # [B] bool, the engine gave up on this environment in the last step


class Fallen(NamedTuple):
    """n states of a robot that lies on the ground at rest; static, numpy."""

    qpos: np.ndarray  # [n,nq] float32, the robot's share; its root is over the origin, on flat ground
    qvel: np.ndarray  # [n,nv] float32


class Engine(NamedTuple):
    """A physics engine for B environments of one scene; all functions are pure and may be called from compiled code.

    Sizes nq, nv and W are the layout's. An environment that the engine gives up on stands in `Layout.start_qpos`.
    """

    name: str  # "native", "mjx-jax", "mjx-warp" or "isaacgym"
    init: Callable[[Array, Array], Physics]  # (qpos [B,nq], qvel [B,nv])
    step: Callable[
        [Physics, Array, Array, Array], Physics
    ]  # (physics, ctrl [B,D] or [B,S,D] for S substeps, wrench [B,W,6], variant [B] int32): one control step
    write: Callable[
        [Physics, Array, Array, Array], Physics
    ]  # (physics, mask [B] bool, qpos, qvel): only rows of mask change
    on_host: bool = False  # whether compiled programs call the host for it
    bytes_per_env: int = 0  # that a step takes of the device's memory beside the state; 0 on the host


class EnvState(NamedTuple):
    """What the environments remember between control steps."""

    physics: Any  # Physics; () where a reset leaves it alone, as the key
    key: Any  # [B] random keys, one per environment
    step: Array  # [B] int32, control steps since the reset
    clip: Array  # [B] int32
    start: Array  # [B] s, clip time at the reset
    reward_sum: Array  # [B], rewards of this episode so far
    variant: Array  # [B] int32, which of the engine's randomised models; 0 is the model as given
    push: Any  # state of the disturbances, leaves [B,...]; () without
    noise: Any  # what randomisation has drawn for the env's own part, leaves [B,...]; () without
    history: Any  # Pose [B,K-1,...], the last poses, the oldest first and the one now last; () if nobody asks
    task: Any  # the task's state, leaves [B,...]; () without
    getup: Any = ()  # env.getup.Recovery [B], what is on the ground and since when; () where a fall ends an episode
    follow: Any = ()  # how far the reference is displaced, leaves [B,...]; () where it stays in its place
    wait: Any = ()  # how long the clip stood still, leaves [B,...]; () where it always runs

    def clip_time(self, dt: float, ahead: int = 0) -> Array:
        """Where in the clip environments are, [B] s, after as many more control steps of dt s (0 or 1)."""
        steps = self.step + ahead if ahead else self.step
        if self.wait != ():
            steps = steps - self.wait.steps
        return self.start + dt * steps.astype(jnp.float32)


class Step(NamedTuple):
    """What one control step gives the learner."""

    obs: dict[str, Array]  # block -> [B,size] after resets, the input of the next action
    last_obs: dict[str, Array]  # the same before any reset: what the value of the step's end is estimated from
    reward: Array  # [B]
    done: Array  # [B] int8, RUNNING, FAILED, SUCCEEDED or TIME_UP
    views: dict[str, Array]  # name -> [B,size], what reward models asked to see of robot and reference
    unstable: Array  # [B] bool, physics exploded: nothing of this step says anything of the policy
    terms: dict[str, Array]  # name -> [B], of the reward
    errors: dict[str, Array]  # name -> [B], of tracking, and the figures of the task
    episode_length: Array  # [B] int32, control steps so far, this one included
    episode_return: Array  # [B], rewards so far, this one included
    statistics: dict[str, Any]  # statistics.Statistics of this step over the environments: what pushes and tasks did


class Rollout(NamedTuple):
    """T control steps of B environments; time first."""

    obs: dict[str, Array]  # block -> [T,B,size], what the action was chosen from
    last_obs: dict[str, Array]  # block -> [B,size], what comes next
    memory: Any  # [T,B,...], the policy's own state when it acted
    pushed: Any  # [B] float32, 1 in environments that may be pushed
    action: Array  # [T,B,A] normalised
    log_prob: Array  # [T,B]
    sampled: Array  # [T,B] bool, the action was sampled (not the mode) and physics held
    valid: Array  # [T,B] bool, physics held
    reward: Array  # [T,B]
    done: Array  # [T,B] int8
    end_value: Array  # [T,B], the critic's estimate of where time was up, 0 elsewhere
    views: dict[str, Array]  # name -> [T,B,size]
    place: Any = ()  # [T,B] int32, the bin of clips that the step ended in; () unless starts depend on failures


class TrainState(NamedTuple):
    """All that the future of a run depends on, so that saving it is resuming exactly."""

    agent: Any  # learn.sockets.Agent
    reward_models: tuple[Any, ...]  # one state for each of the algorithm's reward models
    env: Any  # EnvState
    obs: dict[str, Array]  # block -> [B,size], what the next action is chosen from
    memory: Any  # [B,...], the policy's own state
    iteration: Array  # [] int32
    key: Array  # [] random key of the updates
    sampling: Any = ()  # motion.sampling.Record, what failed where; () unless starts depend on failures


class Episodes(NamedTuple):
    """What happened in E episodes, each from its start to its first end."""

    length: Array  # [E] int32, control steps
    total: Array  # [E], sum of rewards
    done: Array  # [E] int8, how it ended
    errors: dict[str, Array]  # name -> [E], mean over the episode's steps of the tracking errors
    worst: dict[str, Array]  # name -> [E], the largest over the episode's steps
    last: dict[str, Array]  # name -> [E], in the episode's last step
