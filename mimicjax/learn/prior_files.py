"""A prior's folder: its arrays, as checkpoints have them, and prior.json with what it was trained on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from mimicjax import arrays
from mimicjax.errors import UserError
from mimicjax.learn.diffusion import Prior

FACTS = "prior.json"
HIDDEN = ".unfinished-"
FORMAT_VERSION = 1


def prepare(folder: Path) -> None:
    """Make the place for a prior before time is spent on training it. Raises UserError where nothing can be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _half(folder).mkdir()
        _half(folder).rmdir()
    except OSError as problem:
        raise UserError(f"{folder}: a prior cannot be written there ({problem.strerror})") from problem


def save(folder: Path, prior: Prior, facts: dict[str, Any]) -> None:
    """Write a prior beside its folder and then rename it; one that was there stays until the new one is whole.

    Raises UserError if it cannot be written.
    """
    half, old = _half(folder), folder.with_name(f"{HIDDEN}old-{folder.name}-{os.getpid()}")
    tree = {"params": prior.params, "mean": prior.mean, "std": prior.std}
    flat = traverse_util.flatten_dict(jax.device_get(tree), sep="/")
    try:
        half.mkdir(parents=True)
        arrays.write(half / "arrays", {name: np.asarray(value) for name, value in flat.items()})
        (half / FACTS).write_text(json.dumps({"format_version": FORMAT_VERSION, **facts}, indent=1))
        if folder.exists():
            os.rename(folder, old)
        os.rename(half, folder)
    except OSError as problem:
        raise UserError(f"{folder}: the prior cannot be written ({problem.strerror})") from problem
    finally:
        if old.exists() and not folder.exists():
            os.rename(old, folder)
        for left in (half, old):
            shutil.rmtree(left, ignore_errors=True)


def _half(folder: Path) -> Path:
    return folder.with_name(f"{HIDDEN}{folder.name}-{os.getpid()}")


def read_facts(folder: Path) -> dict[str, Any]:
    """What a prior was trained on. Raises UserError if there is no prior, or one of another version."""
    try:
        facts = json.loads((folder / FACTS).read_text())
    except (OSError, ValueError):
        raise UserError(
            f"learn.smp.prior: there is no prior in {str(folder)!r}; python -m mimicjax.train_prior makes one"
        ) from None
    if facts.get("format_version") != FORMAT_VERSION:
        raise UserError(f"learn.smp.prior: {folder} has version {facts.get('format_version')}, not {FORMAT_VERSION}")
    return facts


def check(folder: Path, here: dict[str, Any]) -> None:
    """Raises UserError if the prior was not trained with what `here` names."""
    saved = read_facts(folder)
    for name, value in here.items():
        if saved.get(name) != value:
            raise UserError(
                f"learn.smp.prior: {folder} was trained with {name} {saved.get(name)}, this run has {value}"
            )


def load(folder: Path) -> Prior:
    """A prior. Raises UserError if it is missing or damaged."""
    read_facts(folder)
    problem = f"learn.smp.prior: {folder} is damaged"
    flat = arrays.read(folder / "arrays", None, lambda what: UserError(f"{problem} ({what})"))
    tree = traverse_util.unflatten_dict(flat, sep="/")
    if set(tree) != {"params", "mean", "std"}:
        raise UserError(f"learn.smp.prior: {folder} is damaged (it holds {', '.join(sorted(tree))})")
    return Prior(tree["params"], tree["mean"], tree["std"])
