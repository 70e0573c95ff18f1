"""A robot's bodies by name, for those that push them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mimicjax.errors import UserError, unknown
from mimicjax.robot import mjcf
from mimicjax.types import Robot


def indices(robot: Robot, names: Iterable[str], where: str) -> np.ndarray:
    """Indices into robot.body_names, in the order of `names`. Raises UserError, which begins with `where`."""
    bodies = []
    for name in names:
        if name == "world":
            raise UserError(f"{where}: given 'world', but the world is fixed; allowed: {', '.join(robot.body_names)}")
        if name not in robot.body_names:
            raise unknown(where, f"body of robot {robot.name}", name, robot.body_names)
        if robot.body_names.index(name) in bodies:
            raise UserError(f"{where}: {name!r} is given twice")
        bodies.append(robot.body_names.index(name))
    return np.asarray(bodies, np.int32)


def massless(robot: Robot) -> set[str]:
    """Names of the bodies without mass or inertia of their own, which are mere frames on their parents."""
    model = mjcf.model(robot.xml)
    return {name for name in robot.body_names if model.body(name).mass[0] <= 0 or not np.all(model.body(name).inertia)}
