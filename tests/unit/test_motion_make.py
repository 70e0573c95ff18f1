"""The motions that the package makes: what MuJoCo measures on the shipped files, and the command that makes them."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest

from mimicjax import paths
from mimicjax.errors import UserError
from mimicjax.motion.__main__ import main
from mimicjax.motion.files import read_clip, write_clip
from mimicjax.motion.make.clips import make
from mimicjax.types import CLAMP, WRAP, Clip

SHIPPED = {name: paths.MOTIONS / "g1" / f"{name}.npz" for name in ("walk", "squat")}  # jog, jump: test_humanoid.py
FEET = ("left_ankle_roll_link", "right_ankle_roll_link")
NEAR = 0.005  # m, a point of the sole bears when it is nearer to the ground


def measured(model: mujoco.MjModel, clip: Clip) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest points at the ends of the soles' capsules [F,2,6,3] m, centre of mass [F,3], self-penetration [F] m."""
    data = mujoco.MjData(model)
    geoms = [[g for g in range(model.ngeom) if model.geom_bodyid[g] == model.body(foot).id and model.geom_contype[g]]
             for foot in FEET]  # fmt: skip
    ends, com, overlap = [], [], []
    for pos, quat, dof in zip(clip.root_pos, clip.root_quat, clip.dof_pos, strict=True):
        data.qpos[:] = np.concatenate([pos, quat, dof])
        mujoco.mj_forward(model, data)
        soles = []
        for g in (g for foot in geoms for g in foot):
            assert model.geom_type[g] == mujoco.mjtGeom.mjGEOM_CAPSULE
            radius, half = model.geom_size[g][:2]
            along = data.geom_xmat[g].reshape(3, 3)[:, 2] * half
            soles += [data.geom_xpos[g] + side * along - [0.0, 0.0, radius] for side in (1.0, -1.0)]
        ends.append(np.reshape(soles, (2, -1, 3)))
        com.append(data.subtree_com[1].copy())
        floor = model.geom("floor").id
        overlap.append(min([c.dist for c in data.contact if floor not in c.geom], default=0.0))
    return np.array(ends), np.array(com), np.array(overlap)


@pytest.fixture(scope="module")
def model(g1) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(g1.xml))


@pytest.fixture(scope="module", params=list(SHIPPED))
def shipped(request, g1, model):
    """Clip and what MuJoCo measures on it; a loop goes round twice, so that its seam is measured too."""
    clip = read_clip(SHIPPED[request.param], g1)
    if clip.loop == WRAP:
        travel = clip.root_pos[-1] - clip.root_pos[0]
        twice = {key: np.concatenate([getattr(clip, key), getattr(clip, key)[1:]]) for key in ("root_quat", "dof_pos")}
        clip = dataclasses.replace(clip, root_pos=np.concatenate([clip.root_pos, clip.root_pos[1:] + travel]), **twice)
    return clip, *measured(model, clip)


@pytest.fixture(scope="module")
def walk(g1) -> Clip:
    return read_clip(SHIPPED["walk"], g1)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_file_is_what_its_command_makes(name, g1, tmp_path):
    clip = read_clip(SHIPPED[name], g1)
    assert clip.maker == f"python -m mimicjax.motion make {name} --robot g1 --out motions/g1/{name}.npz"
    assert clip.licence == "MIT" and clip.robot == "g1" and clip.dof_names == g1.dof_names
    out = tmp_path / f"{name}.npz"
    assert main(["make", name, "--robot", "g1", "--out", str(out)]) == 0
    again = read_clip(out, g1)
    assert (again.fps, again.loop) == (clip.fps, clip.loop)
    for key in ("root_pos", "root_quat", "dof_pos"):
        np.testing.assert_allclose(getattr(again, key), getattr(clip, key), atol=1e-5)


@pytest.mark.parametrize("name, command", [
    ("slow_walk", ["walk", "--speed", "0.5"]), ("jog", ["jog", "--speed", "1.5"]), ("jump", ["jump"]), ("back", ["back"]),
    ("sidestep_right", ["sidestep", "--speed", "-0.25"]), ("kick", ["kick"]),
    *(pytest.param(*each, marks=pytest.mark.slow) for each in [
        ("slow_jog", ["jog", "--speed", "1.2"]), ("fast_walk", ["walk", "--speed", "1.1", "--cadence", "130.0"]),
        ("wave", ["wave"]), ("bow", ["bow"]), ("punch", ["punch"]), ("balance", ["balance"]), ("sidestep_left", ["sidestep"]),
    ]),
])  # fmt: skip
def test_the_other_shipped_files_too_and_they_are_sound(name, command, g1, tmp_path):
    clip = read_clip(paths.MOTIONS / "g1" / f"{name}.npz", g1)
    assert (
        clip.maker
        == f"python -m mimicjax.motion make {command[0]} --robot g1 --out motions/g1/{name}.npz"
        + "".join(f" {word}" for word in command[1:])
    )
    assert main(["make", *command, "--robot", "g1", "--out", str(tmp_path / "again.npz")]) == 0
    again = read_clip(tmp_path / "again.npz", g1)
    for key in ("root_pos", "root_quat", "dof_pos"):
        np.testing.assert_allclose(getattr(again, key), getattr(clip, key), atol=1e-5)
    assert main(["check", name, "--robot", "g1"]) == 0


