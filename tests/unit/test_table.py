"""The table of poses against the library it is made from, and how much memory it may take."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import synthetic_clip
from test_kinematics import ballbot  # noqa: F401  (a fixture)

from mimicjax.motion import blocks, library, memory, reference, table
from mimicjax.motion.datasets import load_motions
from mimicjax.motion.files import read_clip
from mimicjax.types import CLAMP, WRAP, Clip, Clips

DT = 1 / 30
DATA = Path(__file__).parents[3] / "shared" / "data" / "motions"
TIMES = 2000  # a clip
PLACE, TURN = {2: 1e-3, 1: 2e-3}, 1e-2  # m by rows per control step, rad: what lookups may be off
GB = 1e9


def from_csv(path: Path, w_first: bool) -> Clip:
    """A clip of Unitree's table: root position, root rotation, 29 angles, 30 frames a second."""
    rows = np.loadtxt(path, delimiter=",")
    quat = rows[:, 3:7] if w_first else rows[:, [6, 3, 4, 5]]
    quat = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
    return Clip(path.stem, "g1", (), 30.0, CLAMP, rows[:, :3], quat, rows[:, 7:])


def at_rate(clip: Clip, fps: float) -> Clip:
    return dataclasses.replace(clip, name=f"{clip.name} at {fps:g}", fps=fps)


@pytest.fixture(scope="module")
def several(g1) -> list[Clip]:
    """Shipped clips, the synthetic one, at odd rates too; and the clips to test with, where they are."""
    sines = synthetic_clip(29)
    clips = [*load_motions("walk", g1), *load_motions("squat", g1), sines, synthetic_clip(29, CLAMP)]
    clips += [at_rate(sines, 24.0), at_rate(sines, 50.0), at_rate(sines, 60.0), synthetic_clip(29, WRAP, 2)]
    clips += [read_clip(path, g1) for path in sorted(DATA.glob("mimickit_g1/*.pkl"))]
    return clips + [from_csv(path, "kimodo" in path.name) for path in sorted(DATA.glob("unitree_csv/*.csv"))]


@pytest.fixture(scope="module")
def packed(g1, several) -> Clips:
    return library.pack(g1, several)


@pytest.fixture(scope="module", params=memory.ROWS_PER_STEP)
def made(request, g1, packed) -> table.Table:
    return table.tabulate(g1, packed, DT, request.param)


@pytest.fixture(scope="module")
def query(g1, packed):
    return jax.jit(lambda clip, time: library.query(g1, packed, clip, time))


@pytest.fixture(scope="module")
def lookup(g1):
    return jax.jit(lambda made, clip, time: table.lookup(g1, made, clip, time))


