"""Motion files: what is written comes back, and everything a user can get wrong is one line that says so."""

import base64
import dataclasses
import errno
import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from mimicjax import paths
from mimicjax.errors import UserError
from mimicjax.motion.datasets import load_motions, motion_names
from mimicjax.motion.files import read_clip, write_clip
from mimicjax.motion.pickles import load_pickle
from mimicjax.types import BALL, CLAMP, FIXED, HINGE, WRAP, Clip, Robot

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "motions"
NAMES = ("hip", "neck_x", "neck_y", "neck_z")

# pickle.dumps({"loop_mode": 0, "fps": torch.tensor(29.97), "frames": [[0.0] * 8] * 3}) by torch 2.13
TORCH_FPS = (
    "gASV8gEAAAAAAAB9lCiMCWxvb3BfbW9kZZRLAIwDZnBzlIwMdG9yY2guX3V0aWxzlIwSX3JlYnVpbGRfdGVuc29yX3YylJOUKIwNdG9yY2guc3Rv"
    "cmFnZZSMEF9sb2FkX2Zyb21fYnl0ZXOUk5RD/4ACigps/JxG+SBqqFAZLoACTekDLoACfXEAKFgQAAAAcHJvdG9jb2xfdmVyc2lvbnEBTekDWA0A"
    "AABsaXR0bGVfZW5kaWFucQKIWAoAAAB0eXBlX3NpemVzcQN9cQQoWAUAAABzaG9ydHEFSwJYAwAAAGludHEGSwRYBAAAAGxvbmdxB0sEdXUugAIo"
    "WAcAAABzdG9yYWdlcQBjdG9yY2gKRmxvYXRTdG9yYWdlCnEBWA4AAAA5NDQyMjc2NDE2MDAwMHECWAMAAABjcHVxA0sBTnRxBFEugAJdcQBYDgAA"
    "ADk0NDIyNzY0MTYwMDAwcQFhLgEAAAAAAAAAj8LvQZSFlFKUSwApKYmMC2NvbGxlY3Rpb25zlIwLT3JkZXJlZERpY3SUk5QpUpR0lFKUjAZmcmFt"
    "ZXOUXZQoXZQoRwAAAAAAAAAARwAAAAAAAAAARwAAAAAAAAAARwAAAAAAAAAARwAAAAAAAAAARwAAAAAAAAAARwAAAAAAAAAARwAAAAAAAAAAZWgU"
    "aBRldS4="
)


def make_robot(name: str = "toy", dof_names: tuple[str, ...] = NAMES) -> Robot:
    """A root with a hinge, a ball joint and a fixed head; only what motion files look at is filled."""
    values: dict = {field.name: np.zeros(0) for field in dataclasses.fields(Robot)}
    values |= {
        "name": name,
        "joint_names": ("hip", "neck", "head"),
        "dof_names": dof_names,
        "joint_kinds": np.array([HINGE, BALL, FIXED]),
        "joint_dof": np.array([0, 1, -1]),
        "dof_joint": np.zeros(len(dof_names), int),
    }
    return Robot(**values)


def make_clip(**changes) -> Clip:
    angle = np.linspace(0.0, 1.0, 5)
    values = {
        "name": "walk",
        "robot": "toy",
        "dof_names": NAMES,
        "fps": 50.0,
        "loop": WRAP,
        "root_pos": np.arange(15.0).reshape(5, 3) / 7,
        "root_quat": np.stack([np.cos(angle), np.sin(angle), 0 * angle, 0 * angle], -1),
        "dof_pos": np.arange(20.0).reshape(5, 4) / 11,
        "maker": "a command",
        "licence": "CC0-1.0",
    }
    return Clip(**(values | changes))


def write_raw(path: Path, **changes) -> Path:
    """A .npz as write_clip makes it, with keys changed or (None) taken away."""
    write_clip(path, make_clip())
    with np.load(path) as file:
        data = dict(file) | changes
    np.savez(path, **{key: value for key, value in data.items() if value is not None})
    return path


