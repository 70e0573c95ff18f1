"""Ground that is not flat: clearance, falls and the doctor of motions ask for its height where they are."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from conftest import scene_g1, synthetic_clip

from mimicjax.config.settings import EngineSettings, EnvSettings
from mimicjax.engine import scene
from mimicjax.env import terminations
from mimicjax.env.view import Scope, View
from mimicjax.motion.check import check
from mimicjax.robot import kinematics


def slope(xy: jax.Array) -> jax.Array:
    """Rises by 0.3 m a metre along x, falls by 0.2 along y."""
    return 0.3 * xy[..., 0] - 0.2 * xy[..., 1]


def test_clearance_over_a_slope(g1, simulated):
    """Of each body, the least of its points' height above the slope there; points placed by MuJoCo."""
    model = mujoco.MjModel.from_xml_path(str(g1.xml))
    data = mujoco.MjData(model)
    data.qpos = jax.jit(lambda pose: kinematics.qpos_of(g1, pose)[0])(simulated)
    mujoco.mj_kinematics(model, data)
    found = jax.jit(lambda pose: kinematics.ground_clearance(g1, pose, slope))(simulated)
    for body, name in enumerate(g1.body_names):
        own = g1.ground_body == body
        place, turn = data.body(name).xpos, data.body(name).xmat.reshape(3, 3)
        points = place + g1.ground_points[own] @ turn.T - np.outer(g1.ground_radius[own], [0, 0, 1])
        want = np.min(points @ [-0.3, 0.2, 1.0], initial=np.inf)
        assert np.asarray(found[body]) == pytest.approx(want, abs=1e-5), name


def test_a_plane_costs_no_more_than_no_ground(g1, simulated):
    def flops(ground) -> float:
        program = jax.jit(lambda pose: kinematics.ground_clearance(g1, pose, ground)).lower(simulated).compile()
        return program.cost_analysis()["flops"]

    assert flops(kinematics.plane) == flops(lambda xy: 0.0) < 0.8 * flops(slope)


def test_falls_are_onto_the_ground_of_the_scene(g1, reference):
    """The robot stands on the plane, and 5 m on is knee-deep in a hill, where the scene has one."""
    away = reference._replace(
        root_pos=reference.root_pos + 5.0 * jnp.eye(3)[0], body_pos=reference.body_pos + 5.0 * jnp.eye(3)[0]
    )
    hill = scene.build(g1, EngineSettings(), ground=lambda xy: jnp.where(xy[..., 0] > 3.0, 0.5, 0.0))
    for there, pose, falls in ((hill, reference, False), (hill, away, True), (scene_g1(), away, False)):
        scope = Scope(g1, EnvSettings(), there.layout, 1 / 30)
        assert bool(jax.jit(terminations.fall(scope))(View.of(pose, pose))) == falls


def test_the_doctor_takes_the_ground_that_a_clip_is_for(g1):
    """A clip lifted onto a hill is as fit there as it was on the plane, and floats above the plane."""
    clip = synthetic_clip(29)
    raised = dataclasses.replace(clip, root_pos=clip.root_pos + [0.0, 0.0, 0.4])
    flat, there = check(g1, clip), check(g1, raised, lambda xy: jnp.full(xy.shape[:-1], 0.4))
    for name, figure in flat.items():
        assert there[name].value == pytest.approx(figure.value, abs=1e-2), name
    assert flat["sinking"].value > 10.0 > check(g1, raised)["sinking"].value == 0.0
    deeper = check(g1, clip, lambda xy: jnp.where(xy[..., 0] > 0.3, 0.25, 0.0))
    assert deeper["sinking"].value > 200.0
