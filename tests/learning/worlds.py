"""Probe worlds: tiny environments with a known answer, each of which only one kind of fault can get wrong.

A world is a table over S states, and an argument of the program: all worlds run through one compiled
`run.iteration.chunk`, which is the one that trains robots.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.config.learn import EncSettings, LatentSettings
from mimicjax.config.settings import DiscSettings, LearnSettings, OptimizerSettings, StdSettings
from mimicjax.engine import state as engine_state
from mimicjax.env.env import Env, Start
from mimicjax.env.view import Part
from mimicjax.learn import acting, actor_critic, latent
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.learn.sockets import Policy, Spec
from mimicjax.run import rollout
from mimicjax.run.iteration import Parts, chunk
from mimicjax.statistics import values as numbers
from mimicjax.types import FAILED, RUNNING, Array, Engine, EnvState, Step, TrainState

ENVS, STATES, DISCOUNT, STD = 64, 4, 0.7, 0.2
SAMPLED = 0.25  # share of actions that are sampled; the others are the mode and teach the policy nothing
FAR = 40.0  # states are seen as 40 + one-hot: without its normaliser every observation is clipped to the same
FINE = 1e-3  # size of what ADD sees of an error of 1: without its normaliser it can hardly tell it from none
FAST = OptimizerSettings(type="Adam", learning_rate=3e-3, epochs=4, batch_size=2.0)
LEARN = LearnSettings(
    steps_per_iter=8, discount=DISCOUNT, actor_hidden=[32], critic_hidden=[32], actor=FAST, critic=FAST,
    std=StdSettings(begin=STD), exp_prob_beg=SAMPLED, exp_prob_end=SAMPLED,
)  # fmt: skip
DISC = DiscSettings(hidden=[32], optimizer=FAST, grad_penalty=0.1, buffer_size=2048)
ADD = dataclasses.replace(LEARN, algorithm="ADD", task_reward_weight=0.0, disc_reward_weight=1.0, disc=DISC)
ASE = dataclasses.replace(
    ADD, algorithm="ASE", enc_reward_weight=1.0, enc=EncSettings(hidden=[32], optimizer=FAST),
    disc=dataclasses.replace(DISC, grad_penalty=1.0), latent=LatentSettings(dim=2), diversity_tar=0.5,
    diversity_weight=1.0,
)  # fmt: skip
LEASH = 0.5  # how far LCP lets the means of two states be from zero, see test_worlds.py
SETTINGS = {
    "DeepMimic": LEARN,
    "AWR": dataclasses.replace(LEARN, algorithm="AWR"),
    "LCP": dataclasses.replace(LEARN, algorithm="LCP", actor_hidden=[], lcp_weight=STD / (SAMPLED * LEASH)),
    "AMP": dataclasses.replace(ADD, algorithm="AMP", disc=dataclasses.replace(DISC, grad_penalty=1.0)),
    "ASE": ASE,
    "ADD": ADD,
}
SPEC = Spec({"actor": STATES}, ("actor",), ("actor",), actions=1)


def spec(algorithm: str) -> Spec:
    """Of a world for a row of the table: ASE needs a plane for its latents on a circle."""
    return SPEC._replace(actions=2 if algorithm == "ASE" else 1)


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


def _perfect(place: World, key: jax.Array, size: int) -> jax.Array:
    """An action [size] as a policy would take it whose means are `best`: then nothing tells it from a demonstration.

    In the plane of ASE `best` is how far from zero it is, in any direction.
    """
    where, how, noise, which = jax.random.split(key, 4)
    best = place.best[jnp.argmax(_fresh(place, where))]
    direction = latent.draw(which, size) if size > 1 else jnp.ones(1)
    sampled = jax.random.uniform(how) < SAMPLED
    return best * direction + jnp.where(sampled, STD * jax.random.normal(noise, (size,)), 0.0)


def seen(states: Array) -> Array:
    """Observations of states, one-hot [...,S]."""
    return FAR + states


def looks(actions: Array) -> Array:
    """What a discriminator of motion sees of actions [...,A]: far from zero, so that it must be normalised."""
    return FAR + actions


def _env(size: int = 1) -> Env:
    """The world as an Env: qpos is the state, one-hot, and qvel the action [size], by leave of the engine below."""

    def draw(motion, keys):
        return jnp.zeros(len(keys), jnp.int32), jnp.zeros(len(keys))

    def place(motion, keys, clip, start):
        count = len(keys)
        states = jax.vmap(lambda key: _fresh(motion, key))(keys)
        begin = Start(jnp.ones(count, bool), states, jnp.zeros((count, size)))
        whole = jnp.zeros(count, jnp.int32)
        state = EnvState(
            physics=engine_state.init(begin.qpos, begin.qvel), key=keys, step=whole, clip=clip, start=start,
            reward_sum=jnp.zeros(count), variant=whole, push=(), noise=(), history=(), task=(),
        )  # fmt: skip
        return state, {"actor": seen(states)}, begin

    def before(motion, state, action):
        return state, action, jnp.zeros((len(action), 0, 6))

    def one(motion, key, here, action):
        s, a = jnp.argmax(here), action[0]
        reward = motion.reward[s] + motion.slope[s] * a - motion.miss[s] * (a - motion.best[s]) ** 2
        key, draw = jax.random.split(key)
        last = jax.nn.one_hot(motion.after[s], STATES)
        done = motion.done[s].astype(jnp.int8)
        following = jnp.where(done == RUNNING, last, _fresh(motion, draw))
        return key, reward, done, last, following, FINE * (motion.best[s] - action[:1])

    def advance(motion, state):
        """(state if every episode goes on, step, states that follow resets [B,S])."""
        steps = state.step + 1
        key, reward, done, last, following, difference = jax.vmap(functools.partial(one, motion))(
            state.key, state.physics.qpos, state.physics.qvel
        )
        total = state.reward_sum + reward
        step = Step(
            obs={"actor": seen(last)}, last_obs={"actor": seen(last)}, reward=reward, done=done,
            views={"difference": difference, "motion": looks(state.physics.qvel)},
            unstable=jnp.zeros(len(done), bool), terms={"all": reward}, errors={},
            episode_length=steps, episode_return=total, statistics={},
        )  # fmt: skip
        return state._replace(key=key, step=steps, reward_sum=total), step, following

    def after(motion, state):
        state, step, following = advance(motion, state)
        over = step.done != RUNNING
        begin = Start(jnp.ones_like(over), following, jnp.zeros_like(state.physics.qvel))
        state = state._replace(step=jnp.where(over, 0, state.step), reward_sum=jnp.where(over, 0.0, state.reward_sum))
        return state, step._replace(obs={"actor": seen(following)}), begin

    def demonstrate(name, motion, keys):
        if name == "difference":
            return jnp.zeros((len(keys), 1))  # the reference is as far from itself as nothing
        return jax.vmap(lambda key: looks(_perfect(motion, key, size)))(keys)

    block = {"actor": (Part("state", STATES, lambda robot: None),)}  # pyright: ignore[reportArgumentType]
    return Env(
        place=place, draw=draw, before=before, after=after, advance=lambda *args: advance(*args)[:2],
        pushed=lambda state: jnp.zeros(len(state.step)), demonstrate=demonstrate, actor=block, critic=block,
        dt=1 / 30, episode_steps=1,
    )  # fmt: skip


def _obey(physics, ctrl, wrench, variant):
    return physics._replace(qvel=ctrl)


ENGINE = Engine("probe", engine_state.init, _obey, engine_state.write)


def parts(learn: LearnSettings, devices: int = 1, axis: str | None = None) -> Parts:
    """What an iteration of worlds is made of, over all ENVS environments."""
    algorithm, envs, fits = ALGORITHMS[learn.algorithm], ENVS // devices, spec(learn.algorithm)
    return Parts(
        env=_env(fits.actions), engine=ENGINE, settings=learn, spec=fits, policy=algorithm.policy(learn, fits),
        algorithm=algorithm,
        reward_models=tuple(maker.make(learn, fits.actions, envs, devices) for maker in algorithm.reward_models),
        envs=envs, devices=devices, axis=axis,
    )  # fmt: skip


def first(whole: Parts, place: World) -> TrainState:
    """The state of ENVS environments that training begins with."""
    keys = jax.random.split(jax.random.key(0), ENVS + 3)
    state, obs = rollout.begin(whole.env, ENGINE, place, keys[3:], *whole.env.draw(place, keys[3:]))
    return TrainState(
        agent=actor_critic.init(keys[0], whole.settings, whole.spec, whole.policy),
        reward_models=tuple(model.init(keys[1]) for model in whole.reward_models),
        env=state, obs=obs, memory=whole.policy.begin(keys[3:]), iteration=jnp.int32(0), key=keys[2],
    )  # fmt: skip


@functools.cache
def beginning(algorithm: str) -> Callable[[World], TrainState]:
    """The first state of a world, compiled."""
    whole = parts(SETTINGS[algorithm])
    return jax.jit(lambda place: first(whole, place))


def program(algorithm: str, **options: Any) -> Callable:
    """The compiled chunk; options: of the compiler."""
    return jax.jit(chunk(parts(SETTINGS[algorithm])), compiler_options=options or None)


compiled = functools.cache(program)


def train(
    place: World, iterations: int, algorithm: str = "DeepMimic", run: Callable | None = None
) -> tuple[TrainState, dict[str, float]]:
    """So many iterations from seed 0 -> (state, statistics of the last ten). run: a chunk other than the compiled one."""
    run = run or compiled(algorithm)
    state, _ = run(beginning(algorithm)(place), place, jnp.int32(iterations - 10))
    state, stats = run(state, place, jnp.int32(10))
    return state, numbers(stats)


def _policy(algorithm: str) -> Policy:
    return ALGORITHMS[algorithm].policy(SETTINGS[algorithm], spec(algorithm))


def values(state: TrainState, count: int) -> np.ndarray:
    """What the critic expects of the first states."""
    return np.asarray(acting.value(_policy("DeepMimic"), state.agent, {"actor": seen(jnp.eye(STATES)[:count])}, ()))


def actions(state: TrainState, count: int, algorithm: str = "DeepMimic") -> np.ndarray:
    """What the policy would do in the first states."""
    obs = {"actor": seen(jnp.eye(STATES)[:count])}
    return np.asarray(acting.mode(_policy(algorithm), state.agent, obs, ()))[:, 0]


def skills(state: TrainState, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """(latents all around the circle, what the policy of ASE does by each in the first state), both [count,2]."""
    angle = 2 * jnp.pi * jnp.arange(count) / count
    z = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    obs = {"actor": seen(jnp.tile(jnp.eye(STATES)[0], (count, 1)))}
    mode = acting.mode(_policy("ASE"), state.agent, obs, latent.Latent(z, jnp.ones(count)))
    return np.asarray(z), np.asarray(mode)
