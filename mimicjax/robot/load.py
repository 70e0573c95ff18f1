"""Load a robot: a folder with an MJCF (robot.xml) and what MJCF cannot say (robot.yaml). See docs/robots.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import yaml

from mimicjax import paths
from mimicjax.errors import UserError, nearest
from mimicjax.robot.shapes import ground_points
from mimicjax.types import BALL, FIXED, HINGE, Robot

REQUIRED = ("key_bodies", "contact_bodies")
KEYS = ("name", "xml", *REQUIRED, "wrench_bodies", "start_pose", "joint_error_weights", "gains", "sources", "licence")
START_KEYS, GAIN_KEYS = ("root_height", "root_quat", "joints"), ("kp", "kd", "torque_limit")
DEFAULT_FILE = "robot.yaml"


def load(name_or_path: str | Path) -> Robot:
    """The robot of that name in robots/, or the one in a folder, of a robot.yaml, or of an .xml with a robot.yaml beside it.

    Raises UserError, naming file and element, for whatever in the two files cannot be used.
    """
    file, xml = _find(name_or_path)
    facts = _read_yaml(file)
    xml = xml or file.parent / str(facts.get("xml", "robot.xml"))
    model = _compile(xml)
    bodies = _robot_bodies(model, xml)
    names = tuple(_named(model.body(int(b)).name, f"body {b}", xml) for b in bodies)
    joints = [_joint_of(model, int(b), names, xml) for b in bodies[1:]]
    tree = _joint_arrays(model, joints, names, xml)
    dof_names, dof_joint, joint_names = tree["dof_names"], tree["dof_joint"], tree["joint_names"]
    gains = _gains(model, joints, joint_names, dof_joint, facts, file, xml)
    points, radius, body = ground_points(model, bodies, xml)
    return Robot(
        name=str(facts.get("name", file.parent.name)),
        xml=xml,
        body_names=names,
        parents=np.asarray([-1, *(model.body_parentid[bodies[1:]] - bodies[0])], np.int32),
        body_pos=model.body_pos[bodies].astype(np.float32),
        body_quat=model.body_quat[bodies].astype(np.float32),
        **tree,
        **dict(zip(GAIN_KEYS, gains.T.astype(np.float32).copy(), strict=True)),
        joint_error_weights=_error_weights(facts, joint_names, file),
        **{key: _body_indices(facts, key, names, file) for key in (*REQUIRED, "wrench_bodies")},
        start_qpos=_start_qpos(model, len(dof_names), joints, facts, joint_names, file),
        ground_points=points,
        ground_radius=radius,
        ground_body=body,
        mass=float(model.body_mass[bodies].sum()),
    )


def _find(name_or_path: str | Path) -> tuple[Path, Path | None]:
    """The robot.yaml, and the .xml if that was given."""
    known = sorted(folder.parent.name for folder in paths.ROBOTS.glob(f"*/{DEFAULT_FILE}"))
    if str(name_or_path) in known:
        return paths.ROBOTS / str(name_or_path) / DEFAULT_FILE, None
    path = Path(name_or_path)
    if not path.exists():
        near = nearest(str(name_or_path), known)
        raise UserError(
            f"robot {name_or_path!s}: no such robot or path{near}; robots: {', '.join(known) or 'none'}, "
            "or give a folder, a robot.yaml, or an .xml with a robot.yaml beside it"
        )
    file = (
        path / DEFAULT_FILE
        if path.is_dir()
        else path
        if path.suffix in (".yaml", ".yml")
        else path.parent / DEFAULT_FILE
    )
    if not file.is_file():
        raise UserError(
            f"robot {path}: there is no {DEFAULT_FILE} at {file}; it names at least {' and '.join(REQUIRED)}"
        )
    return file, path if path.suffix == ".xml" else None


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        facts = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read as YAML: {error}") from None
    _check_keys(facts, KEYS, file, "")
    for key in REQUIRED:
        if key not in facts:
            raise UserError(f"{file}: {key} is missing; give a list of body names (it may be empty)")
    _check_keys(facts.get("start_pose") or {}, START_KEYS, file, "start_pose: ")
    return facts


def _check_keys(given: Any, allowed: tuple[str, ...], file: Path, where: str, what: str = "key") -> None:
    if not isinstance(given, dict):
        raise UserError(f"{file}: {where}expected `{what}: value` lines, got {given!r}")
    for key in given:
        if key not in allowed:
            raise UserError(
                f"{file}: {where}unknown {what} {key}{nearest(str(key), allowed)}; allowed: {', '.join(allowed)}"
            )


def _numbers(value: Any, count: int, file: Path, where: str) -> np.ndarray:
    """[count] finite numbers from one number or a list of `count`."""
    try:
        numbers = np.broadcast_to(np.asarray(value, np.float64), count)
    except (TypeError, ValueError):
        numbers = np.full(1, np.nan)
    if not np.isfinite(numbers).all():
        raise UserError(f"{file}: {where}: expected {'a number' if count == 1 else f'{count} numbers'}, got {value!r}")
    return numbers


def _compile(xml: Path) -> mujoco.MjModel:
    if not xml.is_file():
        raise UserError(f"{xml}: no such MJCF file; the key xml of {DEFAULT_FILE} names it, relative to its folder")
    try:
        return mujoco.MjSpec.from_file(str(xml)).compile()
    except (ValueError, mujoco.FatalError) as error:
        raise UserError(f"{xml}: MuJoCo cannot use this file: {' '.join(str(error).split())}") from None


def _named(name: str, what: str, xml: Path) -> str:
    if not name:
        raise UserError(f"{xml}: {what} has no name; every body and joint of a robot needs one")
    return name


def _robot_bodies(model: mujoco.MjModel, xml: Path) -> np.ndarray:
    """[N] ids of the first body under worldbody and all below it; MuJoCo numbers bodies depth first in file order."""
    if model.nbody < 2:
        raise UserError(f"{xml}: worldbody has no body; the first one is the robot's root")
    if model.body_jntnum[1] != 1 or model.jnt_type[model.body_jntadr[1]] != mujoco.mjtJoint.mjJNT_FREE:
        raise UserError(f"{xml}: the root body {model.body(1).name!r} needs a freejoint, and no other joint")
    return np.flatnonzero(model.body_rootid == 1)


def _joint_of(model: mujoco.MjModel, body: int, names: tuple[str, ...], xml: Path) -> int:
    """The id of the body's joint, -1 if it has none; UserError for joints that are not supported."""
    first, count = model.body_jntadr[body], model.body_jntnum[body]
    name = names[body - 1]
    if count > 1:
        found = ", ".join(model.joint(int(first) + i).name or "unnamed" for i in range(count))
        raise UserError(f"{xml}: body {name} has {count} joints ({found}); supported is one hinge, one ball, or none")
    if count == 0:
        return -1
    joint = model.joint(int(first))
    _named(joint.name, f"the joint of body {name}", xml)
    kind = mujoco.mjtJoint(int(joint.type[0]))
    if kind not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_BALL):
        word = kind.name.removeprefix("mjJNT_").lower()
        raise UserError(
            f"{xml}: joint {joint.name} is a {word} joint; supported is one hinge or one ball on a body, or none"
        )
    if np.any(np.abs(joint.pos) > 1e-9):
        raise UserError(
            f"{xml}: joint {joint.name} has pos {joint.pos.tolist()}; supported is 0 0 0: move the body's frame there"
        )
    if kind == mujoco.mjtJoint.mjJNT_HINGE and abs(joint.qpos0[0]) > 1e-9:
        raise UserError(f"{xml}: joint {joint.name} has ref {joint.qpos0[0]:g}; supported is 0")
    low, high = joint.range
    if not model.jnt_limited[joint.id] or not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise UserError(f"{xml}: joint {joint.name} has no finite limits; give it a range")
    return joint.id