@pytest.mark.parametrize("name", ("g1", "humanoid"))
def test_every_clip_that_ships_is_good(name, capsys):
    folder = paths.MOTIONS / name
    assert main(["check", str(folder), "--robot", name]) == 0
    count = len(list(folder.glob("*.npz")))
    assert count >= (15 if name == "g1" else 6) and f"{count} good, 0 mendable, 0 broken" in capsys.readouterr().out


def test_walking_back_is_a_walk_in_reversed_time(g1):
    """Frame k of one is frame -k of the other, each a cycle apart where they loop."""
    there, back = make("walk", g1, speed=0.6), make("back", g1)
    np.testing.assert_allclose(back.dof_pos, there.dof_pos[::-1], atol=1e-12)
    np.testing.assert_allclose(back.root_pos[-1, 0] - back.root_pos[0, 0], there.root_pos[0, 0] - there.root_pos[-1, 0])
    steps = np.diff(back.root_pos[:, 0])
    assert steps.max() < 0


def test_steps_to_the_side_go_there_and_feet_stay_apart(g1):
    for speed in (0.25, -0.25):
        clip = make("sidestep", g1, speed=speed)
        gone = clip.root_pos[-1] - clip.root_pos[0]
        np.testing.assert_allclose(gone, [0.0, speed * 0.8, 0.0], atol=1e-6)


def test_feet_do_not_sink_slide_or_tilt(shipped):
    clip, soles, _, _ = shipped
    assert soles[..., 2].min() > -0.005
    for foot in range(2):
        near = soles[:, foot, :, 2] < NEAR
        for point in range(near.shape[1]):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], near[:, point], [0]]).astype(int)))
            for start, end in edges.reshape(-1, 2):
                path = soles[start:end, foot, point, :2]
                assert np.linalg.norm(path - path[0], axis=1).max() < 0.03
    # the foot that bears is the lower one, or both
    heights = soles[..., 2].mean(axis=2)
    for foot in range(2):
        bears = heights[:, foot] <= heights.min(axis=1) + 0.001
        rise = np.ptp(soles[bears, foot, :, 2], axis=1)
        length = np.linalg.norm(np.ptp(soles[bears, foot, :, :2], axis=1), axis=1)
        assert np.rad2deg(np.arctan2(rise, length)).max() < 2.0
        assert bears.any()
    assert heights.min(axis=1).max() < 0.003  # one foot is always on the ground


def test_joints_stay_within_limits_and_speeds(shipped, g1):
    clip, _, _, overlap = shipped
    low, high = g1.dof_range.T
    margin = np.minimum(clip.dof_pos - low, high - clip.dof_pos)
    assert margin.min() > 0.05
    assert np.abs(np.diff(clip.dof_pos, axis=0)).max() * clip.fps < 10.0
    assert overlap.min() > -0.001  # no limb in another


def test_motion_is_smooth_across_the_seam_too(shipped, g1):
    """Accelerations do not jump: they change over a frame by less than they are, the seam of a loop being no worse."""
    clip, *_ = shipped
    seam = len(read_clip(SHIPPED[clip.name], g1).root_pos) - 1
    for values in (clip.dof_pos, clip.root_pos, clip.root_quat):
        acceleration = np.diff(values, n=2, axis=0) * clip.fps**2
        change = np.abs(np.diff(acceleration, axis=0)).max(axis=1)
        assert change.max() < 0.5 * np.abs(acceleration).max()
        if clip.loop == WRAP:
            assert change[seam - 2 : seam + 1].max() <= np.delete(change, range(seam - 2, seam + 1)).max()


def test_walk_is_a_loop_at_one_metre_per_second(walk):
    assert walk.loop == WRAP
    travel = walk.root_pos[-1] - walk.root_pos[0]
    assert travel[0] / walk.duration == pytest.approx(1.0, rel=0.02)
    np.testing.assert_allclose(travel[1:], 0.0, atol=1e-9)
    np.testing.assert_allclose(walk.dof_pos[-1], walk.dof_pos[0], atol=1e-9)
    np.testing.assert_allclose(walk.root_quat[-1], walk.root_quat[0], atol=1e-9)


def test_walk_has_the_rhythm_of_walking(walk, g1):
    def rhythm(values, harmonic):  # amplitude and phase (cycles) of a harmonic of the cycle
        wave = np.fft.rfft(values[:-1])[harmonic] * 2.0 / (len(values) - 1)
        return abs(wave), -np.angle(wave) / (2.0 * np.pi) / harmonic % (1.0 / harmonic)

    bob, sway = walk.root_pos[:, 2], walk.root_pos[:, 1]
    assert 0.01 < rhythm(bob, 2)[0] < 0.03 and rhythm(bob, 1)[0] < 0.001
    assert 0.01 < rhythm(sway, 1)[0] < 0.05
    assert 0.2 < rhythm(sway, 1)[1] < 0.4  # over the left foot while that bears: phases 0.1 to 0.5
    column = {name: walk.dof_pos[:, i] for i, name in enumerate(g1.dof_names)}
    for side in ("left", "right"):
        arm, leg = (rhythm(column[f"{side}_{joint}_pitch_joint"], 1)[1] for joint in ("shoulder", "hip"))
        assert abs((arm - leg + 0.5) % 1.0 - 0.5) > 0.35  # half a cycle apart
        knee = column[f"{side}_knee_joint"]
        assert knee.max() > 1.1 and knee.min() < 0.4


