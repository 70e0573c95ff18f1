"""Other groups' tracking policies, read out of the package that they publish; nothing of theirs lies in this repository.

Known is holosoma's player (PyPI: holosoma-inference). Its trackers of the G1 are ONNX files: inputs are an
observation and a time step of 1/50 s, outputs are the action and the clip at that time step. Gains, joint names and the
robot's URDF are in a file's metadata; default pose and action scales in the player's configuration.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import jax.numpy as jnp
import mujoco
import numpy as np

from mimicjax import rotation
from mimicjax.errors import UserError
from mimicjax.files import replace_text
from mimicjax.robot import kinematics
from mimicjax.robot.load import load
from mimicjax.types import CLAMP, Array, Clip, Robot

PACKAGE, VERSION = "holosoma-inference", "0.1.3"
ROOT = "holosoma_inference"
FPS = 50  # control steps and frames of the clip a second
ANCHOR = "torso_link"  # the body whose place and rotation the files give of the clip
LARGEST = 100.0  # of an action, as the player cuts it
NATURAL = 2 * np.pi * 10.0  # rad/s: their gains are armature x NATURAL^2, so that armature follows from them
FIRST_LOOK = 4096  # frames; twice as many as long as the clip goes on in the second half


class Published(NamedTuple):
    """A policy in the package."""

    file: str
    scale: float | None  # of actions, rad; None: the player's scales by joint


# The player falls back on its scales by joint for a file that names none, and neither does. The first was trained with
# them. The second gives joint angles: with these scales it falls, with 1 it dances.
POLICIES = {
    "ppo": Published(f"{ROOT}/models/wbt/ppo_g1_29dof_dancing.onnx", None),
    "fastsac": Published(f"{ROOT}/models/wbt/fastsac_g1_29dof_dancing.onnx", 1.0),
}


class Peer(NamedTuple):
    """A tracking policy and the clip it dances to: D joints in an order of its own, F frames."""

    name: str
    joints: tuple[str, ...]  # [D]
    kp: np.ndarray  # [D] N m / rad
    kd: np.ndarray  # [D] N m s / rad
    default: np.ndarray  # [D] rad, where an action of zero leads
    scale: np.ndarray  # [D] rad
    joint_pos: np.ndarray  # [F,D] rad, the clip
    joint_vel: np.ndarray  # [F,D] rad/s
    anchor_pos: np.ndarray  # [F,3] m
    anchor_quat: np.ndarray  # [F,4], w first
    urdf: str
    act: Callable[[np.ndarray, np.ndarray], np.ndarray]  # observations [E,n] and frames [E] -> actions [E,D]


def fetch(cache: Path) -> Path:
    """The package's wheel in the cache folder, from pip's registry if it is not there. Raises UserError."""
    pattern = f"{ROOT}-{VERSION}-*.whl"
    if not list(cache.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(cache)]
        if subprocess.run([*command, f"{PACKAGE}=={VERSION}"]).returncode:
            raise UserError(
                f"pip cannot download {PACKAGE} {VERSION}; get the wheel elsewhere and name it with --wheel"
            )
    return next(iter(cache.glob(pattern)))


def read(wheel: Path, name: str) -> Peer:
    """A policy of POLICIES from the package's wheel. Raises UserError where the wheel lacks what is needed."""
    published = POLICIES[name]
    try:
        with zipfile.ZipFile(wheel) as archive:
            model, config = archive.read(published.file), archive.read(f"{ROOT}/config/config_values/robot.py")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel}: not a wheel of {PACKAGE} {VERSION}: {error}") from None
    session = _session(model)
    facts = {key: _value(text) for key, text in session.get_modelmeta().custom_metadata_map.items()}
    joints, configured = tuple(facts["dof_names"]), defaults(config.decode())
    scale = facts.get("action_scale", published.scale)
    scale = configured["default_per_joint_action_scale"] if scale is None else scale
    motion = clip_of(lambda frame: _run(session, ("joint_pos", "joint_vel", "ref_pos_xyz", "ref_quat_xyzw"), frame))
    return Peer(
        name=name, joints=joints, kp=np.asarray(facts["kp"]), kd=np.asarray(facts["kd"]),
        default=np.asarray(configured["default_dof_angles"]), scale=np.broadcast_to(scale, len(joints)),
        joint_pos=motion[0], joint_vel=motion[1], anchor_pos=motion[2], anchor_quat=motion[3][:, [3, 0, 1, 2]],
        urdf=facts["robot_urdf"],
        act=lambda seen, frames: np.concatenate(
            [_run(session, ("actions",), frame, row[None])[0] for row, frame in zip(seen, frames, strict=True)]
        ),
    )  # fmt: skip


