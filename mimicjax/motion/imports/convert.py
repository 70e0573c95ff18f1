"""From what a file says to a clip of ours for a robot."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimicjax import limits
from mimicjax.errors import UserError
from mimicjax.motion import files
from mimicjax.motion._numpy_rotation import between, continuous
from mimicjax.motion.imports import evidence
from mimicjax.motion.imports.evidence import Reading
from mimicjax.motion.imports.raw import Raw
from mimicjax.types import BALL, CLAMP, WRAP, Clip, Robot

DEFAULT_FPS = 30.0
# depth-first indices of the two sets of 23 joints that G1 files have: without wrists; or without waist's roll and pitch and
# without the wrists' pitch and yaw (Unitree's 23-joint machine)
SETS = {"A": [*range(19), *range(22, 26)], "B": [*range(13), *range(15, 20), *range(22, 27)]}


class ImportOptions(NamedTuple):
    """What the user says of a file, or wants of the clip; None: as the file has it, or as evidence has it."""

    fps: float | None = None  # that the file was made with
    order: str | None = None  # of the quaternion
    breadth: bool | None = None
    joints: str | None = None  # which 23 joints of the G1, "A" or "B"
    rate: float | None = None  # to sample at
    start: float | None = None  # s
    end: float | None = None
    loop: bool | None = None
    ground: bool = False  # move it up or down until the lowest sole touches the ground


def clip_of(raw: Raw, robot: Robot, wishes: ImportOptions) -> tuple[Clip, list[str]]:
    """The clip, and what was found and done, for the user. Raises UserError for what cannot be decided or does not fit."""
    notes = [raw.form, *raw.notes]
    fps = raw.fps if wishes.fps is None else wishes.fps
    if fps is None:
        fps = DEFAULT_FPS
        notes.append(f"the file has no rate: {fps:g} taken, --fps says another")
    if not limits.FPS[0] <= fps <= limits.FPS[1]:
        raise UserError(f"{raw.name}: fps is {fps}; allowed is {limits.FPS[0]:g} to {limits.FPS[1]:g}")
    dof_pos = _columns(raw, robot, wishes)
    quat, dof_pos, how = _read(raw, robot, wishes, dof_pos, fps)
    notes += how
    length = np.linalg.norm(quat, axis=1, keepdims=True)
    if np.abs(length - 1.0).max() > 0.05:
        raise UserError(
            f"{raw.name}: quaternions have lengths of {length.min():.3g} to {length.max():.3g}; they must be 1"
        )
    quat = continuous(quat / length)
    pos, quat, dof_pos, fps = _cut(raw, wishes, raw.root_pos, quat, dof_pos, fps)
    loop = raw.loop if wishes.loop is None else (WRAP if wishes.loop else CLAMP)
    clip = Clip(
        name=raw.name, robot=robot.name, dof_names=robot.dof_names, fps=fps, loop=loop, root_pos=pos, root_quat=quat,
        dof_pos=dof_pos, maker=f"imported from {raw.form}", licence=raw.licence,
    )  # fmt: skip
    clip = files.check_clip(clip, raw.name)
    if wishes.ground:
        from mimicjax.motion.imports.ground import on_the_ground

        clip, lifted = on_the_ground(robot, clip)
        notes.append(f"moved by {100 * lifted:+.1f} cm onto the ground")
    return clip, notes


def _columns(raw: Raw, robot: Robot, wishes: ImportOptions) -> np.ndarray:
    """Joint columns as many as the robot has: by name, all of them, or the 23 that are known of the G1."""
    dof_pos, count = raw.dof_pos, robot.num_dofs
    if raw.names:
        unknown = [name for name in raw.names if name not in robot.dof_names]
        if len(unknown) > len(raw.names) // 2:
            raise UserError(f"{raw.name}: its joints are not those of {robot.name}: {', '.join(unknown[:4])}")
        full = np.zeros((len(dof_pos), count))
        for column, name in enumerate(raw.names):
            if name in robot.dof_names:
                full[:, robot.dof_names.index(name)] = dof_pos[:, column]
        return full
    if dof_pos.shape[1] == 23 and robot.name == "g1":
        if wishes.joints is None:
            raise UserError(
                f"{raw.name}: has 23 of the G1's 29 joints, and there are two such sets: --joints A (all but the wrists; "
                "ASAP, PBHC, VideoMimic) or --joints B (one waist joint, wrists roll; Unitree's 23-joint machine)"
            )
        full = np.zeros((len(dof_pos), count))
        full[:, SETS[wishes.joints]] = dof_pos
        return full
    if dof_pos.shape[1] > count and raw.form.startswith(("holosoma, raw", "OmniRetarget")):
        return dof_pos[:, :count]  # an object's columns come behind
    if dof_pos.shape[1] != count:
        raise UserError(f"{raw.name}: has {dof_pos.shape[1]} joint columns; robot {robot.name} has {count}")
    return dof_pos


def _read(
    raw: Raw, robot: Robot, wishes: ImportOptions, dof_pos: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(quaternions w first, columns in the robot's order, what was found) by what user, file and motion say."""
    order, breadth = wishes.order or raw.order, raw.breadth if wishes.breadth is None else wishes.breadth
    notes = []
    if (robot.joint_kinds != BALL).all():
        trees = (False, True) if breadth is None else (breadth,)
        readings = [Reading(each, tree) for each in evidence.ORDERS for tree in trees]
        found, words = evidence.judge(robot, readings, raw.root_pos, raw.root_quat, dof_pos, fps)
        if order is None or breadth is None:
            if found is None:
                raise UserError(f"{raw.name}: cannot be told how to read it ({words}): say --quat wxyz or xyzw" +
                                ("" if breadth is not None else ", and --tree depth or breadth"))  # fmt: skip
            order, breadth = order or found.order, found.breadth if breadth is None else breadth
            tree = f", joints {'breadth' if breadth else 'depth'} first" if raw.breadth is None else ""
            notes.append(f"quaternion {order}{tree}, by evidence: {words}")
        elif found is not None and found.order != order:
            notes.append(f"DOUBTFUL: read as {order}, but the motion speaks for {found.order}: {words}")
    if order is None:
        raise UserError(f"{raw.name}: say --quat wxyz or xyzw: the file does not")
    quat = evidence.w_first(raw.root_quat, order)
    return quat, (evidence.depth_first(robot, dof_pos) if breadth else dof_pos), notes


def _cut(
    raw: Raw, wishes: ImportOptions, pos: np.ndarray, quat: np.ndarray, dof_pos: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The stretch that is wanted, at the rate that is wanted: linear, rotations along the sphere."""
    duration = (len(pos) - 1) / fps
    begin, end = wishes.start or 0.0, duration if wishes.end is None else wishes.end
    if not 0 <= begin < end <= duration + 1e-6:
        raise UserError(
            f"{raw.name}: lasts {duration:.3f} s; --start {begin:g} and --end {end:g} do not lie in it in order"
        )
    if wishes.rate is None:
        rows = slice(round(begin * fps), round(end * fps) + 1)
        return pos[rows], quat[rows], dof_pos[rows], fps
    places = (begin + np.arange(int((end - begin) * wishes.rate + 1e-6) + 1) / wishes.rate) * fps
    at = lambda rows: np.stack([np.interp(places, np.arange(len(rows)), column) for column in rows.T], axis=1)  # noqa: E731
    return at(pos), between(quat, places), at(dof_pos), wishes.rate
