"""Action bounds against MimicKit's table 1.5, and the targets that actions become."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax.config.settings import ActionSettings
from mimicjax.errors import UserError
from mimicjax.robot import actuation
from mimicjax.types import BALL

LEG = (4.03171, 4.15388, 3.86067, 4.03171, 1.22173, 0.36652)  # rad, halves of the ranges: hip x 3, knee, ankle x 2
WAIST = (3.66519, 0.72815, 0.72815)
ARM = (4.32493, 3.15206, 3.66519, 2.93215, 2.76111, 2.26020, 2.26020)  # shoulder x 3, elbow, wrist x 3
HALF = np.asarray([*LEG, *LEG, *WAIST, *ARM, *ARM])


def test_bounds_about_zero(g1):
    low, high = actuation.bounds(g1, zero_center=True)
    np.testing.assert_allclose(high, HALF, atol=6e-6)
    np.testing.assert_allclose(low, -HALF, atol=6e-6)


def test_bounds_about_the_middle(g1):
    low, high = actuation.bounds(g1, zero_center=False)
    limits = np.asarray(g1.dof_range, np.float64)
    np.testing.assert_allclose(low + high, limits.sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(high - low, 1.4 * np.diff(limits, axis=1)[:, 0], atol=1e-5)


@pytest.mark.parametrize("zero_center", [True, False])
def test_bounds_of_a_ball(g1, zero_center):
    """MimicKit: +-1.2 x the largest limit of its three axes, whatever zero_center says."""
    kinds = g1.joint_kinds.copy()
    joint = g1.dof_joint[0]
    kinds[joint] = BALL
    dof_joint, limits = g1.dof_joint.copy(), g1.dof_range.copy()
    dof_joint[:3] = joint
    limits[:3] = [[-0.5, 0.4], [-1.5, 0.1], [-0.2, 1.0]]
    robot = dataclasses.replace(g1, joint_kinds=kinds, dof_joint=dof_joint, dof_range=limits)
    low, high = actuation.bounds(robot, zero_center)
    np.testing.assert_allclose([low[:3], high[:3]], [[-1.8] * 3, [1.8] * 3], rtol=1e-6)


@pytest.mark.parametrize("limits", [(-np.inf, np.inf), (0.0, 0.0)])
def test_joints_without_range_are_refused(g1, limits):
    ranges = g1.dof_range.copy()
    ranges[3] = limits
    with pytest.raises(UserError, match="left_knee_joint"):
        actuation.bounds(dataclasses.replace(g1, dof_range=ranges), True)


def test_absolute_targets(g1, reference):
    target = actuation.make(g1, ActionSettings())
    np.testing.assert_allclose(target(jnp.zeros(29), reference), np.zeros(29), atol=1e-6)
    np.testing.assert_allclose(target(jnp.full(29, 0.5), reference), 0.5 * HALF, atol=6e-6)
    np.testing.assert_allclose(target(jnp.full(29, -7.0), reference), -HALF, atol=6e-6)


def test_targets_from_the_start_pose(g1, reference):
    """Elbows at 1.57 rad, all other joints at 0 (robots/g1/robot.yaml), and `scale` rad more for an output of 1."""
    target = actuation.make(g1, ActionSettings(mode="start", scale=0.4))
    rest = np.zeros(29)
    rest[[g1.dof_names.index(f"{side}_elbow_joint") for side in ("left", "right")]] = 1.57
    np.testing.assert_allclose(target(jnp.zeros(29), reference), rest, atol=1e-6)
    np.testing.assert_allclose(target(jnp.full(29, 0.5), reference), np.minimum(rest + 0.2, HALF), atol=1e-6)
    np.testing.assert_allclose(target(jnp.full(29, -70.0), reference), -HALF, atol=6e-6)


def test_reference_targets(g1, reference):
    target = actuation.make(g1, ActionSettings(mode="reference", scale=0.2))
    np.testing.assert_allclose(target(jnp.zeros(29), reference), reference.dof_pos, atol=1e-6)
    np.testing.assert_allclose(target(jnp.ones(29), reference), np.minimum(reference.dof_pos + 0.2, HALF), atol=1e-5)
    leads = actuation.make(g1, ActionSettings(mode="reference", velocity_lead=1.0))
    want = np.clip(reference.dof_pos + g1.kd / g1.kp * reference.dof_vel, -HALF, HALF)
    np.testing.assert_allclose(leads(jnp.zeros(29), reference), want, atol=1e-5)
