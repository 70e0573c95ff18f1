"""Robots that lie on the ground: thrown at random and left until they rest, once at the start of a run.

MuJoCo's C engine does it whichever engine trains: it is there on every machine, needs nothing compiled, and gives the same
states for the same seed, bit for bit, so that a resumed run and another engine begin where the first one did.
"""

from __future__ import annotations

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from mimicjax.config.settings import EngineSettings
from mimicjax.engine.scene import Scene, substeps
from mimicjax.errors import UserError
from mimicjax.robot.kinematics import plane
from mimicjax.types import BALL, Fallen, Robot

SECONDS = 3.0  # from the throw to the rest
ROUNDS = 8  # at most
SPARE = 4  # one throw more for each so many states: of the shipped robots nine tenths come to rest
DROP = 1.5  # height of the thrown root, of that in the start pose
SPEED, SPIN = 0.5, 2.0  # m/s and rad/s, standard deviations of the throw
LOW = 0.6  # height of a root that lies, at most, of that in the start pose
ROOT_SPEED, JOINT_SPEED = 0.1, 0.5  # m/s and rad/s of what rests, at most


def make(scene: Scene, settings: EngineSettings, count: int, seed: int) -> Fallen:
    """`count` states of a robot at rest on the ground, a function of scene, settings and seed.

    Half of the robots hold the joint angles that they are thrown with, half are limp but for the damping of their motors.
    Roots are over the origin. Raises UserError for a robot of whose throws too few come to rest on the ground, and for
    uneven ground, on which a state is good for the place where it came to rest only.
    """
    if scene.layout.ground is not plane:
        raise UserError("env.fallen_start: robots lie down on flat ground only, and this scene's is uneven")
    rng = np.random.default_rng([seed, 0x66616C6C])
    rest: list[np.ndarray] = []
    throws = count + -(-count // SPARE)
    for _ in range(ROUNDS):
        rows = _thrown(scene, settings, throws, rng)
        rest.append(rows[_lies(scene.robot, rows)])
        if sum(map(len, rest)) >= count:
            qpos, qvel = np.split(np.concatenate(rest)[:count], [scene.robot.nq], axis=1)
            qpos[:, :2] = 0.0
            return Fallen(qpos, qvel)
    raise UserError(
        f"env.fallen_start: of {ROUNDS * throws} throws of robot {scene.robot.name} {sum(map(len, rest))} came to rest on the "
        f"ground within {SECONDS:g} s, and env.getup.states asks for {count}"
    )


def _thrown(scene: Scene, settings: EngineSettings, count: int, rng: np.random.Generator) -> np.ndarray:
    """The robot's share of qpos and qvel [count,nq+nv] float32 after the throws; NaN where MuJoCo gave up."""
    layout, robot = scene.layout, scene.robot
    batch = Batch(scene.model, count, settings.threads)
    qpos, qvel, ctrl = (batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
    length = batch.bind("actuator_length")
    angles = _angles(robot, count, rng)
    qpos[:] = layout.start_qpos
    qpos[:, layout.robot_qpos] = _coordinates(robot, angles, rng)
    root = layout.robot_qvel.start
    qvel[:, root : root + 6] = rng.normal(size=(count, 6)) * np.repeat([SPEED, SPIN], 3)
    limp = rng.random(count) < 0.5
    ctrl[:] = angles
    failed = np.zeros(count, bool)
    for _ in range(round(SECONDS * settings.control_freq)):
        batch.warning[:] = 0
        try:
            batch.step(nstep=substeps(settings))
        except SimulationError as error:
            failed[error.ids] = True
        failed |= batch.warning[:, 3:, 1].any(axis=1)
        ctrl[limp] = length[limp]  # a servo whose target is where the joint is only damps
    rows = np.concatenate([qpos[:, layout.robot_qpos], qvel[:, layout.robot_qvel]], axis=1).astype(np.float32)
    rows[failed] = np.nan
    return rows


def _angles(robot: Robot, count: int, rng: np.random.Generator) -> np.ndarray:
    """Joint coordinates [count,D]: on the way from the start pose to anywhere in the joints' range."""
    low, high = robot.dof_range.T
    anywhere = rng.uniform(low, high, (count, robot.num_dofs))
    return rng.uniform(size=(count, 1)) * (anywhere - _start(robot)) + _start(robot)


def _start(robot: Robot) -> np.ndarray:
    """[D] joint coordinates of the start pose; balls, which it has unturned or nearly so, as not turned."""
    start, place = np.zeros(robot.num_dofs), 7
    for joint in np.flatnonzero(robot.joint_kinds > 0):
        ball = robot.joint_kinds[joint] == BALL
        if not ball:
            start[robot.joint_dof[joint]] = robot.start_qpos[place]
        place += 4 if ball else 1
    return start


def _coordinates(robot: Robot, angles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """qpos [count,nq] of the robot with joint coordinates [count,D], turned anyhow, above the ground."""
    count = len(angles)
    turn = rng.normal(size=(count, 4))
    columns = [np.zeros((count, 2)), np.full((count, 1), DROP * robot.start_qpos[2])]
    columns.append(turn / np.linalg.norm(turn, axis=1, keepdims=True))
    for joint in np.flatnonzero(robot.joint_kinds > 0):
        dof = robot.joint_dof[joint]
        ball = robot.joint_kinds[joint] == BALL
        columns.append(_exponential(angles[:, dof : dof + 3]) if ball else angles[:, dof : dof + 1])
    return np.concatenate(columns, axis=1)


def _exponential(maps: np.ndarray) -> np.ndarray:
    """Rotations [count,4] of exponential maps [count,3]."""
    quats = np.zeros((len(maps), 4))
    for quat, vector in zip(quats, maps, strict=True):
        angle = float(np.linalg.norm(vector))
        mujoco.mju_axisAngle2Quat(quat, vector / max(angle, 1e-9), angle)
    return quats


def _lies(robot: Robot, rows: np.ndarray) -> np.ndarray:
    """[count] bool: low, and still; false for what is not a number."""
    qvel = np.abs(rows[:, robot.nq :])
    still = (qvel[:, :3] < ROOT_SPEED).all(axis=1) & (qvel[:, 3:] < JOINT_SPEED).all(axis=1)
    return still & (rows[:, 2] < LOW * robot.start_qpos[2])
