"""The schema of learning: networks, updates, the reward models' share."""

from __future__ import annotations

import dataclasses
from typing import Literal

from mimicjax.config.key import key


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """One network's optimiser and how much it learns from an iteration."""

    type: Literal["SGD", "Adam"] = key("SGD", "SGD with momentum 0.9, or AdamW")
    learning_rate: float = key(1e-4, "learning rate, the first one if it adapts", above=0.0)
    weight_decay: float = key(0.0, "L2 added to the gradient (SGD) or decoupled decay (Adam)", low=0.0)
    grad_clip: float = key(0.0, "largest global norm of a gradient; 0 does not clip", low=0.0)
    epochs: int = key(2, "passes over the iteration's samples", low=0)
    batch_size: float = key(2.0, "minibatch, in multiples of the number of environments", above=0.0)


@dataclasses.dataclass(frozen=True)
class StdSettings:
    """Standard deviation of the policy's normalised actions."""

    mode: Literal["fixed", "trained", "annealed"] = key(
        "fixed", "fixed; trained by the policy loss; annealed from begin to end"
    )
    begin: float = key(0.05, "value, or the first value", above=0.0)
    end: float = key(0.05, "annealed: last value", above=0.0)
    end_pushed: float | None = key(
        None, "annealed: last value in environments that are pushed (disturb.quiet) or begin on the ground, null: as end",
        above=0.0,
    )  # fmt: skip
    anneal_samples: float = key(8e5, "annealed: samples of successful iterations from begin to end", above=0.0)
    success_length: float = key(
        150.0, "annealed: control steps between failures that make an iteration successful", above=0.0
    )


@dataclasses.dataclass(frozen=True)
class DiscSettings:
    """The discriminator of ADD (and its kin)."""

    hidden: list[int] = key([1024, 512], "hidden layers")
    optimizer: OptimizerSettings = key(lambda: OptimizerSettings(learning_rate=2.5e-4, weight_decay=1e-4), "")
    reward_scale: float = key(2.0, "factor of the discriminator's reward", low=0.0)
    grad_penalty: float = key(2.0, "weight of the gradient penalty", low=0.0)
    logit_reg: float = key(0.01, "weight of the last layer's squared weights", low=0.0)
    buffer_size: int = key(200_000, "replay capacity in samples, over all devices; 0 for none", low=0)
    replay_samples: int = key(1000, "samples an iteration puts into a full buffer", low=1)


@dataclasses.dataclass(frozen=True)
class LatentSettings:
    """The latent by which an ASE policy is told its skill."""

    dim: int = key(64, "numbers (MimicKit's latent_dim)", low=2)
    time: list[float] = key([0.0, 5.0], "[low, high] s from one latent to the next", low=0.0)


@dataclasses.dataclass(frozen=True)
class SkillSettings:
    """The skill policy that a task policy drives; a run with `run` takes the sizes from there."""

    run: str = key("", "HRL: run folder of the ASE policy to drive; also --skill RUN")
    hidden: list[int] = key([1024, 512], "hidden layers of its actor; taken from its run")
    sees: int = key(0, "numbers that it sees; taken from its run", low=0)


@dataclasses.dataclass(frozen=True)
class EncSettings:
    """ASE's encoder."""

    hidden: list[int] = key([1024, 512], "hidden layers")
    optimizer: OptimizerSettings = key(lambda: OptimizerSettings(type="Adam", learning_rate=5e-5), "")


@dataclasses.dataclass(frozen=True)
class SmpSettings:
    """SMP's diffusion prior, which `python -m mimicjax.train_prior` trains, and the reward that it gives."""

    prior: str = key("", "folder of the prior")
    hidden: list[int] = key([512, 512], "hidden layers of the prior")
    timesteps: int = key(50, "steps of its noise schedule", low=2)
    gradient_steps: int = key(4000, "gradient steps that train it", low=1)
    batch_size: int = key(512, "windows of motion in a gradient step", low=1)
    learning_rate: float = key(1e-3, "its learning rate at first; it falls to 0 along a cosine", above=0.0)
    ema: float = key(0.995, "how much of the averaged parameters stays in a gradient step", low=0.0, high=1.0)
    diffusion_steps: list[int] = key([22, 15, 8], "steps of the schedule at which motion is judged", low=0)
    reward_scale: float = key(1.0, "largest reward (MimicKit's smp_reward_scale)", low=0.0)
    loss_scale: float = key(6.0, "how fast it falls with the score's error (sds_loss_scale)", low=0.0)
    normalizer_samples: float = key(1e6, "samples after which the error's mean size is fixed", low=0.0)