def write_pickle(path: Path, protocol: int = 4, **changes) -> Path:
    data = {"loop_mode": 1, "fps": 30, "frames": [[0.1 * i] * 10 for i in range(4)]} | changes
    path.write_bytes(pickle.dumps({k: v for k, v in data.items() if v is not None}, protocol))
    return path


def refusal(function, *args) -> str:
    """The message of the UserError that the call must end in: one line."""
    with pytest.raises(UserError) as caught:
        function(*args)
    message = str(caught.value)
    assert "\n" not in message
    return message


def with_value(array: np.ndarray, index: tuple, value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


# --- our own format ---


def test_round_trip(tmp_path):
    clip = make_clip()
    write_clip(tmp_path / "new" / "walk.npz", clip)
    back = read_clip(tmp_path / "new" / "walk.npz", make_robot())
    for key in ("root_pos", "root_quat", "dof_pos"):
        np.testing.assert_allclose(getattr(back, key), getattr(clip, key), rtol=0, atol=1e-15)
    same = ("name", "robot", "dof_names", "fps", "loop", "maker", "licence")
    assert [getattr(back, key) for key in same] == [getattr(clip, key) for key in same]
    first = (tmp_path / "new" / "walk.npz").read_bytes()
    write_clip(tmp_path / "new" / "walk.npz", clip)
    assert (tmp_path / "new" / "walk.npz").read_bytes() == first


def test_quaternions_are_normalised_and_continuous(tmp_path):
    clip = make_clip()
    signs = np.array([1, -1, -1, 1, -1])[:, None]
    path = write_raw(tmp_path / "walk.npz", root_quat=clip.root_quat * signs * 1.0005)
    np.testing.assert_allclose(read_clip(path).root_quat, clip.root_quat, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": None}, ["not a mimicjax clip", "format_version", "mimicjax.motion import"]),
        ({"format_version": np.array(7)}, ["format_version is 7", "reads 1"]),
        ({"root_quat": None}, ["no key root_quat"]),
        ({"licence": None}, ["no key licence"]),
        ({"loop": np.array("pingpong")}, ["pingpong", "clamp and wrap"]),
        ({"robot": np.array(3)}, ["robot must be text"]),
        ({"fps": np.array([50.0])}, ["fps must be one number"]),
        ({"fps": np.array(0.0)}, ["fps is 0.0"]),
        ({"fps": np.array(np.nan)}, ["fps is nan"]),
        ({"fps": np.array(np.inf)}, ["fps is inf"]),
        ({"root_pos": np.zeros((5, 2))}, ["root_pos has shape [5, 2]", "[5, 3]"]),
        ({"root_pos": np.array(3.0)}, ["root_pos has shape []"]),
        ({"root_quat": np.zeros((4, 4))}, ["root_quat has shape [4, 4]", "[5, 4]"]),
        ({"dof_pos": np.zeros((5, 3))}, ["dof_pos has shape [5, 3]", "4 dof_names"]),
        ({"dof_pos": np.array(["a"])}, ["dof_pos holds <U1"]),
        ({"dof_pos": np.array([{}], object)}, ["damaged", "Object arrays"]),
        ({"dof_names": np.array(["hip"] * 4)}, ["hip more than once"]),
        ({"root_quat": np.full((5, 4), 0.6)}, ["frame 0", "length 1.2"]),
        ({"root_pos": with_value(np.zeros((5, 3)), (2, 1), np.nan)}, ["root_pos is nan in frame 2, column 1"]),
        ({"dof_pos": with_value(np.zeros((5, 4)), (3, 2), np.inf)}, ["dof_pos is inf in frame 3", "neck_y"]),
        ({k: np.zeros((0, n)) for k, n in (("root_pos", 3), ("root_quat", 4), ("dof_pos", 4))}, ["empty (0 frames)"]),
        ({"root_pos": np.zeros((1, 3))}, ["one frame", "at least 2"]),
    ],
)
def test_refused_npz(tmp_path, changes, words):
    path = write_raw(tmp_path / "walk.npz", **changes)
    message = refusal(read_clip, path)
    assert message.startswith(str(path))
    assert all(word in message for word in words), message


