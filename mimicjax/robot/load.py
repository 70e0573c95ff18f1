"""Load a robot: a folder with an MJCF (robot.xml) and what MJCF cannot say (robot.yaml). See docs/robots.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from mimicjax import paths
from mimicjax.errors import UserError, nearest
from mimicjax.files import is_file
from mimicjax.robot import facts as robot_facts
from mimicjax.robot import mjcf, sources
from mimicjax.robot.facts import GAIN_KEYS, REQUIRED, Facts
from mimicjax.robot.shapes import ground_points
from mimicjax.types import BALL, FIXED, HINGE, Robot

DEFAULT_FILE = "robot.yaml"
# of a compiled model, which MuJoCo takes whatever they are
NUMBERS = (
    "body_pos", "body_quat", "body_mass", "body_inertia", "body_ipos", "jnt_pos", "jnt_axis", "jnt_range",
    "dof_armature", "dof_damping", "dof_frictionloss", "geom_pos", "geom_quat", "geom_size", "geom_friction",
    "actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "actuator_gear", "qpos0",
)  # fmt: skip


def load(name_or_path: str | Path) -> Robot:
    """The robot of that name in robots/, or of a folder, a robot.yaml, or an .xml with a robot.yaml beside it.

    Raises UserError, naming file and element, for whatever in the two files cannot be used.
    """
    file, xml = _find(name_or_path)
    facts = robot_facts.read(file)
    xml = xml or file.parent / str(facts.values.get("xml", "robot.xml"))
    model = _compile(xml)
    bodies = _robot_bodies(model, xml)
    names = tuple(_named(model.body(int(b)).name, f"body {b}", xml) for b in bodies)
    joints = [_joint_of(model, int(b), xml) for b in bodies[1:]]
    tree = _joint_arrays(model, joints, names, xml)
    points, radius, owner = ground_points(model, bodies, xml)
    return Robot(
        name=str(facts.values.get("name", file.parent.name)),
        xml=xml,
        body_names=names,
        parents=np.asarray([-1, *(model.body_parentid[bodies[1:]] - bodies[0])], np.int32),
        body_pos=model.body_pos[bodies].astype(np.float32),
        body_quat=model.body_quat[bodies].astype(np.float32),
        **tree,  # type: ignore[arg-type]
        **_gains(model, joints, tree["joint_names"], facts, xml),
        armature=_armature(model, joints),
        joint_error_weights=facts.error_weights(tree["joint_names"]),
        **{key: facts.bodies(key, names) for key in (*REQUIRED, "wrench_bodies")},
        start_qpos=_start_qpos(model, joints, tree["joint_names"], facts),
        ground_points=points,
        ground_radius=radius,
        ground_body=owner,
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
    file = path if path.suffix in (".yaml", ".yml") else (path if path.is_dir() else path.parent) / DEFAULT_FILE
    if not file.is_file():
        raise UserError(
            f"robot {path}: there is no {DEFAULT_FILE} at {file}; it names at least {' and '.join(REQUIRED)}"
        )
    return file, path if path.suffix == ".xml" else None


def _compile(xml: Path) -> mujoco.MjModel:
    if not is_file(xml):
        shown = f"{str(xml)[:200]}…" if len(str(xml)) > 200 else str(xml)
        raise UserError(f"{shown}: no such MJCF file; the key xml of {DEFAULT_FILE} names it, relative to its folder")
    sources.check(xml)
    try:
        model = mjcf.model(xml)
    except (ValueError, RuntimeError, mujoco.FatalError) as error:
        raise UserError(f"{xml}: MuJoCo cannot use this file: {' '.join(str(error).split())}") from None
    for name in NUMBERS:
        values = np.asarray(getattr(model, name))
        bad = np.argwhere(~(np.abs(values) <= np.finfo(np.float32).max))
        if len(bad):
            raise UserError(f"{xml}: {name} of number {bad[0][0]} is {values[tuple(bad[0])]}; numbers must be finite")
    return model


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


def _joint_of(model: mujoco.MjModel, body: int, xml: Path) -> int:
    """The id of the body's joint, -1 if it has none; UserError for joints that are not supported."""
    first, count = model.body_jntadr[body], model.body_jntnum[body]
    name = model.body(body).name
    if count > 1:
        names = ", ".join(model.joint(int(first) + i).name or "unnamed" for i in range(count))
        raise UserError(
            f"{xml}: body {name} has {count} joints ({names}); supported is one hinge, one ball, none, or "
            "three hinges about x, y, z, which stand for a ball"
        )
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
        kind = _kind(model, joint)
        name = names[j + 1] if joint < 0 else model.joint(joint).name
        kinds.append(kind)
        joint_names.append(name)
        axes.append(model.jnt_axis[joint] if kind == HINGE else np.zeros(3))
        first.append(len(dof_joint) if kind else -1)
        dof_joint += [j] * kind
        if kind == HINGE:
            dof_names.append(name)
            ranges.append(model.jnt_range[joint])
        elif kind == BALL:
            dof_names += [f"{name}_{axis}" for axis in "xyz"]
            ranges += [model.jnt_range[joint][1] * np.array([-1, 1])] * 3
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


