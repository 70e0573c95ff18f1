"""Randomised physics: a table of models, drawn once on the host, that both engines pick rows from.

Row 0 is the model unchanged. Every other row is a whole model, with the constants that MuJoCo derives from what was
drawn (`mj_setConst`): inertia of subtrees, inverse weights of bodies and joints, and so on. An environment then needs
one number, its row; nothing is drawn or derived while training. Only the solver's scale of tolerance
(`stat.meaninertia`) stays the nominal model's, since batches have none of their own.
"""

from __future__ import annotations

import copy
import zlib

import mujoco
import numpy as np

from mimicjax.config.randomize import RandomizeSettings, check_axes, check_ranges
from mimicjax.engine import layout
from mimicjax.engine.scene import Scene
from mimicjax.errors import UserError, unknown
from mimicjax.types import Layout, Robot

Variants = dict[str, np.ndarray]  # MjModel's field ("opt.gravity" of its options) -> [1 + K, ...]; fields that vary

DRAWN = (
    "geom_friction", "pair_friction", "body_mass", "body_inertia", "body_ipos", "body_sameframe", "geom_sameframe",
    "dof_armature", "dof_frictionloss", "actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "opt.gravity",
)  # fmt: skip
DERIVED = ("body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0", "dof_length", "actuator_acc0")
CUT = 3.0  # standard deviations at which normal factors are cut


def tabulate(scene: Scene, settings: RandomizeSettings, seed: int) -> Variants:
    """The table for a scene: a function of its arguments alone; {} if no model is randomised.

    Drawn are gravity, the robot and, as far as the robot meets it by masks, the world; objects stay as they are. Every
    key of the settings has random numbers of its own, so setting one leaves the others' draws as they were.
    Raises UserError for a range that is upside down or of the wrong length, an unknown body, a mass below nothing,
    or dry friction that the model does not have.
    """
    check(scene, settings)
    model, robot, count = scene.model, scene.robot, settings.models
    if not count:
        return {}
    rows = {name: np.repeat(get(model, name)[None], 1 + count, axis=0) for name in DRAWN}
    draw = _Draws(settings, seed)
    _friction(scene, rows, settings, draw)
    _masses(scene, rows, settings, draw)
    joints = _joints(scene.layout)
    for key, field in (("armature", "dof_armature"), ("frictionloss", "dof_frictionloss")):
        rows[field][1:, joints] *= draw.range(key, robot.num_dofs)
    stiffness = draw.range("kp", robot.num_dofs, settings.gain_distribution)
    rows["actuator_gainprm"][1:, :, 0] *= stiffness
    rows["actuator_biasprm"][1:, :, 1] *= stiffness
    rows["actuator_biasprm"][1:, :, 2] *= draw.range("kd", robot.num_dofs, settings.gain_distribution)
    rows["actuator_forcerange"][1:] *= draw.range("torque_limit", robot.num_dofs)[..., None]
    rows["opt.gravity"][1:] += draw.shift("gravity", 1)[:, 0]
    rows |= _derive(model, rows)
    return {name: values for name, values in rows.items() if (values[1:] != values[0]).any()}


def check(scene: Scene, settings: RandomizeSettings) -> None:
    """Raises UserError for physical settings that cannot be meant."""
    model, robot = scene.model, scene.robot
    check_ranges(
        settings, ("friction", "base_mass", "link_mass", "armature", "frictionloss", "kp", "kd", "torque_limit")
    )
    check_axes(settings, ("base_com", "gravity"), "randomize")
    for name in settings.base_bodies:
        if name not in robot.body_names:
            raise unknown("randomize.base_bodies", f"body of robot {robot.name}", name, robot.body_names)
    low, added = (settings.link_mass or [1.0])[0], settings.base_mass or [0.0]
    for body in _base(model, robot, settings) if settings.base_mass else ():
        if model.body_mass[body] * low + added[0] <= 0.0:
            raise UserError(
                f"randomize.base_mass: given {settings.base_mass}, but {model.body(body).name} has only "
                f"{model.body_mass[body]:g} kg; its mass must stay above 0"
            )
    if settings.frictionloss and not model.dof_frictionloss[_joints(scene.layout)].any():
        raise UserError(
            f"randomize.frictionloss scales the dry friction of the joints, of which robot {robot.name} has none"
        )


def get(model: mujoco.MjModel, name: str) -> np.ndarray:
    """A model's field by the name that the table has for it."""
    return getattr(model.opt, name[4:]) if name.startswith("opt.") else getattr(model, name)