def test_the_recipe_of_the_docs_makes_a_clip(g1, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (paths.ROOT / "docs" / "formats.md").read_text()
    code = next(block for block in text.split("```python")[1:] if "np.savez" in block).partition("```")[0]
    names = list(reversed(g1.dof_names))
    exec(code.replace("[...]", repr(names)))  # noqa: S102
    clip = read_clip("mine.npz", g1)
    assert (clip.dof_names, clip.duration) == (g1.dof_names, 2.0)


def test_refused_files(tmp_path):
    write_clip(tmp_path / "walk.npz", make_clip())
    assert "no such file (did you mean walk.npz?)" in refusal(read_clip, tmp_path / "wolk.npz")
    message = refusal(read_clip, tmp_path / "walk.csv")
    assert all(part in message for part in ("'.csv'", ".npz", ".pkl", ".yaml", "mimicjax.motion import")), message
    assert "is a folder" in refusal(read_clip, tmp_path)
    whole = (tmp_path / "walk.npz").read_bytes()
    (tmp_path / "empty.npz").touch()
    assert refusal(read_clip, tmp_path / "empty.npz").endswith("empty.npz: the file is empty")
    for count in (10, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "walk.npz").write_bytes(whole[:count])
        assert "damaged" in refusal(read_clip, tmp_path / "walk.npz")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    (tmp_path / "walk.npz").write_bytes(flipped)
    assert "damaged" in refusal(read_clip, tmp_path / "walk.npz")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mimicjax.limits.UNPACKED_BYTES", 100)
    write_clip(tmp_path / "walk.npz", make_clip())
    assert "at most 100" in refusal(read_clip, tmp_path / "walk.npz")


def test_invalid_clips_are_not_written(tmp_path):
    assert "root_pos is nan" in refusal(write_clip, tmp_path / "a.npz", make_clip(root_pos=np.full((5, 3), np.nan)))
    assert "unknown loop mode 5" in refusal(write_clip, tmp_path / "a.npz", make_clip(loop=5))
    assert "written as .npz" in refusal(write_clip, tmp_path / "a.pkl", make_clip())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "walk.npz"
    write_clip(path, make_clip())
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = refusal(write_clip, path, make_clip(fps=10.0))
    assert "walk.npz: cannot be written: No space left" in message
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before
    monkeypatch.undo()
    assert "cannot be written" in refusal(write_clip, path / "below.npz", make_clip())


# --- clip and robot ---


def test_columns_are_put_in_the_robots_order(tmp_path):
    write_clip(tmp_path / "walk.npz", make_clip())
    robot = make_robot(dof_names=("neck_x", "neck_y", "neck_z", "hip"))
    clip = read_clip(tmp_path / "walk.npz", robot)
    assert clip.dof_names == robot.dof_names
    np.testing.assert_array_equal(clip.dof_pos, make_clip().dof_pos[:, [1, 2, 3, 0]])


def test_other_joints_are_refused_by_name(tmp_path):
    write_clip(tmp_path / "walk.npz", make_clip())
    robot = make_robot("other", ("hip", "knee", "neck_y", "neck_z"))
    message = refusal(read_clip, tmp_path / "walk.npz", robot)
    assert "robot other" in message
    assert "for robot toy" in message
    assert "missing knee; unexpected neck_x" in message


def test_unnamed_columns_are_matched_by_count(tmp_path):
    write_clip(tmp_path / "walk.npz", make_clip(dof_names=(), robot=""))
    assert read_clip(tmp_path / "walk.npz").dof_names == ()
    clip = read_clip(tmp_path / "walk.npz", make_robot())
    assert (clip.dof_names, clip.robot) == (NAMES, "toy")
    message = refusal(read_clip, tmp_path / "walk.npz", make_robot(dof_names=NAMES[:3]))
    assert "has 4 degrees of freedom" in message
    assert "robot toy has 3" in message


# --- MimicKit's pickles ---


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["lists", "array", "rows", "scalars"])
def test_mimickit_pickle(tmp_path, protocol, kind):
    frames = np.arange(40.0).reshape(4, 10) / 100
    given = {
        "lists": frames.tolist(),
        "array": np.asfortranarray(frames),
        "rows": [row.astype(">f8") for row in frames],
        "scalars": [tuple(np.float64(x) for x in row) for row in frames],
    }[kind]
    path = write_pickle(tmp_path / "x.pkl", protocol, frames=given, fps=np.float32(29.5), loop_mode=0)
    clip = read_clip(path, make_robot())
    assert (clip.name, clip.robot, clip.fps, clip.loop, clip.dof_names) == ("x", "toy", 29.5, CLAMP, NAMES)
    np.testing.assert_allclose(clip.root_pos, frames[:, :3], atol=1e-7)
    np.testing.assert_allclose(clip.dof_pos, frames[:, 6:], atol=1e-7)