def _session(model: bytes) -> Any:
    try:
        onnx = importlib.import_module("onnxruntime")
    except ImportError:
        raise UserError('onnxruntime is not installed: pip install onnxruntime, or ".[benchmarks]" here') from None
    options = onnx.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # one row at a time: threads would only wait
    return onnx.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _run(session: Any, outputs: tuple[str, ...], frame: int, seen: np.ndarray | None = None) -> list[np.ndarray]:
    """Outputs [1,n] at a frame for an observation [1,n]; the clip does not depend on it."""
    if seen is None:
        seen = np.zeros(next(each.shape for each in session.get_inputs() if each.name == "obs"))
    step = np.full((1, 1), frame, np.float32)
    return session.run(list(outputs), {"obs": seen.astype(np.float32), "time_step": step})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def defaults(config: str) -> dict[str, Any]:
    """Default pose [D] rad and action scales [D] rad of the G1 in the player's configuration, by its names for them.

    The text is read, not run. Raises UserError where it does not have them.
    """
    values: dict[str, Any] = {}
    for node in ast.parse(config).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if isinstance(node.value, ast.Tuple):
            values[node.targets[0].id] = ast.literal_eval(node.value)
        elif node.targets[0].id == "g1_29dof" and isinstance(node.value, ast.Call):
            wanted = {word.arg: word.value for word in node.value.keywords}
            pose, scale = (wanted.get(name) for name in ("default_dof_angles", "default_per_joint_action_scale"))
            if pose is not None and isinstance(scale, ast.Name) and scale.id in values:
                return {
                    "default_dof_angles": ast.literal_eval(pose), "default_per_joint_action_scale": values[scale.id]
                }  # fmt: skip
    raise UserError(f"{PACKAGE}: config_values/robot.py has no default pose or action scales of g1_29dof")


def clip_of(frame_at: Callable[[int], list[np.ndarray]]) -> list[np.ndarray]:
    """All frames [F,n] of every output; behind the end of a clip its last frame goes on for ever."""
    rows = [frame_at(frame) for frame in range(FIRST_LOOK)]
    while True:
        outputs = [np.concatenate(values) for values in zip(*rows, strict=True)]
        moved = np.any([np.any(values[1:] != values[:-1], axis=1) for values in outputs], axis=0)
        last = int(np.flatnonzero(moved)[-1]) + 1 if moved.any() else 0
        if last < len(rows) // 2:
            return [values[: last + 1].astype(np.float64) for values in outputs]
        rows += [frame_at(frame) for frame in range(len(rows), 2 * len(rows))]


def columns(peer: Peer, robot: Robot) -> tuple[np.ndarray, np.ndarray]:
    """Where the robot's degrees of freedom are among the policy's joints [D], and these among those. Raises UserError."""
    if set(peer.joints) != set(robot.dof_names):
        odd = sorted(set(peer.joints) ^ set(robot.dof_names))
        raise UserError(f"{peer.name}: its joints are not those of robot {robot.name}: {', '.join(odd[:4])}")
    to_robot = np.array([peer.joints.index(name) for name in robot.dof_names])
    return to_robot, np.argsort(to_robot)


