"""A prior of a normal distribution whose score is known, and what SMP's reward makes of it; what train_prior refuses."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import priors
import pytest

from mimicjax import build, config, train_prior
from mimicjax.config.settings import LearnSettings, RunSettings, SmpSettings
from mimicjax.errors import UserError
from mimicjax.learn import diffusion, prior_files, score
from mimicjax.learn.diffusion import Prior
from mimicjax.types import Rollout

SIZE, T, B = 4, 3, 40
SMP = SmpSettings(
    hidden=[64, 64], gradient_steps=1500, batch_size=256, learning_rate=3e-3, diffusion_steps=[22, 8], loss_scale=0.3
)
MEAN = np.asarray([1.0, -2.0, 0.5, 3.0])
# two numbers that move together, one that hardly moves, one by itself
SPREAD = np.asarray([[1.0, 0.0, 0.0], [1.2, 0.9, 0.0], [0.0, 0.0, 0.01], [0.0, 0.0, 2.0]])


def windows(keys):
    return jax.vmap(lambda key: jnp.asarray(MEAN) + jnp.asarray(SPREAD) @ jax.random.normal(key, (3,)))(keys)


@pytest.fixture(scope="module")
def fitted() -> tuple[Prior, float]:
    """(a prior of windows of a normal distribution, the mean loss of its last steps)."""
    begin, train = diffusion.fitting(SMP, SIZE, windows)
    fit, prior = jax.jit(begin)(jax.random.key(0))
    fit, _ = jax.jit(train)(fit, prior, jax.random.key(1), jnp.int32(SMP.gradient_steps - 100))
    fit, loss = jax.jit(train)(fit, prior, jax.random.key(1), jnp.int32(100))
    return prior._replace(params=fit.averaged), float(loss)


def facts(settings: SmpSettings = SMP) -> dict:
    return {"timesteps": settings.timesteps, "hidden": list(settings.hidden), "size": SIZE}


@pytest.fixture
def folder(fitted, tmp_path):
    prior_files.save(tmp_path / "prior", fitted[0], facts())
    return tmp_path / "prior"


def rollout_of(views: np.ndarray) -> Rollout:
    """A rollout [T,B] of these windows, of which the last environment's physics exploded."""
    flat = jnp.zeros((T, B))
    valid = jnp.ones((T, B), bool).at[:, -1].set(False)
    return Rollout(
        obs={}, last_obs={}, memory=(), pushed=(), action=flat, log_prob=flat, sampled=valid, valid=valid, reward=flat,
        done=flat, end_value=flat, views={score.VIEW: jnp.asarray(views, jnp.float32)},
    )  # fmt: skip


def model_of(folder, **changes):
    smp = dataclasses.replace(SMP, prior=str(folder), **changes)
    return score.SMP.make(LearnSettings(smp_reward_weight=1.0, smp=smp), SIZE, B, 1)


def test_the_trained_prior_is_near_the_score_of_a_normal_distribution(fitted):
    """For mean 0 and covariance C, the expected noise in y, and its median, is sqrt(1 - a) (a C + (1 - a) I)^-1 y."""
    prior, loss = fitted
    std = np.maximum(np.sqrt(np.sum(SPREAD**2, axis=1)), 0.2)
    np.testing.assert_allclose(prior.mean, MEAN, atol=0.1)
    np.testing.assert_allclose(prior.std, std, rtol=0.05)
    scaled = SPREAD / std[:, None]
    for step in (8, 15, 22):
        left = float(diffusion.alphas(SMP.timesteps)[step])
        draw = jax.random.normal(jax.random.key(step), (2000, 3)) @ scaled.T
        noise = jax.random.normal(jax.random.key(100 + step), draw.shape)
        y = diffusion.noised(draw, noise, jnp.float32(left))
        gain = np.sqrt(1 - left) * np.linalg.inv(left * scaled @ scaled.T + (1 - left) * np.eye(SIZE))
        want = np.asarray(y) @ gain.T
        got = diffusion.denoise(SMP, prior.params, y, jnp.full(len(y), step))
        # of the noise's own size 1; a denoiser that sees none of it is off by the root of the mean of want^2
        error = np.sqrt(np.mean((np.asarray(got) - want) ** 2))
        assert error < 0.15 and error < 0.25 * np.sqrt(np.mean(want**2)), (step, error)
    assert loss < np.sqrt(2 / np.pi)  # the mean of |noise|: what seeing nothing would cost


