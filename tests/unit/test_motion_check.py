"""The doctor of clips: figures that follow from how a fault was planted, verdicts, and what users get to read."""

from __future__ import annotations

import dataclasses
import json
import re
import time

import mujoco
import numpy as np
import pytest

from mimicjax.motion import check
from mimicjax.motion.__main__ import main
from mimicjax.motion.check import folder, show
from mimicjax.motion.check.limits import LIMITS
from mimicjax.motion.check.measure import measure
from mimicjax.motion.check.suspicion import breadth_first
from mimicjax.motion.datasets import load_motions
from mimicjax.motion.files import write_clip
from mimicjax.robot.load import load
from mimicjax.types import CLAMP, Clip


@pytest.fixture(scope="module")
def walk(g1) -> Clip:
    return load_motions("walk", g1)[0]


def with_(clip: Clip, **changes) -> Clip:
    return dataclasses.replace(clip, **changes)


def test_a_good_clip_is_good(g1, walk):
    report = check.report(g1, walk)
    assert report.verdict == "good" and report.reasons == () and report.command == ""
    assert set(report.figures) == set(LIMITS)
    assert [key for key, figure in report.figures.items() if figure.value > figure.limit] == []


@pytest.mark.parametrize("shift, figure", [(-0.04, "sinking"), (0.06, "floating")])
def test_height_is_measured_to_the_millimetre(g1, walk, shift, figure):
    """The walk's soles touch the ground exactly, so a shift is what is measured."""
    report = check.report(g1, with_(walk, root_pos=walk.root_pos + [0.0, 0.0, shift]), "mine/walk.npz")
    assert report.figures[figure].value == pytest.approx(1000.0 * abs(shift), abs=1.0)
    assert report.verdict == "mendable" and f"{1000 * abs(shift):.0f} mm" in report.reasons[0]
    assert report.command.startswith(
        "python -m mimicjax.motion clean mine/walk.npz --robot g1 --out mine/walk_clean.npz"
    )


def test_feet_that_slide(g1, walk):
    """A standing robot that is drawn along by 20 cm slides 20 cm, however deep it stands in the ground."""
    still = np.zeros(61)[:, None]
    way = np.linspace(0.0, 0.2, 61)[:, None] * [1.0, 0.0, 0.0]
    squat = load_motions("squat", g1)[0]
    clip = with_(walk, loop=CLAMP, fps=30.0, root_pos=squat.root_pos[:1] + way - [0.0, 0.0, 0.04],
                 root_quat=squat.root_quat[:1] + 0.0 * still, dof_pos=squat.dof_pos[:1] + 0.0 * still)  # fmt: skip
    assert check.check(g1, clip)["sliding"].value == pytest.approx(20.0, abs=0.1)


def test_one_wrong_frame_is_one_spike(g1, walk):
    dofs = walk.dof_pos.copy()
    dofs[40, 3] += 0.4
    dofs[90, 10] -= 0.3
    figures = check.check(g1, with_(walk, dof_pos=dofs))
    assert figures["spikes"].value == 2.0 and figures["spikes"].where == f"{g1.dof_names[3]}, frame 40"


def test_a_flip_and_held_frames(g1, walk):
    quats = walk.root_quat.copy()
    quats[50] = quats[50][[3, 2, 1, 0]] * [-1, 1, -1, 1]  # turned by 180 degrees about z
    assert check.check(g1, with_(walk, root_quat=quats))["turn of the root"].value == pytest.approx(
        np.pi * 120, rel=0.1
    )
    held = {key: getattr(walk, key).copy() for key in ("root_pos", "root_quat", "dof_pos")}
    for values in held.values():
        values[[30, 31, 70]] = values[[29, 29, 69]]
    assert check.check(g1, with_(walk, **held))["held frames"].value >= 2.0


def test_joint_limits_of_hinges_and_balls(g1, walk):
    dofs = walk.dof_pos.copy()
    dofs[7, 3] = g1.dof_range[3, 1] + 0.25
    assert check.check(g1, with_(walk, dof_pos=dofs))["joint limits"].value == pytest.approx(0.25, abs=1e-4)
    humanoid = load("humanoid")
    clip = load_motions("walk", humanoid)[0]
    first = humanoid.dof_names.index("neck_x")
    dofs = clip.dof_pos.copy()
    dofs[5, first : first + 3] = (humanoid.dof_range[first, 1] + 0.3) * np.array([0.6, 0.0, 0.8])  # its angle counts
    assert check.check(humanoid, with_(clip, dof_pos=dofs))["joint limits"].value == pytest.approx(0.3, abs=1e-4)


def test_what_falls_freely_needs_nothing_and_what_hovers_lacks_its_weight(g1, walk):
    seconds = np.arange(30)[:, None] / 60.0
    pose = {"root_quat": np.repeat(walk.root_quat[:1], 30, 0), "dof_pos": np.repeat(walk.dof_pos[:1], 30, 0)}
    high = walk.root_pos[:1] + [0.0, 0.0, 3.0]
    fall = with_(walk, loop=CLAMP, fps=60.0, root_pos=high - [0, 0, 0.5 * 9.81] * seconds**2, **pose)
    hover = with_(fall, root_pos=high + 0.0 * seconds)
    falling, hovering = (measure(g1, clip, floor=0.0) for clip in (fall, hover))
    assert falling.load.max() < 1e-3 and falling.missing.max() < 1e-3
    assert np.all(hovering.missing > 0.999)


