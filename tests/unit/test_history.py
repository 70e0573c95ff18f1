"""The poses of the last control steps: filled from the clip at a reset, then those of the robot; free if nobody asks."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from conftest import DT, compiled_once

from mimicjax import rotation
from mimicjax.config.settings import EnvSettings, ObservationSettings, RandomizeSettings
from mimicjax.engine import state as engine_state
from mimicjax.env import discriminator, observations
from mimicjax.env import env as environment
from mimicjax.env.discriminator import Sight
from mimicjax.env.view import Part, Term
from mimicjax.motion import library
from mimicjax.robot import symmetry
from mimicjax.run import rollout
from mimicjax.types import RUNNING, Engine

K = 4
STARTS = np.float32([0.02, 0.35, 0.613])  # the first has no three control steps of the clip before it
SETTINGS = EnvSettings(observations=ObservationSettings(terms=["trail"], target_steps=[1]))


def trail(scope):
    """Where the root was in the last K control steps."""
    part = Part("trail", 3 * K, lambda robot: symmetry.vectors(range(K), symmetry.PLACE))
    return Term((part,), lambda view: view.history.root_pos.reshape(-1), history=K)


def glide(physics, ctrl, wrench, variant):
    """Physics that moves every robot 1 cm on."""
    return physics._replace(qpos=physics.qpos.at[:, 0].add(0.01))


GLIDING = Engine("gliding", engine_state.init, glide, engine_state.write)


@pytest.fixture
def env(monkeypatch):
    monkeypatch.setitem(observations.TERMS, "trail", trail)
    return environment.make(small.scope(SETTINGS))


def clip_at(times):
    """Reference poses [...] of the looping clip at these times."""
    query = functools.partial(library.query, small.robot(), small.packed())
    return jax.jit(jax.vmap(query))(jnp.zeros(len(times), jnp.int32), jnp.asarray(times, jnp.float32))


def begin(env, clips):
    keys = jax.random.split(jax.random.key(0), len(STARTS))
    return rollout.begin(env, GLIDING, clips, keys, jnp.zeros(len(STARTS), jnp.int32), jnp.asarray(STARTS))


def test_a_reset_fills_it_from_the_clip(env):
    state, obs = jax.jit(lambda clips: begin(env, clips))(small.packed())
    seen = np.asarray(obs["actor"]).reshape(len(STARTS), K, 3)
    for row, start in enumerate(STARTS):
        poses = clip_at(start + DT * np.arange(1 - K, 1))
        np.testing.assert_allclose(seen[row], poses.root_pos, atol=1e-5)
        for got, want in zip(state.history, poses, strict=True):
            np.testing.assert_allclose(got[row], want[1:], atol=1e-4)
    # a loop goes on before its beginning, where it came from
    assert seen[0, 0, 0] == pytest.approx(0.8 * (STARTS[0] - 3 * DT), abs=1e-5)


def test_it_moves_on_by_one_each_control_step(env):
    """And is the clip's again where an episode ended."""

    @compiled_once
    def step(clips, state, lower):
        qpos = state.physics.qpos.at[:, 2].add(-lower)
        state = state._replace(physics=state.physics._replace(qpos=qpos))
        return rollout.control_step(env, GLIDING, clips, state, jnp.zeros((len(STARTS), 11)))

    state, obs = jax.jit(lambda clips: begin(env, clips))(small.packed())
    states, seen = [state], [obs["actor"]]
    for number in range(K + 2):  # in the third, the second robot falls, and begins anew
        state, end = step(small.packed(), state, jnp.asarray([0.0, 0.8 if number == 2 else 0.0, 0.0]))
        states.append(state)
        seen.append(end.obs["actor"])
    seen, last = np.stack(seen), end.last_obs["actor"]
    seen = seen.reshape(-1, len(STARTS), K, 3)
    for row in (0, 2):  # newest last
        places = np.stack([state.physics.qpos[row, :3] for state in states])
        before = np.asarray(clip_at(STARTS[row] + DT * np.arange(1 - K, 0)).root_pos)
        line = np.concatenate([before, places])
        for step in range(len(states)):
            np.testing.assert_allclose(seen[step, row], line[step : step + K], atol=1e-5)
    fallen = states[3]
    assert fallen.step.tolist() == [3, 0, 3]
    np.testing.assert_allclose(seen[3, 1], clip_at(fallen.start[1] + DT * np.arange(1 - K, 1)).root_pos, atol=1e-5)
    np.testing.assert_array_equal(last, seen[-1].reshape(len(STARTS), -1))


