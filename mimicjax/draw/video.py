"""Films of an episode: the robot, and the reference as a ghost in it or as a second robot beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np
from scipy.ndimage import gaussian_filter1d

from mimicjax.draw import files, studio
from mimicjax.draw.studio import Double, Shot, Studio
from mimicjax.env.task import Mark
from mimicjax.errors import UserError

REFERENCES = ("ghost", "beside", "none")
SIZE = 960, 544  # pixels; multiples of 16, as H.264 wants
GHOST = np.array([0.16, 0.45, 1.0, 0.25], np.float32)
BESIDE = np.array([0.2, 0.5, 0.95, 1.0], np.float32)
TURN = 28.0  # degrees from the pure side view towards the robot's front
SUN = 50.0  # degrees by which the light falls to the left of where the camera looks: the sun stands to its right
ELEVATION = -9.0  # degrees
DISTANCE, LOOK, APART = 2.3, 0.52, 0.95  # in robot heights: camera from robot, what it looks at, reference from robot
SMOOTH = 0.25  # s, standard deviation of the filter for the camera's way, so that steps do not shake the picture
STRIP = ".png"  # suffix of a strip of pictures
PICTURES, TILE = 8, (304, 400)  # of a strip: how many, and pixels of each
HOLD = 1.0  # s that the last picture of a failed episode stays, so that one can read why


class Film(NamedTuple):
    """What a film shows: an episode of T - 1 control steps."""

    qpos: np.ndarray  # [T,nq] of the robot
    reference: np.ndarray  # [T,nq] of the clip at the same moments
    dt: float  # s from one row to the next
    caption: str = ""
    marks: tuple[tuple[Mark, ...], ...] = ()  # [T] of what is shown beside, () for nothing
    failure: str = ""  # how the episode failed, which the last picture says; "" if it did not


def check(path: Path) -> None:
    """Whether a film can be written there. Raises UserError."""
    files.check(path, "--video", "videos", (".mp4", STRIP))


def render(
    model: mujoco.MjModel, film: Film, style: str = "ghost", size: tuple[int, int] = SIZE,
    watch: Callable[[range], Iterable[int]] = iter,
) -> Iterator[np.ndarray]:  # fmt: skip
    """The pictures [height,width,3] uint8 of a film; the last one of a failed episode stays for HOLD.

    model: of engine.scene.build. style: ghost, beside or none. watch: sees the
    numbers of the rows as they are drawn. Raises UserError for another style, or if there is no OpenGL.
    """
    if style not in REFERENCES:
        raise UserError(f"--reference {style}: allowed are {', '.join(REFERENCES)}")
    height, heading = studio.height(model, film.reference), studio.heading(film.reference)
    distance = DISTANCE * height * (1.2 if style == "beside" else 1.0)
    shot = Shot(azimuth=heading + 90.0 + TURN, elevation=ELEVATION, distance=distance)
    shift = np.zeros(film.qpos.shape[1])
    if style == "beside":
        shift[:2] = APART * height * np.cos(np.deg2rad(heading)), APART * height * np.sin(np.deg2rad(heading))
    look = 0.5 * shift[:3] + _path(film, LOOK * height)
    colour = GHOST if style == "ghost" else BESIDE
    end = len(film.qpos) - 1
    with Studio(model, size, height, shot.azimuth + SUN) as camera:
        for row in watch(range(len(film.qpos))):
            double = None if style == "none" else Double(film.reference[row] + shift, colour)
            failure = f": {film.failure}" if film.failure and row == end else ""
            caption = f"{film.caption} {row * film.dt:5.2f} s".strip() + failure
            image = camera.take(film.qpos[row], look[row], shot, double, caption, film.marks[row] if film.marks else ())
            yield from [image] * (1 + (round(HOLD / film.dt) if failure else 0))


def strip(model: mujoco.MjModel, film: Film, style: str = "ghost") -> np.ndarray:
    """PICTURES of a film side by side, evenly spread from its beginning, as one picture [height,width,3] uint8."""
    apart = max(1, (len(film.qpos) - 1) // (PICTURES - 1))
    rows = slice(0, apart * PICTURES, apart)
    some = film._replace(
        qpos=film.qpos[rows], reference=film.reference[rows], dt=apart * film.dt, marks=film.marks[rows], caption="",
        failure="",
    )  # fmt: skip
    return np.concatenate(list(render(model, some, style, TILE)), axis=1)


def _path(film: Film, height: float) -> np.ndarray:
    """[T,3] m: what the camera looks at, always at one height, so that the robot's own does not move it."""
    ground = gaussian_filter1d(film.qpos[:, :2].astype(np.float64), SMOOTH / film.dt, axis=0, mode="nearest")
    return np.column_stack([ground, np.full(len(ground), height)])