class _Draws:
    """Random values for the K drawn rows; those of a key that is not set change nothing."""

    def __init__(self, settings: RandomizeSettings, seed: int) -> None:
        self.settings, self.seed, self.count = settings, seed, settings.models

    def _generator(self, key: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(key.encode())])

    def range(self, key: str, width: int, distribution: str = "uniform", nothing: float = 1.0) -> np.ndarray:
        """[K, width] between the ends of settings.<key>, or all `nothing`."""
        ends = getattr(self.settings, key)
        if ends is None:
            return np.full((self.count, width), nothing)
        if distribution == "uniform":
            return self._generator(key).uniform(ends[0], ends[1], (self.count, width))
        spread = np.clip(self._generator(key).normal(size=(self.count, width)), -CUT, CUT)
        return np.maximum(0.0, 0.5 * (ends[0] + ends[1]) + 0.5 * (ends[1] - ends[0]) * spread)

    def shift(self, key: str, width: int) -> np.ndarray:
        """[K, width, 3] within the half-widths of settings.<key>, or zeros."""
        half = getattr(self.settings, key) or (0.0, 0.0, 0.0)
        return self._generator(key).uniform(-1.0, 1.0, (self.count, width, 3)) * half


def _joints(layout: Layout) -> slice:
    """The robot's degrees of freedom without those of its root."""
    return slice(layout.robot_qvel.start + 6, layout.robot_qvel.stop)


def _base(model: mujoco.MjModel, robot: Robot, settings: RandomizeSettings) -> list[int]:
    """MuJoCo's ids of the base bodies."""
    return [model.body(name).id for name in settings.base_bodies or robot.body_names[:1]]


def _friction(scene: Scene, rows: Variants, settings: RandomizeSettings, draw: _Draws) -> None:
    """Sliding friction between robot and ground.

    Where two geoms collide by their masks, MuJoCo takes the larger of their frictions, so a low value of the robot's
    would have no effect. Hence the world's geoms get the lowest value of the row, and the robot's is the larger one.
    Explicit contact pairs have a friction of their own, which is set directly. Self-collisions use the robot's new
    value too; objects keep theirs, and with it the contact between robot and object.
    """
    if settings.friction is None:
        return
    model = scene.model
    values = draw.range("friction", model.ngeom if settings.friction_each else 1) + np.zeros((1, model.ngeom))
    world, robots = model.geom_bodyid == 0, np.isin(model.geom_bodyid, layout.robot_ids(model, scene.robot))
    meets = (model.geom_contype | model.geom_conaffinity) != 0
    if (meets & robots).any():
        rows["geom_friction"][1:, meets & robots, 0] = values[:, meets & robots]
        rows["geom_friction"][1:, meets & world, 0] = values[:, meets & robots].min(axis=1, keepdims=True)
    ends = np.stack([model.pair_geom1, model.pair_geom2], axis=1)
    ground = world[ends].any(axis=1) & robots[ends].any(axis=1)
    robot_geom = np.where(robots[ends[:, 0]], ends[:, 0], ends[:, 1])[ground]
    rows["pair_friction"][1:, ground, :2] = values[:, robot_geom, None]


def _masses(scene: Scene, rows: Variants, settings: RandomizeSettings, draw: _Draws) -> None:
    """Masses, inertias in proportion, and centres of mass."""
    model = scene.model
    base, bodies = _base(model, scene.robot, settings), layout.robot_ids(model, scene.robot)
    mass = rows["body_mass"]
    mass[1:, bodies] *= draw.range("link_mass", len(bodies))
    mass[1:, base] += draw.range("base_mass", len(base), nothing=0.0)
    heavy = model.body_mass > 0
    rows["body_inertia"][:, heavy] *= (mass[:, heavy] / model.body_mass[heavy])[..., None]
    if settings.base_com is None:
        return
    rows["body_ipos"][1:, base] += draw.shift("base_com", len(base))
    # MuJoCo skips the transform between frames that are marked as the same; now only their axes still are
    frame = mujoco.mjtSameFrame
    part = rows["body_sameframe"][1:, base]
    part[part == frame.mjSAMEFRAME_BODY] = frame.mjSAMEFRAME_BODYROT
    rows["body_sameframe"][1:, base] = part
    shapes = np.isin(model.geom_bodyid, base) & (model.geom_sameframe == frame.mjSAMEFRAME_INERTIA)
    rows["geom_sameframe"][1:, shapes] = frame.mjSAMEFRAME_INERTIAROT


def _derive(model: mujoco.MjModel, rows: Variants) -> Variants:
    """The constants that mj_setConst computes for each row."""
    scratch, names = copy.copy(model), [name for name in DRAWN if (rows[name][1:] != rows[name][0]).any()]
    data, count = mujoco.MjData(scratch), len(rows[DRAWN[0]])
    constants = {name: np.repeat(get(model, name)[None], count, axis=0) for name in DERIVED}
    for row in range(1, count):
        for name in names:
            get(scratch, name)[:] = rows[name][row]
        mujoco.mj_setConst(scratch, data)
        for name in DERIVED:
            constants[name][row] = get(scratch, name)
    return constants


def changed(model: mujoco.MjModel, variants: Variants, row: int) -> mujoco.MjModel:
    """A copy of the model with one row of the table in it, to be inspected, drawn or stepped by itself."""
    changed = copy.copy(model)
    for name, values in variants.items():
        get(changed, name)[:] = values[row]
    return changed
