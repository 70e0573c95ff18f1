"""Pickles read without running them, and MimicKit's motion clips, which are pickles.

The unpickler admits only the names of `_ADMITTED`, and replaces each by a stand-in of ours: numpy's own constructors
never see the file's bytes, and nothing of the file is ever called. Any other name is refused before it is imported.
"""

from __future__ import annotations

import codecs
import functools
import io
import math
import pickle
import struct
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mimicjax import limits
from mimicjax.errors import UserError, reason
from mimicjax.motion._numpy_rotation import exp_to_quat
from mimicjax.types import BALL, CLAMP, WRAP, Clip, Robot

OTHER_FORMATS = "python -m mimicjax.motion import reads those of other projects"  # what refusals end with


class _Dtype:
    """Stand-in for a pickled numpy.dtype: its code and byte order."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False):
        self.code = str(code)
        self.order: Literal["<", ">"] = "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def numpy(self) -> np.dtype:
        """The real dtype; only booleans, numbers and text."""
        dtype = np.dtype(self.code)
        if dtype.kind not in "biufSU":
            raise ValueError(f"arrays of {dtype} are not read")
        return dtype.newbyteorder(self.order)


class _Array:
    """Stand-in for a numpy array, which a pickle first creates empty and then gives its state."""

    value: np.ndarray = np.zeros(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C").value


def _bytes(data: Any) -> bytes:
    """Raw bytes; pickles of Python 2 hold them as text."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"array data given as {type(data).__name__}")
    return bytes(data)


