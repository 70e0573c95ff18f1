"""Motions of other projects: what files say is taken, what they do not say is found by evidence, and nothing of theirs runs.

Figures of sample files were derived elsewhere, from other readers; these tests are skipped where the files are not.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from mimicjax.errors import UserError
from mimicjax.motion import __main__ as command
from mimicjax.motion._numpy_rotation import between, exp_to_quat, from_euler, multiply, quat_to_exp
from mimicjax.motion.check.suspicion import breadth_first
from mimicjax.motion.files import read_clip
from mimicjax.motion.imports import convert, evidence
from mimicjax.motion.imports.convert import ImportOptions
from mimicjax.motion.imports.evidence import Reading
from mimicjax.motion.imports.read import read
from mimicjax.paths import MOTIONS, ROOT
from mimicjax.robot.load import load
from mimicjax.types import WRAP, Clip, Robot

SAMPLES = ROOT.parent / "shared" / "data" / "motions"
sampled = pytest.mark.skipif(not SAMPLES.is_dir(), reason="no sample motions")


@pytest.fixture(scope="module")
def walk(g1) -> Clip:
    return read_clip(MOTIONS / "g1" / "walk.npz", g1)


def imported(path: Path, robot: Robot, **wishes) -> tuple[Clip, str]:
    (raw,) = read(path, robot)
    clip, notes = convert.clip_of(raw, robot, ImportOptions(**wishes))
    return clip, "; ".join(notes)


def assert_same(clip: Clip, want: Clip) -> None:
    np.testing.assert_allclose(clip.root_pos, want.root_pos, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(clip.root_quat * want.root_quat, axis=1)), 1.0, atol=1e-9)
    np.testing.assert_allclose(clip.dof_pos, want.dof_pos, atol=1e-6)


@pytest.mark.parametrize("order", ("wxyz", "xyzw"))
def test_a_table_is_read_in_the_order_that_the_motion_speaks_for(order, walk, g1, tmp_path):
    quat = walk.root_quat if order == "wxyz" else np.roll(walk.root_quat, -1, axis=1)
    np.savetxt(tmp_path / "walk.csv", np.hstack([walk.root_pos, quat, walk.dof_pos]), "%.17g", delimiter=",")
    clip, notes = imported(tmp_path / "walk.csv", g1, fps=walk.fps)
    assert_same(clip, walk)
    assert f"quaternion {order}, by evidence" in notes
    _, notes = imported(tmp_path / "walk.csv", g1, fps=walk.fps, order="xyzw" if order == "wxyz" else "wxyz")
    assert "DOUBTFUL" in notes


def test_what_stands_still_cannot_be_decided_and_is_asked_for(walk, g1, tmp_path):
    row = np.concatenate([[0, 0, 0.78, 1, 0, 0, 0], np.zeros(29)])
    np.savetxt(tmp_path / "still.csv", np.tile(row, (9, 1)), delimiter=";")
    with pytest.raises(UserError, match="say --quat wxyz or xyzw"):
        imported(tmp_path / "still.csv", g1)
    assert imported(tmp_path / "still.csv", g1, order="wxyz")[0].fps == 30


def bodies_of(walk: Clip, g1: Robot) -> dict[str, np.ndarray]:
    pos, quat = walk.root_pos[:, None], walk.root_quat[:, None]
    return {"body_pos_w": np.repeat(pos, 2, 1), "body_quat_w": np.repeat(quat, 2, 1), "fps": np.array([walk.fps])}


@pytest.mark.parametrize("breadth", (False, True))
def test_a_tracker_s_file_is_read_breadth_or_depth_first_as_its_motion_says(breadth, walk, g1, tmp_path):
    joints = walk.dof_pos[:, breadth_first(g1)] if breadth else walk.dof_pos
    np.savez(tmp_path / "walk.npz", joint_pos=joints, **bodies_of(walk, g1))
    clip, notes = imported(tmp_path / "walk.npz", g1)
    assert_same(clip, walk)
    assert f"joints {'breadth' if breadth else 'depth'} first" in notes


def test_named_joints_are_sorted_and_missing_ones_are_zero(walk, g1, tmp_path):
    names = np.array(g1.dof_names)[::-1][1:]
    np.savez(tmp_path / "walk.npz", joint_pos=walk.dof_pos[:, ::-1][:, 1:], joint_names=names, **bodies_of(walk, g1))
    clip, _ = imported(tmp_path / "walk.npz", g1)
    np.testing.assert_array_equal(clip.dof_pos[:, -1], 0.0)
    np.testing.assert_allclose(clip.dof_pos[:, :-1], walk.dof_pos[:, :-1], atol=1e-9)


def test_other_archives_and_pickles(walk, g1, tmp_path):
    qpos = np.hstack([walk.root_pos, walk.root_quat, walk.dof_pos])
    turned = np.hstack([walk.root_quat, walk.root_pos, walk.dof_pos])
    kinds, names = np.r_[0, np.full(29, 3)], np.array(["root", *g1.dof_names])
    frames = {"fps": walk.fps}
    archives = {
        "holosoma": {"qpos": np.hstack([qpos, np.ones((len(qpos), 7))]), **frames},
        "omniretarget": {"qpos": turned, **frames},
        "locomujoco": {"qpos": qpos, "split_points": [0, len(qpos)], "joint_names": names, "jnt_type": kinds,
                       "frequency": walk.fps},
        "pyroki": {"base_frame_pos": walk.root_pos, "base_frame_wxyz": walk.root_quat, "joint_angles": walk.dof_pos, **frames},
    }  # fmt: skip
    for name, arrays in archives.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        clip, notes = imported(tmp_path / f"{name}.npz", g1)
        assert_same(clip, walk), notes
        assert clip.fps == walk.fps
    pickled = {"fps": walk.fps, "root_pos": walk.root_pos, "root_rot": np.roll(walk.root_quat, -1, axis=1),
               "dof_pos": walk.dof_pos, "local_body_pos": None, "link_body_list": None}  # fmt: skip
    (tmp_path / "gmr.pkl").write_bytes(pickle.dumps(pickled))
    assert_same(imported(tmp_path / "gmr.pkl", g1)[0], walk)
    assert_same(imported(MOTIONS / "g1" / "walk.npz", g1)[0], walk)


def test_a_table_with_centimetres_and_degrees(walk, g1, tmp_path):
    turn = np.deg2rad(np.random.default_rng(0).uniform(-40, 40, (len(walk.root_pos), 3)))
    header = ["Frame", *(f"root_{kind}{axis}" for kind in ("translate", "rotate") for axis in "XYZ")]
    header += [f"{name}_dof" for name in g1.dof_names]
    table = np.hstack([np.arange(len(turn))[:, None], 100 * walk.root_pos, np.rad2deg(turn), np.rad2deg(walk.dof_pos)])
    rows = [",".join(header), *(",".join(map(repr, map(float, row))) for row in table)]
    (tmp_path / "seed.csv").write_text("\ufeff" + "\n".join(rows))
    clip, _ = imported(tmp_path / "seed.csv", g1)
    x, y, z = (exp_to_quat(np.eye(3)[axis] * turn[:, axis : axis + 1]) for axis in range(3))
    want = multiply(z, multiply(y, x))
    np.testing.assert_allclose(np.abs(np.sum(clip.root_quat * want, axis=1)), 1.0, atol=1e-9)
    np.testing.assert_allclose(clip.dof_pos, walk.dof_pos, atol=1e-9)
    assert clip.fps == 120


def test_23_joints_are_one_of_two_sets_and_asked_for(walk, g1, tmp_path):
    for name, places in convert.SETS.items():
        assert len(places) == 23
        table = np.hstack([walk.root_pos, walk.root_quat, walk.dof_pos[:, places]])
        np.savetxt(tmp_path / "few.csv", table, delimiter=",")
        with pytest.raises(UserError, match="--joints A"):
            imported(tmp_path / "few.csv", g1)
        clip, _ = imported(tmp_path / "few.csv", g1, joints=name, order="wxyz")
        np.testing.assert_allclose(clip.dof_pos[:, places], walk.dof_pos[:, places], atol=1e-9)
        assert not clip.dof_pos[:, [n for n in range(29) if n not in places]].any()


def test_a_stretch_at_another_rate(walk, g1):
    clip, _ = imported(MOTIONS / "g1" / "walk.npz", g1, rate=50.0, start=0.2, end=0.7, loop=False)
    assert clip.fps == 50 and len(clip.root_pos) == 26
    place = walk.fps * 0.3
    np.testing.assert_allclose(clip.root_quat[5], between(walk.root_quat, np.array([place]))[0], atol=1e-9)
    with pytest.raises(UserError, match="do not lie in it"):
        imported(MOTIONS / "g1" / "walk.npz", g1, start=5.0, end=4.0)


def test_a_clip_is_moved_onto_the_ground_as_a_whole(walk, g1, tmp_path):
    lifted = np.hstack([walk.root_pos + [0, 0, 0.3], walk.root_quat, walk.dof_pos])
    np.savetxt(tmp_path / "high.csv", lifted, delimiter=",")
    clip, notes = imported(tmp_path / "high.csv", g1, fps=walk.fps, ground=True)
    shift = lifted[:, :3] - clip.root_pos
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-9)
    assert abs(shift[0, 2] - 0.3) < 0.02 and "onto the ground" in notes


def test_rotations():
    rng = np.random.default_rng(1)
    exp = rng.normal(size=(20, 3))
    exp *= (rng.uniform(0, 3.1, (20, 1))) / np.linalg.norm(exp, axis=1, keepdims=True)
    np.testing.assert_allclose(quat_to_exp(exp_to_quat(exp)), exp, atol=1e-9)
    angles = np.array([[0.3, -0.7, 1.1]])
    want = multiply(multiply(exp_to_quat(np.array([[0, 0.3, 0]])), exp_to_quat(np.array([[-0.7, 0, 0]]))),
                    exp_to_quat(np.array([[0, 0, 1.1]])))  # fmt: skip
    np.testing.assert_allclose(from_euler("yxz", angles), want, atol=1e-12)
    a = exp_to_quat(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(quat_to_exp(between(a, np.array([0.25]))), [[0, 0, 0.25]], atol=1e-9)


BROKEN = {
    "empty.csv": b"", "words.csv": b"1,2\n3,four\n", "ragged.csv": b"1,2,3\n1,2\n", "narrow.csv": b"1,2,3\n1,2,3\n",
    "bytes.dat": bytes(range(200, 255)) * 9, "lfs.txt": b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
    "skeleton.bvh": b"HIERARCHY\nROOT Hips", "hdf.h5": b"\x89HDF\r\n\x1a\n", "torn.npz": b"PK\x03\x04junk",
    "json.txt": b'{"Loop": "wrap"}',
    "deep.txt": b'{"a":' * 9000, "code.pkl": b"\x80\x04cposix\nsystem\n\x8c\x04true\x85R.",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_motion_is_told_in_a_line(name, g1, tmp_path):
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(UserError) as told:
        read(tmp_path / name, g1)
    text = str(told.value)
    assert text.startswith(str(tmp_path)) and "\n" not in text and len(text) < 400


def test_the_command_imports_folders_keeps_what_is_there_and_counts(walk, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    np.savetxt(source / "a.csv", np.hstack([walk.root_pos, walk.root_quat, walk.dof_pos]), delimiter=",")
    (source / "b.csv").write_text("no,motion\n")
    argv = ["import", str(source), "-o", str(out), "--fps", str(walk.fps), "--loop", "wrap", "--licence", "MIT"]
    assert command.main(argv) == 2
    assert "1 clips from 1 of 2 files" in capsys.readouterr().out
    clip = read_clip(out / "a.npz", load("g1"))
    assert clip.loop == WRAP and clip.licence == "MIT" and "imported from" in clip.maker
    assert command.main(["import", str(source / "a.csv"), "-o", str(out), "--quat", "wxyz"]) == 2
    assert "is there already" in capsys.readouterr().err


@sampled
def test_samples_of_tables(g1):
    dance, notes = imported(SAMPLES / "unitree_csv" / "dance1_subject2_first30s.csv", g1)
    assert "quaternion xyzw" in notes and len(dance.root_pos) == 900
    np.testing.assert_allclose(dance.root_pos[0], [0.000606, -0.000128, 0.779868], atol=1e-5)
    np.testing.assert_allclose(quat_to_exp(dance.root_quat[0]), [0.006482, 0.047112, -0.142085], atol=1e-5)
    names = dict(zip(g1.dof_names, dance.dof_pos[0], strict=True))
    np.testing.assert_allclose(
        [names["left_hip_pitch_joint"], names["left_elbow_joint"], names["right_wrist_yaw_joint"]],
        [-0.190791, 1.171921, -0.306177], atol=1e-5,
    )  # fmt: skip
    faster, _ = imported(SAMPLES / "unitree_csv" / "dance1_subject2_first30s.csv", g1, rate=50.0)
    np.testing.assert_allclose(faster.root_pos[1], [0.000581, -0.000132, 0.779050], atol=1e-5)
    np.testing.assert_allclose(faster.root_quat[1], [0.997049, 0.004281, 0.025333, -0.072340], atol=1e-5)
    kimodo, notes = imported(SAMPLES / "unitree_csv" / "kimodo_walk.csv", g1)
    assert "quaternion wxyz" in notes
    np.testing.assert_allclose(quat_to_exp(kimodo.root_quat[0]), [-0.077014, -0.074668, 0.014184], atol=1e-5)
    np.testing.assert_allclose(kimodo.root_pos[-1], [5.262505, 0.461596, 0.760983], atol=1e-5)


@sampled
def test_sample_of_locomujoco(g1):
    clip, _ = imported(SAMPLES / "locomujoco_npz" / "constspeed_UnitreeG1.npz", g1)
    assert len(clip.root_pos) == 500 and clip.fps == 500
    np.testing.assert_allclose(clip.root_pos[0], [3.545143, 0.192788, 0.706762 + 0.0305], atol=1e-5)
    np.testing.assert_allclose(clip.root_quat[0], [0.994071, 0.000237, 0.029552, 0.104640], atol=1e-5)
    want = [0.154942, 0.084425, -0.097661, 0.447335, -0.551903, 0, -0.648073, -0.091153, -0.175458, 0.459564, -0.297035, 0,
            -0.214735, 0, 0, -0.331844, 0.458527, -0.342667, 0.640887, -0.129243, 0, 0, 0.387041, -0.303462, 0.423862,
            1.104880, -0.038720, 0, 0]  # fmt: skip
    np.testing.assert_allclose(clip.dof_pos[0], want, atol=1e-5)


@sampled
def test_sample_of_deepmimic_is_mimickit_s_own_conversion():
    humanoid = load("humanoid")
    clip, _ = imported(SAMPLES / "deepmimic_txt" / "humanoid3d_spinkick.txt", humanoid)
    want = read_clip(SAMPLES / "mimickit_humanoid" / "humanoid_spinkick.pkl", humanoid)
    assert (clip.fps, clip.loop, len(clip.root_pos)) == (60, WRAP, 78)
    np.testing.assert_allclose(clip.root_pos, want.root_pos, atol=3e-5)
    np.testing.assert_allclose(np.abs(np.sum(clip.root_quat * want.root_quat, axis=1)), 1.0, atol=1e-8)
    for joint in range(humanoid.num_joints):
        first, kind = humanoid.joint_dof[joint], humanoid.joint_kinds[joint]
        got, wanted = (each.dof_pos[:, first : first + kind] for each in (clip, want))
        if kind == 3:
            got, wanted = exp_to_quat(got), exp_to_quat(wanted)
            np.testing.assert_allclose(np.abs(np.sum(got * wanted, axis=1)), 1.0, atol=1e-8)
        elif kind:
            np.testing.assert_allclose(got, wanted, atol=3e-5)
    walk, _ = imported(SAMPLES / "deepmimic_txt" / "humanoid3d_walk.txt", humanoid)
    assert walk.fps == 30 and walk.duration == pytest.approx(1.26662, abs=1e-3)
    np.testing.assert_allclose(walk.root_pos[-1, 0], 1.238590, atol=1e-4)


@sampled
@pytest.mark.parametrize("name", ("g1_walk", "g1_run", "g1_spinkick", "g1_cartwheel"))
def test_evidence_is_right_about_the_samples(name, g1):
    clip = read_clip(SAMPLES / "mimickit_g1" / f"{name}.pkl", g1)
    for right in evidence.ORDERS:
        quat = clip.root_quat if right == "wxyz" else np.roll(clip.root_quat, -1, axis=1)
        readings = [Reading(order, tree) for order in evidence.ORDERS for tree in (False, True)]
        found, words = evidence.judge(g1, readings, clip.root_pos, quat, clip.dof_pos, clip.fps)
        assert found in (Reading(right, False), None), words
        if name != "g1_run":  # the fastest is the hardest
            assert found is not None, words


def test_deepmimic_s_frames_of_other_lengths_are_sampled_evenly(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(6, 44))
    frames[:, 0] = [0.02, 0.04, 0.02, 0.04, 0.02, 0.0]
    (tmp_path / "roll.txt").write_text(json.dumps({"Loop": "none", "Frames": frames.tolist()}))
    (raw,) = read(tmp_path / "roll.txt", load("humanoid"))
    assert raw.fps == pytest.approx(5 / 0.14) and "sampled evenly" in " ".join(raw.notes)
