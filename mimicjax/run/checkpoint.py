"""Checkpoints: all that the future of a run depends on, written so that what is there can always be restored.

`folder/0000000120/` holds `state/` (Orbax: leaf path -> array) and `facts.json` (what wrote it, and shape, type and
checksum of every leaf). A checkpoint is made under a hidden name and renamed when complete; an old one is renamed to a
hidden name before it is deleted. So a visible checkpoint is a whole one, whenever the process was killed. One process
writes to a folder; others may read it meanwhile. Arrays are stored as the host sees them, so that a checkpoint does not
depend on the devices that wrote it; the template decides where they go.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mimicjax import config
from mimicjax.errors import UserError, reason
from mimicjax.run import checkpoint_files as files
from mimicjax.run import hosts
from mimicjax.versions import versions

FORMAT_VERSION = 2  # 1: until 2026-11-24, with other states of policies and environments
# what facts that others rely on must be; a run may say more
KNOWN: dict[str, Callable[[Any], bool]] = {
    "samples": lambda value: type(value) is int and value >= 0,
    "iteration": lambda value: type(value) is int and value >= 0,
    "hours": lambda value: type(value) in (int, float) and 0 <= value < 1e6,
    **{name: lambda value: isinstance(value, str) for name in ("robot", "robot_hash", "motion_hash")},
    **{name: lambda value: isinstance(value, dict) for name in ("config", "versions", "leaves")},
}


def save(
    folder: str | Path, step: int, state: Any, facts: Mapping[str, Any], *, keep: int = 3, keep_every: int = 0
) -> Path:
    """Write a checkpoint and delete old ones; returns its folder once it is complete on disk.

    state: any pytree of arrays, random keys and numbers. facts: JSON data; `robot`, `robot_hash` and `config` are
    compared by restore; `score`, a list of numbers, says how good it is. keep: latest checkpoints kept, beside the one with
    the largest score. keep_every: also keep steps that are multiples of it (0: none).
    Checkpoints of later steps are deleted: a run that goes on from an earlier step has left that future.
    Raises UserError if it cannot be written (disk full, not allowed); older checkpoints are then untouched.
    """
    folder = Path(folder)
    leaves = _named_leaves(state)
    arrays = dict(zip(leaves, jax.device_get([_data(leaf) for leaf in leaves.values()]), strict=True))
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    about = {name: {**_describe(leaf), "crc": _crc(arrays[name])} for name, leaf in leaves.items()}
    text = json.dumps({"versions": versions(), **facts, "format_version": FORMAT_VERSION, "leaves": about}, indent=1)
    half = folder / f"{files.HIDDEN}{step}"
    try:
        files.tidy(folder)
        half.mkdir(parents=True)
        (half / "facts.json").write_text(text)
        files.write_arrays(half / "state", arrays)
        files.sync(half)
        done = files.free_name(folder, step)
        os.rename(half, done)
        files.sync_folder(folder)
        files.prune(folder, step, keep, keep_every)
    except Exception as problem:  # Orbax and tensorstore have their own error types for a full disk
        shutil.rmtree(half, ignore_errors=True)
        full = "No space left" in str(problem)
        reason = "no space left on the disk" if full else " ".join(str(problem).split())[:300]
        raise UserError(f"{folder}: checkpoint {step} cannot be written ({reason}); older ones are kept") from problem
    return done


def restore(
    folder: str | Path, template: Any, facts: Mapping[str, Any] | None = None, step: int | str | None = None, *,
    part: bool = False,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    """(state, its facts) of a checkpoint, bit for bit, on the devices and in the shardings of `template`.

    template: a pytree like the one saved (arrays or ShapeDtypeStructs; values are not read). facts: what this run would
    save; another robot is refused, and other configs are named if the state does not fit. step: None takes the latest, "best"
    the one with the largest score.
    part: the template is a part of what was saved; the rest is not read.
    Raises UserError: no checkpoint, another format, another robot, other leaves or shapes, damaged files.
    """
    path = files.find(Path(folder), step)
    saved = _read_facts(path)
    about = saved.pop("leaves")
    _check_facts(path, saved, facts or {})
    wanted = _named_leaves(template)
    if part:
        about = {name: leaf for name, leaf in about.items() if name in wanted}
    here = {name: _describe(leaf) for name, leaf in wanted.items()}
    _check_leaves(path, here, about, saved, facts or {})
    stored = {name: leaf["data_shape"] for name, leaf in here.items() if 0 not in leaf["data_shape"]}
    arrays = files.read_arrays(path / "state", stored)
    restored = []
    for name, leaf in wanted.items():
        shape, dtype = here[name]["data_shape"], np.dtype(here[name]["data_dtype"])
        array = arrays.get(name) if 0 not in shape else np.zeros(shape, dtype)
        same_form = array is not None and array.dtype == dtype and list(array.shape) == shape
        if array is None or not same_form or _crc(array) != about[name]["crc"]:
            raise files.damaged(path, f"{name} is missing or changed")
        restored.append(_place(array, leaf))
    return jax.tree.unflatten(jax.tree.structure(template), restored), saved


def read_facts(folder: str | Path, step: int | str | None = None) -> dict[str, Any]:
    """The facts of a checkpoint alone (to build the template from its config); UserError as restore."""
    path = files.find(Path(folder), step)
    saved = _read_facts(path)
    del saved["leaves"]
    _check_facts(path, saved, {})
    return saved


def shapes(folder: str | Path, step: int | str | None = None) -> dict[str, list[int]]:
    """Shape of every leaf of a checkpoint, by its name such as 'agent.norm.actor.mean'; UserError as restore."""
    path = files.find(Path(folder), step)
    saved = _read_facts(path)
    _check_facts(path, saved, {})
    return {name: leaf["shape"] for name, leaf in saved["leaves"].items()}


def check_format(folder: str | Path) -> None:
    """Raises UserError if the latest checkpoint, if there is one, is of a format that this version does not read."""
    if latest(folder) is not None:
        read_facts(folder)


def latest(folder: str | Path) -> int | None:
    """The last step that can be restored, or None."""
    return max(files.finished(Path(folder)), default=None)


def steps(folder: str | Path) -> list[int]:
    """All steps that can be restored, ascending."""
    return sorted(files.finished(Path(folder)))


def _named_leaves(tree: Any) -> dict[str, Any]:
    """'params.actor.0.w' -> leaf, in the tree's order."""
    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
    named = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in pairs}
    if len(named) < len(pairs):  # a dict key with a dot in it
        named = {jax.tree_util.keystr(path): leaf for path, leaf in pairs}
    return named


