"""Pictures of a motion clip, drawn as the clip says and without physics: a video, or one picture of some frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import imageio.v3 as imageio
import mujoco
import numpy as np

from mimicjax.errors import UserError
from mimicjax.motion.coordinates import qpos_of
from mimicjax.robot import stage
from mimicjax.types import WRAP, Clip, Robot

VIDEO, PICTURE = (".mp4", ".gif"), (".png", ".jpg")
RATE = 30  # frames per second of a video
CELLS, LOOPS = 8, 3  # moments in a picture; rounds of a loop in a video
AZIMUTHS = (90.0, 180.0)  # degrees: from the right side, from the front
Watch = Callable[[list[float]], Iterable[float]]  # sees the times as they are drawn


def view(robot: Robot, clip: Clip, out: Path, watch: Watch = iter) -> None:
    """Draw a clip to `out`: a video from the side and the front, or the same views of a few moments side by side."""
    if out.suffix not in VIDEO + PICTURE:
        raise UserError(f"{out}: unknown suffix {out.suffix!r}; a view ends in {', '.join(VIDEO + PICTURE)}")
    qpos = qpos_of(robot, clip)
    times = np.arange(0.0, clip.duration * (LOOPS if clip.loop == WRAP else 1), 1.0 / RATE)
    if out.suffix in PICTURE:
        times = np.linspace(0.0, clip.duration, CELLS, endpoint=clip.loop != WRAP)
    images = draw(robot, qpos, clip, watch(times.tolist()))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix in PICTURE:
            imageio.imwrite(out, np.concatenate([np.concatenate(row, axis=1) for row in zip(*images, strict=True)]))
        else:
            imageio.imwrite(out, [np.concatenate(pair, axis=1) for pair in images], fps=RATE)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None


def draw(robot: Robot, qpos: np.ndarray, clip: Clip, times: Iterable[float]) -> list[list[np.ndarray]]:
    """For each time (s) the views of AZIMUTHS, each [H,W,3] uint8."""
    spec = mujoco.MjSpec.from_file(str(robot.xml))
    stage.furnish(spec)
    model = spec.compile()
    data, camera, images = mujoco.MjData(model), mujoco.MjvCamera(), []
    travel = clip.root_pos[-1] - clip.root_pos[0]
    height = float(clip.root_pos[:, 2].max())
    camera.distance, camera.elevation = 2.8 * height, -8.0
    with _renderer(model) as renderer:
        for time in times:
            frame = round(time * clip.fps)
            rounds, frame = divmod(frame, len(qpos) - 1) if clip.loop == WRAP else (0, min(frame, len(qpos) - 1))
            data.qpos[: robot.nq] = qpos[frame]
            data.qpos[:2] += rounds * travel[:2]
            mujoco.mj_forward(model, data)
            camera.lookat[:] = [*data.qpos[:2], 0.8 * height]
            views = []
            for azimuth in AZIMUTHS:
                camera.azimuth = azimuth
                renderer.update_scene(data, camera)
                views.append(renderer.render())
            images.append(views)
    return images


def _renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    try:
        return mujoco.Renderer(model, 480, 352)
    except Exception as error:  # MuJoCo, OpenGL and the loader of its library each raise their own
        how = "set the environment variable MUJOCO_GL to egl, osmesa or glfw, whichever this machine has"
        raise UserError(f"MuJoCo cannot draw here ({' '.join(str(error).split())[:120]}); {how}") from None
