"""Videos of an episode: the robot, and the reference as a ghost in it or as a second robot beside it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from scipy.ndimage import gaussian_filter1d

from mimicjax.draw.canvas import Canvas
from mimicjax.errors import UserError
from mimicjax.files import replace_file

REFERENCES = ("ghost", "beside", "none")
SIZE = 960, 544  # pixels; multiples of 16, as H.264 wants
GHOST = np.array([0.16, 0.45, 1.0, 0.25], np.float32)
BESIDE = np.array([0.2, 0.5, 0.95, 1.0], np.float32)
TURN = 28.0  # degrees from the pure side view towards the robot's front
DISTANCE, APART = 2.3, 0.95  # in robot heights: camera from robot, robot from reference beside it
MOST_GEOMS = 4000
HOLD = 1.0  # s that the last picture of a failed episode stays, so that one can read why


def check(path: Path) -> None:
    """Whether a video can be written there, before anything is computed. Raises UserError."""
    if path.suffix.lower() != ".mp4":
        raise UserError(f"--video {path}: unknown suffix {path.suffix!r}; videos end in .mp4")
    if path.is_dir():
        raise UserError(f"--video {path}: is a folder; give a file that ends in .mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as problem:
        raise UserError(f"--video {path}: cannot be written: {problem.strerror or problem}") from problem


def write(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Write pictures [height,width,3] as H.264, the whole file or nothing. Raises UserError."""
    import imageio.v2 as imageio

    def encode(half: Path) -> None:
        options = {"codec": "libx264", "quality": 8, "pixelformat": "yuv420p", "macro_block_size": 16}
        writer: Any = imageio.get_writer(half, format="FFMPEG", fps=fps, **options)  # type: ignore[arg-type]
        with writer:
            for frame in frames:
                writer.append_data(frame)

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # jax's; ffmpeg is started with exec at once
            replace_file(path, encode)
    except (OSError, RuntimeError, ImportError) as problem:  # RuntimeError: imageio-ffmpeg finds no ffmpeg
        raise UserError(f"--video {path}: cannot be written: {' '.join(str(problem).split())[:300]}") from problem


def render(
    model: mujoco.MjModel, qpos: np.ndarray, reference: np.ndarray, dt: float,
    style: str = "ghost", caption: str = "", failure: str = "", size: tuple[int, int] = SIZE,
    watch: Callable[[range], Iterable[int]] = iter,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Pictures [height,width,3] of the robot at qpos [T,nq] with the reference at [T,nq], dt s apart.

    model: of engine.scene; its visual settings are changed. style: ghost, beside or none. failure: how the
    episode failed; the last picture then says it, and stays for HOLD. watch: sees the frames as they are drawn.
    Raises UserError for another style, or if there is no OpenGL.
    """
    if style not in REFERENCES:
        raise UserError(f"--reference {style}: allowed are {', '.join(REFERENCES)}")
    width, height = size
    robot, other = mujoco.MjData(model), mujoco.MjData(model)
    scene, stage = mujoco.MjvScene(model, MOST_GEOMS), _Stage(model, qpos, reference, dt, style)
    with Canvas(model, width, height) as canvas:
        for frame in watch(range(len(qpos))):
            _pose(model, robot, qpos[frame])
            stage.update(scene, robot, frame)
            if style != "none":
                _pose(model, other, reference[frame], stage.shift)
                _add(model, other, scene, GHOST if style == "ghost" else BESIDE)
            last = bool(failure) and frame == len(qpos) - 1
            words = f"{caption} {frame * dt:5.2f} s".strip() + (f": {failure}" if last else "")
            yield from [canvas.draw(scene, words)] * (1 + (round(HOLD / dt) if last else 0))


def _pose(model: mujoco.MjModel, data: mujoco.MjData, qpos: np.ndarray, shift: np.ndarray | float = 0.0) -> None:
    data.qpos[:] = qpos
    data.qpos[:3] += shift
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)


def _add(model: mujoco.MjModel, data: mujoco.MjData, scene: mujoco.MjvScene, color: np.ndarray) -> None:
    """Put a second robot, in one colour, into a scene."""
    first = scene.ngeom
    option, nothing = mujoco.MjvOption(), mujoco.MjvPerturb()
    mujoco.mjv_addGeoms(model, data, option, nothing, mujoco.mjtCatBit.mjCAT_DYNAMIC.value, scene)
    for index in range(first, scene.ngeom):
        geom = scene.geoms[index]
        geom.matid, geom.rgba, geom.transparent = -1, color, int(color[3] < 1.0)
        geom.emission, geom.specular, geom.reflectance = 0.3, 0.2, 0.0


class _Stage:
    """Camera and light, which follow the robot."""

    def __init__(self, model: mujoco.MjModel, qpos: np.ndarray, reference: np.ndarray, dt: float, style: str) -> None:
        self.model = model
        self.option, self.perturb, self.camera = mujoco.MjvOption(), mujoco.MjvPerturb(), mujoco.MjvCamera()
        tall = _height(model, reference[0])
        heading = _heading(reference)
        along = np.array([np.cos(heading), np.sin(heading), 0.0])
        self.shift = APART * tall * along if style == "beside" else np.zeros(3)
        # smooth, so that steps do not shake the picture; the robot's height does not move the camera
        ground = gaussian_filter1d(qpos[:, :2].astype(np.float64), 0.25 / dt, axis=0, mode="nearest")
        self.look = np.column_stack([ground, np.full(len(qpos), 0.52 * tall)]) + 0.5 * self.shift
        self.camera.azimuth, self.camera.elevation = np.rad2deg(heading) + 90.0 + TURN, -9.0
        self.camera.distance = DISTANCE * tall * (1.2 if style == "beside" else 1.0)
        view = np.deg2rad(self.camera.azimuth + 50.0)  # the sun stands to the right of the camera
        self.sun = np.array([0.56 * np.cos(view), 0.56 * np.sin(view), -0.83])
        self.far = 4.0 * tall
        # the square that has shadows; a smaller one shows stripes at its near edge
        model.vis.map.shadowclip = 3.2 * tall / model.stat.extent

    def update(self, scene: mujoco.MjvScene, robot: mujoco.MjData, frame: int) -> None:
        """The scene of a frame, without the reference."""
        self.camera.lookat[:] = self.look[frame]
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, robot, self.option, self.perturb, self.camera, every, scene)
        lights = [scene.lights[index] for index in range(scene.nlight) if not scene.lights[index].headlight]
        for light in lights[:1]:  # one that stays behind leaves the robot without shadow
            light.pos, light.dir = self.look[frame] - self.far * self.sun, self.sun
        for light in lights[1:]:
            light.pos = light.pos + np.append(self.look[frame][:2], 0.0)


def _height(model: mujoco.MjModel, qpos: np.ndarray) -> float:
    """m from the ground to the top of the robot."""
    data = mujoco.MjData(model)
    _pose(model, data, qpos)
    own = model.geom_bodyid > 0
    return max(float(np.max(data.geom_xpos[own, 2] + model.geom_rbound[own], initial=0.0)), 0.1)


def _heading(qpos: np.ndarray) -> float:
    """rad: the way a motion [T,nq] goes, or if it stays in its place the way it first faces."""
    way = qpos[-1, :2] - qpos[0, :2]
    if np.linalg.norm(way) > 0.5:
        return float(np.arctan2(way[1], way[0]))
    w, x, y, z = qpos[0, 3:7]
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))