def test_torques_are_mujocos(g1, walk):
    """Standing on both feet at rest, what joints and ground give together holds the robot: mj_inverse asks for as much."""
    squat = load_motions("squat", g1)[0]
    deep = int(squat.root_pos[:, 2].argmin())
    rest = {key: np.repeat(getattr(squat, key)[deep : deep + 1], 5, 0) for key in ("root_pos", "root_quat", "dof_pos")}
    seen = measure(g1, with_(squat, **rest))
    model = mujoco.MjModel.from_xml_path(str(g1.xml))
    data = mujoco.MjData(model)
    data.qpos[:] = np.concatenate([squat.root_pos[deep], squat.root_quat[deep], squat.dof_pos[deep]])
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
    mujoco.mj_inverse(model, data)
    arm = [g1.dof_names.index(f"left_{part}_joint") for part in ("shoulder_pitch", "elbow")]
    share = np.abs(data.qfrc_inverse[6 + np.array(arm)]) / g1.torque_limit[arm]  # no push reaches an arm
    assert seen.missing.max() < 0.01 and share.max() <= seen.load[2] < 1.0


def test_wrong_orders_are_suspected(g1, walk):
    turned = with_(walk, root_quat=np.roll(walk.root_quat, -1, axis=1))
    assert check.report(g1, turned).verdict == "broken"
    assert "x, y, z, w" in check.report(g1, turned).reasons[0]
    degrees = with_(walk, dof_pos=np.rad2deg(walk.dof_pos))
    assert any("degrees" in reason for reason in check.report(g1, degrees).reasons)
    order = breadth_first(g1)
    assert [g1.dof_names[i] for i in order[:4]] == [
        "left_hip_pitch_joint", "right_hip_pitch_joint", "waist_yaw_joint", "left_hip_roll_joint",
    ]  # fmt: skip
    assert check.report(g1, walk).verdict == "good"


def test_what_touches_the_ground_in_the_clip_is_counted_and_named(g1, walk):
    """A robot that lies on the ground touches it with what may not: allowed, since the reference does."""
    low = with_(walk, root_pos=walk.root_pos - [0.0, 0.0, 0.65])
    note = next(note for note in check.report(g1, low, dynamics=False).notes if "may not touch" in note)
    assert "in 126 of 126 frames" in note and "pelvis" in note and "allowed by the reference" in note


def test_folders_pages_and_json(g1, walk, tmp_path, capsys):
    clips = tmp_path / "clips"
    (clips / "deeper").mkdir(parents=True)
    write_clip(clips / "a.npz", walk)
    write_clip(clips / "deeper" / "b.npz", with_(walk, root_pos=walk.root_pos - [0, 0, 0.04]))
    (clips / "c.npz").write_bytes(b"PK\x03\x04 broken")
    write_clip(clips / "d.npz", with_(walk, root_pos=walk.root_pos + [0, 0, 0.1]))
    out = ["--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "a.html")]
    assert main(["check", str(clips), *out]) == 0
    text = capsys.readouterr().out
    assert "4 clips: 1 good, 2 mendable, 1 broken; most often: " in text
    data = json.loads((tmp_path / "a.json").read_text())["clips"]
    assert [clip["verdict"] for clip in data] == ["good", "broken", "mendable", "mendable"]
    assert "truncated or damaged" in data[1]["reasons"][0]
    page = (tmp_path / "a.html").read_text()
    assert (
        page.count("<details") == 4 and page.count("<svg") == 3 * 5 and not re.search(r"(src|href)=\"(?!#|data:)", page)
    )
    assert main(["check", str(clips), "--strict"]) == 1
    assert main(["check", str(tmp_path / "clips" / "deeper" / "x")]) == 2 and "no motion" in capsys.readouterr().err
    assert main(["check", "walk", "--film"]) == 2 and "--html" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path / "empty")]) == 2 and "no motion file" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_share_a_folder(g1, walk, tmp_path):
    """200 clips of 10 s on two cores: 1,000 take minutes. The order is that of the files."""
    every = np.concatenate([np.arange(0, 125, 4)] * 10)
    clip = with_(
        walk, fps=30.0, root_pos=walk.root_pos[every], root_quat=walk.root_quat[every], dof_pos=walk.dof_pos[every]
    )
    for number in range(200):
        write_clip(tmp_path / f"{number:03d}.npz", clip)
    begin = time.perf_counter()
    reports = list(folder.reports(folder.jobs([str(tmp_path)], g1), "g1"))
    assert [r.source for r in reports] == [str(tmp_path / f"{number:03d}.npz") for number in range(200)]
    assert time.perf_counter() - begin < 100.0


def test_the_line_of_training_is_cheap_and_names_the_worst(g1, walk):
    bad = with_(walk, name="bad", root_pos=walk.root_pos - [0, 0, 0.04])
    begin = time.perf_counter()
    text = show.in_a_line(g1, [walk] * 20_000, "many")
    assert time.perf_counter() - begin < 3.0 and text.startswith("motion many: good (")
    assert show.in_a_line(g1, [walk], "walk") == "motion walk: good"
    text = show.in_a_line(g1, [bad], "bad.npz")
    assert text.startswith("motion bad.npz: mendable (") and text.endswith("check bad.npz --robot g1")