def turned(a, b) -> float:
    """The largest angle between rotations, by way of the chord, which float32 does not round to nothing."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    chord = np.minimum(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
    return float(np.max(4 * np.arcsin(np.clip(chord / 2, 0, 1))))


def apart(a, b) -> float:
    """The largest distance between places."""
    return float(np.max(np.linalg.norm(np.asarray(a) - np.asarray(b), axis=-1)))


def times_of(clip: Clip) -> jax.Array:
    """Random times from half a clip before it to half a clip after: loop offsets and held ends too."""
    return jnp.asarray(np.random.default_rng(0).uniform(-0.5, 1.5, TIMES) * clip.duration, jnp.float32)


def test_lookups_are_within_a_millimetre_and_a_hundredth_of_a_radian(several, made, query, lookup):
    """Of all clips with two rows a control step. With one, two millimetres, and only of clips that skip no frames."""
    rows = int(made.rows_per_step)
    for number, clip in enumerate(several):
        if rows == 1 and int(made.stride[number]) > 1:
            continue
        which = jnp.full(TIMES, number)
        got, want = lookup(made, which, times_of(clip)), query(which, times_of(clip))
        assert apart(got.body_pos, want.body_pos) < PLACE[rows], clip.name
        assert apart(got.root_pos, want.root_pos) < PLACE[rows], clip.name
        for name in ("root_quat", "joint_quat", "body_quat"):
            assert turned(getattr(got, name), getattr(want, name)) < TURN, (clip.name, name)
        np.testing.assert_allclose(got.dof_pos, want.dof_pos, atol=TURN, err_msg=clip.name)


def test_velocities_are_the_librarys_where_every_frame_has_a_row(several, made, query, lookup):
    for number, clip in enumerate(several):
        which = jnp.full(TIMES, number)
        got, want = lookup(made, which, times_of(clip)), query(which, times_of(clip))
        for name in ("root_vel", "root_ang_vel", "dof_vel"):
            ours, its = getattr(got, name), getattr(want, name)
            if int(made.stride[number]) == 1:
                np.testing.assert_array_equal(ours, its, err_msg=clip.name)
            else:  # root mean square, m/s and rad/s; the library's change from frame to frame
                assert np.sqrt(np.mean((ours - its) ** 2)) < 0.12, (clip.name, name)


def test_rows_on_frames_are_the_library_there(several, packed, made, query, lookup):
    for number, clip in enumerate(several):
        last, stride = len(clip.root_pos) - 1, int(made.stride[number])
        frames = np.arange(0, last, stride)[:TIMES]
        # a little late: float32 may put a frame's own time before it
        time = jnp.asarray(np.resize((frames + 1e-4) * clip.duration / last, TIMES), jnp.float32)
        which = jnp.full(TIMES, number)
        got, want = lookup(made, which, time), query(which, time)
        frame = np.asarray(library.place(packed, which, time)[0])
        for name in ("root_vel", "root_ang_vel", "dof_vel"):
            np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=clip.name)
        assert (frame % stride == 0).all()
        assert apart(got.body_pos, want.body_pos) < 5e-5, clip.name
        assert turned(got.joint_quat, want.joint_quat) < 5e-4, clip.name


def test_clips_take_the_rows_of_their_rate(g1, clips):
    """Rows by hand, (stride, split, rows): at least as many as asked for in a control step, all frames or every k-th."""
    rates = np.asarray([30.0, 24.0, 50.0, 60.0, 100.0, 120.0, 240.0])
    frames = np.full(7, 241)
    several = clips._replace(frames=jnp.asarray(frames), duration=jnp.asarray(240 / rates, jnp.float32))
    two = table.grid(several, DT, 2)
    np.testing.assert_array_equal(two.stride, [1, 1, 1, 1, 1, 2, 4])
    np.testing.assert_array_equal(two.split, [2, 3, 2, 1, 1, 1, 1])
    np.testing.assert_array_equal(two.count, [481, 721, 481, 241, 241, 121, 61])
    one = table.grid(several, DT, 1)
    np.testing.assert_array_equal(one.stride, [1, 1, 1, 2, 3, 4, 8])
    np.testing.assert_array_equal(one.split, [1, 2, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(one.count, [241, 481, 241, 121, 81, 61, 31])


def test_a_last_row_that_is_nearer_than_the_others(g1, query):
    """32 frames at 120 a second, every fourth a row: the last but one is followed after three frames.

    The sines are four times as fast as elsewhere; a frame taken for another would be 30 mm off.
    """
    clip = at_rate(synthetic_clip(29, WRAP, 32), 120.0)
    packed = library.pack(g1, [clip, clip])
    made = table.tabulate(g1, packed, DT, 1)
    np.testing.assert_array_equal(made.first, [0, 9])
    time = jnp.asarray(np.linspace(27.5, 30.99, 50) / 120, jnp.float32)
    got = jax.jit(lambda time: table.lookup(g1, made, jnp.int32(0), time))(time)
    want = jax.jit(lambda time: library.query(g1, packed, jnp.int32(0), time))(time)
    assert apart(got.body_pos, want.body_pos) < 4e-3
    np.testing.assert_allclose(made.rows.body_bend[8], 0.0)


def test_loops_add_their_offset(several, made, lookup):
    at = lambda seconds: lookup(made, jnp.asarray([2]), jnp.asarray([seconds], jnp.float32))  # noqa: E731
    first, third = at(0.4), at(2.4)
    for name in ("root_pos", "body_pos"):
        shift = np.asarray(getattr(third, name) - getattr(first, name)).reshape(-1, 3)
        np.testing.assert_allclose(shift, np.tile([1.6, 0, 0], (len(shift), 1)), atol=1e-5)
    np.testing.assert_allclose(first.joint_quat, third.joint_quat, atol=1e-5)


def test_a_clip_ends_on_its_last_frame(several, made, lookup):
    """A loop just before its end, and a clip that holds its ends."""
    clip, time = jnp.asarray([2, 3, 3]), jnp.asarray([0.99999, 1.7, -0.7], jnp.float32)
    pose = lookup(made, clip, time)
    for row, frame in enumerate([-1, -1, 0]):
        np.testing.assert_allclose(pose.root_pos[row], several[3].root_pos[frame], atol=1e-4)
        np.testing.assert_allclose(pose.dof_pos[row], several[3].dof_pos[frame], atol=1e-4)


def test_many_blocks_are_one(g1, clips, monkeypatch):
    whole = table.tabulate(g1, clips, DT, 2)
    monkeypatch.setattr(blocks, "BLOCK", 50)  # of 122 rows: the last block begins within the second
    for got, want in zip(table.tabulate(g1, clips, DT, 2).rows, whole.rows, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_ball_joints_and_hinges_that_turn_over(ballbot):  # noqa: F811
    """A wrist that turns through pi, and balls that turn by 0.13 rad a frame."""
    frames = np.arange(40)
    dofs = np.stack([0.9 * np.sin(0.13 * frames + i) for i in range(7)], axis=-1)
    dofs[:, ballbot.dof_names.index("wrist")] = 0.2 * frames - 4.0
    root, quat = np.zeros((40, 3)), np.tile([1.0, 0, 0, 0], (40, 1))
    packed = library.pack(ballbot, [Clip("turns", "", (), 30.0, CLAMP, root, quat, dofs)])
    made = table.tabulate(ballbot, packed, DT, 1)
    time = jnp.asarray(np.random.default_rng(0).uniform(0, 1.3, 300), jnp.float32)
    got = jax.jit(lambda time: table.lookup(ballbot, made, jnp.int32(0), time))(time)
    want = jax.jit(lambda time: library.query(ballbot, packed, jnp.int32(0), time))(time)
    assert turned(got.joint_quat, want.joint_quat) < 1e-3
    assert turned(got.body_quat, want.body_quat) < 2e-3
    difference = np.asarray(got.dof_pos - want.dof_pos)
    assert np.abs(np.angle(np.exp(1j * difference))).max() < 2e-3
    assert np.abs(got.dof_pos).max() <= np.pi + 1e-5
    assert apart(got.body_pos, want.body_pos) < PLACE[1]


@pytest.mark.parametrize("tabled", [True, False])
def test_now_and_ahead_are_single_lookups(tabled, g1, clips):
    clip, time, ahead = jnp.asarray([0, 1]), jnp.asarray([0.3, 0.93]), DT * jnp.arange(1, 4)
    motion = table.tabulate(g1, clips, DT, 1) if tabled else clips
    now, coming = jax.jit(lambda clip, time: reference.now_and_ahead(g1, motion, clip, time, ahead))(clip, time)
    single = jax.jit(lambda clip, time: reference.poses_at(g1, motion, clip, time))
    for step in range(4):
        want = single(clip, time + DT * step)
        got = now if step == 0 else jax.tree.map(lambda x, step=step: x[:, step - 1], coming)
        for ours, its in zip(got, want, strict=True):
            np.testing.assert_allclose(ours, its, atol=2e-5)


def hours(clips: Clips, number: float, fps: float) -> Clips:
    """So many hours of clips of 10 s, without a frame of them."""
    count = round(number * 360)
    frames = np.full(count, round(10 * fps) + 1, np.int32)
    return clips._replace(frames=frames, duration=np.full(count, 10.0, np.float32))


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_hours_of_motion_fit(g1, clips, fps):
    """40 hours on a GPU of 80 GB, of which JAX takes three quarters, and 2 on a laptop of 8 GB."""
    gpu = SimpleNamespace(memory_stats=lambda: {"bytes_limit": int(60 * GB), "bytes_in_use": int(50 * GB)})
    plan = memory.plan(g1, hours(clips, 40, fps), DT, memory.budget([gpu]))
    assert plan.rows_per_step == 2 and 5 * GB < plan.bytes < 15 * GB
    plan = memory.plan(g1, hours(clips, 2, fps), DT, int(8 * GB) // memory.SHARE)
    assert plan.rows_per_step == 2 and plan.bytes < 0.5 * GB


def test_plans_are_the_finest_that_fit(g1, clips):
    made = table.tabulate(g1, clips, DT, 2)
    whole = sum(leaf.nbytes for leaf in jax.tree.leaves(made.rows))
    assert memory.plan(g1, clips, DT, whole) == memory.TablePlan(2, whole)
    half = memory.plan(g1, clips, DT, whole - 1)
    assert half == memory.TablePlan(1, whole * 62 // 122)
    assert memory.plan(g1, clips, DT, half.bytes - 1) == memory.TablePlan(0, half.bytes)
    assert (
        memory.note(half, whole - 1)
        == "reference table: 1 row per control step, 0.0551 MB; more would take over 0.108 MB"
    )
    assert memory.note(memory.TablePlan(2, 12_300_000), 0) == "reference table: 2 rows per control step, 12.3 MB"
    assert memory.note(memory.TablePlan(0, int(8.1 * GB)), int(2 * GB)).startswith(
        "no reference table: it would take 8.1 GB"
    )


def test_processors_share_the_machines_memory():
    silent = SimpleNamespace(memory_stats=lambda: None)
    assert memory.budget([silent] * 4) == memory.budget([silent]) // 4
    told = SimpleNamespace(memory_stats=lambda: {"bytes_limit": 1000})
    assert memory.budget([told, told]) == 250


def test_without_memory_the_clips_are_the_motion(g1, clips, monkeypatch):
    monkeypatch.setattr(memory, "budget", lambda devices: 100)
    motion, note = reference.prepare(g1, clips, DT, jax.devices())
    assert motion is clips and reference.rows_per_step(motion) == 0 and note.startswith("no reference table")
    monkeypatch.undo()
    motion, note = reference.prepare(g1, clips, DT, jax.devices())
    assert reference.rows_per_step(motion) == 2 and note == "reference table: 2 rows per control step, 0.108 MB"
    assert reference.clips_of(motion).root_pos.size == 0
