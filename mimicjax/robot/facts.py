"""robot.yaml: the facts that MJCF cannot say, read and checked. Every complaint names the file and the key."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax.config.loading import read_yaml
from mimicjax.errors import UserError, unknown

REQUIRED = ("key_bodies", "contact_bodies")
KEYS = ("name", "xml", *REQUIRED, "wrench_bodies", "start_pose", "joint_error_weights", "gains", "sources", "licence")
START_KEYS = ("root_height", "root_quat", "joints")
GAIN_KEYS = ("kp", "kd", "torque_limit")


@dataclasses.dataclass(frozen=True)
class Facts:
    """The content of one robot.yaml; absent sections are empty."""

    file: Path
    values: dict[str, Any]

    def section(self, *keys: str, allowed: Collection[str], what: str = "key") -> dict[str, Any]:
        """The mapping under `keys`; UserError if it is no mapping or has a key that is not allowed."""
        mapping: Any = self.values
        for key in keys:
            mapping = mapping.get(key) or {}
        where = ": ".join([str(self.file), *keys])
        if not isinstance(mapping, dict):
            raise UserError(f"{where}: expected lines of `{what}: value`, got {mapping!r}")
        for key in mapping:
            if key not in allowed:
                raise unknown(where, what, key, allowed)
        return mapping

    def numbers(self, value: Any, count: int, where: str) -> np.ndarray:
        """[count] finite numbers from one number or a list of `count`."""
        try:
            numbers = np.broadcast_to(np.asarray(value, np.float64), count)
        except (TypeError, ValueError, OverflowError):
            numbers = np.full(1, np.nan)
        if not np.isfinite(numbers).all():
            expected = "a number" if count == 1 else f"{count} numbers"
            raise UserError(f"{self.file}: {where}: expected {expected}, got {str(value)[:100]!r}")
        return numbers

    def bodies(self, key: str, names: tuple[str, ...]) -> np.ndarray:
        """Indices of the bodies listed under `key`, in that order."""
        bodies = self.values.get(key) or []
        if not isinstance(bodies, list):
            raise UserError(f"{self.file}: {key}: expected a list of body names, got {bodies!r}")
        for name in bodies:
            if name not in names:
                raise unknown(f"{self.file}: {key}", "body", name, names)
        return np.asarray([names.index(name) for name in bodies], np.int32)

    def error_weights(self, joint_names: tuple[str, ...]) -> np.ndarray:
        """[J] weights of the joints in tracking errors, 1 where the file says nothing."""
        weights = np.ones(len(joint_names), np.float32)
        for name, value in self.section("joint_error_weights", allowed=joint_names, what="joint").items():
            weights[joint_names.index(name)] = self.numbers(value, 1, f"joint_error_weights: {name}")[0]
        if np.any(weights < 0) or not np.any(weights > 0):
            raise UserError(f"{self.file}: joint_error_weights: must not be negative, nor all zero")
        return weights

    def gains(self, joint: str, dofs: int) -> dict[str, np.ndarray]:
        """Column of GAIN_KEYS -> [dofs] values, for those that the file gives for the joint."""
        gains = self.section("gains", joint, allowed=GAIN_KEYS)
        return {key: self.numbers(value, dofs, f"gains: {joint}: {key}") for key, value in gains.items()}


def read(file: Path) -> Facts:
    """Read a robot.yaml; UserError if it is not YAML, lacks a required key or has one that does not exist."""
    facts = Facts(file, read_yaml(file))
    facts.section(allowed=KEYS)
    for key in REQUIRED:
        if key not in facts.values:
            raise UserError(f"{file}: {key} is missing; give a list of body names (it may be empty)")
    facts.section("start_pose", allowed=START_KEYS)
    return facts
