"""The Go2: published figures, its trot by MuJoCo's kinematics, and its mirror."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest

from mimicjax import paths
from mimicjax.errors import UserError
from mimicjax.motion.check import check
from mimicjax.motion.coordinates import qpos_of
from mimicjax.motion.files import read_clip
from mimicjax.motion.make.clips import make
from mimicjax.robot import symmetry
from mimicjax.robot.load import load

LEGS = ("FL", "FR", "RL", "RR")


@pytest.fixture(scope="module")
def robot():
    return load("go2")


def test_published_figures(robot):
    np.testing.assert_allclose(robot.mass, 6.921 + 4 * (0.678 + 1.152 + 0.241352), rtol=1e-6)
    np.testing.assert_allclose(robot.torque_limit, [23.7, 23.7, 45.43] * 4, rtol=1e-6)
    calf = robot.dof_names.index("RR_calf_joint")
    np.testing.assert_allclose(robot.dof_range[calf], [-2.7227, -0.83776], rtol=1e-6)


def test_the_trot(robot):
    """Diagonal feet move together, two at least bear at any time, those that bear stay where they are."""
    clip = read_clip(paths.MOTIONS / "go2" / "trot.npz", robot)
    np.testing.assert_allclose(clip.dof_pos, make("trot", robot).dof_pos, atol=1e-6)
    assert (clip.root_pos[-1, 0] - clip.root_pos[0, 0]) / clip.duration == pytest.approx(0.8)
    assert all(figure.value <= figure.limit for figure in check(robot, clip).values())
    model = mujoco.MjModel.from_xml_path(str(robot.xml))
    data, feet = mujoco.MjData(model), []
    for row in qpos_of(robot, clip):
        data.qpos[:] = row
        mujoco.mj_kinematics(model, data)
        feet.append([data.body(f"{leg}_foot").xpos.copy() for leg in LEGS])
    feet = np.asarray(feet)
    np.testing.assert_allclose(feet[:, 0, 2], feet[:, 3, 2], atol=1e-9)
    np.testing.assert_allclose(feet[:, 1, 2], feet[:, 2, 2], atol=1e-9)
    bears = feet[..., 2] < 0.0221
    assert bears.sum(axis=1).min() >= 2
    both = bears[1:] & bears[:-1]
    assert np.abs(np.diff(feet[..., 0], axis=0)[both]).max() < 1e-3


def test_left_is_paired_with_right(robot):
    reflection = symmetry.dofs(robot)
    pairs = {robot.dof_names[a]: robot.dof_names[b] for a, b in enumerate(reflection.index)}
    assert pairs["FL_hip_joint"] == "FR_hip_joint" and pairs["RR_calf_joint"] == "RL_calf_joint"
    np.testing.assert_allclose(reflection.sign, [-1.0, 1.0, 1.0] * 4)


def test_a_trot_needs_a_quadruped(robot):
    with pytest.raises(UserError, match="robot humanoid: a trot needs a quadruped"):
        make("trot", load("humanoid"))
    with pytest.raises(UserError, match="robot go2: makers need a biped"):
        make("walk", dataclasses.replace(robot))