def _is_key(leaf: Any) -> bool:
    return jax.numpy.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key)


def _data(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _describe(leaf: Any) -> dict[str, Any]:
    """Shape and type of a leaf, and of the plain array it is stored as."""
    data = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
    shape, dtype = (data.shape, data.dtype) if hasattr(data, "shape") else (np.shape(data), np.asarray(data).dtype)
    kind = str(leaf.dtype) if _is_key(leaf) else str(dtype)
    return {"shape": list(np.shape(leaf)), "dtype": kind, "data_shape": list(shape), "data_dtype": str(dtype)}


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _place(array: np.ndarray, like: Any) -> Any:
    """The stored array as the template's leaf is: key, number, numpy array, or array on its devices."""
    if isinstance(like, bool | int | float | complex):
        return array.item()
    if isinstance(like, np.ndarray | np.generic):
        return array.astype(like.dtype, copy=False)[()] if isinstance(like, np.generic) else array
    sharding = getattr(like, "sharding", None) if getattr(like, "committed", True) else None
    value = jax.random.wrap_key_data(jax.numpy.asarray(array), impl=_impl(like)) if _is_key(like) else array
    return hosts.put(value, sharding)


def _impl(key: Any) -> str:
    """Name of a key array's generator; by tracing, because a ShapeDtypeStruct cannot be asked."""
    names: list[str] = []
    jax.eval_shape(lambda traced: names.append(str(jax.random.key_impl(traced))), key)
    return names[0]


def _check_leaves(
    path: Path, wanted: dict[str, dict], about: dict[str, dict], saved: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """UserError that names the first leaves in which the saved state and this run's differ."""

    def text(leaf: dict | None) -> str:
        return f"{leaf['dtype']}{tuple(leaf['shape'])}" if leaf else "nothing"

    names = list({**about, **wanted})
    pairs = {name: (text(about.get(name)), text(wanted.get(name))) for name in names}
    differ = [
        f"{name} is {stored} there and {wants} here" for name, (stored, wants) in pairs.items() if stored != wants
    ]
    if not differ:
        return
    more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
    before, now = saved.get("config"), facts.get("config")
    keys = config.difference(before, now)[:5] if isinstance(before, Mapping) and isinstance(now, Mapping) else []
    reason = f"; the configs differ (there -> here): {'; '.join(keys)}" if keys else ""
    raise UserError(f"{path}: does not fit this run: {'; '.join(differ[:3])}{more}{reason}")


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        saved = json.loads((path / "facts.json").read_text())
        leaves = saved["leaves"].values() if saved["format_version"] == FORMAT_VERSION else ()
        if not all({"shape", "dtype", "data_shape", "data_dtype", "crc"} <= set(leaf) for leaf in leaves):
            raise ValueError("not what a checkpoint of this format holds")
        wrong = [name for name, fits in KNOWN.items() if name in saved and not fits(saved[name])]
        if wrong:
            raise ValueError(f"{wrong[0]} is {json.dumps(saved[wrong[0]])[:60]}")
        return {"leaves": {}, **saved}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise files.damaged(path, f"facts.json: {reason(problem)}") from None


def _check_facts(path: Path, saved: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    if saved["format_version"] != FORMAT_VERSION:
        writer = (saved.get("versions") or {}).get("mimicjax", "unknown")
        raise UserError(
            f"{path}: was written by mimicjax {writer} in checkpoint format {saved['format_version']}; this version reads "
            f"format {FORMAT_VERSION} only: use that version for the run, or train it anew"
        )
    for name, what in (("robot", "robot"), ("robot_hash", "robot files (the robot was changed since)")):
        if name in facts and facts[name] != saved.get(name):
            raise UserError(f"{path}: was trained with another {what}: {saved.get(name)} there, {facts[name]} here")