@dataclasses.dataclass(frozen=True)
class LearnSettings:
    """Networks and updates; names and defaults are MimicKit's where the idea is the same."""

    algorithm: str = key("DeepMimic", "row of the algorithm table (learn/algorithms.py)", names="algorithms")
    steps_per_iter: int = key(32, "control steps of a rollout", low=1)
    discount: float = key(0.99, "discount factor (gamma)", low=0.0, high=1.0)
    td_lambda: float = key(0.95, "lambda of the TD(lambda) targets", low=0.0, high=1.0)
    actor_hidden: list[int] = key([1024, 512], "hidden layers of the actor")
    critic_hidden: list[int] = key([1024, 512], "hidden layers of the critic")
    actor_init_output_scale: float = key(0.01, "bound of the actor's first output weights", low=0.0)
    actor: OptimizerSettings = key(lambda: OptimizerSettings(epochs=5, batch_size=4.0), "")
    critic: OptimizerSettings = key(OptimizerSettings, "")
    std: StdSettings = key(StdSettings, "")
    ppo_clip_ratio: float = key(0.2, "PPO's clip of the probability ratio", above=0.0)
    norm_adv_clip: float = key(4.0, "clip of normalised advantages", above=0.0)
    symmetry: bool = key(
        False, "policy and value do the same in a mirror: what is learned on the left is known on the right"
    )
    norm_adv_own: float = key(
        0.0, "how far each environment's own spread normalises its advantages: 0 not, 1 wholly", low=0.0, high=1.0
    )
    action_bound_weight: float = key(10.0, "weight of the penalty on means outside [-1, 1]", low=0.0)
    action_entropy_weight: float = key(0.0, "weight of the entropy bonus", low=0.0)
    action_reg_weight: float = key(0.0, "weight of the squared mean", low=0.0)
    target_kl: float = key(
        0.0, "KL an update aims at by adapting the actor's rate once an iteration; 0 keeps the rate", low=0.0
    )
    learning_rate_min: float = key(2e-5, "lowest adapted rate", above=0.0)
    learning_rate_max: float = key(1e-3, "highest adapted rate", above=0.0)
    exp_prob_beg: float = key(1.0, "probability of a sampled action (else the mode), at the start", low=0.0, high=1.0)
    exp_prob_end: float = key(1.0, "the same after exp_anneal_samples", low=0.0, high=1.0)
    exp_anneal_samples: float = key(1e9, "samples over which it changes", above=0.0)
    normalizer_samples: float = key(1e8, "samples after which normalisers no longer change", low=0.0)
    task_reward_weight: float = key(1.0, "weight of the environment's reward", low=0.0)
    disc_reward_weight: float = key(0.0, "weight of the discriminator's reward", low=0.0)
    disc: DiscSettings = key(DiscSettings, "")
    enc_reward_weight: float = key(0.0, "ASE: weight of the encoder's reward", low=0.0)
    enc: EncSettings = key(EncSettings, "")
    latent: LatentSettings = key(LatentSettings, "")
    skill: SkillSettings = key(SkillSettings, "")
    diversity_weight: float = key(0.01, "ASE: weight of the penalty on latents that act alike", low=0.0)
    diversity_tar: float = key(1.0, "ASE: squared difference of means aimed at, by the latents' distance", low=0.0)
    smp_reward_weight: float = key(0.0, "SMP: weight of the prior's reward", low=0.0)
    smp: SmpSettings = key(SmpSettings, "")
    awr_temp: float = key(1.0, "AWR: advantage by which a sample's weight grows e-fold", above=0.0)
    a_weight_clip: float = key(20.0, "AWR: largest weight of a sample", above=0.0)
    lcp_weight: float = key(0.002, "LCP: weight of the squared gradient of log-probabilities", low=0.0)
