"""What is drawn: the scene, and beside its robot a second one as the clip has it."""

from __future__ import annotations

import mujoco
import numpy as np

from mimicjax.engine import scene
from mimicjax.robot import mjcf
from mimicjax.world import World

GHOST = "ghost_"  # before the names of the second robot
COLOUR = (0.25, 0.5, 0.95, 0.35)


class Stage:
    """A model of both robots for drawing, and their places in it."""

    def __init__(self, world: World) -> None:
        furnish = [world.task.furnish] if world.task and world.task.furnish else []
        spec, _ = scene.compiled(world.robot, world.settings.engine, furnish)
        other = mjcf.read(world.robot.xml)
        for element in [*other.actuators, *other.sensors, *other.keys, *other.lights]:
            other.delete(element)
        for geom in [each for each in other.geoms if each.type == mujoco.mjtGeom.mjGEOM_PLANE]:
            other.delete(geom)
        for geom in other.geoms:
            geom.rgba, geom.material, geom.contype, geom.conaffinity = COLOUR, "", 0, 0
        spec.attach(other, prefix=GHOST, frame=spec.worldbody.add_frame())
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self._share, self._own = (
            world.scene.layout.robot_qpos,
            world.scene.model.nq,
        )  # the ghost's come behind the scene's

    def pose(self, qpos: np.ndarray, reference: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Places [nbody,3] and rotations [nbody,3,3] of all bodies; reference: [nq] of the scene, None hides the ghost."""
        self.data.qpos[: self._own] = qpos
        self.data.qpos[self._own :] = (qpos if reference is None else reference)[self._share]
        if reference is None:
            self.data.qpos[self._own + 2] -= 100.0
        mujoco.mj_kinematics(self.model, self.data)
        return self.data.xpos.copy(), self.data.xmat.reshape(-1, 3, 3).copy()

    def hit(self, origin: np.ndarray, direction: np.ndarray) -> str:
        """Name of the robot's body that a ray meets first; empty if it meets none."""
        geom = np.zeros(1, np.int32)
        groups = np.ones(6, np.uint8)
        mujoco.mj_ray(self.model, self.data, np.float64(origin), np.float64(direction), groups, 0, -1, geom)
        name = self.model.body(self.model.geom_bodyid[geom[0]]).name if geom[0] >= 0 else ""
        return "" if name.startswith(GHOST) else name
