"""A double of the part of Isaac Gym's API that the adapter calls, backed by MuJoCo.

It keeps the vendor's conventions as its documents and users describe them, and is stricter where the vendor is silent:
bodies and degrees of freedom come in an order of its own, tensors are read at an address, states count from the next step
on, may be set once before it, and are seen after a refresh; forces hold for one step.
Signatures are checked against the public stubs.
"""

from __future__ import annotations

import ctypes
import types
from pathlib import Path

import mujoco
import numpy as np

DOF_FIELDS = "hasLimits driveMode lower upper velocity effort stiffness damping friction armature"
KINDS = {"hasLimits": bool, "driveMode": np.int32}
DOFS = np.dtype([(name, KINDS.get(name, np.float32)) for name in DOF_FIELDS.split()])


class Record:
    """Any of the vendor's structures: only what the class names may be set."""

    fields: dict[str, object] = {}

    def __init__(self) -> None:
        for name, value in self.fields.items():
            object.__setattr__(self, name, value() if isinstance(value, type) else value)

    def __setattr__(self, name: str, value: object) -> None:
        assert name in self.fields, f"{type(self).__name__} has no {name}"
        object.__setattr__(self, name, value)


class Vec3:
    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        self.x, self.y, self.z = x, y, z


class Quat:
    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, w: float = 1.0) -> None:
        self.x, self.y, self.z, self.w = x, y, z, w


class Transform(Record):
    fields = {"p": Vec3, "r": Quat}


class PhysXParams(Record):
    fields = dict.fromkeys(
        [
            "use_gpu",
            "solver_type",
            "num_position_iterations",
            "num_velocity_iterations",
            "contact_offset",
            "rest_offset",
            "bounce_threshold_velocity",
        ]
    )


class SimParams(Record):
    fields = {
        "dt": 1 / 60, "substeps": 2, "gravity": Vec3, "up_axis": None, "use_gpu_pipeline": True, "physx": PhysXParams,
    }  # fmt: skip


class PlaneParams(Record):
    fields = {"normal": Vec3, "static_friction": 1.0, "dynamic_friction": 1.0, "restitution": 0.0, "distance": 0.0}


class AssetOptions(Record):
    fields = dict.fromkeys(
        [
            "fix_base_link",
            "collapse_fixed_joints",
            "replace_cylinder_with_capsule",
            "override_com",
            "override_inertia",
            "use_physx_armature",
            "armature",
            "linear_damping",
            "angular_damping",
            "max_linear_velocity",
            "max_angular_velocity",
        ]
    )


class RigidShapeProperties(Record):
    fields = {"friction": 1.0, "restitution": 0.0}


class Tensor(Record):
    fields = {"device": -1, "dtype": None, "own_data": True, "shape": None, "data_address": 0}


class Asset:
    """A file as MuJoCo reads it; three hinges of a body are one joint, whose position is an exponential map."""

    def __init__(self, path: Path, options: AssetOptions) -> None:
        assert not (options.fix_base_link or options.collapse_fixed_joints or options.override_inertia)
        self.spec = mujoco.MjSpec.from_file(str(path))
        self.joints: list[tuple[str, list[str]]] = []  # the joint's name, and those of its degrees of freedom
        for body in self.spec.bodies[1:]:
            hinges = [joint for joint in body.joints if joint.type == mujoco.mjtJoint.mjJNT_HINGE]
            names = [joint.name for joint in hinges]
            if len(hinges) == 3:
                pos, armature = hinges[0].pos, hinges[0].armature
                for joint in hinges:
                    self.spec.delete(joint)
                body.add_joint(name=body.name, type=mujoco.mjtJoint.mjJNT_BALL, pos=pos, armature=armature)
            if names:
                self.joints.append((body.name if len(names) == 3 else names[0], names))
        self.joints.sort(key=lambda joint: joint[1][0])  # an order of its own
        names = [body.name for body in self.spec.bodies[1:]]
        self.bodies = names[:1] + sorted(names[1:])
        self.dofs = [name for _, names in self.joints for name in names]
        self.shapes = [geom for body in self.spec.bodies[1:] for geom in body.geoms]


class Env:
    """One environment; MuJoCo's model is compiled when the simulation is prepared."""

    def __init__(self) -> None:
        self.asset: Asset
        self.properties: np.ndarray
        self.shapes: list[RigidShapeProperties] = []
        self.filter = 0


class Sim:
    def __init__(self, params: SimParams) -> None:
        assert params.substeps == 1 and not params.use_gpu_pipeline
        self.params, self.envs, self.plane, self.prepared = params, [], None, False
        self.pending: dict[str, np.ndarray] = {}  # what counts from the next step on
        self.force = self.torque = None


def read(tensor: Tensor) -> np.ndarray:
    assert tensor.device == -1 and tensor.dtype == "float32"
    size = int(np.prod(tensor.shape))
    return np.array((ctypes.c_float * size).from_address(tensor.data_address)).reshape(tuple(tensor.shape))


