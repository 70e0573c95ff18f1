"""What collides with what in a scene: the floor, masks of geoms, and explicit pairs where these are faster."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from mimicjax.errors import UserError
from mimicjax.types import Robot

OfRobot = Callable[[mujoco.MjsGeom], bool]  # whether a geom belongs to the robot


def floor(robot: Robot, spec: mujoco.MjSpec) -> None:
    """Gives every plane of the world friction: a contact takes the larger condim of its geoms, and robots often have 1.

    Raises UserError for a plane that is not at height 0.
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
    """The robot collides with ground and objects, and with itself only if `self_collision`; objects collide with everything.

    Geoms without any bit in their masks are only visual and stay so. All other contact parameters of geoms are kept.
    """
    of_robot = lambda geom: geom.parent.name in robot.body_names  # noqa: E731
    _masks(spec, self_collision, of_robot)
    if not self_collision:
        _pairs(spec, of_robot)


def _masks(spec: mujoco.MjSpec, self_collision: bool, of_robot: OfRobot) -> None:
    """Sets contype and conaffinity of all geoms that can collide.

    Geoms of the world and of objects have 1 in both. Those of the robot have contype 0 unless it collides with itself:
    MuJoCo lets two geoms collide where the contype of one meets the conaffinity of the other.
    """
    robots = {geom.name for geom in spec.geoms if of_robot(geom)}
    for geom in spec.geoms:
        plane = geom.parent.name == "world" and geom.type == mujoco.mjtGeom.mjGEOM_PLANE
        if plane or geom.contype or geom.conaffinity:
            geom.contype = int(self_collision or not of_robot(geom))
            geom.conaffinity = 1
    for pair in spec.pairs:
        if not self_collision and pair.geomname1 in robots and pair.geomname2 in robots:
            spec.delete(pair)


def _pairs(spec: mujoco.MjSpec, of_robot: OfRobot) -> None:
    """Where the robot can collide with planes only, lists every pair of geom and plane and clears the masks.

    The contacts are the same, bit for bit, but MuJoCo need not search for neighbours, which is a tenth of the native
    engine's time. Masks stay in a model that excludes contacts with the world, or whose geoms differ in softness, margin
    or priority.
    """
    shapes = [geom for geom in spec.geoms if geom.contype or geom.conaffinity]
    others = [geom for geom in shapes if not of_robot(geom)]
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
            if of_robot(geom) and frozenset((plane.name, geom.name)) not in known:
                slide, twist, roll = np.maximum(plane.friction, geom.friction)
                pair = spec.add_pair(geomname1=plane.name, geomname2=geom.name, condim=max(plane.condim, geom.condim))
                pair.friction, pair.solref, pair.solimp = [slide, slide, twist, roll, roll], geom.solref, geom.solimp
    for geom in shapes:
        geom.contype = geom.conaffinity = 0
