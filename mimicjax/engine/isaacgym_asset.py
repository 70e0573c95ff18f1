"""A scene's robot as the file that Isaac Gym's importer reads: its MJCF knows neither default classes nor ball joints.

Everything is written out from the compiled model, so masses, frames and shapes are MuJoCo's to the last digit.
"""

from __future__ import annotations

from xml.etree import ElementTree

import mujoco
import numpy as np

from mimicjax.engine.scene import Scene
from mimicjax.errors import UserError
from mimicjax.robot.kinematics import plane
from mimicjax.types import BALL, FIXED

SHAPES = {
    int(mujoco.mjtGeom.mjGEOM_SPHERE): ("sphere", 1),
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): ("capsule", 2),
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): ("cylinder", 2),
    int(mujoco.mjtGeom.mjGEOM_BOX): ("box", 3),
}  # MuJoCo's type -> its name and how many sizes it has


def check(scene: Scene) -> None:
    """Raises UserError for a scene that Isaac Gym's side is not made for: more than a robot on a flat floor."""
    if scene.layout.objects or scene.layout.ground is not plane:
        raise UserError("engine isaacgym takes a robot on flat ground only; use engine.name = native for this scene")
    for geom in shapes(scene):
        kind = int(scene.model.geom_type[geom])
        if kind not in SHAPES:
            name = mujoco.mjtGeom(kind).name.removeprefix("mjGEOM_").lower()
            raise UserError(
                f"engine isaacgym: {scene.model.geom(geom).name or f'geom {geom}'} of robot {scene.robot.name} is a {name}; "
                f"allowed are {', '.join(name for name, _ in SHAPES.values())}"
            )


def shapes(scene: Scene) -> np.ndarray:
    """MuJoCo's ids of the robot's shapes that collide, in the order of the file."""
    model = scene.model
    meets = (model.geom_contype | model.geom_conaffinity) != 0
    meets[np.concatenate([model.pair_geom1, model.pair_geom2])] = True
    return np.flatnonzero(meets & (model.geom_bodyid > 0))


def friction(scene: Scene) -> np.ndarray:
    """Sliding friction between the floor and each of `shapes`; where no pair names it, the larger of both, as MuJoCo's."""
    model = scene.model
    floor = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
    values = np.maximum(model.geom_friction[:, 0], model.geom_friction[floor, 0].max())
    for one, other, pair in zip(model.pair_geom1, model.pair_geom2, model.pair_friction, strict=True):
        values[other if one in floor else one] = pair[0]
    return values[shapes(scene)]


def write(scene: Scene) -> str:
    """The robot's MJCF. A ball joint becomes three hinges x, y, z of one body, which Isaac Gym makes one joint of again."""
    root = ElementTree.Element("mujoco", model=scene.robot.name)
    ElementTree.SubElement(root, "compiler", angle="radian", inertiafromgeom="false", autolimits="true")
    elements = {0: ElementTree.SubElement(root, "worldbody")}
    model, collide = scene.model, set(shapes(scene).tolist())
    for place, name in enumerate(scene.robot.body_names):
        body = model.body(name).id
        frame = {"name": name, "pos": _text(model.body_pos[body]), "quat": _text(model.body_quat[body])}
        element = ElementTree.SubElement(elements[int(model.body_parentid[body])], "body", frame)
        elements[body] = element
        _inertia(element, model, body)
        if place:
            _joints(element, scene, place - 1)
        else:
            ElementTree.SubElement(element, "freejoint", name=f"{name}_free")
        first = model.body_geomadr[body]
        for geom in range(first, first + model.body_geomnum[body]):
            if geom in collide:
                _shape(element, model, geom)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _text(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.atleast_1d(values))


def _inertia(element: ElementTree.Element, model: mujoco.MjModel, body: int) -> None:
    if model.body_mass[body] > 0:
        ElementTree.SubElement(
            element, "inertial", mass=_text(model.body_mass[body]), pos=_text(model.body_ipos[body]),
            quat=_text(model.body_iquat[body]), diaginertia=_text(model.body_inertia[body]),
        )  # fmt: skip


def _joints(element: ElementTree.Element, scene: Scene, joint: int) -> None:
    robot = scene.robot
    if robot.joint_kinds[joint] == FIXED:
        return
    place = scene.model.joint(robot.joint_names[joint]).id
    pos = _text(scene.model.jnt_pos[place])
    first = robot.joint_dof[joint]
    for dof in range(first, first + int(robot.joint_kinds[joint])):
        ball = robot.joint_kinds[joint] == BALL
        axis = np.eye(3)[dof - first] if ball else scene.model.jnt_axis[place]
        limits = (-np.pi, np.pi) if ball else scene.model.jnt_range[place]
        facts = {"name": robot.dof_names[dof], "type": "hinge", "axis": _text(axis), "pos": pos}
        facts["armature"] = _text(robot.armature[dof])
        if ball or scene.model.jnt_limited[place]:
            facts["range"] = _text(np.asarray(limits))
        ElementTree.SubElement(element, "joint", facts)


def _shape(element: ElementTree.Element, model: mujoco.MjModel, geom: int) -> None:
    name, sizes = SHAPES[int(model.geom_type[geom])]
    ElementTree.SubElement(
        element, "geom", type=name, size=_text(model.geom_size[geom, :sizes]), pos=_text(model.geom_pos[geom]),
        quat=_text(model.geom_quat[geom]),
    )  # fmt: skip
