"""Films and views against what a pinhole camera must show, files that cannot be written, machines without OpenGL."""

from __future__ import annotations

import dataclasses

import imageio.v3 as imageio
import mujoco
import numpy as np
import pytest
from conftest import scene_g1

from mimicjax.config.settings import EngineSettings
from mimicjax.draw import canvas, files, studio, video, view
from mimicjax.draw.studio import Double, Shot, Studio
from mimicjax.draw.video import Film
from mimicjax.engine import scene
from mimicjax.errors import UserError
from mimicjax.robot.load import load
from mimicjax.types import CLAMP, WRAP, Clip

SIZE = 320, 176
BLUE = np.array([0.2, 0.5, 0.95, 1.0], np.float32)


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    """The G1 on its floor, where pictures can be drawn."""
    try:
        canvas.backend()
    except UserError:
        pytest.skip("no OpenGL here")
    return scene_g1().model


def standing(x: float = 0.0, y: float = 0.0, rows: int = 2) -> np.ndarray:
    """[rows,nq]: the G1's start pose at a place."""
    qpos = np.tile(load("g1").start_qpos, (rows, 1)).astype(np.float64)
    qpos[:, :2] = x, y
    return qpos


def pixel(point: np.ndarray, look: np.ndarray, shot: Shot, fovy: float) -> np.ndarray:
    """(column, row) of a point [3] in a picture of SIZE: a pinhole `distance` m from `look`, z up."""
    a, e = np.deg2rad([shot.azimuth, shot.elevation])
    ahead = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([np.sin(a), -np.cos(a), 0.0])
    offset = point - (look - shot.distance * ahead)
    focal = SIZE[1] / 2 / np.tan(np.deg2rad(fovy) / 2)
    across = np.array([offset @ right, -offset @ np.cross(right, ahead)])
    return np.array(SIZE) / 2 + focal * across / (offset @ ahead)


