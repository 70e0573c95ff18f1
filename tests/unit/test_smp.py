"""SMP's diffusion prior and its reward, against closed forms."""

from __future__ import annotations

import dataclasses
import errno
import os

import jax
import jax.numpy as jnp
import numpy as np
import priors
import pytest
from conftest import arrays

from mimicjax import statistics
from mimicjax.config.settings import LearnSettings, SmpSettings
from mimicjax.errors import UserError
from mimicjax.learn import diffusion, prior_files, score
from mimicjax.learn.diffusion import Prior
from mimicjax.types import Rollout

SIZE = 3
STEPS = [2, 5]
SMP = SmpSettings(hidden=[], timesteps=10, diffusion_steps=STEPS, reward_scale=2.0, loss_scale=0.5)


def test_the_schedule_is_a_squared_cosine():
    """What is left after step t is f(t + 1) / f(0), f(u) = cos^2((u / T + 0.008) / 1.008 pi / 2), but for the cut at the end."""
    left = diffusion.alphas(50)
    f = lambda u: np.cos((u / 50 + 0.008) / 1.008 * np.pi / 2) ** 2  # noqa: E731
    np.testing.assert_allclose(left[:-1], f(np.arange(1, 50)) / f(0), rtol=1e-4)
    assert left[-1] == pytest.approx(left[-2] * 0.001, rel=1e-3) and left[0] > 0.995


def test_noise_takes_variance_away_and_brings_it():
    keys = jax.random.split(jax.random.key(0))
    x, noise = (3.0 * jax.random.normal(keys[0], (4096, 2)), jax.random.normal(keys[1], (4096, 2)))
    mixed = diffusion.noised(x, noise, jnp.full(4096, 0.3))
    assert float(jnp.std(mixed)) == pytest.approx(np.sqrt(0.3 * 9 + 0.7), rel=0.03)
    assert float(jnp.mean(mixed * x)) == pytest.approx(np.sqrt(0.3) * 9, rel=0.06)


def test_a_trained_prior_knows_the_score_of_a_gaussian():
    """Two numbers that are always equal, normal: the noise expected in x is sqrt(1 - a) (a S + (1 - a) I)^-1 x."""
    settings = SmpSettings(hidden=[64, 64], timesteps=20, gradient_steps=1500, batch_size=256, learning_rate=3e-3)

    def draw(keys):
        return 5.0 + 2.0 * jnp.tile(jax.vmap(jax.random.normal)(keys)[:, None], (1, 2))

    begin, train = diffusion.fitting(settings, 2, draw)
    fit, prior = jax.jit(begin)(jax.random.key(0))
    np.testing.assert_allclose(prior.mean, 5.0, atol=0.1)
    np.testing.assert_allclose(prior.std, 2.0, atol=0.1)
    fit, loss = jax.jit(train)(fit, prior, jax.random.key(1), jnp.int32(settings.gradient_steps))
    assert int(fit.step) == settings.gradient_steps and float(loss) < 0.8  # the mean size of normal noise
    x = np.asarray([[0.5, 0.5], [1.0, -1.0], [-1.0, 0.0]], np.float32)
    for step in (6, 12):
        left = float(diffusion.alphas(20)[step])
        spread = left * np.ones((2, 2)) + (1 - left) * np.eye(2)
        want = np.sqrt(1 - left) * x @ np.linalg.inv(spread)
        got = diffusion.denoise(settings, fit.averaged, jnp.asarray(x), jnp.full(3, step))
        np.testing.assert_allclose(got, want, atol=0.2)


def ignorant(tmp_path, answer: float) -> SmpSettings:
    """A prior that always sees noise of this size in every number, whatever it is shown."""
    settings = dataclasses.replace(SMP, prior=str(tmp_path / "prior"))
    params = {
        "params": {"Dense_0": {"kernel": jnp.zeros((SIZE + diffusion.CLOCK, SIZE)), "bias": jnp.full(SIZE, answer)}}
    }
    facts = {"timesteps": 10, "hidden": [], "size": SIZE}
    prior_files.save(tmp_path / "prior", Prior(params, jnp.zeros(SIZE), jnp.ones(SIZE)), facts)
    return settings


def rollout(windows, valid) -> Rollout:
    empty = dict.fromkeys(Rollout._fields, ())
    return Rollout(**{**empty, "views": {score.VIEW: windows}, "valid": valid})


