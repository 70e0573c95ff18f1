"""Training with randomisation: resumes exactly, tests on the model as given, and the profiles train."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_identical

from mimicjax import build, config, statistics
from mimicjax.config.settings import RunSettings
from mimicjax.run import checkpoint

SMALL = {
    "num_envs": 4, "engine.name": "native", "learn.steps_per_iter": 16, "learn.actor_hidden": [16],
    "learn.critic_hidden": [16], "keep.test_episodes": 2, "randomize.variants": 8,
}  # fmt: skip
MORE = {
    "randomize.delay": [0, 5], "randomize.torque_noise": 0.05, "randomize.torque_noise_per": "substep",
    "randomize.smoothing": [0.0, 0.2], "randomize.when": "reset", "randomize.bias.joint_angles": 0.01,
    # and a reference that follows and waits, starts off it, and the past, all of which is state
    "env.follow.time": 0.5, "env.follow.pull": 0.2, "env.follow.wait": 0.05, "env.observations.frame": "robot",
    "env.observations.terms": ["character", "past", "target"], "env.observations.past_steps": 2,
    "randomize.start.root_velocity": [1.0, 1.0, 0.0], "randomize.start.share": 0.8, "learn.symmetry": True,
}  # fmt: skip


def run(folder, *profiles: str, changes=()) -> RunSettings:
    file = folder / "run.yaml"
    file.write_text(f"extends: [deepmimic_g1, {', '.join(profiles)}]\n")
    return config.load(RunSettings, file, {**SMALL, **dict(changes)})


def test_two_and_two_iterations_are_four(tmp_path) -> None:
    """The table of models is not in the checkpoint: the settings make it again."""
    settings = run(tmp_path, "randomize/playground", changes=MORE)
    world = build.world(settings)
    assert world.settings.engine.frictionloss and any("frictionloss" in note for note in world.notes)
    training, again = build.training(world), build.training(build.world(settings))
    whole, stats = training.chunk(training.place(training.first()), training.motion, jnp.int32(4))
    assert np.isfinite(list(statistics.values(stats).values())).all()
    half, _ = training.chunk(training.place(training.first()), training.motion, jnp.int32(2))
    checkpoint.save(tmp_path / "kept", 2, half, training.facts)
    back, _ = checkpoint.restore(tmp_path / "kept", again.place(again.first()), again.facts)
    parts, _ = again.chunk(back, again.motion, jnp.int32(2))
    assert_identical(whole, parts)
    assert (whole.env.variant >= 1).all() and (whole.env.variant <= 8).all()
    assert all(leaf.shape[0] == 4 for leaf in jax.tree.leaves(whole.env.noise))
    assert np.abs(whole.env.follow.shift).max() > 1e-3 and whole.env.wait.steps.max() > 0


def test_tests_are_on_the_model_as_given(tmp_path) -> None:
    """What a test traces is to the letter what it traces in a run that was never randomised."""
    texts, agent = [], None
    for profile in ("randomize/none", "randomize/videomimic_s1"):
        world = build.world(run(tmp_path, profile, changes={"randomize.variants": 512}))
        # a randomised run's critic has a block of its own; the test's agent is the plain run's
        agent = agent or build.first_agent(world, jax.random.key(0))
        text = str(jax.make_jaxpr(build.training(world).test)(agent, jax.random.key(7)))
        texts.append(re.sub("0x[0-9a-f]+", "", text))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", [name for name in config.fragments() if name.startswith("randomize/")])
def test_profiles_build(name: str, tmp_path) -> None:
    """Each names bodies and things that the G1 has; shapes of a control step from shapes alone."""
    world = build.world(run(tmp_path, name))

    def begin(motion):
        keys = jax.random.split(jax.random.key(0), 4)
        state, *_ = world.env.place(motion, keys, jnp.zeros(4, jnp.int32), jnp.zeros(4))
        state, ctrl, _ = world.env.before(motion, state, jnp.zeros((4, 29)))
        return state, world.env.after(motion, state)[0], ctrl

    before, after, ctrl = jax.eval_shape(begin, world.motion)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), before) == jax.tree.map(lambda x: (x.shape, x.dtype), after)
    assert ctrl.shape == ((4, 4, 29) if world.settings.randomize.delay else (4, 29))
    assert build.engine(world, 4, True).name == "native"
