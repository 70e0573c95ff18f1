"""What the latents of an ASE run do: python benchmarks/latents.py --run runs/ase_g1.

Each of some latents is held through whole episodes from random phases of the clips. Told are:

- how many episodes are survived, with the latent held, and with another one drawn every `--switch` seconds;
- how well a latent can be told by its motion: every control step is labelled with the clip that is nearest to it (joint angles
  and velocities, height and speed of the root, in standard deviations of the clips). What the clips' shares in an episode are
  is compared with the mean shares of every latent over its other episodes; the nearest one is the guess.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import report  # noqa: I001  before mimicjax: it finds this checkout

from mimicjax import commands, rotation
from mimicjax.errors import UserError
from mimicjax.evaluation import metrics
from mimicjax.evaluation.episodes import Player
from mimicjax.evaluation.output import plain
from mimicjax.evaluation.restored import Restored, engine_for
from mimicjax.learn import latent
from mimicjax.motion.reference import poses_at
from mimicjax.robot import kinematics
from mimicjax.types import FAILED, Array, Pose

FRAMES = 200  # of each clip, what steps are compared with


class Played(NamedTuple):
    """B episodes of T control steps."""

    features: np.ndarray  # [T,B,F]
    alive: np.ndarray  # [T,B] bool, not failed up to and including this step
    survived: np.ndarray  # [B] bool


def features_of(pose: Pose) -> Array:
    """[F] what steps and clips are compared by, as seen from the root's heading."""
    back = rotation.conjugate(rotation.heading_quat(pose.root_quat))
    speed = rotation.rotate(back, pose.root_vel)
    return jnp.concatenate([pose.dof_pos, pose.dof_vel, pose.root_pos[2:], speed, pose.root_ang_vel[2:]])


def play(restored: Restored, z: np.ndarray, switch: float, seed: int) -> Played:
    """Episodes [B] that begin with the latents z [B,Z], held to the end (switch 0) or for `switch` seconds each."""
    world, count = restored.world, len(z)
    player = Player(world.test_env, engine_for(restored, count), restored.policy)
    scope, hold = world.scope, switch or np.inf

    def run(agent: Any, motion: Any, z: Array) -> Any:
        keys = jax.random.split(jax.random.key(seed), count)
        actors = player.begin(motion, keys, *world.test_env.draw(motion, keys))
        actors = actors._replace(memory=latent.Latent(z, jnp.full(count, hold)))

        def step(carry: Any, _: None) -> Any:
            actors, alive = carry
            before = actors.memory
            moment, actors, done = player.step(agent, motion, actors)
            failed = done.done == FAILED
            left = before.left - world.test_env.dt
            drawn = jax.vmap(lambda key: latent.draw(jax.random.fold_in(key, 1), z.shape[1]))(actors.env.key)
            over = left <= 0.0
            memory = latent.Latent(jnp.where(over[:, None], drawn, before.z), jnp.where(over, hold, left))
            pose = lambda p, v: kinematics.pose_of(scope.robot, *scope.layout.of_robot(p, v))  # noqa: E731
            seen = jax.vmap(lambda p, v: features_of(pose(p, v)))(moment.physics.qpos, moment.physics.qvel)
            alive = alive & ~failed
            return (actors._replace(memory=memory), alive), (seen, alive)

        return jax.lax.scan(step, (actors, jnp.ones(count, bool)), None, length=world.test_env.episode_steps)[1]

    features, alive = jax.device_get(jax.jit(run)(restored.agent, world.motion, jnp.asarray(z)))
    return Played(features, alive, alive[-1])


def clip_features(restored: Restored) -> np.ndarray:
    """[clips,FRAMES,F] of every clip."""
    world = restored.world
    numbers = np.repeat(np.arange(len(world.clips)), FRAMES)
    times = np.concatenate([np.linspace(0.0, clip.duration, FRAMES, endpoint=False) for clip in world.clips])
    at = jax.jit(lambda motion, c, t: jax.vmap(features_of)(poses_at(world.robot, motion, c, t)))
    rows = at(world.motion, jnp.asarray(numbers, jnp.int32), jnp.asarray(times, jnp.float32))
    return np.asarray(rows).reshape(len(world.clips), FRAMES, -1)


