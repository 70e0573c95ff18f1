"""Motions in numpy archives and pickles, told apart by their keys."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax import limits
from mimicjax.errors import UserError, reason
from mimicjax.motion._numpy_rotation import from_euler
from mimicjax.motion.imports.raw import Raw, stem

Data = Mapping[str, Any]
# LocoMuJoCo 0.4 has an older G1: other names and, at the legs, other zeros (rad); its hips are 0.0305 m nearer the ground
OLD_G1 = {"torso_joint": "waist_yaw_joint", "elbow_pitch_joint": "elbow_joint", "elbow_roll_joint": "wrist_roll_joint"}
OLD_ZEROS = {"hip_pitch_joint": -0.174170, "knee_joint": 0.334700, "ankle_pitch_joint": -0.160530}
OLD_HEIGHT, OLD_HIP = 0.755, 0.0305  # m


def read_npz(path: Path) -> list[Raw]:
    """The motions in an .npz file; objects in it are not looked at. Raises UserError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if (size := sum(entry.file_size for entry in archive.infolist())) > limits.UNPACKED_BYTES:
                raise UserError(f"{path}: unpacks to {size} bytes; at most {limits.UNPACKED_BYTES} are read")
            if any(entry.filename.endswith("/data.pkl") for entry in archive.infolist()):
                raise UserError(f"{path}: a file of torch (ProtoMotions), which is not read here")
        with np.load(path, allow_pickle=False) as file:
            data = {key: value for key in file.files if (value := _member(file, key)) is not None}
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged archive can raise nearly anything
        raise UserError(f"{path}: truncated or damaged ({reason(error)})") from None
    return of_keys(path, data)


def _member(file: Any, key: str) -> np.ndarray | None:
    try:
        value = file[key]
    except ValueError:  # objects, which would have to be unpickled
        return None
    return value if value.dtype.kind in "biufUS" else None  # others may have any number of elements of no bytes


def of_keys(path: Path, data: Data) -> list[Raw]:
    """The motions behind an archive's or a dict's keys. Raises UserError for keys that nothing here reads."""
    for keys, reader in READERS:
        if keys <= data.keys():
            try:
                return reader(path, data)
            except (KeyError, IndexError, ValueError, TypeError, ArithmeticError) as error:
                held = f"keys {', '.join(sorted(keys))}, but what they hold is damaged"
                raise UserError(f"{path}: {held}: {reason(error)}") from None
    if any(key.startswith("q_") for key in data) and any(key.startswith("dq_") for key in data):
        return _locomujoco_old(path, data)
    shown = ", ".join(str(key)[:30] for key in list(data)[:10])
    raise UserError(
        f"{path}: no motion that is known here (keys: {shown or 'none'}); docs/motions.md lists the formats"
    )


def _floats(value: Any, columns: int | None = None) -> np.ndarray:
    array = np.asarray(value, float)
    if array.ndim != 2 or (columns and array.shape[1] != columns):
        raise ValueError(f"shape {list(array.shape)}, expected [frames, {columns or 'numbers'}]")
    return array


def _fps(data: Data, *keys: str) -> float | None:
    for key in keys:
        if key in data:
            value = float(np.asarray(data[key], float).reshape(-1)[0])
            return 1.0 / value if 0 < value < 1 else value  # below 1 it is a step
    return None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(each.decode() if isinstance(each, bytes) else str(each) for each in np.asarray(value).reshape(-1))


def _gmr(path: Path, data: Data) -> list[Raw]:
    """GMR, TWIST: x, y, z, w by its source; some other files of these keys have w first, so that evidence decides."""
    return [
        Raw(stem(path), "GMR", _floats(data["root_pos"], 3), _floats(data["root_rot"], 4), _floats(data["dof_pos"]),
            fps=_fps(data, "fps"))
    ]  # fmt: skip


def _phuma(path: Path, data: Data) -> list[Raw]:
    return [
        Raw(stem(path), "PHUMA", _floats(data["root_trans"], 3), _floats(data["root_ori"], 4), _floats(data["dof_pos"]),
            fps=_fps(data, "fps"), order="xyzw")
    ]  # fmt: skip


def _videomimic(path: Path, data: Data) -> list[Raw]:
    return [
        Raw(stem(path), "VideoMimic", _floats(data["root_pos"], 3), _floats(data["root_quat"], 4), _floats(data["joints"]),
            fps=_fps(data, "fps"), order="xyzw", names=_texts(data["joint_names"]))
    ]  # fmt: skip


def _holosoma(path: Path, data: Data) -> list[Raw]:
    """holosoma's training files: MuJoCo's qpos under the name joint_pos, joints by name."""
    joints = _floats(data["joint_pos"])
    names = _texts(data["joint_names"])
    if joints.shape[1] < 7 + len(names):
        return _tracker(path, data)
    return [
        Raw(stem(path), "holosoma", joints[:, :3], joints[:, 3:7], joints[:, 7 : 7 + len(names)], fps=_fps(data, "fps"),
            order="wxyz", names=names)
    ]  # fmt: skip


def _tracker(path: Path, data: Data) -> list[Raw]:
    """BeyondMimic (Isaac Lab: breadth first) and mjlab (depth first); the root is the first body."""
    place, turn = np.asarray(data["body_pos_w"], float), np.asarray(data["body_quat_w"], float)
    names = _texts(data["joint_names"]) if "joint_names" in data else ()
    return [
        Raw(stem(path), "BeyondMimic or mjlab", place[:, 0], turn[:, 0], _floats(data["joint_pos"]), fps=_fps(data, "fps"),
            order=None, names=names, breadth=None if not names else False)
    ]  # fmt: skip