def _joint_arrays(model: mujoco.MjModel, joints: list[int], names: tuple[str, ...], xml: Path) -> dict[str, Any]:
    """The fields of Robot that describe joints and degrees of freedom."""
    kinds, axes, first, ranges, dof_names, dof_joint, joint_names = [], [], [], [], [], [], []
    for j, joint in enumerate(joints):
        ball = joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL
        kind = FIXED if joint < 0 else BALL if ball else HINGE
        name = names[j + 1] if joint < 0 else model.joint(joint).name
        kinds.append(kind)
        joint_names.append(name)
        axes.append(model.jnt_axis[joint] if kind == HINGE else np.zeros(3))
        first.append(len(dof_joint) if kind else -1)
        dof_names += {FIXED: [], HINGE: [name], BALL: [f"{name}_{axis}" for axis in "xyz"]}[kind]
        dof_joint += [j] * kind
        ranges += {
            FIXED: [],
            HINGE: [model.jnt_range[joint]],
            BALL: [model.jnt_range[joint][1] * np.array([-1, 1])] * 3,
        }[kind]
    if not dof_joint:
        raise UserError(f"{xml}: the robot has no joint that moves")
    return {
        "joint_names": tuple(joint_names),
        "dof_names": tuple(dof_names),
        "joint_kinds": np.asarray(kinds, np.int32),
        "joint_axis": np.asarray(axes, np.float32),
        "joint_dof": np.asarray(first, np.int32),
        "dof_joint": np.asarray(dof_joint, np.int32),
        "dof_range": np.asarray(ranges, np.float32),
    }


