"""What a file says, before it is decided how to read what it does not say."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimicjax.types import CLAMP


class Raw(NamedTuple):
    """A motion as its file has it; F frames, D columns."""

    name: str
    form: str  # the format, for the user
    root_pos: np.ndarray  # [F,3] m
    root_quat: np.ndarray  # [F,4]
    dof_pos: np.ndarray  # [F,D] rad
    fps: float | None = None  # None where the file does not say
    order: str | None = None  # of the quaternion, wxyz or xyzw; None where the file does not say
    names: tuple[str, ...] = ()  # [D] of the columns; () where they are in the robot's order or breadth first
    breadth: bool | None = False  # columns are breadth first, as Isaac Lab has them; None where the file does not say
    loop: int = CLAMP
    licence: str = ""
    notes: tuple[str, ...] = ()


def stem(path: Path) -> str:
    """A clip's name from its file's."""
    return path.name.partition(".")[0] or path.stem