def _amp(path: Path, data: Data) -> list[Raw]:
    return [
        Raw(stem(path), "Isaac Lab AMP", np.asarray(data["body_positions"], float)[:, 0],
            np.asarray(data["body_rotations"], float)[:, 0], _floats(data["dof_positions"]), fps=_fps(data, "fps"),
            order="wxyz", names=_texts(data["dof_names"]))
    ]  # fmt: skip


def _locomujoco(path: Path, data: Data) -> list[Raw]:
    """LocoMuJoCo 1.x: MuJoCo's coordinates of all motions end to end, joints by name."""
    names, kinds = _texts(data["joint_names"]), np.asarray(data["jnt_type"]).reshape(-1)
    qpos, cuts = _floats(data["qpos"]), np.asarray(data["split_points"], int).reshape(-1)
    widths = np.array([{0: 7, 1: 4}.get(int(kind), 1) for kind in kinds])
    first = np.concatenate([[0], np.cumsum(widths)])
    root = int(np.flatnonzero(kinds == 0)[0])
    hinges = [number for number in range(len(names)) if kinds[number] in (2, 3)]
    raws = []
    for number, (begin, end) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
        rows = qpos[begin:end]
        raws.append(
            Raw(
                stem(path) + (f"_{number}" if len(cuts) > 2 else ""), "LocoMuJoCo", rows[:, first[root] : first[root] + 3],
                rows[:, first[root] + 3 : first[root] + 7], rows[:, first[:-1][hinges]], fps=_fps(data, "frequency"),
                order="wxyz", names=tuple(names[hinge] for hinge in hinges),
            )
        )  # fmt: skip
    return raws


def _locomujoco_old(path: Path, data: Data) -> list[Raw]:
    """LocoMuJoCo 0.4 of the G1: a hinge or slide in every array; rate and zero angles are its own."""
    column = lambda name: np.asarray(data[f"q_{name}"], float).reshape(-1)  # noqa: E731
    try:
        place = np.stack([column("pelvis_tx"), column("pelvis_tz"), OLD_HEIGHT + OLD_HIP + column("pelvis_ty")], axis=1)
        angles = np.stack([-column("pelvis_tilt"), column("pelvis_list"), column("pelvis_rotation")], axis=1)
        if "q_left_hip_pitch_joint" not in data:
            raise KeyError("left_hip_pitch_joint")
    except KeyError as missing:
        raise UserError(f"{path}: LocoMuJoCo 0.4, but not of the G1: no coordinate {missing}") from None
    names, columns = [], []
    for key in (key for key in data if key.startswith("q_") and key.endswith("_joint")):
        side, _, joint = key[2:].partition("_") if key[2:].startswith(("left_", "right_")) else ("", "", key[2:])
        names.append((f"{side}_" if side else "") + OLD_G1.get(joint, joint))
        columns.append(column(key[2:]) + OLD_ZEROS.get(joint, 0.0))
    return [
        Raw(stem(path), "LocoMuJoCo 0.4", place, from_euler("yxz", angles), np.stack(columns, axis=1), fps=500.0,
            order="wxyz", names=tuple(names), notes=("the older G1: leg zeros and height changed, missing joints are 0",))
    ]  # fmt: skip


def _qpos(path: Path, data: Data) -> list[Raw]:
    """holosoma's raw files (place first) and OmniRetarget's (quaternion first): whose columns have unit length."""
    rows = _floats(data["qpos"])
    off = lambda part: float(np.abs(np.linalg.norm(rows[:, part], axis=1) - 1.0).max())  # noqa: E731
    turned = off(slice(0, 4)) < min(1e-2, off(slice(3, 7)))
    place, turn = (slice(4, 7), slice(0, 4)) if turned else (slice(0, 3), slice(3, 7))
    return [
        Raw(stem(path), "OmniRetarget" if turned else "holosoma, raw", rows[:, place], rows[:, turn], rows[:, 7:],
            fps=_fps(data, "fps"), order="wxyz", notes=("columns behind the joints are left out",))
    ]  # fmt: skip


def _pyroki(path: Path, data: Data) -> list[Raw]:
    return [
        Raw(stem(path), "PyRoki", _floats(data["base_frame_pos"], 3), _floats(data["base_frame_wxyz"], 4),
            _floats(data["joint_angles"]), fps=_fps(data, "fps") or 30.0, order="wxyz")
    ]  # fmt: skip


def _person(path: Path, data: Data) -> list[Raw]:
    raise UserError(f"{path}: AMASS or SMPL holds a person's skeleton, which is not retargeted to robots here")


READERS: tuple[tuple[set[str], Callable[[Path, Data], list[Raw]]], ...] = (
    ({"poses", "trans"}, _person),
    ({"joints", "joint_names", "root_quat", "root_pos"}, _videomimic),
    ({"root_pos", "root_rot", "dof_pos"}, _gmr),
    ({"root_trans", "root_ori", "dof_pos"}, _phuma),
    ({"joint_pos", "body_pos_w", "body_quat_w", "joint_names"}, _holosoma),
    ({"joint_pos", "body_pos_w", "body_quat_w"}, _tracker),
    ({"dof_names", "dof_positions", "body_positions", "body_rotations"}, _amp),
    ({"qpos", "split_points", "joint_names", "jnt_type"}, _locomujoco),
    ({"qpos", "fps"}, _qpos),
    ({"base_frame_pos", "base_frame_wxyz", "joint_angles"}, _pyroki),
)