def test_the_reward_of_a_prior_that_sees_always_the_same(tmp_path):
    """Its error is the mean of (answer - noise)^2, about 1 + answer^2; a reward is scale exp(-loss_scale error / mean error)."""
    settings = ignorant(tmp_path, 2.0)
    model = score.SMP.make(LearnSettings(smp=settings, smp_reward_weight=0.5), SIZE, 8, 1)
    assert (model.name, model.weight) == ("Smp", 0.5)
    state = model.init(jax.random.key(0))
    windows = jax.random.normal(jax.random.key(1), (64, 8, SIZE))
    valid = jnp.ones((64, 8), bool).at[0].set(False)
    flat = windows.reshape(-1, SIZE)
    gaps = np.asarray(score.errors(settings, state.prior, jax.random.wrap_key_data(state.key), flat))
    np.testing.assert_allclose(gaps.mean(axis=0), 1 + 2.0**2, rtol=0.1)
    reward = model.reward(state, rollout(windows, valid))
    np.testing.assert_allclose(reward.reshape(-1), 2 * np.exp(-0.5 * gaps.mean(axis=1)), rtol=1e-4)
    after, stats = model.update(
        jax.random.key(2), state, rollout(windows, valid), lambda key: flat, jnp.asarray(True), None
    )
    np.testing.assert_allclose(after.norm.mean, gaps[8:].mean(axis=0), rtol=1e-5)
    shown = statistics.values(stats)
    assert shown["Sds_Loss_Mean"] == pytest.approx(gaps[8:].mean(), rel=1e-5)
    assert shown["Sds_Loss_Std"] == pytest.approx(gaps[8:].mean(axis=-1).std(ddof=1), rel=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(arrays(after.prior), arrays(state.prior), strict=True))
    again = model.reward(after, rollout(windows, valid)).reshape(-1)
    fresh = np.asarray(score.errors(settings, state.prior, jax.random.wrap_key_data(after.key), flat))
    assert np.abs(fresh - gaps).max() > 0.1  # other noise
    want = 2 * np.exp(-0.5 * (fresh / gaps[8:].mean(axis=0)).mean(axis=1))
    np.testing.assert_allclose(again, want, rtol=1e-4)


def test_noise_belongs_to_a_window():
    """Not to its place in the batch: devices that split it otherwise draw the same."""
    prior = Prior({"params": {"Dense_0": {"kernel": jnp.zeros((SIZE + 32, SIZE)), "bias": jnp.zeros(SIZE)}}}, 0.0, 1.0)
    windows = jax.random.normal(jax.random.key(1), (6, SIZE))
    whole = score.errors(SMP, prior, jax.random.key(0), windows)
    np.testing.assert_array_equal(score.errors(SMP, prior, jax.random.key(0), windows[3:]), whole[3:])
    assert len(np.unique(np.asarray(whole))) == whole.size


def test_a_prior_is_saved_whole(tmp_path):
    written = priors.write(tmp_path / "p", SIZE, SmpSettings(hidden=[4], prior=str(tmp_path / "p")), {"robot": "g1"})
    prior = prior_files.load(tmp_path / "p")
    assert prior.params["params"]["Dense_0"]["kernel"].shape == (SIZE + diffusion.CLOCK, 4)
    assert prior_files.read_facts(tmp_path / "p")["robot"] == "g1"
    priors.write(tmp_path / "p", SIZE, written, {"robot": "humanoid"})  # in the place of the other
    assert prior_files.read_facts(tmp_path / "p")["robot"] == "humanoid"
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_prior_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    priors.write(tmp_path / "p", SIZE, facts={"robot": "g1"})
    rename = os.rename

    def full(source, target):
        if target == tmp_path / "p" and "old" not in source.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(UserError, match="p: the prior cannot be written .No space left"):
        priors.write(tmp_path / "p", SIZE, facts={"robot": "go2"})
    assert prior_files.read_facts(tmp_path / "p")["robot"] == "g1"
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/p: a prior cannot be written there"):
        prior_files.prepare(tmp_path / "file" / "p")
    prior_files.prepare(tmp_path / "new" / "p")
    assert not list((tmp_path / "new").iterdir())


def test_mistakes_are_one_line(tmp_path):
    make = lambda **smp: score.SMP.make(LearnSettings(smp=dataclasses.replace(SMP, **smp)), SIZE, 8, 1)  # noqa: E731
    with pytest.raises(UserError, match="learn.smp.prior: given none; python -m mimicjax.train_prior makes one"):
        make()
    with pytest.raises(UserError, match="there is no prior in '.*nowhere'"):
        make(prior=str(tmp_path / "nowhere"))
    priors.write(tmp_path / "p", SIZE + 1, SmpSettings(hidden=[4], timesteps=10), {"robot": "g1"})
    with pytest.raises(UserError, match="was trained with hidden \\[4\\], this run has \\[\\]"):
        make(prior=str(tmp_path / "p"))
    with pytest.raises(UserError, match="was trained with size 4, this run has 3"):
        make(prior=str(tmp_path / "p"), hidden=[4])
    with pytest.raises(UserError, match="was trained with robot g1, this run has go2"):
        prior_files.check(tmp_path / "p", {"robot": "go2"})
    with pytest.raises(UserError, match="diffusion_steps: given \\[12\\], .*below learn.smp.timesteps 10"):
        make(prior=str(tmp_path / "p"), diffusion_steps=[12])