def nearest_clip(features: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """[T,B] number of the clip with the nearest frame. features [T,B,F], clips [C,K,F]."""
    flat = clips.reshape(-1, clips.shape[-1])
    spread = np.maximum(flat.std(axis=0), 1e-3)
    rows, frames = features.reshape(-1, features.shape[-1]) / spread, flat / spread
    squares = np.sum(frames**2, axis=-1)
    best = [np.argmin(squares - 2.0 * part @ frames.T, axis=-1) for part in np.array_split(rows, 64)]
    return (np.concatenate(best) // clips.shape[1]).reshape(features.shape[:2])


def shares(labels: np.ndarray, alive: np.ndarray, clips: int) -> np.ndarray:
    """[B,C] share of each clip in the steps [T,B] of every episode in which it had not failed."""
    counts = np.stack([np.sum((labels == number) & alive, axis=0) for number in range(clips)], axis=-1)
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)


def told_apart(shares: np.ndarray, which: np.ndarray) -> np.ndarray:
    """[B] bool: whether the latent [B] with the nearest mean shares over its other episodes is the episode's own."""
    hits = np.zeros(len(which), bool)
    for row in range(len(which)):
        others = np.arange(len(which)) != row
        means = np.stack([shares[others & (which == label)].mean(axis=0) for label in np.unique(which)])
        hits[row] = np.unique(which)[np.argmin(np.sum((means - shares[row]) ** 2, axis=-1))] == which[row]
    return hits


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of an ASE run")
    parser.add_argument("--latents", type=int, default=16, help="%(default)s")
    parser.add_argument("--episodes", type=int, default=8, help="of each latent (%(default)s)")
    parser.add_argument("--switch", type=float, default=2.0, help="s until another latent (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="latents", help="results/<name>.json (%(default)s)")
    given = parser.parse_args()
    if given.latents < 2 or given.episodes < 2 or given.switch <= 0:
        raise UserError("--latents and --episodes must be 2 or more, --switch above 0")
    return given


def load(run: Path) -> Restored:
    """The run. Raises UserError if its policy has no latent."""
    restored = commands.restore(run, None, None, None)
    algorithm = restored.world.settings.learn.algorithm
    if algorithm != "ASE":
        raise UserError(f"--run {run}: its algorithm is {algorithm}; it must be ASE")
    return restored


def show(figures: dict[str, metrics.Estimate], chance: float, clips: dict[str, dict[str, float]]) -> str:
    """Two Markdown tables: survival and telling apart; and the clips that each latent is nearest to."""
    text = lambda value: "-" if value is None else f"{100 * value:.0f} %"  # noqa: E731
    rows = [[name, text(figure.value), text(figure.low), text(figure.high)] for name, figure in figures.items()]
    rows.append(["chance", text(chance), "", ""])
    names = list(next(iter(clips.values())))
    lines = [[number, *(text(share) for share in row.values())] for number, row in clips.items()]
    return f"{report.table(['', 'share', 'low', 'high'], rows)}\n\n{report.table(['latent', *names], lines)}"


def main(argv: object = None) -> int:
    given = parse()
    facts = report.begin()
    restored = load(given.run)
    size = restored.world.settings.learn.latent.dim
    drawn = np.stack([latent.draw(key, size) for key in jax.random.split(jax.random.key(given.seed), given.latents)])
    which = np.repeat(np.arange(given.latents), given.episodes)
    held = play(restored, drawn[which], 0.0, given.seed)
    switched = play(restored, drawn[which], given.switch, given.seed + 1)
    names = [clip.name for clip in restored.world.clips]
    of_clips = shares(nearest_clip(held.features, clip_features(restored)), held.alive, len(names))
    figures = {
        "survived": metrics.share(held.survived),
        f"survived, another latent every {given.switch:g} s": metrics.share(switched.survived),
        "told apart": metrics.share(told_apart(of_clips, which)),
    }
    mean = lambda number: of_clips[which == number].mean(axis=0).round(3).tolist()  # noqa: E731
    clips = {str(number): dict(zip(names, mean(number), strict=True)) for number in range(given.latents)}
    setup = {
        "run": given.run.name, "samples": restored.facts.get("samples"), "latents": given.latents,
        "episodes": given.episodes, "switch": given.switch, "chance": 1.0 / given.latents,
    }  # fmt: skip
    told = {name: plain(figure) for name, figure in figures.items()}
    path = report.write(given.name, facts, {**setup, "figures": told, "clips": clips})
    print(f"{show(figures, 1.0 / given.latents, clips)}\n{report.footer(facts)}\nwritten: results/{path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(commands.main("latents", main))
