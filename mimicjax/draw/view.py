"""Pictures of a motion clip, drawn as the clip says and without physics: a video, or one picture of some frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from mimicjax.config.settings import EngineSettings
from mimicjax.draw import files, studio
from mimicjax.draw.studio import Shot, Studio
from mimicjax.engine import scene
from mimicjax.motion.coordinates import qpos_of
from mimicjax.types import WRAP, Clip, Robot

RATE = 30  # frames per second of a video
MOMENTS, LOOPS = 8, 3  # in a picture; rounds of a loop in a video
SIZE = 352, 480  # pixels of a view; multiples of 16, as H.264 wants
SIDES = (90.0, 180.0)  # degrees from the heading to where the camera looks: from the right side, from the front
SUN = 140.0  # degrees from the heading to where the light falls
ELEVATION = -8.0  # degrees
DISTANCE, LOOK = 1.6, 0.5  # in robot heights: camera from robot, what it looks at
Watch = Callable[[list[float]], Iterable[float]]  # sees the times as they are drawn


def check(path: Path) -> None:
    """Whether a view can be written there. Raises UserError."""
    files.check(path, "--out", "views", files.FILMS + files.PICTURES)


def write(robot: Robot, clip: Clip, out: Path, watch: Watch = iter) -> None:
    """Draw a clip to `out`: a video from the side and the front, or the same views of a few moments side by side.

    watch: sees the moments (s) as they are drawn. Raises UserError if `out` cannot be written, or without OpenGL.
    """
    check(out)
    if out.suffix.lower() in files.PICTURES:
        times = np.linspace(0.0, clip.duration, MOMENTS, endpoint=clip.loop != WRAP)
        columns = [np.concatenate(views) for views in draw(robot, clip, watch(times.tolist()))]
        files.write_picture(out, np.concatenate(columns, axis=1))
    else:
        times = np.arange(0.0, clip.duration * (LOOPS if clip.loop == WRAP else 1), 1.0 / RATE)
        pairs = (np.concatenate(views, axis=1) for views in draw(robot, clip, watch(times.tolist())))
        files.write_film(out, pairs, RATE)


def draw(robot: Robot, clip: Clip, times: Iterable[float]) -> Iterator[list[np.ndarray]]:
    """For each time (s) the views of SIDES, each [height,width,3] uint8. Raises UserError if there is no OpenGL."""
    qpos, model = qpos_of(robot, clip), scene.build(robot, EngineSettings()).model
    height, size, heading = studio.height(model, qpos), studio.size(model, qpos), studio.heading(qpos)
    shots = [Shot(heading + side, ELEVATION, DISTANCE * size) for side in SIDES]
    with Studio(model, SIZE, size, heading + SUN) as camera:
        for time in times:
            pose = _at(clip, qpos, time)
            look = np.append(pose[:2], LOOK * height)
            yield [camera.take(pose, look, shot) for shot in shots]


def _at(clip: Clip, qpos: np.ndarray, time: float) -> np.ndarray:
    """[nq]: the frame [F,nq] nearest to a time (s); a loop goes on from where its last round ended."""
    frame, last = round(time * clip.fps), len(qpos) - 1
    if clip.loop != WRAP:
        return qpos[min(frame, last)]
    rounds, frame = divmod(frame, last)
    pose = qpos[frame].copy()
    pose[:2] += rounds * (qpos[last, :2] - qpos[0, :2])
    return pose
