"""What does not fit the algorithm is refused in one line before anything is compiled, as a run would be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import synthetic_clip

from mimicjax import build, config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.names import NAMES
from mimicjax.run import checks
from mimicjax.types import CLAMP, WRAP

TASK = {"env.task": "steering", "learn.task_reward_weight": 0.5}
# what is wrong -> (config, overrides, words of the error)
REFUSED = {
    "a task beside ADD": ("add_g1", TASK, ["env.task steering", "learn.algorithm ADD", "allowed: learn.algorithm AMP or ASE"]),
    "a task where the clip is": ("deepmimic_g1", TASK, ["env.task steering", "not where the task wants it", "AMP or ASE or SMP"]),
    "a task that nothing rewards": ("amp_g1", {"env.task": "location"}, ["learn.task_reward_weight is 0"]),
    "a discriminator of nothing": ("deepmimic_g1", {"learn.disc_reward_weight": 1}, ["does not read it", "ADD or AMP or ASE"]),
    "an encoder without latents": ("amp_g1", {"learn.enc_reward_weight": 0.5}, ["learn.enc_reward_weight is 0.5", "use ASE"]),
    "latents of AMP": ("amp_g1", {"learn.latent.dim": 8}, ["learn.latent", "'dim': 8", "use ASE"]),
    "a prior of AMP": ("amp_g1", {"learn.smp.prior": "priors/p"}, ["learn.smp is {'prior': 'priors/p'}, and", "use SMP"]),
    "diversity of AMP": ("amp_g1", {"learn.diversity_weight": 1}, ["learn.diversity_weight is 1", "use ASE"]),
    "smoothness of AWR": ("awr_g1", {"learn.lcp_weight": 0.1}, ["learn.lcp_weight is 0.1", "learn.algorithm AWR", "use LCP"]),
    "weights of LCP": ("lcp_g1", {"learn.awr_temp": 2}, ["learn.awr_temp is 2", "learn.algorithm LCP", "use AWR"]),
    "nothing rewarded": ("amp_g1", {"learn.disc_reward_weight": 0}, ["nothing is rewarded"]),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_do_not_fit_the_algorithm(what):
    name, overrides, words = REFUSED[what]
    settings = config.load(RunSettings, name, overrides, NAMES)
    with pytest.raises(UserError) as error:
        build.world(settings)
    text = str(error.value)
    assert "\n" not in text and all(word in text for word in words), text


def test_every_config_fits():
    for name in config.available():
        checks.settings_fit(config.load(RunSettings, name, {}, NAMES))


def test_a_discriminators_window_is_no_longer_than_a_clip_that_ends():
    """31 frames at 30 a second are a second, and so 31 control steps."""
    clip = synthetic_clip(29, CLAMP)
    settings = lambda steps, name="amp_g1": config.load(RunSettings, name, {"env.disc_steps": steps}, NAMES)  # noqa: E731
    checks.clips_fit(settings(31), [clip])
    with pytest.raises(
        UserError, match=r"env.disc_steps is 32, 1.03 s of motion, .* clip synthetic has 1.00 s; .* 1 to 31"
    ):
        checks.clips_fit(settings(32), [clip])
    checks.clips_fit(settings(32), [synthetic_clip(29, WRAP)])  # it goes on for ever
    checks.clips_fit(settings(32, "add_g1"), [clip])  # ADD sees one moment
    with pytest.raises(UserError, match="env.disc_steps is 32"):
        build.world(settings(32), clips=(clip,))


def test_a_replay_smaller_than_an_iteration():
    settings = config.load(
        RunSettings, "amp_g1",
        {"num_envs": 4, "learn.steps_per_iter": 8, "learn.disc.buffer_size": 31, "engine.name": "native"}, NAMES,
    )  # fmt: skip
    with pytest.raises(UserError, match="learn.disc.buffer_size is 31; it must be 0 or hold an iteration's 32 samples"):
        build.training(build.world(settings))


def test_a_weight_below_zero():
    for key in ("learn.disc_reward_weight", "learn.lcp_weight", "env.rewards.pose.weight", "learn.diversity_weight"):
        with pytest.raises(UserError, match=f"{key}.*-1"):
            config.load(RunSettings, "deepmimic_g1", {key: -1}, NAMES)


def test_a_set_with_a_clip_of_another_robot(tmp_path, g1):
    from mimicjax.motion.datasets import load_motions
    from mimicjax.motion.files import write_clip

    right = dataclasses.replace(synthetic_clip(29), robot="g1", dof_names=g1.dof_names)
    wrong = dataclasses.replace(right, robot="k1", dof_names=("neck", *g1.dof_names[1:]))
    other = dataclasses.replace(right, robot="k1", dof_names=("neck",), dof_pos=np.zeros((31, 1)))
    write_clip(tmp_path / "right.npz", right)
    for clip in (wrong, other):
        write_clip(tmp_path / "wrong.npz", clip)
        (tmp_path / "set.yaml").write_text("motions: [{file: right.npz}, {file: wrong.npz, weight: 2}]")
        with pytest.raises(UserError, match=r"motions\[1\].*not those of robot g1 \(the clip is for robot k1\)"):
            load_motions(tmp_path / "set.yaml", g1)
