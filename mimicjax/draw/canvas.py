"""Drawing without a screen: an OpenGL context from EGL or OSMesa, whichever works here."""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from typing import Any

import mujoco
import numpy as np

from mimicjax.errors import UserError

TRY_SECONDS = 60
_TRY = "from mujoco.{0} import GLContext; c = GLContext(8, 8); c.make_current(); c.free()"


@functools.cache
def backend() -> str:
    """The OpenGL platform to draw with: what MUJOCO_GL asks for, else the first that works of EGL and OSMesa.

    Each is tried in a process of its own: a driver may crash it, and PyOpenGL keeps the platform it first met.
    Raises UserError if none works.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    names = ("cgl",) if sys.platform == "darwin" else ("egl", "osmesa")
    if asked in ("egl", "osmesa", "glfw", "cgl"):
        names = (asked,)
    reasons = []
    for name in names:
        problem = _problem(name)
        if problem is None:
            return name
        reasons.append(f"{name}: {problem}")
    hint = "" if names != (asked,) else " (MUJOCO_GL asks for it)"
    raise UserError(
        f"cannot draw without a screen{hint}: {'; '.join(reasons)}. On Debian or Ubuntu install one of the two: "
        "apt-get install libegl1 (with a GPU's driver, or libgl1-mesa-dri), or apt-get install libosmesa6"
    )


def _problem(name: str) -> str | None:
    """Why a platform cannot draw here, in a line; None if it can."""
    settings = {**os.environ, "MUJOCO_GL": name, "PYOPENGL_PLATFORM": name}
    command = [sys.executable, "-c", _TRY.format(name)]
    try:
        done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=TRY_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer in {TRY_SECONDS} s"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"ended with code {done.returncode}"


class Canvas:
    """Draws MuJoCo scenes into arrays; close it (or use `with`), or the driver complains at the end of the process."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int, shadows: int = 4096, samples: int = 4) -> None:
        """model: its offscreen size and quality are set here. Raises UserError if there is no OpenGL."""
        self.name = backend()
        os.environ["PYOPENGL_PLATFORM"] = self.name  # PyOpenGL reads it when it is first imported
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        quality = model.vis.quality
        quality.shadowsize, quality.offsamples = shadows, samples
        # finer ones look no better at this size, and without a GPU they take two thirds of the time
        quality.numslices, quality.numstacks = min(28, quality.numslices), min(16, quality.numstacks)
        self._rect, self._pixels = mujoco.MjrRect(0, 0, width, height), np.empty((height, width, 3), np.uint8)
        try:
            # mujoco.Renderer is not used: it takes the platform that was set when mujoco was first imported
            self._context: Any = importlib.import_module(f"mujoco.{self.name}").GLContext(width, height)
            self._context.make_current()
            self._drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150.value)
        except (ImportError, RuntimeError, mujoco.FatalError) as problem:
            raise UserError(f"cannot draw with {self.name}: {' '.join(str(problem).split())}") from problem
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._drawing)

    def draw(self, scene: mujoco.MjvScene, caption: str = "") -> np.ndarray:
        """The picture [height,width,3] uint8 of a scene, with a caption at its top left."""
        self._context.make_current()
        mujoco.mjr_render(self._rect, scene, self._drawing)
        if caption:
            place, font = mujoco.mjtGridPos.mjGRID_TOPLEFT, mujoco.mjtFont.mjFONT_NORMAL
            mujoco.mjr_overlay(font.value, place.value, self._rect, caption, "", self._drawing)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._drawing)
        return np.flipud(self._pixels).copy()

    def close(self) -> None:
        """Give the context back."""
        if self._context is not None:
            self._drawing.free()
            self._context.free()
            self._context = None

    def __enter__(self) -> Canvas:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
