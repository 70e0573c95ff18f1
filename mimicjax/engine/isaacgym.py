"""Isaac Gym (PhysX) behind the socket of all engines, to compare it with MuJoCo; the only file that imports it.

It runs on the CPU's side of the vendor's tensor API: tensors are named by their addresses, and numpy reads them there, so
neither torch nor a GPU is needed. docs/engines.md says what of this has been seen with the vendor's binary: nothing yet.
"""

from __future__ import annotations

import ctypes
import math
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mimicjax.config.settings import EngineSettings
from mimicjax.engine import host, isaacgym_asset, isaacgym_frames, state
from mimicjax.engine.randomisation import Variants
from mimicjax.engine.scene import Scene, substeps
from mimicjax.errors import UserError
from mimicjax.types import Array, Engine, Physics

FAST = 1e4  # rad/s, a joint's speed limit, which MuJoCo has none of
FLOOR = 1.0  # the floor's friction; PhysX takes the mean of it and a shape's


def make(scene: Scene, num_envs: int, settings: EngineSettings, variants: Variants | None = None) -> Engine:
    """The engine `isaacgym` for a scene of a robot on flat ground.

    `step` takes at most `num_envs` environments, under vmap, scan and shard_map too. PhysX has no warm start that can be
    given or taken: it is zero. An environment is unstable when its inputs are not finite or its state is not, or grew
    beyond `state.LARGEST_QPOS` or `state.LARGEST_QVEL`; it then stands as in `Layout.start_qpos`, at rest.

    Raises UserError where Isaac Gym is missing, for randomised models, and for scenes with more than robot and floor.
    """
    isaacgym_asset.check(scene)
    if variants:
        raise UserError("engine isaacgym has no randomised models: leave randomize out, or use engine.name = native")
    simulator = _Simulator(scene, num_envs, settings)
    physics_step = host.step_of(simulator.stepper, scene.layout, substeps(settings), False)

    def step(physics: Physics, ctrl: Array, wrench: Array, variant: Array | None = None) -> Physics:
        if math.prod(physics.qpos.shape[:-1]) > num_envs:
            raise UserError(f"engine isaacgym was made for {num_envs} environments, given {physics.qpos.shape[:-1]}")
        return physics_step(physics, ctrl, wrench)

    return Engine("isaacgym", state.init, step, state.write, on_host=True)


def _import() -> Any:
    try:
        from isaacgym import gymapi  # pyright: ignore  # not on PyPI
    except (ImportError, RuntimeError) as error:
        raise UserError(f"engine isaacgym needs NVIDIA's Isaac Gym in this Python ({error}); use native") from error
    return gymapi


class _Order(NamedTuple):
    """Where the simulator has what the robot has; it may order bodies and degrees of freedom as it likes."""

    dofs: np.ndarray  # [D] of the robot's degrees of freedom, their places in an environment of the simulator
    bodies: np.ndarray  # [W] of the wrench bodies
    num_bodies: int  # in an environment