def test_root_rotation_is_an_exponential_map(tmp_path):
    frames = np.zeros((3, 10))
    frames[1, 3:6] = [0, 0, np.pi / 2]
    frames[2, 3:6] = [2 * np.pi + 0.2, 0, 0]  # whole turns do not count
    clip = read_clip(write_pickle(tmp_path / "x.pkl", frames=frames.tolist()))
    half = np.sqrt(0.5)
    expected = [[1, 0, 0, 0], [half, 0, 0, half], [np.cos(0.1), np.sin(0.1), 0, 0]]
    np.testing.assert_allclose(clip.root_quat, expected, atol=1e-12)


def test_nan_of_a_ball_joint_is_no_rotation(tmp_path):
    frames = np.ones((4, 10)) / 10
    frames[2:, 7:10] = np.nan
    path = write_pickle(tmp_path / "x.pkl", frames=frames.tolist())
    with pytest.warns(UserWarning, match="ball joint neck is NaN in 2 of 4 frames"):
        clip = read_clip(path, make_robot())
    np.testing.assert_array_equal(clip.dof_pos[2:], [[0.1, 0, 0, 0]] * 2)
    assert "with its robot" in refusal(read_clip, path)
    for column, words in ((6, "dof_pos is nan in frame 1, column 0 (hip)"), (1, "root_pos"), (4, "root_quat")):
        path = write_pickle(tmp_path / "x.pkl", frames=with_value(np.zeros((4, 10)), (1, column), np.nan).tolist())
        assert words in refusal(read_clip, path, make_robot())


def test_torch_scalar_as_rate(tmp_path):
    (tmp_path / "x.pkl").write_bytes(base64.b64decode(TORCH_FPS))
    assert read_clip(tmp_path / "x.pkl").fps == pytest.approx(29.97)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": None}, "no key frames (keys: loop_mode, fps)"),
        ({"loop_mode": 2}, "loop_mode is 2; allowed are 0 (clamp) and 1 (wrap)"),
        ({"loop_mode": np.zeros(2)}, "loop_mode is [0. 0.]"),
        ({"fps": -30}, "fps is -30"),
        ({"fps": "fast"}, "fps is fast; it must be one number"),
        ({"fps": [30, 30]}, "fps is [30, 30]"),
        ({"frames": []}, "empty (0 frames)"),
        ({"frames": [[0.0] * 10]}, "one frame"),
        ({"frames": [[0.0] * 10, [0.0] * 9]}, "different lengths: 9, 10"),
        ({"frames": [[0.0] * 4] * 3}, "shape (3, 4)"),
        ({"frames": [["a"] * 10] * 3}, "lists of numbers"),
        ({"frames": [[[0.0]] * 10] * 3}, "lists of numbers"),
        ({"frames": 3.0}, "shape ()"),
        ({"frames": [[0.0] * 12] * 3}, "12 columns, so 6 degrees of freedom; robot toy has 4 (10 columns)"),
    ],
)
def test_refused_mimickit_pickle(tmp_path, changes, words):
    path = write_pickle(tmp_path / "x.pkl", **changes)
    message = refusal(read_clip, path, make_robot())
    assert message.startswith(str(path))
    assert words in message