def test_errors_of_a_prior_that_knows_a_single_window(fitted, monkeypatch):
    """A prior of the one window m sees the noise (y - sqrt(a) m) / sqrt(1 - a): its error is a / (1 - a) mean (x - m)^2."""
    only = jnp.asarray([0.3, -0.2, 0.1, 0.0])
    left = jnp.asarray(diffusion.alphas(SMP.timesteps))

    def knows(settings, params, y, step):
        return (y - jnp.sqrt(left[step]) * only) / jnp.sqrt(1.0 - left[step])

    monkeypatch.setattr(diffusion, "denoise", knows)
    prior = fitted[0]
    x = np.asarray(jax.random.normal(jax.random.key(2), (6, SIZE)), np.float64)
    got = score.errors(SMP, prior, jax.random.key(3), jnp.asarray(x * prior.std + prior.mean, jnp.float32))
    ratio = np.asarray([left[step] / (1 - left[step]) for step in SMP.diffusion_steps], np.float64)
    want = np.mean((x - np.asarray(only)) ** 2, axis=-1)[:, None] * ratio
    np.testing.assert_allclose(got, want, rtol=1e-3)


def test_the_clips_own_motion_is_worth_most(folder):
    model = model_of(folder)
    state = model.init(jax.random.key(0))
    real = windows(jax.random.split(jax.random.key(5), T * B)).reshape(T, B, SIZE)
    means = [float(jnp.mean(model.reward(state, rollout_of(real + shift)))) for shift in (0.0, 2.0, 5.0)]
    assert means[0] > means[1] + 0.03 > means[2] + 0.03


def test_a_damaged_prior(folder):
    (folder / "prior.json").write_text("{")
    with pytest.raises(UserError, match="there is no prior"):
        prior_files.load(folder)


def test_train_prior_wants_a_config_with_smp(tmp_path):
    with pytest.raises(UserError, match="has learn.algorithm AMP, allowed: SMP"):
        train_prior.parse(["--config", "amp_g1"])
    (tmp_path / "file").mkdir()
    with pytest.raises(UserError, match="exists and is no prior"):
        train_prior.parse(["--config", "smp_g1", "--out", str(tmp_path / "file")])


def test_a_prior_of_other_windows_is_refused_before_anything_is_compiled(tmp_path):
    """Whether places are seen from the world's origin changes what windows mean, but not their size."""
    here = {"engine.name": "native", "num_envs": 4, "learn.smp.prior": str(tmp_path / "p"), "learn.smp.hidden": [8]}
    world = build.world(config.load(RunSettings, "smp_g1", here))
    facts = build.prior_facts(world)

    def refusal(changes: dict, trained: dict) -> str:
        priors.write(tmp_path / "p", facts["size"], world.settings.learn.smp, facts | trained)
        with pytest.raises(UserError) as error:
            build.parts(world._replace(settings=config.load(RunSettings, "smp_g1", here | changes)))
        return str(error.value)

    assert "was trained with robot humanoid, this run has g1" in refusal({}, {"robot": "humanoid"})
    assert "frame heading, this run has global" in refusal({"env.observations.frame": "global"}, {})
    follows = {"env.observations.frame": "global", "env.observations.terms": ["character", "target"]}
    assert "tracks_root False, this run has True" in refusal(follows, {"frame": "global"})
    assert "control_freq 30, this run has 60" in refusal({"engine.control_freq": 60}, {})
    assert "disc_steps 10, this run has 3" in refusal({}, {"disc_steps": 10})
