"""One stage for all pictures of robots: a camera and a light that follow, and a second robot where one is wanted."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np

from mimicjax.draw.canvas import Canvas
from mimicjax.env.task import Mark

MOST_GEOMS = 4000
LENGTH = 2.2  # how large a robot counts, by how far its farthest shape is from its root
FRAMES = 16  # of a motion, in which its height is measured
TRAVEL = 0.5  # m, the least that says which way a motion goes
LIGHT = 4.0  # robot heights from the light to what the camera looks at
SHADOWS = 3.2  # robot heights, the square that has shadows; a smaller one shows stripes at its near edge


class Shot(NamedTuple):
    """How a picture is taken."""

    azimuth: float  # degrees, the way the camera looks: 0 along x, 90 along y
    elevation: float  # degrees, negative looks down
    distance: float  # m from the camera to what it looks at


class Double(NamedTuple):
    """A second robot in the picture, all in one colour."""

    qpos: np.ndarray  # [nq]
    colour: np.ndarray  # [4] red, green, blue, opacity, 0 to 1


class Studio:
    """Takes pictures of a model; use with `with`."""

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int], height: float, sun: float) -> None:
        """model: of engine.scene.build. size: width and height in pixels.

        height: m of the robot. sun: azimuth in degrees towards which the light falls. Raises UserError without OpenGL.
        """
        model = copy.copy(model)  # drawing changes its looks
        self._model, self._height = model, height
        self._robot, self._other = mujoco.MjData(model), mujoco.MjData(model)
        self._option, self._perturb = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._camera, self._scene = mujoco.MjvCamera(), mujoco.MjvScene(model, MOST_GEOMS)
        self._sun = np.array([0.56 * np.cos(np.deg2rad(sun)), 0.56 * np.sin(np.deg2rad(sun)), -0.83])
        model.vis.map.shadowclip = SHADOWS * height / model.stat.extent
        self._canvas = Canvas(model, *size)

    def take(
        self, qpos: np.ndarray, look: np.ndarray, shot: Shot, double: Double | None = None, caption: str = "",
        marks: Sequence[Mark] = (),
    ) -> np.ndarray:  # fmt: skip
        """The picture [height,width,3] uint8 of the robot at qpos [nq], with the camera at `look` [3] m."""
        pose(self._model, self._robot, qpos)
        self._aim(look, shot)
        if double is not None:
            pose(self._model, self._other, double.qpos)
            self._add(double.colour)
        for mark in marks:
            self._mark(mark)
        return self._canvas.draw(self._scene, caption)

    def _aim(self, look: np.ndarray, shot: Shot) -> None:
        """Camera and light at a place, and the scene that they see."""
        camera, scene = self._camera, self._scene
        camera.lookat[:] = look
        camera.azimuth, camera.elevation, camera.distance = shot
        mujoco.mjv_updateCamera(self._model, self._robot, camera, scene)  # the floor is drawn about where it was before
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, self._robot, self._option, self._perturb, camera, every, scene)
        lights = [scene.lights[index] for index in range(scene.nlight) if not scene.lights[index].headlight]
        for light in lights[:1]:  # one that stays behind leaves the robot without shadow
            light.pos, light.dir = look - LIGHT * self._height * self._sun, self._sun
        for light in lights[1:]:
            light.pos = light.pos + np.append(look[:2], 0.0)

    def _add(self, colour: np.ndarray) -> None:
        """Put the second robot into the scene."""
        scene, first = self._scene, self._scene.ngeom
        dynamic = mujoco.mjtCatBit.mjCAT_DYNAMIC.value
        mujoco.mjv_addGeoms(self._model, self._other, self._option, self._perturb, dynamic, scene)
        for index in range(first, scene.ngeom):
            geom = scene.geoms[index]
            geom.matid, geom.rgba, geom.transparent = -1, colour, int(colour[3] < 1.0)
            geom.emission, geom.specular, geom.reflectance = 0.3, 0.2, 0.0

    def _mark(self, mark: Mark) -> None:
        """Put a ball or an arrow into the scene."""
        geom, kinds = self._scene.geoms[self._scene.ngeom], mujoco.mjtGeom
        self._scene.ngeom += 1
        kind = (kinds.mjGEOM_SPHERE if mark.tip is None else kinds.mjGEOM_ARROW).value
        colour = np.asarray(mark.color, np.float32)
        mujoco.mjv_initGeom(geom, kind, np.full(3, mark.size), np.asarray(mark.place, float), np.eye(3).ravel(), colour)
        if mark.tip is not None:
            mujoco.mjv_connector(geom, kind, mark.size, np.asarray(mark.place, float), np.asarray(mark.tip, float))

    def close(self) -> None:
        """Give OpenGL's context back."""
        self._canvas.close()

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pose(model: mujoco.MjModel, data: mujoco.MjData, qpos: np.ndarray) -> None:
    """Put a robot into a pose [nq], as far as drawing needs it."""
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)


def height(model: mujoco.MjModel, qpos: np.ndarray) -> float:
    """m from the ground to the robot's top, where it stands tallest in a motion [T,nq] (some of its frames are seen)."""
    data, moving, top = mujoco.MjData(model), model.geom_bodyid > 0, 0.1
    for row in qpos[np.unique(np.linspace(0, len(qpos) - 1, FRAMES).astype(int))]:
        pose(model, data, row)
        top = max(top, float(np.max(data.geom_xpos[moving, 2] + model.geom_rbound[moving], initial=0.0)))
    return top


def size(model: mujoco.MjModel, qpos: np.ndarray) -> float:
    """m, of which cameras keep a multiple away: the height in a motion [T,nq], or what a robot longer than high needs."""
    data, moving = mujoco.MjData(model), model.geom_bodyid > 0
    pose(model, data, qpos[0])
    reach = np.max(np.linalg.norm(data.geom_xpos[moving, :2] - qpos[0, :2], axis=1), initial=0.0)
    return max(height(model, qpos), LENGTH * float(reach))


def heading(qpos: np.ndarray) -> float:
    """Degrees: the way a motion [T,nq] travels, or if it stays in its place the way it first faces."""
    way = qpos[-1, :2] - qpos[0, :2]
    if np.linalg.norm(way) > TRAVEL:
        return float(np.rad2deg(np.arctan2(way[1], way[0])))
    w, x, y, z = qpos[0, 3:7]
    return float(np.rad2deg(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))))
