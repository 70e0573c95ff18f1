"""What meets what in a scene: floor, masks of shapes, and pairs that are named where that is faster."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from mimicjax.errors import UserError
from mimicjax.types import Robot


def floor(robot: Robot, spec: mujoco.MjSpec) -> None:
    """Planes are at height 0 and have friction in them: contacts take the larger condim, robots often have 1.

    Raises UserError for a plane at another height.
    """
    planes = [geom for geom in spec.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    for plane in planes:
        if plane.pos[2] != 0.0:
            raise UserError(
                f"robot {robot.name}: plane {plane.name!r} in {robot.xml} is at height {plane.pos[2]:g} m, but the "
                "ground must be at 0: set its pos to 0 0 0 or take it out"
            )
        plane.condim = max(3, plane.condim)
        plane.friction = [1.0, *plane.friction[1:]]


def decide(robot: Robot, spec: mujoco.MjSpec, self_collision: bool) -> None:
    """The robot meets ground and objects, and itself only with `self_collision`; objects meet everything.

    Shapes without bits in their masks are there to be seen. Whatever else shapes say of contacts stays as it is.
    """
    own = lambda geom: geom.parent.name in robot.body_names  # noqa: E731
    _masks(spec, self_collision, own)
    if not self_collision:
        _pairs(spec, own)


def _masks(spec: mujoco.MjSpec, self_collision: bool, own: Callable) -> None:
    """Bits: shapes of world and objects have 1 in both masks, of the robot only in conaffinity unless it meets itself."""
    robots = {geom.name for geom in spec.geoms if own(geom)}
    for geom in spec.geoms:
        plane = geom.parent.name == "world" and geom.type == mujoco.mjtGeom.mjGEOM_PLANE
        if plane or geom.contype or geom.conaffinity:
            geom.contype = int(self_collision or not own(geom))
            geom.conaffinity = 1
    for pair in spec.pairs:
        if not self_collision and pair.geomname1 in robots and pair.geomname2 in robots:
            spec.delete(pair)


def _pairs(spec: mujoco.MjSpec, own: Callable) -> None:
    """Where the robot can meet nothing but planes, names every pair of shape and plane instead of bits in masks.

    Contacts are the same, bit for bit, but MuJoCo need not search for neighbours: a tenth of the native engine's time.
    Masks stay in a model that excludes contacts with the world, or whose shapes differ in softness, margin or priority.
    """
    shapes = [geom for geom in spec.geoms if geom.contype or geom.conaffinity]
    others = [geom for geom in shapes if not own(geom)]
    flat = all(geom.parent.name == "world" and geom.type == mujoco.mjtGeom.mjGEOM_PLANE for geom in others)
    alike = len({(g.priority, *g.solref, *g.solimp) for g in shapes}) == 1 and not any(
        g.margin or g.gap for g in shapes
    )
    if not (flat and alike) or any("world" in (e.bodyname1, e.bodyname2) for e in spec.excludes):
        return
    for number, geom in enumerate(shapes):
        geom.name = geom.name or f"unnamed shape {number}"
    known = {frozenset((pair.geomname1, pair.geomname2)) for pair in spec.pairs}
    for geom in shapes:
        for plane in others:
            if own(geom) and frozenset((plane.name, geom.name)) not in known:
                slide, twist, roll = np.maximum(plane.friction, geom.friction)
                pair = spec.add_pair(geomname1=plane.name, geomname2=geom.name, condim=max(plane.condim, geom.condim))
                pair.friction, pair.solref, pair.solimp = [slide, slide, twist, roll, roll], geom.solref, geom.solimp
    for geom in shapes:
        geom.contype = geom.conaffinity = 0