def test_squat_is_deep_and_statically_balanced(g1, model):
    clip = read_clip(SHIPPED["squat"], g1)
    assert clip.loop == CLAMP and 4.0 <= clip.duration <= 5.0
    assert clip.root_pos[0, 2] - clip.root_pos[:, 2].min() >= 0.25
    soles, com, _ = measured(model, clip)
    low, high = soles[0].reshape(-1, 3).min(axis=0), soles[0].reshape(-1, 3).max(axis=0)
    assert np.all(com[:, :2] > low[:2] + 0.03) and np.all(com[:, :2] < high[:2] - 0.03)
    np.testing.assert_allclose(clip.dof_pos[[0, -1]], clip.dof_pos[[1, -2]], atol=1e-4)  # at rest at both ends


def test_options_do_what_they_say(g1):
    slow = make("walk", g1, speed=0.5, fps=60.0)
    assert (slow.root_pos[-1, 0] - slow.root_pos[0, 0]) / slow.duration == pytest.approx(0.5, rel=1e-6)
    shallow = make("squat", g1, depth=0.1, fps=30.0)
    assert np.ptp(shallow.root_pos[:, 2]) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["wlak"], "did you mean walk"),
        (["walk", "--robot", "g2"], "g2"),
        (["walk", "--speed", "3"], "0.3 to 1.1 m/s"),
        (["walk", "--speed", "nan"], "0.3 to 1.1 m/s"),
        (["walk", "--speed", "fast"], "--speed: invalid float value: 'fast'"),
        (["walk", "--sped", "1"], "unrecognized arguments: --sped 1"),
        (["walk", "--depth", "0.2"], "--speed"),
        (["walk", "--speed", "1.1", "--cadence", "108"], "limits"),
    ],
)
def test_what_cannot_be_made_is_one_line(arguments, says, tmp_path, capsys):
    assert main(["make", *arguments, "--out", str(tmp_path / "out.npz")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and says in error
    assert not (tmp_path / "out.npz").exists()


def test_a_robot_without_such_legs_is_refused(g1):
    other = dataclasses.replace(g1, name="stool", dof_names=tuple(f"leg_{i}" for i in range(g1.num_dofs)))
    with pytest.raises(UserError, match="stool.*waist_yaw_joint"):
        make("walk", other)


def test_a_file_is_overwritten_only_with_force(tmp_path, capsys):
    out = tmp_path / "squat.npz"
    out.write_text("precious")
    command = ["make", "squat", "--fps", "30", "--out", str(out)]
    assert main(command) == 2 and "--force" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert main([*command, "--force"]) == 0 and read_clip(out).fps == 30.0


def test_check_passes_what_is_shipped_and_finds_what_is_wrong(walk, tmp_path, capsys):
    assert main(["check", *map(str, SHIPPED.values()), "--strict"]) == 0
    faults = {
        "sinking": {"root_pos": walk.root_pos - [0.0, 0.0, 0.02]},
        "sliding": {"root_pos": walk.root_pos * [0.5, 1.0, 1.0]},
        "joint limits": {"dof_pos": walk.dof_pos + 0.4},
        "loop gap of the root's height": {
            "root_pos": walk.root_pos + np.linspace(0.0, 0.05, len(walk.root_pos))[:, None]
        },
    }
    for name, changes in faults.items():
        file = tmp_path / "faulty.npz"
        write_clip(file, dataclasses.replace(walk, **changes))
        assert main(["check", str(file)]) == 0
        capsys.readouterr()
        assert main(["check", str(file), "--strict"]) == 1
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  {name}"))
        assert "beyond" in line


def test_check_and_view_take_names_and_sets(tmp_path, capsys):
    entries = "".join(f"- {{file: {path}}}\n" for path in SHIPPED.values())
    (tmp_path / "both.yaml").write_text("motions:\n" + entries)
    assert main(["check", "walk", str(tmp_path / "both.yaml"), "--strict"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert [head.partition(":")[0] for head in heads] == ["walk", *(f"{tmp_path}/both.yaml, {n}" for n in SHIPPED)]
    assert main(["view", str(tmp_path / "both.yaml"), "--out", str(tmp_path / "a.png")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mimicjax.motion: error: ") and error.endswith("view one of them: walk, squat\n")
    assert main(["view", "wlak", "--out", str(tmp_path / "a.png")]) == 2
    assert "did you mean walk?" in capsys.readouterr().err


def test_view_refuses_what_it_cannot_write(tmp_path, capsys):
    assert main(["view", str(SHIPPED["walk"]), "--out", str(tmp_path / "walk.txt")]) == 2
    assert ".mp4" in capsys.readouterr().err