def _gains(
    model: mujoco.MjModel,
    joints: list[int],
    names: tuple[str, ...],
    dof_joint: np.ndarray,
    facts: dict[str, Any],
    file: Path,
    xml: Path,
) -> np.ndarray:
    """[D,3] kp, kd, torque limit: robot.yaml first, else position actuators, else joint stiffness and damping."""
    gains = np.full((len(dof_joint), 3), np.nan)
    given = facts.get("gains") or {}
    moving = tuple(names[j] for j in dict.fromkeys(dof_joint.tolist()))
    _check_keys(given, moving, file, "gains: ", "joint")
    for j in dict.fromkeys(dof_joint.tolist()):
        rows = np.flatnonzero(dof_joint == j)
        where = f"gains: {names[j]}: "
        gains[rows] = _mjcf_gains(model, joints[j], len(rows), xml)
        own = given.get(names[j]) or {}
        _check_keys(own, GAIN_KEYS, file, where)
        for key, value in own.items():
            gains[rows, GAIN_KEYS.index(key)] = _numbers(value, len(rows), file, where + key)
        for column, key in enumerate(GAIN_KEYS):
            least = 0.0 if key == "kd" else 1e-12
            if not np.all(gains[rows, column] >= least):
                raise UserError(
                    f"{xml}: joint {names[j]} has no {key} ({'>= 0' if key == 'kd' else '> 0'}); give it a position actuator with "
                    f"kp, kv and forcerange, or stiffness, damping and actuatorfrcrange, or `gains` in {file.name}"
                )
    return gains