def tensor_of(values: np.ndarray) -> Tensor:
    tensor = Tensor()
    tensor.dtype, tensor.shape, tensor.data_address = "float32", values.shape, values.ctypes.data
    return tensor


class Gym:
    def create_sim(self, compute_device=0, graphics_device=0, type="flex", params=None) -> Sim:
        assert type == "physx"
        return Sim(params)

    def add_ground(self, sim: Sim, params: PlaneParams) -> None:
        assert (params.normal.x, params.normal.y, params.normal.z, params.distance) == (0.0, 0.0, 1.0, 0.0)
        sim.plane = params

    def load_asset(self, sim: Sim, rootpath: str, filename: str, options: AssetOptions | None = None) -> Asset:
        return Asset(Path(rootpath) / filename, options or AssetOptions())

    def get_asset_dof_names(self, arg0: Asset) -> list[str]:
        return list(arg0.dofs)

    def get_asset_rigid_body_names(self, arg0: Asset) -> list[str]:
        return list(arg0.bodies)

    def get_asset_dof_properties(self, *args) -> np.ndarray:
        return np.zeros(len(args[0].dofs), DOFS)

    def create_env(self, arg0: Sim, arg1: Vec3, arg2: Vec3, arg3: int) -> Env:
        assert not arg0.prepared and arg3 >= 1
        arg0.envs.append(Env())
        return arg0.envs[-1]

    def create_actor(self, env, asset, pose, name="", group=-1, filter=-1, segmentationId=0) -> int:
        env.asset, env.filter = asset, filter
        env.shapes = [RigidShapeProperties() for _ in asset.shapes]
        return 0

    def set_actor_dof_properties(self, arg0: Env, arg1: int, arg2: np.ndarray) -> bool:
        arg0.properties = arg2.copy()
        return True

    def get_actor_rigid_shape_properties(self, arg0: Env, arg1: int) -> list[RigidShapeProperties]:
        return arg0.shapes

    def set_actor_rigid_shape_properties(self, arg0: Env, arg1: int, arg2: list[RigidShapeProperties]) -> bool:
        arg0.shapes = arg2
        return True

    def prepare_sim(self, arg0: Sim) -> bool:
        arg0.prepared, first = True, arg0.envs[0]
        arg0.model = compile_model(arg0, first)
        arg0.data = [mujoco.MjData(arg0.model) for _ in arg0.envs]
        names = [arg0.model.joint(name) for name, _ in first.asset.joints]
        arg0.qpos = [slice(joint.qposadr[0], joint.qposadr[0] + len(joint.qpos0)) for joint in names]
        arg0.qvel = np.concatenate([np.arange(j.dofadr[0], j.dofadr[0] + len(j.damping)) for j in names])
        arg0.bodies = [arg0.model.body(name).id for name in first.asset.bodies]
        arg0.roots = np.zeros((len(arg0.envs), 13), np.float32)
        arg0.dofs = np.zeros((len(arg0.envs) * len(first.asset.dofs), 2), np.float32)
        return True

    def acquire_actor_root_state_tensor(self, arg0: Sim) -> Tensor:
        return tensor_of(arg0.roots)

    def acquire_dof_state_tensor(self, arg0: Sim) -> Tensor:
        return tensor_of(arg0.dofs)

    def _set(self, sim: Sim, what: str, tensor: Tensor) -> bool:
        assert sim.prepared and what not in sim.pending, f"{what} set twice before a step"
        sim.pending[what] = read(tensor)
        return True

    def set_actor_root_state_tensor(self, arg0: Sim, arg1: Tensor) -> bool:
        return self._set(arg0, "roots", arg1)

    def set_dof_state_tensor(self, arg0: Sim, arg1: Tensor) -> bool:
        return self._set(arg0, "dofs", arg1)

    def set_dof_position_target_tensor(self, arg0: Sim, arg1: Tensor) -> bool:
        return self._set(arg0, "targets", arg1)

    def apply_rigid_body_force_tensors(self, sim: Sim, forceTensor=None, torqueTensor=None, space="env") -> bool:
        assert space == "global"
        sim.force, sim.torque = read(forceTensor), read(torqueTensor)
        return True

    def simulate(self, arg0: Sim) -> None:
        for row, data in enumerate(arg0.data):
            place(arg0, row, data)
            data.xfrc_applied[:] = 0.0
            if arg0.force is not None:
                rows = slice(row * len(arg0.bodies), (row + 1) * len(arg0.bodies))
                data.xfrc_applied[arg0.bodies] = np.concatenate([arg0.force[rows], arg0.torque[rows]], axis=1)
            mujoco.mj_step(arg0.model, data)
        arg0.pending, arg0.force = {}, None

    def fetch_results(self, arg0: Sim, arg1: bool) -> None:
        pass

    def refresh_actor_root_state_tensor(self, arg0: Sim) -> bool:
        for row, data in enumerate(arg0.data):
            turn = matrix(data.qpos[3:7])
            spin = turn @ data.qvel[3:6]
            centre = turn @ arg0.model.body_ipos[1]
            speed = data.qvel[:3] + np.cross(spin, centre)
            arg0.roots[row] = [*data.qpos[:3], *data.qpos[4:7], data.qpos[3], *speed, *spin]
        return True

    def refresh_dof_state_tensor(self, arg0: Sim) -> bool:
        rows = arg0.dofs.reshape(len(arg0.data), -1, 2)
        for row, data in zip(rows, arg0.data, strict=True):
            values = [data.qpos[joint] for joint in arg0.qpos]
            row[:, 0] = np.concatenate([exponential_map(q) if len(q) == 4 else q for q in values])
            row[:, 1] = data.qvel[arg0.qvel]
        return True