class _Simulator:
    """`count` environments of one robot on a floor."""

    def __init__(self, scene: Scene, count: int, settings: EngineSettings) -> None:
        self.scene, self.count, self.substeps = scene, count, substeps(settings)
        self.api = _import()
        self.gym, self.lock = self.api.acquire_gym(), threading.Lock()
        self.sim = self.gym.create_sim(0, -1, self.api.SIM_PHYSX, _parameters(self.api, scene, settings))
        if self.sim is None:
            raise UserError("engine isaacgym: the simulator could not be created")
        floor = self.api.PlaneParams()
        floor.normal = self.api.Vec3(0.0, 0.0, 1.0)
        floor.static_friction, floor.dynamic_friction, floor.restitution = FLOOR, FLOOR, 0.0
        self.gym.add_ground(self.sim, floor)
        asset = self._load()
        self.order = _order(self.gym, asset, scene)
        self._populate(asset, settings)
        self.gym.prepare_sim(self.sim)
        width = scene.robot.num_dofs
        self.roots = _view(self.gym.acquire_actor_root_state_tensor(self.sim)).reshape(count, 13)
        self.dofs = _view(self.gym.acquire_dof_state_tensor(self.sim)).reshape(count, width, 2)
        self.target = np.zeros((count, width), np.float32)
        self.force = np.zeros((count, self.order.num_bodies, 3), np.float32)
        self.torque = np.zeros_like(self.force)

    def _load(self) -> Any:
        options = self.api.AssetOptions()
        options.fix_base_link = options.collapse_fixed_joints = options.replace_cylinder_with_capsule = False
        options.override_com = options.override_inertia = False
        options.use_physx_armature = True
        options.armature = options.linear_damping = options.angular_damping = 0.0
        options.max_linear_velocity = options.max_angular_velocity = FAST
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "robot.xml").write_text(isaacgym_asset.write(self.scene))
            return self.gym.load_asset(self.sim, folder, "robot.xml", options)

    def _populate(self, asset: Any, settings: EngineSettings) -> None:
        """One actor to an environment, all at the origin: groups keep them apart."""
        corner, pose = self.api.Vec3(0.0, 0.0, 0.0), self.api.Transform()
        pose.p = self.api.Vec3(*self.scene.robot.start_qpos[:3].tolist())
        filtered = 0 if settings.self_collision else 1  # shapes that share a bit do not collide
        for group in range(self.count):
            env = self.gym.create_env(self.sim, corner, corner, math.isqrt(self.count - 1) + 1)
            actor = self.gym.create_actor(env, asset, pose, self.scene.robot.name, group, filtered)
            properties = _drives(self.api, self.gym, asset, self.scene)
            self.gym.set_actor_dof_properties(env, actor, properties)
            shapes = self.gym.get_actor_rigid_shape_properties(env, actor)
            wanted = isaacgym_asset.friction(self.scene)
            if len(shapes) != len(wanted):
                raise UserError(f"engine isaacgym: {len(wanted)} shapes were written, {len(shapes)} read")
            for shape, value in zip(shapes, wanted, strict=True):
                shape.friction, shape.restitution = 2.0 * float(value) - FLOOR, 0.0
            self.gym.set_actor_rigid_shape_properties(env, actor, shapes)

    def stepper(self, packed: jax.Array, controls: int = 1) -> np.ndarray:
        """The callback that `host.step_of` wraps."""
        scene, inputs = self.scene, host.unpack(packed, self.scene.layout, controls)
        rows = len(inputs.qpos)
        if rows > self.count:
            raise RuntimeError(f"engine isaacgym was made for {self.count} environments, given {rows}")
        given = [inputs.qpos, inputs.qvel, inputs.ctrl.reshape(rows, -1), inputs.wrench.reshape(rows, -1)]
        failed = ~np.all([np.isfinite(values).all(axis=1) for values in given], axis=0)
        with self.lock:
            self._place(
                np.where(failed[:, None], scene.layout.start_qpos, inputs.qpos),
                np.where(failed[:, None], 0, inputs.qvel),
            )
            self._push(np.where(failed[:, None, None], 0.0, inputs.wrench))
            for now in range(controls):
                self.target[:rows, self.order.dofs] = np.where(failed[:, None], 0.0, inputs.ctrl[:, now])
                self.gym.set_dof_position_target_tensor(self.sim, _named(self.api, self.target))
                for _ in range(self.substeps // controls):
                    self._simulate()
            qpos, qvel = self._state(rows)
        return host.pack(inputs.lead, [qpos, qvel, np.zeros_like(qvel)], failed, scene.layout.start_qpos)

    def _place(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        rows = len(qpos)
        self.roots[:rows] = isaacgym_frames.root_states(self.scene, qpos, qvel)
        self.dofs[:rows, self.order.dofs] = isaacgym_frames.dof_states(self.scene.robot, qpos, qvel)
        self.gym.set_actor_root_state_tensor(self.sim, _named(self.api, self.roots))
        self.gym.set_dof_state_tensor(self.sim, _named(self.api, self.dofs))

    def _push(self, wrench: np.ndarray) -> None:
        """Wrenches [R,W,6] at the bodies' centres of mass, where PhysX's forces act as MuJoCo's do."""
        self.force[:], self.torque[:] = 0.0, 0.0
        self.force[: len(wrench), self.order.bodies] = wrench[..., :3]
        self.torque[: len(wrench), self.order.bodies] = wrench[..., 3:]

    def _simulate(self) -> None:
        force, torque = (_named(self.api, values.reshape(-1, 3)) for values in (self.force, self.torque))
        self.gym.apply_rigid_body_force_tensors(self.sim, force, torque, self.api.GLOBAL_SPACE)  # for one step only
        self.gym.simulate(self.sim)
        self.gym.fetch_results(self.sim, True)

    def _state(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        self.gym.refresh_actor_root_state_tensor(self.sim)
        self.gym.refresh_dof_state_tensor(self.sim)
        return isaacgym_frames.coordinates(self.scene, self.roots[:rows], self.dofs[:rows, self.order.dofs])


def _parameters(api: Any, scene: Scene, settings: EngineSettings) -> Any:
    """One step of the simulator is one of `settings.sim_freq`, so that a force holds for it and a control for as many as told."""
    parameters = api.SimParams()
    parameters.dt, parameters.substeps = 1.0 / settings.sim_freq, 1
    parameters.gravity = api.Vec3(*scene.model.opt.gravity.tolist())
    parameters.up_axis = api.UP_AXIS_Z
    parameters.use_gpu_pipeline = parameters.physx.use_gpu = False
    parameters.physx.solver_type = 1  # TGS
    parameters.physx.num_position_iterations, parameters.physx.num_velocity_iterations = 4, 0
    parameters.physx.contact_offset, parameters.physx.rest_offset = 0.02, 0.0
    parameters.physx.bounce_threshold_velocity = 0.2
    return parameters


def _order(gym: Any, asset: Any, scene: Scene) -> _Order:
    dofs, bodies = gym.get_asset_dof_names(asset), gym.get_asset_rigid_body_names(asset)
    for what, theirs, ours in (
        ("degrees of freedom", dofs, scene.robot.dof_names),
        ("bodies", bodies, scene.robot.body_names),
    ):
        if sorted(theirs) != sorted(ours):
            raise UserError(f"engine isaacgym: it has the {what} {list(theirs)}, expected {list(ours)}")
    pushed = [bodies.index(scene.robot.body_names[body]) for body in scene.layout.wrench_bodies]
    return _Order(
        np.array([dofs.index(name) for name in scene.robot.dof_names], int), np.array(pushed, int), len(bodies)
    )


def _drives(api: Any, gym: Any, asset: Any, scene: Scene) -> np.ndarray:
    """Position servos: torque kp (target - position) - kd velocity, cut to the torque limit; no dry friction."""
    properties, names = gym.get_asset_dof_properties(asset), gym.get_asset_dof_names(asset)
    robot = scene.robot
    place = [robot.dof_names.index(name) for name in names]
    properties["driveMode"] = int(api.DOF_MODE_POS)
    for field, values in (
        ("stiffness", robot.kp),
        ("damping", robot.kd),
        ("effort", robot.torque_limit),
        ("armature", robot.armature),
    ):
        properties[field] = values[place]
    properties["velocity"], properties["friction"] = FAST, 0.0
    return properties


def _view(tensor: Any) -> np.ndarray:
    """The simulator's own memory as an array."""
    shape = tuple(tensor.shape)
    memory = (ctypes.c_float * math.prod(shape)).from_address(tensor.data_address)
    return np.ctypeslib.as_array(memory).reshape(shape)


def _named(api: Any, values: np.ndarray) -> Any:
    """A tensor that names a contiguous float32 array's memory, as the vendor's gymtorch does for torch's."""
    tensor = api.Tensor()
    tensor.device, tensor.dtype, tensor.own_data = -1, api.DTYPE_FLOAT32, False
    tensor.shape, tensor.data_address = list(values.shape), values.ctypes.data
    return tensor