def _mjcf_gains(model: mujoco.MjModel, joint: int, dofs: int, xml: Path) -> np.ndarray:
    """[dofs,3] kp, kd, torque limit as the MJCF says; nan where it does not."""
    gains = np.full((dofs, 3), np.nan)
    force = np.abs(model.jnt_actfrcrange[joint]).min() if model.jnt_actfrclimited[joint] else np.nan
    on_joint = (model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT) & (model.actuator_trnid[:, 0] == joint)
    # MuJoCo's <position> is the affine actuator whose bias takes back exactly what its gain gives
    servos = on_joint & (model.actuator_biastype == mujoco.mjtBias.mjBIAS_AFFINE)
    servos &= (model.actuator_gainprm[:, 0] > 0) & (model.actuator_gainprm[:, 0] == -model.actuator_biasprm[:, 1])
    for a in np.flatnonzero(servos):
        gear = model.actuator_gear[a, :dofs]
        if not (np.count_nonzero(gear) == 1 and np.max(gear) == 1.0):
            raise UserError(
                f"{xml}: actuator {model.actuator(int(a)).name} has gear {gear.tolist()}; supported is one 1, else 0"
            )
        limited = model.actuator_forcelimited[a]
        limit = np.abs(model.actuator_forcerange[a]).min() if limited else force
        gains[np.argmax(gear)] = model.actuator_gainprm[a, 0], -model.actuator_biasprm[a, 2], limit
    if not servos.any():
        # MimicKit's convention: the joint's passive spring and damper stand for the gains
        kp, kd = np.ravel(model.jnt_stiffness[joint])[0], np.ravel(model.dof_damping[model.jnt_dofadr[joint]])[0]
        gains[:] = (kp, kd, force) if kp > 0 else (np.nan, np.nan, force)
    return gains


def _error_weights(facts: dict[str, Any], names: tuple[str, ...], file: Path) -> np.ndarray:
    given = facts.get("joint_error_weights") or {}
    _check_keys(given, names, file, "joint_error_weights: ", "joint")
    weights = np.ones(len(names), np.float32)
    for name, value in given.items():
        weights[names.index(name)] = _numbers(value, 1, file, f"joint_error_weights: {name}")[0]
    if np.any(weights < 0) or not np.any(weights > 0):
        raise UserError(f"{file}: joint_error_weights must not be negative nor all zero")
    return weights


def _body_indices(facts: dict[str, Any], key: str, names: tuple[str, ...], file: Path) -> np.ndarray:
    given = facts.get(key) or []
    if not isinstance(given, list):
        raise UserError(f"{file}: {key}: expected a list of body names, got {given!r}")
    for name in given:
        if name not in names:
            raise UserError(
                f"{file}: {key}: unknown body {name}{nearest(str(name), names)}; bodies: {', '.join(names)}"
            )
    return np.asarray([names.index(name) for name in given], np.int32)


def _start_qpos(
    model: mujoco.MjModel, dofs: int, joints: list[int], facts: dict[str, Any], names: tuple[str, ...], file: Path
) -> np.ndarray:
    """[nq] the model's qpos0 with what start_pose says; joint coordinates are angles, exponential maps for balls."""
    balls = sum(j >= 0 and model.jnt_type[j] == mujoco.mjtJoint.mjJNT_BALL for j in joints)
    qpos = model.qpos0[: 7 + dofs + balls].copy()
    given = facts.get("start_pose") or {}
    if "root_height" in given:
        qpos[2] = _numbers(given["root_height"], 1, file, "start_pose: root_height")[0]
    if "root_quat" in given:
        quat = _numbers(given["root_quat"], 4, file, "start_pose: root_quat")
        qpos[3:7] = quat / max(np.linalg.norm(quat), 1e-12)
    angles = given.get("joints") or {}
    _check_keys(
        angles, tuple(n for n, j in zip(names, joints, strict=True) if j >= 0), file, "start_pose: joints: ", "joint"
    )
    for name, value in angles.items():
        joint = joints[names.index(name)]
        at, ball = model.jnt_qposadr[joint], model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL
        numbers = _numbers(value, 3 if ball else 1, file, f"start_pose: joints: {name}")
        if ball:
            angle = float(np.linalg.norm(numbers))
            mujoco.mju_axisAngle2Quat(qpos[at : at + 4], numbers / max(angle, 1e-12), angle)
        else:
            qpos[at] = numbers[0]
    return qpos.astype(np.float32)
