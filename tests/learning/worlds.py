"""Probe worlds: tiny environments with a known answer, each of which only one kind of fault can get wrong.

A world is a table over S states, and an argument of the program: all worlds run through one compiled
`run.iteration.chunk`, which is the one that trains robots.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.config.settings import DiscSettings, LearnSettings, OptimizerSettings, StdSettings
from mimicjax.engine import state as engine_state
from mimicjax.env.env import Env, Start
from mimicjax.learn import actor_critic
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.run import rollout
from mimicjax.run.iteration import Parts, chunk
from mimicjax.types import FAILED, RUNNING, Engine, EnvState, Step, TrainState

ENVS, STATES, DISCOUNT, STD = 64, 4, 0.7, 0.2
FAST = OptimizerSettings(type="Adam", learning_rate=3e-3, epochs=4, batch_size=2.0)
LEARN = LearnSettings(
    steps_per_iter=8, discount=DISCOUNT, actor_hidden=[32], critic_hidden=[32], actor=FAST, critic=FAST,
    std=StdSettings(begin=STD),
)  # fmt: skip
DISC = DiscSettings(hidden=[32], optimizer=FAST, grad_penalty=0.1, buffer_size=2048)
ADD = dataclasses.replace(LEARN, algorithm="ADD", task_reward_weight=0.0, disc_reward_weight=1.0, disc=DISC)


class World(NamedTuple):
    """What happens in each state s [S]; an action is one number a."""

    start: jax.Array  # bool, episodes begin here
    reward: jax.Array  # reward[s] + slope[s] a - miss[s] (a - best[s])^2
    slope: jax.Array
    miss: jax.Array
    best: jax.Array
    after: jax.Array  # int, the next state
    done: jax.Array  # done code of the step


def world(
    start: Sequence[int] = (0,), reward: Sequence[float] = (), slope: Sequence[float] = (), best: Sequence[float] = (),
    after: Sequence[int] = (0, 1, 2, 3), done: Sequence[int] = (),
) -> World:  # fmt: skip
    """A world from the values of its first states; without more said, every step fails where it stands."""

    def column(values, rest):
        return jnp.asarray([*values, *[rest] * (STATES - len(values))])

    miss = column([1.0] * len(best), 0.0)
    return World(
        jnp.isin(jnp.arange(STATES), jnp.asarray(start)), column(reward, 0.0), column(slope, 0.0), miss,
        column(best, 0.0), jnp.asarray([*after, *range(len(after), STATES)]), column(done, FAILED),
    )  # fmt: skip


def _fresh(place: World, key: jax.Array) -> jax.Array:
    state = jax.random.categorical(key, jnp.where(place.start, 0.0, -jnp.inf))
    return jax.nn.one_hot(state, STATES)


def _env() -> Env:
    """The world as an Env: qpos is the state, one-hot, and qvel the action, by leave of the engine below."""

    def draw(motion, keys):
        return jnp.zeros(len(keys), jnp.int32), jnp.zeros(len(keys))

    def place(motion, keys, clip, start):
        count = len(keys)
        seen = jax.vmap(lambda key: _fresh(motion, key))(keys)
        begin = Start(jnp.ones(count, bool), seen, jnp.zeros((count, 1)))
        physics = engine_state.init(begin.qpos, begin.qvel)
        whole = jnp.zeros(count, jnp.int32)
        state = EnvState(physics, keys, whole, clip, start, jnp.zeros(count), whole, (), ())
        return state, {"actor": seen, "critic": seen}, begin

    def before(motion, state, action):
        return state, action, jnp.zeros((len(action), 0, 6))

    def one(motion, key, here, action):
        s, a = jnp.argmax(here), action[0]
        reward = motion.reward[s] + motion.slope[s] * a - motion.miss[s] * (a - motion.best[s]) ** 2
        key, draw = jax.random.split(key)
        last = jax.nn.one_hot(motion.after[s], STATES)
        done = motion.done[s].astype(jnp.int8)
        return key, reward, done, last, jnp.where(done == RUNNING, last, _fresh(motion, draw)), motion.best[s][None]

    def after(motion, state):
        action, steps = state.physics.qvel, state.step + 1
        key, reward, done, last, seen, best = jax.vmap(functools.partial(one, motion))(
            state.key, state.physics.qpos, action
        )
        over, total = done != RUNNING, state.reward_sum + reward
        diagnostics = {"episode_length": steps, "episode_return": total, "unstable": jnp.zeros_like(over)}
        obs, last_obs = {"actor": seen, "critic": seen}, {"actor": last, "critic": last}
        step = Step(obs, last_obs, reward, done, action, best, diagnostics)
        state = state._replace(key=key, step=jnp.where(over, 0, steps), reward_sum=jnp.where(over, 0.0, total))
        return state, step, Start(jnp.ones_like(over), seen, jnp.zeros_like(action))

    return Env(place, draw, before, after, 1 / 30, 1)


def _obey(physics, ctrl, wrench, variant):
    return physics._replace(qvel=ctrl)


ENGINE = Engine("probe", engine_state.init, _obey, engine_state.write)


@functools.cache
def _program(algorithm: str):
    """(the first state of a world, the compiled chunk)."""
    learn, env = {"DeepMimic": LEARN, "ADD": ADD}[algorithm], _env()
    models = tuple(make(learn, 1, ENVS) for make in ALGORITHMS[algorithm].reward_models)
    keys = jax.random.split(jax.random.key(0), ENVS + 3)

    def begin(motion):
        agent = actor_critic.init(keys[0], learn, STATES, STATES, 1)
        state, obs = rollout.begin(env, ENGINE, motion, keys[3:], *env.draw(motion, keys[3:]))
        return TrainState(agent, tuple(model.init(keys[1]) for model in models), state, obs, jnp.int32(0), keys[2])

    return jax.jit(begin), jax.jit(chunk(Parts(env, ENGINE, learn, ALGORITHMS[algorithm], models, ENVS, 1, None)))


def train(place: World, iterations: int, algorithm: str = "DeepMimic") -> tuple[TrainState, dict[str, jax.Array]]:
    """So many iterations from seed 0 -> (state, statistics of the last ten)."""
    begin, run = _program(algorithm)
    state, _ = run(begin(place), place, jnp.int32(iterations - 10))
    return run(state, place, jnp.int32(10))


def values(state: TrainState, count: int) -> np.ndarray:
    """What the critic expects of the first states."""
    return np.asarray(actor_critic.values(state.agent, LEARN, {"critic": jnp.eye(STATES)[:count]}))


def actions(state: TrainState, count: int) -> np.ndarray:
    """What the policy would do in the first states."""
    return np.asarray(actor_critic.mode(state.agent, LEARN, {"actor": jnp.eye(STATES)[:count]}))[:, 0]