def _kind(model: mujoco.MjModel, joint: int) -> int:
    if joint < 0:
        return FIXED
    return BALL if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL else HINGE


def _gains(
    model: mujoco.MjModel, joints: list[int], names: tuple[str, ...], facts: Facts, xml: Path
) -> dict[str, np.ndarray]:
    """GAIN_KEYS -> [D]: from robot.yaml, else position actuators, else the joint's stiffness and damping."""
    moving = {name: joint for name, joint in zip(names, joints, strict=True) if joint >= 0}
    facts.section("gains", allowed=moving, what="joint")
    gains = []
    for name, joint in moving.items():
        joint_gains = _mjcf_gains(model, joint, xml)
        for key, values in facts.gains(name, len(joint_gains)).items():
            joint_gains[:, GAIN_KEYS.index(key)] = values
        for key, column, least in zip(GAIN_KEYS, joint_gains.T, (1e-12, 0.0, 1e-12), strict=True):
            if not np.all(column >= least):
                raise UserError(
                    f"{xml}: joint {name} has no {key} that is {'positive' if least else '0 or more'}; give it a "
                    "position actuator with kp, kv and forcerange, or stiffness, damping and actuatorfrcrange, or a "
                    f"line under gains in {facts.file.name}"
                )
        gains.append(joint_gains)
    return dict(zip(GAIN_KEYS, np.concatenate(gains).T.astype(np.float32).copy(), strict=True))


def _mjcf_gains(model: mujoco.MjModel, joint: int, xml: Path) -> np.ndarray:
    """[dofs,3] kp, kd, torque limit as the MJCF says; nan where it does not."""
    dofs = _kind(model, joint)
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


def _armature(model: mujoco.MjModel, joints: list[int]) -> np.ndarray:
    """[D] kg m^2 of the joints that move."""
    first = [(model.jnt_dofadr[joint], _kind(model, joint)) for joint in joints if joint >= 0]
    return np.concatenate([model.dof_armature[at : at + dofs] for at, dofs in first]).astype(np.float32)


def _start_qpos(model: mujoco.MjModel, joints: list[int], names: tuple[str, ...], facts: Facts) -> np.ndarray:
    """[nq] the model's qpos0 with what start_pose says; joints are angles, or exponential maps for balls."""
    moving = {name: joint for name, joint in zip(names, joints, strict=True) if joint >= 0}
    qpos = model.qpos0[: 7 + sum({HINGE: 1, BALL: 4}[_kind(model, joint)] for joint in moving.values())].copy()
    start = facts.values.get("start_pose") or {}
    if "root_height" in start:
        qpos[2] = facts.numbers(start["root_height"], 1, "start_pose: root_height")[0]
    if "root_quat" in start:
        quat = facts.numbers(start["root_quat"], 4, "start_pose: root_quat")
        qpos[3:7] = quat / max(np.linalg.norm(quat), 1e-12)
    for name, value in facts.section("start_pose", "joints", allowed=moving, what="joint").items():
        at, kind = model.jnt_qposadr[moving[name]], _kind(model, moving[name])
        angles = facts.numbers(value, kind, f"start_pose: joints: {name}")
        if kind == BALL:
            angle = float(np.linalg.norm(angles))
            mujoco.mju_axisAngle2Quat(qpos[at : at + 4], angles / max(angle, 1e-12), angle)
        else:
            qpos[at] = angles[0]
    return qpos.astype(np.float32)