def test_damaged_pickles(tmp_path):
    path = write_pickle(tmp_path / "x.pkl", frames=np.zeros((4, 10)))
    whole = path.read_bytes()
    for count in range(0, len(whole), 7):
        path.write_bytes(whole[:count])
        assert "x.pkl" in refusal(read_clip, path)
    path.write_bytes(b"Z is no opcode")
    assert refusal(read_clip, path).endswith("x.pkl: truncated or damaged, or not a pickle")
    path.write_bytes(pickle.dumps([1, 2]))
    assert "holds a list" in refusal(read_clip, path)
    random = np.random.default_rng(0)
    for _ in range(300):  # whatever a damaged file holds, the answer is a clip or one line
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_clip(path)
        except UserError as error:
            assert "\n" not in str(error)


class Hostile:
    """What a pickle that runs a command is made of."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [os.system, eval, getattr, np.load, io.open])
def test_hostile_pickle_is_not_run(tmp_path, protocol, function):
    witness = tmp_path / "witness"
    path = write_pickle(tmp_path / "x.pkl", protocol, fps=Hostile(function, f"touch {witness}"))
    message = refusal(read_clip, path)
    assert "refused" in message
    assert f".{function.__name__};" in message  # module.name, such as posix.system
    assert not witness.exists()


def test_small_pickles_that_stand_for_huge_data_are_refused(tmp_path):
    path = tmp_path / "x.pkl"
    write_pickle(path, frames=[[0.0] * 2000] * 100_000)
    assert "at most" in refusal(read_clip, path)
    nested: list = [0.0] * 10
    for _ in range(40):
        nested = [nested] * 10
    write_pickle(path, frames=nested)
    assert "lists of numbers" in refusal(read_clip, path)
    path.write_bytes(b"\x80\x04]r\xff\xff\xff\xff.")  # a memo index of 2^32 - 1, which C's unpickler makes room for
    assert load_pickle(path) == []
    endless: list = []
    endless.append(endless)
    write_pickle(path, frames=endless)
    assert "damaged" in refusal(read_clip, path)


def test_too_large_a_pickle_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("mimicjax.limits.MOTION_BYTES", 10)
    assert "at most 10" in refusal(read_clip, write_pickle(tmp_path / "x.pkl"))


def test_plain_data_of_other_pickles(tmp_path):
    """What importers of other formats read with the same unpickler."""
    data = {
        "ints": np.arange(6, dtype="<i4").reshape(2, 3),
        "big": np.arange(3, dtype=">f4"),
        "text": np.array(["a", "bc"]),
        "none": None,
        "nested": OrderedDict(inner=[(1, 2.5), {"x": b"raw"}]),
        "scalar": np.bool_(True),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(data, protocol))
        back = load_pickle(tmp_path / "x.pkl")
        for key in ("ints", "big", "text"):
            np.testing.assert_array_equal(back[key], data[key])
        assert back["none"] is None
        assert back["nested"] == {"inner": [(1, 2.5), {"x": b"raw"}]}
        assert back["scalar"] is True
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(np.array([{}], object)))
    assert "damaged" in refusal(load_pickle, tmp_path / "x.pkl")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared motion data beside this checkout")
@pytest.mark.parametrize(
    ("file", "fps", "frames", "dofs"),
    [
        ("mimickit_g1/g1_walk.pkl", 120, 125, 29),
        ("mimickit_g1/g1_cartwheel.pkl", 60, 164, 29),
        ("mimickit_humanoid/humanoid_run.pkl", 30, 25, 28),
    ],
)
def test_shipped_mimickit_clips(file, fps, frames, dofs):
    clip = read_clip(SHARED / file)
    assert (clip.fps, len(clip.root_pos), clip.dof_pos.shape[1], clip.loop) == (fps, frames, dofs, WRAP)
    np.testing.assert_allclose(np.linalg.norm(clip.root_quat, axis=-1), 1.0, atol=1e-12)
    assert (np.sum(clip.root_quat[1:] * clip.root_quat[:-1], -1) > 0).all()
    assert (clip.root_pos[:, 2] > 0.2).all()
    with pytest.raises(UserError, match=f"{dofs} degrees of freedom; robot toy has 4"):
        read_clip(SHARED / file, make_robot())


# --- sets and names ---


@pytest.fixture
def motions(tmp_path, monkeypatch):
    """A motions folder with walk and run for the toy robot, and the set gaits; the current directory is elsewhere."""
    folder = tmp_path / "motions"
    monkeypatch.setattr(paths, "MOTIONS", folder)
    for name in ("walk", "run"):
        write_clip(folder / "toy" / f"{name}.npz", make_clip())
    (folder / "toy" / "sets").mkdir()
    (folder / "toy" / "sets" / "gaits.yaml").write_text(
        "motions:\n- {file: ../walk.npz, weight: 1e-3}\n- {file: toy/run.npz}\n- {file: ../walk.npz, weight: 0}\n"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def test_motions_by_name_and_by_path(motions, tmp_path):
    robot = make_robot()
    assert motion_names("toy") == ["gaits", "run", "walk"]
    assert [clip.name for clip in load_motions("walk", robot)] == ["walk"]
    gaits = load_motions("gaits", robot)
    assert [(clip.name, clip.weight) for clip in gaits] == [("walk", 0.001), ("run", 1.0), ("walk_2", 0.0)]
    for path in (motions / "toy" / "run.npz", "../motions/toy/run.npz", "toy/run.npz"):
        assert [clip.name for clip in load_motions(path, robot)] == ["run"]
    write_pickle(tmp_path / "elsewhere" / "mine.pkl")
    (tmp_path / "set.yaml").write_text("motions: [{file: mine.pkl, weight: 2}]")  # found in the current directory
    assert [(clip.name, clip.weight) for clip in load_motions(tmp_path / "set.yaml", robot)] == [("mine", 2.0)]


def test_names_of_a_set_are_distinct(motions):
    write_clip(motions / "toy" / "walk_2.npz", make_clip())
    (motions / "s.yaml").write_text("motions: [{file: toy/walk.npz}, {file: toy/walk.npz}, {file: toy/walk_2.npz}]")
    assert [clip.name for clip in load_motions("s.yaml", make_robot())] == ["walk", "walk_3", "walk_2"]


def test_unknown_motions(motions):
    message = refusal(load_motions, "wolk", make_robot())
    assert "no motion 'wolk' for robot toy (did you mean walk?); names: gaits, run, walk" in message
    assert "names: none" in refusal(load_motions, "walk", make_robot("other"))
    assert "missing.npz: there is no such file" in refusal(load_motions, "missing.npz", make_robot())
    assert "missing.yaml: cannot be read" in refusal(load_motions, "missing.yaml", make_robot())
    refusal(load_motions, "", make_robot())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "motions must be a list"),
        ("- {file: a.npz}", "given list, allowed is a mapping"),
        ("motions: [", "not valid YAML"),
        ("motions: []", "at least one entry"),
        ("motions: {file: a.npz}", "must be a list"),
        ("other: 1", "unknown key 'other'"),
        ("motions: [toy/walk.npz]", "motions[0]: must be"),
        ("motions: [{file: toy/walk.npz, wieght: 1}]", "motions[0]: unknown key 'wieght' (did you mean weight?)"),
        ("motions: [{weight: 1}]", "motions[0]: file must be a path"),
        ("motions: [{file: toy/walk.npz}, {file: toy/run.npz, weight: -1}]", "motions[1] (toy/run.npz): weight"),
        ("motions: [{file: toy/walk.npz, weight: .nan}]", "not 'nan'"),
        ("motions: [{file: toy/walk.npz, weight: .inf}]", "not 'inf'"),
        ("motions: [{file: toy/walk.npz, weight: yes}]", "not 'True'"),
        ("motions: [{file: toy/walk.npz, weight: heavy}]", "not 'heavy'"),
        ("motions: [{file: toy/walk.npz, weight: 0}]", "all weights are 0"),
        ("motions: [{file: toy/walk.npz}, {file: gone.npz}]", "motions[1]"),
    ],
)
def test_refused_sets(motions, text, words):
    path = motions / "s.yaml"
    path.write_text(text)
    message = refusal(load_motions, path, make_robot())
    assert message.startswith(str(path))
    assert words in message