def _array(data: Any, dtype: _Dtype, shape: tuple, order: str = "C") -> _Array:
    """numpy's _frombuffer: an array from raw bytes; never more elements than there are bytes."""
    array = _Array()
    array.value = np.frombuffer(_bytes(data), dtype.numpy()).reshape(shape, order="F" if order == "F" else "C")
    return array


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    """A numpy scalar as Python number or text."""
    return np.frombuffer(_bytes(data), dtype.numpy())[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """How protocols before 3 hold bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in the encoding {encoding}")
    return codecs.encode(text, "latin1")


def _torch_storage(data: bytes) -> np.ndarray:
    """The numbers of a torch storage in torch's old file layout: five pickles, an int64 count, the raw numbers."""
    stream = io.BytesIO(data)
    _, _, _, (dtype, key, count), keys = [_Unpickler(stream, _TORCH_DTYPES).load() for _ in range(5)]
    if keys != [key] or struct.unpack("<q", stream.read(8)) != (count,):
        raise ValueError("a torch storage of an unknown layout")
    return np.frombuffer(stream.read(), dtype, count)


def _torch_scalar(storage: np.ndarray, offset: int, size: tuple, *_: Any) -> float:
    """A torch tensor of one element as Python number."""
    if math.prod(size) != 1:
        raise ValueError(f"a torch tensor of shape {tuple(size)}; only scalars are read")
    return storage[offset].item()


def _empty(*_: Any) -> _Array:
    """numpy's _reconstruct: an empty array, which its state fills later."""
    return _Array()


_NUMPY_CORES = ("numpy.core", "numpy._core")
_ADMITTED: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": _encode,
    "numpy.ndarray": "numpy.ndarray",
    "numpy.dtype": _Dtype,
    **{f"{core}.multiarray._reconstruct": _empty for core in _NUMPY_CORES},
    **{f"{core}.multiarray.scalar": _scalar for core in _NUMPY_CORES},
    **{f"{core}.numeric._frombuffer": _array for core in _NUMPY_CORES},
    "torch._utils._rebuild_tensor_v2": _torch_scalar,
    "torch.storage._load_from_bytes": _torch_storage,
}
_TORCH_DTYPES: dict[str, Any] = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
}


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler (the C one can be made to fill the memory by one opcode) with a closed list of names."""

    def __init__(self, stream: io.BytesIO, admitted: dict[str, Any]):
        super().__init__(stream, encoding="latin1")
        self.admitted = admitted

    def find_class(self, module: str, name: str) -> Any:
        stand_in = self.admitted.get(f"{module}.{name}")
        if stand_in is None:
            asked = "".join(c if c.isprintable() else "?" for c in f"{module}.{name}"[:100])
            raise UserError(f"it asks for {asked}; only numbers, text, lists, dicts and numpy arrays are read")
        # A fresh partial, because a pickle may set attributes of what it was given.
        return functools.partial(stand_in) if isinstance(stand_in, Callable) else stand_in

    def persistent_load(self, pid: Any) -> tuple[str, str, int]:
        """torch's reference to a storage: (dtype, key, count)."""
        _, dtype, key, _, count, *_ = pid
        return dtype, key, count


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """`value` with arrays in place of their stand-ins; every list and dict is copied once, however often it appears."""
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, _Array):
        plain = value.value
    elif isinstance(value, dict):
        plain = {key: _plain(item, seen) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        plain = type(value)([_plain(item, seen) for item in value])
    elif isinstance(value, bool | int | float | complex | str | bytes | bytearray | set | frozenset | None):
        return value
    else:
        raise TypeError(f"a {type(value).__name__} is not data")
    seen[id(value)] = plain
    return plain


def load_pickle(path: Path) -> Any:
    """The plain data of a pickle file, without running it.

    Returns numbers, text, lists, tuples, dicts and numpy arrays. Raises UserError for anything else, for a damaged
    file and for one over `limits.MOTION_BYTES`.
    """
    try:
        if path.stat().st_size > limits.MOTION_BYTES:
            raise UserError(f"it has {path.stat().st_size} bytes; at most {limits.MOTION_BYTES} are read")
        return _plain(_Unpickler(io.BytesIO(path.read_bytes()), _ADMITTED).load(), {})
    except UserError as error:
        raise UserError(f"{path}: refused: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle can raise nearly anything
        known = "" if isinstance(error, KeyError) else f" ({reason(error)})"  # of an unknown opcode: a bare number
        raise UserError(f"{path}: truncated or damaged, or not a pickle{known}") from None


def read_mimickit(path: Path, robot: Robot | None) -> Clip:
    """The clip in a MimicKit .pkl: `frames` of root position (m), root exponential map and joint coordinates (rad).

    The file names no joints; with `robot` the columns are its degrees of freedom. Values are not checked here, but NaN
    in a ball joint becomes no rotation, which is what MimicKit's own reader makes of it.
    """
    data = load_pickle(path)
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds a {type(data).__name__}; a MimicKit clip is a dict")
    missing = [key for key in ("loop_mode", "fps", "frames") if key not in data]
    if missing:
        keys = ", ".join(" ".join(str(key).split())[:40] for key in list(data)[:12])
        raise UserError(f"{path}: not a MimicKit clip: no key {missing[0]} (keys: {keys or 'none'}); {OTHER_FORMATS}")
    if not isinstance(data["loop_mode"], int) or data["loop_mode"] not in (CLAMP, WRAP):
        raise UserError(f"{path}: loop_mode is {str(data['loop_mode'])[:40]}; allowed are 0 (clamp) and 1 (wrap)")
    frames = _frames(path, data["frames"])
    dof_pos = frames[:, 6:]
    if robot is not None:
        if dof_pos.shape[1] != robot.num_dofs:
            raise UserError(
                f"{path}: has {frames.shape[1]} columns, so {dof_pos.shape[1]} degrees of freedom; "
                f"robot {robot.name} has {robot.num_dofs} ({6 + robot.num_dofs} columns)"
            )
        dof_pos = _without_nan_balls(path, dof_pos, robot)
    return Clip(
        name=path.stem,
        robot="" if robot is None else robot.name,
        dof_names=() if robot is None else robot.dof_names,
        fps=_number(path, data["fps"]),
        loop=int(data["loop_mode"]),
        root_pos=frames[:, :3],
        root_quat=exp_to_quat(frames[:, 3:6]),
        dof_pos=dof_pos,
        maker=f"MimicKit, {path.name}",
    )


def _number(path: Path, fps: Any) -> float:
    """fps as a float, from a number or an array of one."""
    try:
        return float(np.asarray(fps, float).reshape(()))
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: fps is {str(fps)[:40]}; it must be one number") from None


def _frames(path: Path, frames: Any) -> np.ndarray:
    """`[F,6+D]` float64 from a list of equally long lists of numbers, or from an array."""
    if isinstance(frames, list | tuple):
        widths = {
            np.size(row) if isinstance(row, np.ndarray) else len(row) for row in frames if hasattr(row, "__len__")
        }
        if len(widths) == 1 and len(frames) * max(widths) > limits.NUMBERS:
            raise UserError(f"{path}: {len(frames)} frames of {max(widths)} numbers; at most {limits.NUMBERS} are read")
        if len(widths) > 1:
            raise UserError(f"{path}: frames have different lengths: {', '.join(map(str, sorted(widths)[:4]))}")
        if any(isinstance(x, list | tuple | dict) for row in frames if isinstance(row, list | tuple) for x in row):
            raise UserError(f"{path}: frames must be lists of numbers")
    try:
        array = np.asarray(frames, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: frames must be lists of numbers") from None
    if array.size == 0:
        raise UserError(f"{path}: the clip is empty (0 frames)")
    if array.ndim != 2 or array.shape[1] < 6:
        raise UserError(f"{path}: frames have shape {array.shape}; expected [frames, 6 + degrees of freedom]")
    return array


def _without_nan_balls(path: Path, dof_pos: np.ndarray, robot: Robot) -> np.ndarray:
    """`dof_pos [F,D]` with NaN triples of ball joints set to zero, and a warning that names them."""
    dof_pos = dof_pos.copy()
    for joint in np.flatnonzero(robot.joint_kinds == BALL):
        triple = dof_pos[:, robot.joint_dof[joint] : robot.joint_dof[joint] + 3]
        bad = np.isnan(triple).any(axis=-1)
        if bad.any():
            triple[bad] = 0.0
            warnings.warn(
                f"{path}: ball joint {robot.joint_names[joint]} is NaN in {bad.sum()} of {bad.size} frames; "
                "read as no rotation, as MimicKit does",
                stacklevel=2,
            )
    return dof_pos
