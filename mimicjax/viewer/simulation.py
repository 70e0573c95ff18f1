"""One environment that goes on for as long as someone looks on: a policy acts, the user pushes."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.engine import scene
from mimicjax.env import follow
from mimicjax.evaluation.episodes import Actors, Player
from mimicjax.evaluation.restored import Restored, engine_for
from mimicjax.motion.reference import Motion, clips_of, poses_at
from mimicjax.robot import kinematics
from mimicjax.types import RUNNING, WRAP, Array

Acting = Literal[
    "policy", "zero", "random", "clip"
]  # the trained policy, no action, noise, or the clip without physics


class Frame(NamedTuple):
    """What is to be seen after a control step; numpy."""

    qpos: np.ndarray  # [nq] of the scene
    qvel: np.ndarray  # [nv]
    ctrl: np.ndarray  # [nu]
    reference: np.ndarray  # [nq] with the robot as in the clip
    clip: int
    time: float  # s in the clip
    reward: float
    error: float  # m, mean of the bodies about the root
    effort: float  # largest torque, as a share of its limit
    done: int  # how an episode ended in this step


class Simulation:
    """The environment, with its functions compiled once; not for several threads at once."""

    def __init__(self, restored: Restored, acting: Acting = "policy", seed: int = 0) -> None:
        """Every body of the robot can be pushed. Raises UserError if the engine cannot run here."""
        world = restored.world
        self.world, self.acting, self._agent = world, acting, restored.agent
        self.bodies = world.robot.body_names
        wide = scene.with_wrench_bodies(world.scene, np.arange(len(self.bodies)))
        self._player = Player(world.test_env, engine_for(restored, 1, wide), restored.policy)
        self._begin, self._step = jax.jit(self._place), jax.jit(self._advance, static_argnames="acting")
        self._keys = np.random.default_rng(seed)
        self._actors: Actors | None = None
        self._last: Frame | None = None
        self.reset(0, 0.0)

    @property
    def dt(self) -> float:
        """s, a control step."""
        return self.world.test_env.dt

    def duration(self, clip: int) -> float:
        """s of a clip."""
        return float(clips_of(self.world.motion).duration[clip])

    def _key(self) -> Array:
        return jax.random.key(np.uint32(self._keys.integers(2**32)))

    def reset(self, clip: int, time: float) -> Frame:
        """Begin an episode at a time (s) of a clip."""
        actors = self._begin(self.world.motion, self._key(), jnp.int32(clip), jnp.float32(time))
        self._actors, self._last = actors, self._frame(self._shown(self.world.motion, actors), {})
        return self._last

    def step(self, wrench: np.ndarray | None = None) -> Frame:
        """A control step with forces and torques [N,6] at the bodies (N, N m; world axes); an episode that ends begins anew."""
        assert self._actors is not None and self._last is not None
        if self.acting == "clip":
            return self._play_clip()
        push = np.zeros((len(self.bodies), 6), np.float32) if wrench is None else np.float32(wrench)
        self._actors, shown, told = self._step(
            self._agent, self.world.motion, self._actors, push, self._key(), acting=self.acting
        )
        self._last = self._frame(shown, told)
        return self._last

    def _play_clip(self) -> Frame:
        """The clip's next pose in the robot's place; a clip that does not loop begins again."""
        last, clips = self._last, clips_of(self.world.motion)
        assert last is not None
        time = last.time + self.dt
        if int(clips.loop[last.clip]) != WRAP and time > self.duration(last.clip):
            time = 0.0
        return self.reset(last.clip, time)

    def use(self, agent: Any) -> None:
        """Act with another agent of the same policy from now on."""
        self._agent = agent

    def _place(self, motion: Motion, key: Array, clip: Array, time: Array) -> Actors:
        return self._player.begin(motion, key[None], clip[None], time[None])

    def _advance(
        self, agent: Any, motion: Motion, actors: Actors, push: Array, key: Array, acting: Acting
    ) -> tuple[Actors, dict[str, Array], dict[str, Array]]:
        env, engine = self._player.env, self._player.engine
        action = self._player.action(agent, actors)
        if acting != "policy":
            action = jax.random.normal(key, action.shape) if acting == "random" else jnp.zeros_like(action)
        state, ctrl, _ = env.before(motion, actors.env, action)
        state = state._replace(physics=engine.step(state.physics, ctrl, push[None], state.variant))
        physics = state.physics
        state, step, begun = env.after(motion, state)
        state = state._replace(physics=engine.write(state.physics, begun.mask, begun.qpos, begun.qvel))
        actors = Actors(state, step.obs, self._player.remember(actors, step.done))
        told = {
            "ctrl": ctrl.reshape(-1, ctrl.shape[-1])[-1], "reward": step.reward[0], "done": step.done[0],
            "error": step.errors["Body_Pos_Err"][0], "qpos": physics.qpos[0], "qvel": physics.qvel[0],
        }  # fmt: skip
        return actors, self._shown(motion, actors), told

    def _shown(self, motion: Motion, actors: Actors) -> dict[str, Array]:
        """Where robot and clip are now."""
        state, robot, layout = actors.env, self.world.robot, self.world.scene.layout
        time = state.clip_time(self.dt)
        pose = poses_at(robot, motion, state.clip, time)
        if state.follow != ():
            pose = jax.vmap(follow.moved)(pose, state.follow)
        reference = layout.with_robot(*kinematics.qpos_of(robot, pose))[0]
        return {
            "qpos": state.physics.qpos[0], "qvel": state.physics.qvel[0], "reference": reference[0],
            "clip": state.clip[0], "time": time[0],
        }  # fmt: skip

    def _frame(self, on_device: dict[str, Array], also: dict[str, Array]) -> Frame:
        shown: dict[str, Any] = jax.device_get(on_device)
        told: dict[str, Any] = jax.device_get(also)
        ctrl = told.get("ctrl", np.zeros(self.world.scene.model.nu))
        return Frame(
            qpos=shown["qpos"], qvel=shown["qvel"], ctrl=ctrl, reference=shown["reference"], clip=int(shown["clip"]),
            time=float(shown["time"]), reward=float(told.get("reward", 0.0)), error=float(told.get("error", 0.0)),
            effort=self._effort(told["qpos"], told["qvel"], ctrl) if told else 0.0,
            done=int(told.get("done", RUNNING)),
        )  # fmt: skip

    def _effort(self, qpos: Any, qvel: Any, ctrl: np.ndarray) -> float:
        """Largest torque of hinges as a share of its limit, from the servo's law."""
        robot, layout = self.world.robot, self.world.scene.layout
        place, speed = layout.of_robot(qpos, qvel)
        if len(place) - 7 != robot.num_dofs:  # ball joints: their angles are no coordinates
            return 0.0
        torque = robot.kp * (ctrl - place[7:]) - robot.kd * speed[6:]
        return float(np.max(np.minimum(np.abs(torque) / robot.torque_limit, 1.0)))