def test_a_reward_model_may_ask_for_it(monkeypatch):
    """Of a clip, its poses stand in for the robot's; the actor sees none of it."""
    sight = lambda scope: Sight(lambda view: view.history.root_pos.reshape(-1), history=K)  # noqa: E731
    monkeypatch.setitem(discriminator.VIEWS, "trail", sight)
    scope = small.scope(EnvSettings(observations=ObservationSettings(target_steps=[1]), random_start=False))
    env = environment.make(scope, views=["trail"])

    @jax.jit
    def run(clips):
        state, _ = begin(env, clips)
        keys = jax.random.split(jax.random.key(1), 8)
        shown = env.demonstrate("trail", clips, keys), env.draw(clips, keys)[0]
        return shown, rollout.control_step(env, GLIDING, clips, state, jnp.zeros((len(STARTS), 11)))

    (shown, clip), (state, step) = run(small.packed())
    loops = np.asarray(clip_at(DT * np.arange(1 - K, 1)).root_pos)
    waits = np.tile(loops[-1], (K, 1))  # before its beginning a clip that does not loop stands in its first frame
    assert set(np.asarray(clip)) == {0, 1}
    np.testing.assert_allclose(shown, [(loops, waits)[number].reshape(-1) for number in np.asarray(clip)], atol=1e-5)
    gone = np.asarray(step.views["trail"]).reshape(-1, K, 3)
    np.testing.assert_allclose(gone[:, -1], state.physics.qpos[:, :3], atol=1e-6)
    assert (np.asarray(step.done) == RUNNING).all() and not env.actor["actor"][0].name.startswith("trail")


PAST = ObservationSettings(terms=["past"], frame="heading", joints="angle", past_steps=2)


def test_what_the_sensors_told_before():
    """Of the two steps before now, the older first, as seen with the heading of now; also where encoders are off."""
    env = environment.make(small.scope(EnvSettings(observations=PAST)), randomize=RandomizeSettings(joint_zero=0.05))
    state, obs = jax.jit(lambda clips: begin(env, clips))(small.packed())
    dofs = small.robot().num_dofs
    rows = np.asarray(obs["critic"]).reshape(len(STARTS), 2, 12 + 2 * dofs)
    poses = [clip_at(STARTS - back * DT) for back in (2, 1, 0)]
    heading = np.asarray(rotation.heading(poses[-1].root_quat))
    c, s, zero = np.cos(heading), np.sin(heading), np.zeros(len(heading))
    axes = np.stack(
        [np.stack([c, s, zero], -1), np.stack([-s, c, zero], -1), np.tile([0.0, 0.0, 1.0], (len(c), 1))], axis=1
    )
    turned = lambda vectors: np.einsum("bij,bj->bi", axes, np.asarray(vectors))  # noqa: E731
    for step, pose in enumerate(poses[:2]):
        six = np.split(np.asarray(rotation.six(pose.root_quat)), 2, axis=-1)
        columns = [*map(turned, (*six, pose.root_vel, pose.root_ang_vel)), pose.dof_pos, pose.dof_vel]
        np.testing.assert_allclose(rows[:, step], np.concatenate(columns, axis=-1), atol=5e-4)
    off = (np.asarray(obs["actor"]) - np.asarray(obs["critic"])).reshape(rows.shape)
    angles = slice(12, 12 + dofs)
    np.testing.assert_allclose(off[..., angles], np.tile(state.noise.zero[:, None], (1, 2, 1)), atol=1e-5)
    assert np.abs(state.noise.zero).max() > 0.03 and not np.delete(off, np.r_[angles], axis=-1).any()


def test_it_is_free_if_nobody_asks(monkeypatch):
    """No field of the state, and to the letter the program of an environment that has never heard of it."""
    settings = EnvSettings(observations=ObservationSettings(target_steps=[1]))
    state = jax.eval_shape(lambda clips: begin(environment.make(small.scope(settings)), clips), small.packed())[0]
    assert state.history == ()
    control = lambda env: str(jax.make_jaxpr(env.after)(small.packed(), state))  # noqa: E731
    without = control(environment.make(small.scope(settings)))
    monkeypatch.setitem(observations.TERMS, "trail", trail)  # a term that no setting names
    assert control(environment.make(small.scope(settings))) == without
