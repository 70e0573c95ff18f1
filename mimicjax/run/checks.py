"""What settings and clips must agree on for the algorithm, looked at before anything is compiled."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from mimicjax.config import follow
from mimicjax.config.settings import LearnSettings, RunSettings
from mimicjax.env import rewards
from mimicjax.env.view import tracks_root
from mimicjax.errors import UserError
from mimicjax.learn import algorithms
from mimicjax.types import WRAP, Clip

# keys of `learn` that only these algorithms read: with another, a value that is not the default is a mistake
ONLY = {
    "disc_reward_weight": ("ADD", "AMP", "ASE", "HRL"),
    "enc_reward_weight": ("ASE",),
    "smp_reward_weight": ("SMP",),
    "smp": ("SMP",),
    "diversity_weight": ("ASE",),
    "diversity_tar": ("ASE",),
    "latent": ("ASE", "HRL"),
    "awr_temp": ("AWR",),
    "a_weight_clip": ("AWR",),
    "lcp_weight": ("LCP",),
}
SHORTEST = 20  # iterations over which noise may anneal without a word
STYLE = ("AMP", "ASE", "SMP", "HRL")  # those that imitate how, and not when and where: they leave room for a task


def settings_fit(settings: RunSettings) -> None:
    """Raises UserError for keys that the algorithm does not read, a task that it cannot take, and nothing to learn from."""
    learn, env = settings.learn, settings.env
    algorithms.of(learn.algorithm)
    defaults = LearnSettings()
    for name, users in ONLY.items():
        value, default = getattr(learn, name), getattr(defaults, name)
        if learn.algorithm not in users and value != default:
            shown = _changed(value, default) if dataclasses.is_dataclass(value) else f"{value:g}"
            raise UserError(
                f"learn.{name} is {shown}, and learn.algorithm {learn.algorithm} does not read it; "
                f"leave it out, or use {' or '.join(users)}"
            )
    _check_task(settings)
    _check_follow(settings)
    rewarded = learn.task_reward_weight > 0 and rewards.any_of(env)
    learned = max(learn.disc_reward_weight, learn.enc_reward_weight, learn.smp_reward_weight) > 0
    if not rewarded and not learned:
        raise UserError(
            f"learn.algorithm {learn.algorithm}: nothing is rewarded; give env.rewards or env.task with "
            "learn.task_reward_weight above 0, or a weight of a reward that is learned"
        )


def _changed(value: Any, default: Any) -> dict[str, Any]:
    """The keys of a section that are not at their defaults."""
    return {key: x for key, x in vars(value).items() if x != getattr(default, key)}


def _check_task(settings: RunSettings) -> None:
    learn, env = settings.learn, settings.env
    if env.task is None:
        return
    takes = f"allowed: learn.algorithm {' or '.join(STYLE)}"
    if any(model.needs == "difference" for model in algorithms.of(learn.algorithm).reward_models):
        raise UserError(
            f"env.task {env.task}: learn.algorithm {learn.algorithm} follows the clip moment by moment and cannot do "
            f"a task beside; {takes}"
        )
    if tracks_root(env):
        raise UserError(
            f"env.task {env.task}: env.observations (target, frame {env.observations.frame}) has the robot be where the clip "
            f"is, not where the task wants it; leave target out, or frame: heading; {takes}"
        )
    if not learn.task_reward_weight:
        raise UserError(f"env.task {env.task}: learn.task_reward_weight is 0, so that nothing rewards the task")


def _check_follow(settings: RunSettings) -> None:
    learn, env = settings.learn, settings.env
    follow.check(env.follow)
    models = algorithms.of(learn.algorithm).reward_models
    judged = any(model.needs.startswith("motion") for model in models) and tracks_root(env)
    if env.follow.time is not None and judged and env.observations.frame == "global":
        raise UserError(
            f"env.follow.time is {env.follow.time:g}, and learn.algorithm {learn.algorithm} with env.observations (target, "
            "frame global) judges where in the world a motion is; allowed: frame robot or heading"
        )


def clips_fit(settings: RunSettings, clips: Sequence[Clip]) -> None:
    """Raises UserError for a clip that ends before a discriminator of motion has seen enough of it.

    A clip that loops goes on for ever; of one that does not, a window longer than the clip would show a robot that is frozen.
    """
    needs = [model.needs for model in algorithms.of(settings.learn.algorithm).reward_models]
    steps, rate = settings.env.disc_steps, settings.engine.control_freq
    span = (steps - 1) / rate
    for clip in clips:
        if any(view.startswith("motion") for view in needs) and clip.loop != WRAP and span > clip.duration + 1e-6:
            most = int(clip.duration * rate + 1e-6) + 1
            raise UserError(
                f"env.disc_steps is {steps}, {span:.2f} s of motion, and the clip {clip.name} has {clip.duration:.2f} s; "
                f"allowed: 1 to {most}"
            )


def sizes(settings: RunSettings, envs: int) -> list[str]:
    """What the user should know of minibatches and annealing with `envs` environments on each device."""
    learn = settings.learn
    samples, notes = envs * learn.steps_per_iter, []
    discs = any(model.needs for model in algorithms.of(learn.algorithm).reward_models) and learn.disc_reward_weight > 0
    optimizers = {"actor": learn.actor, "critic": learn.critic} | (
        {"disc.optimizer": learn.disc.optimizer} if discs else {}
    )
    for name, optimizer in optimizers.items():
        batch = math.ceil(optimizer.batch_size * envs)
        if batch < samples and samples % batch:
            notes.append(
                f"note: learn.{name}.batch_size {optimizer.batch_size:g} makes minibatches of {batch:,}, which do not divide "
                f"an iteration's {samples:,} samples on a device: each epoch's last is filled with samples taken twice"
            )
    whole = settings.num_envs * learn.steps_per_iter
    if learn.std.mode == "annealed" and learn.std.anneal_samples < SHORTEST * whole:
        notes.append(
            f"note: learn.std.anneal_samples {learn.std.anneal_samples:g} is {learn.std.anneal_samples / whole:.1f} iterations "
            f"of {whole:,} samples: noise is gone before much is learned; configs/base/thousands.yaml has settings for so many"
        )
    return notes