def white(image: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """[H,W] bool: as bright as the G1's shells, and brighter than in a picture without it."""
    return (image.min(axis=-1) > 150) & (np.abs(image.astype(int) - empty.astype(int)).sum(-1) > 60)


def blue(image: np.ndarray) -> np.ndarray:
    """[H,W] bool: of the second robot's colour."""
    return image[..., 2].astype(int) > image[..., 0].astype(int) + 90


def head_and_pelvis(model: mujoco.MjModel, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where they are in the world, [3] m each, from MuJoCo."""
    data = mujoco.MjData(model)
    studio.pose(model, data, qpos)
    places = data.geom_xpos[model.geom_bodyid > 0]
    return places[np.argmax(places[:, 2])], data.body("pelvis").xpos.copy()


def test_robot_and_double_are_where_a_pinhole_camera_sees_them(model):
    robot, other = standing(3.0, -2.0)[0], standing(3.0, -2.0)[0]
    shot = Shot(azimuth=118.0, elevation=-9.0, distance=4.0)
    right = np.array([np.sin(np.deg2rad(118.0)), -np.cos(np.deg2rad(118.0)), 0.0])
    robot[:3] += 0.6 * right
    other[:3] -= 0.9 * right
    look, fovy = np.array([3.0, -2.0, 0.7]), model.vis.global_.fovy
    with Studio(model, SIZE, 1.3, 168.0) as camera:
        image = camera.take(robot, look, shot, Double(other, BLUE))
        empty = camera.take(standing(500.0)[0], look, shot)
    for mask, qpos in ((white(image, empty), robot), (blue(image), other)):
        rows, columns = np.nonzero(mask)
        head, pelvis = head_and_pelvis(model, qpos)
        middle, top = pixel(pelvis, look, shot, fovy)[0], pixel(head, look, shot, fovy)[1]
        feet = pixel(np.append(qpos[:2], 0.0), look, shot, fovy)[1]
        assert len(rows) > 100 and abs(np.median(columns) - middle) < 5
        assert rows.min() == pytest.approx(top, abs=8)
        assert np.quantile(rows, 0.9) < feet + 8 and rows.max() > feet - 12  # below are reflections only
    assert pixel(look, look, shot, fovy) == pytest.approx(np.array(SIZE) / 2)


def test_the_shadow_lies_beside_the_feet_and_nowhere_else(model):
    """With and without: what differs is the robot's shadow, as long as the sun's height makes it. No stripes."""
    qpos, look, shot = standing()[0], np.array([0.0, 0.0, 0.6]), Shot(118.0, -20.0, 3.5)
    lights = model.light_castshadow.copy()
    images = []
    for cast in (lights, 0 * lights):
        model.light_castshadow[:] = cast
        with Studio(model, SIZE, 1.3, 168.0) as camera:
            images.append(camera.take(qpos, look, shot).astype(int).sum(-1))
    model.light_castshadow[:] = lights
    rows, columns = np.nonzero(images[1] - images[0] > 60)  # darker with
    sun = np.deg2rad(168.0)
    end = np.array([np.cos(sun), np.sin(sun), 0.0]) * 1.3 * 0.56 / 0.83  # of the shadow of a head 1.3 m high
    feet, tip = (pixel(point, look, shot, model.vis.global_.fovy) for point in (np.zeros(3), end))
    corner, other = np.minimum(feet, tip) - 25, np.maximum(feet, tip) + 25
    inside = (columns > corner[0]) & (columns < other[0]) & (rows > corner[1]) & (rows < other[1])
    assert inside.sum() > 200 and abs(columns[inside].min() - tip[0]) < 25
    assert np.all(np.abs(columns[~inside] - SIZE[0] / 2) < 15)  # the robot's own shapes, which shade each other


@pytest.mark.parametrize("style, ahead", [("none", 0.0), ("ghost", 0.5), ("beside", 0.5)])
def test_a_film_has_its_reference_as_asked_for(model, style, ahead):
    qpos = standing()
    image = list(video.render(model, Film(qpos, qpos + ahead * (np.arange(36) == 0), 1 / 30), style, SIZE))[1]
    columns = np.nonzero(blue(image))[1]
    if style == "none":
        assert len(columns) < 30  # the lamp on its head
        return
    height = studio.height(model, qpos)
    beside = video.APART * height if style == "beside" else 0.0
    shot = Shot(90.0 + video.TURN, video.ELEVATION, video.DISTANCE * height * (1.2 if beside else 1.0))
    look = np.array([beside / 2, 0.0, video.LOOK * height])
    pelvis = head_and_pelvis(model, qpos[0])[1] + [ahead + beside, 0.0, 0.0]
    assert len(columns) > 300
    assert np.median(columns) == pytest.approx(pixel(pelvis, look, shot, model.vis.global_.fovy)[0], abs=5)


def test_camera_and_light_follow_the_robot(model):
    near, far = (next(video.render(model, Film(standing(x), standing(x), 1 / 30), "none", SIZE)) for x in (0.0, 200.0))
    changed = np.abs(near.astype(int) - far.astype(int)).sum(-1) > 60  # on a floor of squares of 2 m
    assert changed.mean() < 0.002, "light, shadow or camera stayed behind"


def test_a_style_that_does_not_exist(model):
    with pytest.raises(UserError, match="ghost, beside, none"):
        next(video.render(model, Film(standing(), standing(), 1 / 30), "both"))


def test_the_last_picture_of_a_failed_episode_says_so_and_stays(model):
    seen: list[int] = []
    watch = lambda rows: (seen.append(row) or row for row in rows)  # noqa: E731
    film = Film(standing(), standing(), 1 / 30, "walk", failure="fell")
    first, last, *held = video.render(model, film, "none", SIZE, watch)
    assert seen == [0, 1] and len(held) == 30 and all(np.array_equal(last, image) for image in held)
    words = np.abs(first.astype(int) - last.astype(int))[:40].sum(-1) > 100
    assert (
        words[:, 160:].sum() > 20 and np.abs(first.astype(int) - last.astype(int))[60:].max() < 60
    )  # only the caption is longer


def test_a_strip_shows_moments_spread_over_the_episode(model):
    """Eight pictures; the robot rises by a centimetre a row, and the pictures are every third of 22 rows."""
    qpos = standing(rows=22)
    qpos[:, 2] += 0.01 * np.arange(22)
    image = video.strip(model, Film(qpos, qpos, 1 / 30), "none")
    width, height = video.TILE
    assert image.shape == (height, 8 * width, 3) and image.dtype == np.uint8
    tiles = np.split(image, 8, axis=1)
    tops = [
        np.nonzero((tile.min(axis=-1) > 195)[60:].any(axis=1))[0].min() for tile in tiles
    ]  # of the robot, which is white
    assert np.all(np.diff(tops) < 0), tops
    assert tops[0] - tops[-1] == pytest.approx(7 * (tops[0] - tops[1]), abs=14)  # evenly


def test_a_robot_without_light_and_floor_texture_is_drawn_all_the_same(model, tmp_path):
    robot = load("g1")
    lines = robot.xml.read_text().replace(' material="floor"', "").splitlines()
    (tmp_path / "robot.xml").write_text("\n".join(line for line in lines if "<light" not in line))
    bare = scene.build(dataclasses.replace(robot, xml=tmp_path / "robot.xml"), EngineSettings()).model
    qpos = standing(rows=1)
    floor = next(video.render(bare, Film(qpos, qpos, 1 / 30), "none", SIZE))[110:]
    assert bare.nlight == 1 and floor.std() > 8  # squares


def clip(loop: int, speed: float = 0.6, frames: int = 10, fps: float = 10.0) -> Clip:
    """The G1 gliding sideways, facing along x."""
    q = standing(rows=frames)
    q[:, 1] = speed * np.arange(frames) / fps
    return Clip("glide", "g1", load("g1").dof_names, fps, loop, q[:, :3], q[:, 3:7], q[:, 7:])


def test_a_view_shows_the_robot_in_the_middle_from_the_side_and_the_front(model, tmp_path):
    view.write(load("g1"), clip(CLAMP), tmp_path / "a.png")
    image, (width, height) = imageio.imread(tmp_path / "a.png"), view.SIZE
    assert image.shape == (2 * height, view.MOMENTS * width, 3)
    for row in range(2):
        for column in range(view.MOMENTS):
            part = image[row * height : (row + 1) * height, column * width : (column + 1) * width]
            mask = part.min(axis=-1) > 195
            rows, columns = np.nonzero(mask)
            assert mask.sum() > 1000 and abs(columns.mean() - width / 2) < 20
            assert 0.05 * height < rows.min() < 0.3 * height and 0.7 * height < rows.max() < height
    # it glides to its left: from the side away from the camera, from the front across the picture
    assert not np.array_equal(image[:height, :width], image[:height, -width:])


def test_a_loop_goes_on_from_where_its_round_ended():
    q = clip(WRAP, speed=0.6).root_pos
    at = [view._at(clip(WRAP), standing(rows=10) + np.pad(q[:, :2], ((0, 0), (0, 34))), t)[1] for t in (0.3, 0.9, 2.0)]
    np.testing.assert_allclose(at, [0.18, 0.54, 1.2], atol=1e-9)  # 0.6 m/s throughout; a round is 0.9 s
    stay = view._at(clip(CLAMP), standing(rows=10) + np.pad(q[:, :2], ((0, 0), (0, 34))), 5.0)
    assert stay[1] == pytest.approx(0.54)


@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_film_is_read_back_as_written(suffix, tmp_path):
    frames = [np.full((32, 48, 3), level, np.uint8) for level in (40, 120, 200)]
    files.write_film(tmp_path / f"a{suffix}", iter(frames), 10)
    read = imageio.imread(tmp_path / f"a{suffix}")
    assert read.shape == (3, 32, 48, 3) and [int(frame.mean()) for frame in read] == pytest.approx(
        [40, 120, 200], abs=4
    )
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("name, says", [("a.avi", "unknown suffix '.avi'"), ("a", "unknown suffix"), (".", "suffix")])
def test_video_paths_that_cannot_be(name, says, tmp_path):
    with pytest.raises(UserError, match=says):
        video.check(tmp_path / name)


def test_video_in_the_place_of_a_folder_or_below_a_file(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a folder"):
        video.check(tmp_path / "folder.mp4")
    with pytest.raises(UserError, match="cannot be written"):
        video.check(tmp_path / "file" / "a.mp4")


def test_without_opengl_the_message_says_what_to_install(monkeypatch):
    canvas.backend.cache_clear()
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(canvas, "_problem", lambda name: "no such library")
    with pytest.raises(UserError, match="libegl1.*libosmesa6"):
        canvas.backend()
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(UserError, match="MUJOCO_GL asks for it.*osmesa: no such library"):
        canvas.backend()
    monkeypatch.undo()
    canvas.backend.cache_clear()