def place(sim: Sim, row: int, data: mujoco.MjData) -> None:
    """What was set before this step, put into MuJoCo's state."""
    count = len(sim.envs)
    if "roots" in sim.pending:
        root = sim.pending["roots"][row].astype(np.float64)
        data.qpos[:7] = [*root[:3], root[6], *root[3:6]]
        turn = matrix(data.qpos[3:7])
        data.qvel[:3] = root[7:10] - np.cross(root[10:13], turn @ sim.model.body_ipos[1])
        data.qvel[3:6] = turn.T @ root[10:13]
    if "dofs" in sim.pending:
        state, at = sim.pending["dofs"].reshape(count, -1, 2)[row].astype(np.float64), 0
        for joint in sim.qpos:
            ball = joint.stop - joint.start == 4
            data.qpos[joint] = quaternion(state[at : at + 3, 0]) if ball else state[at, 0]
            at += 3 if ball else 1
        data.qvel[sim.qvel] = state[:, 1]
    if "targets" in sim.pending:
        data.ctrl[:] = sim.pending["targets"].reshape(count, -1)[row]


def compile_model(sim: Sim, env: Env) -> mujoco.MjModel:
    """Position drives, one floor, friction as PhysX combines it: the mean of both; solver converged."""
    spec = env.asset.spec
    option = spec.option
    option.timestep, option.iterations, option.ls_iterations = sim.params.dt, 50, 50
    option.gravity = [sim.params.gravity.x, sim.params.gravity.y, sim.params.gravity.z]
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND
    for number, dof in enumerate(env.asset.dofs):
        joint = next(name for name, names in env.asset.joints if dof in names)
        own = env.properties[number]
        assert own["driveMode"] == 1
        motor = spec.add_actuator(name=dof, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint)
        motor.set_to_position(kp=own["stiffness"], kv=own["damping"])
        names = next(names for name, names in env.asset.joints if name == joint)
        motor.gear = np.eye(6)[names.index(dof)]
        motor.forcelimited, motor.forcerange = mujoco.mjtLimited.mjLIMITED_TRUE, [-own["effort"], own["effort"]]
    spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], contype=0, conaffinity=0)
    for number, (geom, own) in enumerate(zip(env.asset.shapes, env.shapes, strict=True)):
        geom.name = f"shape {number}"
        geom.contype = geom.conaffinity = int(env.filter == 0)
        pair = spec.add_pair(geomname1="floor", geomname2=geom.name, condim=3)
        mean = 0.5 * (own.friction + sim.plane.static_friction)
        pair.friction = [mean, mean, 0.005, 0.0001, 0.0001]
    return spec.compile()


def matrix(quat: np.ndarray) -> np.ndarray:
    values = np.zeros(9)
    mujoco.mju_quat2Mat(values, quat / np.linalg.norm(quat))
    return values.reshape(3, 3)


def exponential_map(quat: np.ndarray) -> np.ndarray:
    values = np.zeros(3)
    mujoco.mju_quat2Vel(values, quat, 1.0)
    return values


def quaternion(vector: np.ndarray) -> np.ndarray:
    values, angle = np.zeros(4), float(np.linalg.norm(vector))
    mujoco.mju_axisAngle2Quat(values, vector / max(angle, 1e-12), angle)
    return values


def module() -> types.ModuleType:
    """`isaacgym.gymapi`."""
    api = types.ModuleType("isaacgym.gymapi")
    names = (
        Vec3,
        Quat,
        Transform,
        PhysXParams,
        SimParams,
        PlaneParams,
        AssetOptions,
        RigidShapeProperties,
        Tensor,
        Gym,
    )
    for each in names:
        setattr(api, each.__name__, each)
    api.acquire_gym = Gym
    api.SIM_PHYSX, api.UP_AXIS_Z, api.GLOBAL_SPACE, api.DTYPE_FLOAT32 = "physx", "z", "global", "float32"
    api.DOF_MODE_POS = 1
    return api
