"""The page in the browser: what is to be seen, and what can be done."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mimicjax.errors import UserError
from mimicjax.viewer.simulation import Frame, Simulation
from mimicjax.viewer.stage import Stage

PLOTTED = 300  # control steps
SHOVE = 0.2  # s, as in push sweeps
BESIDE = 0.9  # m
REDRAW = 6  # frames between two drawings of the plots


def library() -> Any:
    """The packages viser and mjviser. Raises UserError where they are not installed."""
    try:
        import mjviser
        import viser
        import viser.uplot
    except ImportError:
        raise UserError('viser and mjviser are not installed: pip install mjviser, or ".[view]" here') from None
    return viser, mjviser


class Wishes(NamedTuple):
    """What the user asked for since the last step."""

    reset: tuple[int, float] | None  # clip and s
    single: bool  # one control step, though paused
    run: str | None  # another policy


class Page:
    """Widgets and scene; its callbacks come from other threads, so wishes and shoves are kept behind a lock."""

    def __init__(self, host: str, port: int, names: Sequence[str], export: Callable[[], str]) -> None:
        """names: of the policies to choose among. export: what the button does, giving what it wrote."""
        self._viser, self._mjviser = library()
        self.server = self._viser.ViserServer(host=host, port=port, verbose=False, label="mimicjax")
        self._lock = threading.Lock()
        self._reset: tuple[int, float] | None = None
        self._single, self._run = False, None
        self._push, self._left = np.zeros(3), 0  # N, and control steps it still lasts
        self._pushed = ""
        self._names, self._export = list(names), export
        self._rows: deque[tuple[float, float, float]] = deque(maxlen=PLOTTED)
        self._count = 0

    @property
    def port(self) -> int:
        """That the page is served on."""
        return self.server.get_port()

    def show(self, simulation: Simulation) -> None:
        """Build the page for a simulation, in the place of the one before."""
        with self._lock:
            self.server.scene.reset()
            self.server.gui.reset()
            self._simulation, self._stage = simulation, Stage(simulation.world)
            self._scene = self._mjviser.ViserMujocoScene(self.server, self._stage.model, num_envs=1)
            self._arrow: Any = None
            self._rows.clear()
            self._left = 0
        self._playing()
        self._clips()
        self._pushing()
        self._figures()
        self._scene.create_scene_gui(camera_distance=3.2, camera_azimuth=130.0, camera_elevation=12.0)
        self._scene.show_contact_forces = False

        @self.server.scene.on_click(modifier="shift")
        def _(event: Any) -> None:
            self._clicked(event)

    def _playing(self) -> None:
        gui = self.server.gui
        with gui.add_folder("Play"):
            if len(self._names) > 1:
                choice = gui.add_dropdown("policy", self._names, initial_value=self._names[0])
                choice.on_update(lambda _: self._wish(run=choice.value))
            self._pause = gui.add_checkbox("pause", False)
            gui.add_button("step", hint="One control step while paused.").on_click(lambda _: self._wish(single=True))
            self._speed = gui.add_slider("speed", 0.1, 3.0, 0.1, 1.0)
            self._ghost = gui.add_dropdown("the clip", ("beside", "in its place", "hidden"), initial_value="beside")
            forces = gui.add_checkbox("contact forces", False)
            forces.on_update(lambda _: setattr(self._scene, "show_contact_forces", forces.value))
            export = gui.add_button("export ONNX")
            export.on_click(lambda _: self._exported(export))

    def _exported(self, button: Any) -> None:
        button.disabled = True
        try:
            note = self._export()
        except UserError as problem:
            note = str(problem)
        button.disabled = False
        for client in self.server.get_clients().values():
            client.add_notification(title="export", body=note)

    def _clips(self) -> None:
        gui, simulation = self.server.gui, self._simulation
        names = [clip.name for clip in simulation.world.clips]
        with gui.add_folder("Clip"):
            clip = gui.add_dropdown("clip", names, initial_value=names[0])
            phase = gui.add_slider("phase", 0.0, 1.0, 0.01, 0.0)

            def begin(_: Any) -> None:
                number = names.index(clip.value)
                self._wish(reset=(number, phase.value * simulation.duration(number)))

            clip.on_update(begin)
            gui.add_button("begin there").on_click(begin)

    def _pushing(self) -> None:
        gui, bodies = self.server.gui, list(self._simulation.bodies)
        first = "torso_link" if "torso_link" in bodies else bodies[0]
        with gui.add_folder("Push"):
            gui.add_markdown(f"Shift and click a body, or the button. A push lasts {SHOVE} s.")
            self._body = gui.add_dropdown("body", bodies, initial_value=first)
            self._heading = gui.add_slider("heading (deg)", -180, 180, 5, 90, hint="0 along x, 90 along y")
            self._impulse = gui.add_slider("impulse (N s)", 0.0, 100.0, 1.0, 20.0)
            gui.add_button("push").on_click(
                lambda _: self.push(self._body.value, self._heading.value, self._impulse.value)
            )

    def _figures(self) -> None:
        gui, series = self.server.gui, self._viser.uplot.Series
        with gui.add_folder("Figures"):
            self._text = gui.add_markdown("")
            empty = tuple(np.zeros(1) for _ in range(4))
            self._plot = gui.add_uplot(
                empty,
                (series(label="s"), *(series(label=name, stroke=colour) for name, colour in
                                      (("reward", "#2a7"), ("error / 10 cm", "#c33"), ("torque / limit", "#37c")))),
                scales={"x": self._viser.uplot.Scale(time=False)},
                aspect=1.6,
            )  # fmt: skip

    def _wish(self, reset: tuple[int, float] | None = None, single: bool = False, run: str | None = None) -> None:
        with self._lock:
            self._reset, self._single, self._run = reset or self._reset, single or self._single, run or self._run

    def wishes(self) -> Wishes:
        """What the user asked for; each is told once."""
        with self._lock:
            told = Wishes(self._reset, self._single, self._run)
            self._reset, self._single, self._run = None, False, None
            return told

    def push(self, body: str, heading: float, impulse: float) -> None:
        """A shove of `impulse` N s at a body, from its next control step on; heading in degrees, 0 along x."""
        angle = np.deg2rad(heading)
        self._shove(body, impulse * np.array([np.cos(angle), np.sin(angle), 0.0]))

    def _shove(self, body: str, impulse: np.ndarray) -> None:
        steps = max(1, round(SHOVE / self._simulation.dt))
        with self._lock:
            self._pushed, self._push, self._left = body, impulse / (steps * self._simulation.dt), steps

    def _clicked(self, event: Any) -> None:
        """Push what a ray from the camera meets, the way the ray goes over the ground."""
        offset = self._scene._scene_offset if self._scene.camera_tracking_enabled else np.zeros(3)
        ray = np.asarray(event.ray_direction)
        with self._lock:
            body = self._stage.hit(np.asarray(event.ray_origin) - offset, ray)
        over = ray * [1.0, 1.0, 0.0]
        if body in self._simulation.bodies and np.linalg.norm(over) > 1e-6:
            self._body.value = body
            self._shove(body, self._impulse.value * over / np.linalg.norm(over))

    def wrench(self) -> np.ndarray | None:
        """Forces and torques [N,6] of the coming control step; None without a push."""
        with self._lock:
            if not self._left:
                return None
            self._left -= 1
            rows = np.zeros((len(self._simulation.bodies), 6))
            rows[self._simulation.bodies.index(self._pushed), :3] = self._push
            return rows

    @property
    def paused(self) -> bool:
        return self._pause.value

    @property
    def speed(self) -> float:
        return self._speed.value

    def draw(self, frame: Frame) -> None:
        """Show a frame."""
        with self._lock, self.server.atomic():
            places, turns = self._stage.pose(frame.qpos, self._clip_of(frame))
            data = self._stage.data
            self._scene.update_from_arrays(places[None], turns[None], qpos=data.qpos[None], qvel=data.qvel[None])
            self._point(places)
        self._rows.append((frame.reward, 10.0 * frame.error, frame.effort))
        self._count += 1
        if self._count % REDRAW == 0:
            self._tell(frame)

    def _clip_of(self, frame: Frame) -> np.ndarray | None:
        """Where the second robot stands [nq]: to the left of its place, or a robot that tracks well would hide in it."""
        if self._ghost.value == "hidden":
            return None
        if self._ghost.value == "in its place":
            return frame.reference
        moved, share = frame.reference.copy(), self._simulation.world.scene.layout.robot_qpos
        w, x, y, z = moved[share][3:7]
        heading = np.arctan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (y * y + z * z))
        moved[share.start : share.start + 2] += BESIDE * np.array([-np.sin(heading), np.cos(heading)])
        return moved

    def _point(self, places: np.ndarray) -> None:
        """The arrow of a push while it lasts."""
        if self._arrow is not None:
            self._arrow.visible = self._left > 0
        if not self._left:
            return
        tip = places[self._stage.model.body(self._pushed).id] - (
            places[1] if self._scene.camera_tracking_enabled else np.zeros(3)
        )
        tail = tip - self._push / 300.0
        if self._arrow is not None:
            self._arrow.remove()
        self._arrow = self.server.scene.add_arrows(
            "/push",
            np.asarray([[tail, tip]], np.float32),
            colors=(230, 60, 40),
            shaft_radius=0.02,
            head_radius=0.05,
            head_length=0.1,
        )

    def _tell(self, frame: Frame) -> None:
        """Figures and plots."""
        clip = self._simulation.world.clips[frame.clip]
        self._text.content = (
            f"**{clip.name}** {frame.time:.1f} s, reward {frame.reward:.2f}, bodies {1000 * frame.error:.0f} mm off"
        )
        rows = np.asarray(self._rows)
        self._plot.data = (self._simulation.dt * np.arange(len(rows)), *(np.ascontiguousarray(c) for c in rows.T))

    def close(self) -> None:
        """Stop serving."""
        self.server.stop()