def observation(peer: Peer, robot: Robot, qpos: Array, qvel: Array, action: Array, frame: Array) -> Array:
    """What the policy sees [E,5D+9] of the robot [E,nq], [E,nv], its last action [E,D] and the clip's frames [E].

    The player sorts the terms of an observation by name (`obs_terms_sorted`), and so does training.
    """
    pose = kinematics.pose_of(robot, qpos, qvel)
    _, to_peer = columns(peer, robot)
    turn = rotation.conjugate(pose.body_quat[..., robot.body_names.index(ANCHOR), :])
    turn = rotation.multiply(turn, jnp.asarray(peer.anchor_quat, jnp.float32)[frame])
    axes = [rotation.rotate(turn, jnp.broadcast_to(jnp.eye(3)[k], (*turn.shape[:-1], 3))) for k in (0, 1)]
    motion = jnp.asarray(np.concatenate([peer.joint_pos, peer.joint_vel], axis=1), jnp.float32)
    terms = {
        "actions": action,
        "base_ang_vel": qvel[..., 3:6],  # in the root's frame, as a gyroscope's
        "dof_pos": pose.dof_pos[..., to_peer] - peer.default,
        "dof_vel": pose.dof_vel[..., to_peer],
        "motion_command": motion[frame],
        "motion_ref_ori_b": jnp.stack(axes, axis=-1).reshape(*turn.shape[:-1], 6),  # row by row
    }
    return jnp.concatenate([terms[name] for name in sorted(terms)], axis=-1)


def clip_for(peer: Peer, robot: Robot) -> Clip:
    """The policy's clip on a robot: the root stands where it puts the anchor in the clip's place."""
    dof_pos = peer.joint_pos[:, columns(peer, robot)[0]]
    quats = kinematics.dof_quats(robot, jnp.asarray(dof_pos, jnp.float32))
    still = jnp.zeros((len(dof_pos), 3)), jnp.tile(jnp.asarray([1.0, 0.0, 0.0, 0.0]), (len(dof_pos), 1))
    place, turn = (each[:, robot.body_names.index(ANCHOR)] for each in kinematics.forward(robot, *still, quats))
    root_quat = rotation.multiply(jnp.asarray(peer.anchor_quat, jnp.float32), rotation.conjugate(turn))
    root_pos = peer.anchor_pos - np.asarray(rotation.rotate(root_quat, place))
    return Clip(peer.name, robot.name, robot.dof_names, FPS, CLAMP, root_pos, np.asarray(root_quat), dof_pos)


def their_robot(peer: Peer, folder: Path) -> Robot:
    """The robot of the policy's URDF, its files written to a folder: cylinders as capsules, armature from the gains."""
    tree = ElementTree.fromstring(peer.urdf)
    for link in tree.iter("link"):
        for visual in link.findall("visual"):  # their meshes are not in the package
            link.remove(visual)
    spec = mujoco.MjSpec.from_string(ElementTree.tostring(tree, encoding="unicode"))
    spec.body("pelvis").add_freejoint(name="root")
    for name, kp in zip(peer.joints, peer.kp, strict=True):
        spec.joint(name).armature = kp / NATURAL**2
    for geom in spec.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_CYLINDER:
            geom.type = mujoco.mjtGeom.mjGEOM_CAPSULE
    model, ours = spec.compile(), load("g1")
    names = {model.body(body).name for body in range(model.nbody)}
    facts = {"name": f"{peer.name}_g1", "key_bodies": []}
    for key in ("contact_bodies", "wrench_bodies"):
        facts[key] = [n for n in (ours.body_names[body] for body in getattr(ours, key)) if n in names]
    gains = {n: {"kp": float(kp), "kd": float(kd)} for n, kp, kd in zip(peer.joints, peer.kp, peer.kd, strict=True)}
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / "robot.xml", spec.to_xml())
    replace_text(folder / "robot.yaml", json.dumps({**facts, "gains": gains}))  # JSON is YAML
    return load(folder)
