"""An episode of the policy in the environment, written down step by step: what a player of the exported file must repeat."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.evaluation.episodes import Actors, Player
from mimicjax.evaluation.restored import Restored, engine_for
from mimicjax.types import RUNNING


def record(restored: Restored, clip: int, steps: int, seed: int = 0) -> dict[str, np.ndarray]:
    """One episode from the clip's beginning with mode actions, S <= steps control steps; all float32 but for the flags.

    obs [S,O], action [S,A] (network output), command [S,D] (joint targets, rad), qpos [S,nq] and qvel [S,nv] of the scene
    before the step, reset [S] bool (an episode begins), episode_step [S] int32.
    """
    world = restored.world
    player = Player(world.test_env, engine_for(restored, 1), restored.policy)
    one = lambda value, kind: jnp.full(1, value, kind)  # noqa: E731

    def begin(motion: Any, keys: jax.Array) -> Actors:
        return player.begin(motion, keys, one(clip, jnp.int32), one(0.0, jnp.float32))

    def step(agent: Any, motion: Any, actors: Actors) -> tuple[dict[str, jax.Array], Actors, jax.Array]:
        action = player.action(agent, actors)
        _, command, _ = player.env.before(motion, actors.env, action)
        physics = actors.env.physics
        blocks = [actors.obs[name][0] for name in player.env.actor]
        row = {
            "obs": jnp.concatenate(blocks), "action": action[0], "command": command[0], "qpos": physics.qpos[0],
            "qvel": physics.qvel[0],
        }  # fmt: skip
        _, following, made = player.apply(motion, actors, action)
        return row, following, made.done[0]

    actors, rows, advance = jax.jit(begin)(world.motion, jax.random.split(jax.random.key(seed), 1)), [], jax.jit(step)
    for _ in range(min(steps, player.env.episode_steps)):
        row, actors, done = advance(restored.agent, world.motion, actors)
        rows.append(jax.device_get(row))
        if int(done) != RUNNING:
            break
    table = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    number = np.arange(len(rows), dtype=np.int32)
    return {**table, "reset": number == 0, "episode_step": number}
