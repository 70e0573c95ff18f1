"""A new observation, reward and failure are a function and a line each: written to a file, imported, trained with."""

from __future__ import annotations

import importlib.util

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import build, config, statistics
from mimicjax.config.settings import RunSettings
from mimicjax.env import observations, rewards, terminations
from mimicjax.env.terminations import Termination
from mimicjax.env.view import View
from mimicjax.errors import UserError
from mimicjax.learn import networks
from mimicjax.robot import kinematics
from mimicjax.run import iteration

TERMS = '''
import jax.numpy as jnp

from mimicjax import rotation
from mimicjax.env.view import Part, Term
from mimicjax.robot import symmetry


def down(view):
    """Which way is down, [3], in the root's axes."""
    return rotation.rotate(rotation.conjugate(view.pose.root_quat), jnp.asarray([0.0, 0.0, -1.0]))


def gravity(scope):
    return Term((Part("gravity", 3, lambda robot: symmetry.vectors([0], symmetry.PLACE)),), down)


def upright(scope):
    return lambda view: 1.0 + down(view)[2]


def tilted(scope, limit):
    return lambda view: down(view)[2] > limit
'''
SMALL = {
    "num_envs": 4, "engine.name": "native", "learn.steps_per_iter": 8, "learn.actor_hidden": [16],
    "learn.critic_hidden": [16], "keep.test_episodes": 2, "env.observations.target_steps": [1],
}  # fmt: skip
NEW = {
    "env.observations.terms": ["character", "gravity", "target"], "env.rewards.upright": {"weight": 0.5, "scale": 2.0},
    "env.terminations.tilted.limit": -0.5, "randomize.noise": {"gravity": 0.1}, "learn.symmetry": True,
}  # fmt: skip


@pytest.fixture
def world(tmp_path, monkeypatch):
    file = tmp_path / "new_terms.py"
    file.write_text(TERMS)
    found = importlib.util.spec_from_file_location("new_terms", file)
    new = importlib.util.module_from_spec(found)
    found.loader.exec_module(new)
    monkeypatch.setitem(observations.TERMS, "gravity", new.gravity)
    monkeypatch.setitem(rewards.ERRORS, "upright", new.upright)
    monkeypatch.setitem(terminations.TERMINATIONS, "tilted", Termination("leaned too far", new.tilted))
    return build.world(config.load(RunSettings, "deepmimic_g1", {**SMALL, **NEW}))


def columns(world) -> slice:
    """Where the new part lies in what the actor sees."""
    parts = world.env.actor["actor"]
    place = [part.name for part in parts].index("gravity")
    begin = sum(part.size for part in parts[:place])
    return slice(begin, begin + parts[place].size)


def poses(world, count: int, seed: int):
    """Robots in random places, turned and bent at random."""
    random = np.random.default_rng(seed)
    qpos = random.normal(size=(count, world.robot.nq)).astype(np.float32)
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    qvel = random.normal(size=(count, world.robot.nv)).astype(np.float32)
    return qpos, kinematics.pose_of(world.robot, qpos, qvel)


def test_they_are_seen_and_judged_by(world):
    """Against rotation matrices written down, in the mirror too."""
    spec, place = build.spec(world), columns(world)
    plain = build.spec(build.world(config.load(RunSettings, "deepmimic_g1", {**SMALL, "learn.symmetry": True})))
    assert spec.blocks == {"actor": plain.blocks["actor"] + 3, "critic": plain.blocks["actor"] + 3}
    qpos, pose = poses(world, 5, 0)
    w, x, y, z = qpos[:, 3:7].T
    up = np.stack(
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x**2 + y**2)], axis=1
    )  # third row of the rotation
    targets = jax.tree.map(lambda leaf: leaf[:, None], pose)
    view = View.of(pose, pose)._replace(targets=targets, phase=jnp.zeros(5))
    seen = jax.jit(jax.vmap(observations.make(world.scope).see))(view)
    np.testing.assert_allclose(seen[:, place], -up, atol=1e-5)
    mirrored = networks.reflect(spec.mirror.blocks["actor"], seen)  # the mirror turns y around
    np.testing.assert_allclose(mirrored[:, place], -up * [1, -1, 1], atol=1e-5)
    _, terms = jax.jit(jax.vmap(rewards.make(world.scope)))(view)
    np.testing.assert_allclose(terms["upright"], np.exp(-2.0 * (1.0 - up[:, 2])), rtol=1e-4)
    assert 0 < (up[:, 2] < 0.5).sum() < 5
    failures = terminations.tests(world.scope)
    np.testing.assert_array_equal(jax.vmap(failures["tilted"])(view), up[:, 2] < 0.5)
    leaning = jax.tree.map(lambda leaf: leaf[int(np.argmin(up[:, 2]))], view)
    leaning = leaning._replace(
        pose=leaning.pose._replace(body_pos=leaning.pose.body_pos + jnp.asarray([0.0, 0.0, 9.0]))
    )
    leaning = leaning._replace(reference=leaning.pose)
    assert terminations.reason(world.scope, leaning) == "leaned too far"


def test_they_train(world, monkeypatch):
    """Two iterations, with noise on the new part and on nothing else; a second call traces nothing."""
    chex.clear_trace_counter()
    for part in ("roll", "learn"):
        monkeypatch.setattr(iteration, part, chex.assert_max_traces(getattr(iteration, part), 1))
    training = build.training(world)
    start = training.place(training.first())
    noise = np.abs(np.asarray(start.obs["actor"]) - np.asarray(start.obs["critic"]))
    assert (noise[:, columns(world)] > 0).all() and noise.max() <= 0.1 + 1e-6
    assert not np.delete(noise, columns(world), axis=1).any()
    before = jax.device_get(start.agent)
    state, first = training.chunk(start, training.motion, jnp.int32(1))
    state, second = training.chunk(state, training.motion, jnp.int32(1))
    assert int(state.iteration) == 2
    row = statistics.values(statistics.merge(jax.device_get(first), jax.device_get(second)))
    losses = [row[name] for name in ("Actor_Loss", "Critic_Loss", "KL", "reward_mean", "Obs_Norm_Std")]
    assert np.isfinite(losses).all() and 0.5 < row["reward_upright"] <= 1.0
    for name in ("actor", "critic"):
        changed = jax.tree.map(lambda a, b: bool((a != b).any()), getattr(before, name), getattr(state.agent, name))
        assert any(jax.tree.leaves(changed)), name
    moments = state.agent.norm["actor"]
    assert float(moments.count) == 2 * 4 * 8 and np.isfinite(np.asarray(moments.var)).all()
    assert moments.mean[columns(world)][1] == 0.0, "its mirror image is counted beside each"


def test_names_are_told(world):
    for key, words in (
        ("env.observations.terms=[gravty]", "did you mean gravity"),
        ("env.rewards.upwright.weight=1", "did you mean upright"),
        ("env.terminations.tilt.limit=1", "did you mean tilted"),
        ("randomize.noise.gravit=1", "did you mean gravity"),
    ):
        with pytest.raises(UserError, match=words):
            build.world(config.load(RunSettings, "deepmimic_g1", [key, "engine.name=native", "num_envs=4"]))
