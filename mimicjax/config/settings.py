"""The schema of a run: every key a config file or a command-line flag may set, with its type, meaning and default.

Loading, extending, overriding and checking are in config.py; this file only says what there is.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from mimicjax.config.key import key
from mimicjax.config.push import DisturbSettings
from mimicjax.config.randomize import RandomizeSettings

__all__ = [
    "ActionSettings",
    "DiscSettings",
    "DisturbSettings",
    "EngineSettings",
    "EnvSettings",
    "KeepSettings",
    "LearnSettings",
    "ObservationSettings",
    "OptimizerSettings",
    "RandomizeSettings",
    "RewardSettings",
    "RunSettings",
    "StdSettings",
    "TerminationSettings",
    "key",
]


@dataclasses.dataclass(frozen=True)
class EngineSettings:
    """Physics: which engine, how finely it steps, how hard its solver tries."""

    name: Literal["auto", "native", "mjx-jax", "mjx-warp"] = key(
        "auto", "engine; auto takes the fastest one for this machine"
    )
    control_freq: int = key(30, "control steps per second", low=1)
    sim_freq: int = key(120, "physics steps per second, a multiple of control_freq", low=1)
    integrator: Literal["euler", "implicitfast", "implicit"] = key("implicitfast", "MuJoCo's integrator")
    solver: Literal["newton", "cg"] = key("newton", "MuJoCo's constraint solver")
    iterations: int = key(4, "solver iterations at most", low=1)
    ls_iterations: int = key(8, "line-search iterations at most", low=1)
    cone: Literal["pyramidal", "elliptic"] = key("pyramidal", "friction cone")
    jacobian: Literal["auto", "dense", "sparse"] = key("auto", "form of the constraint Jacobian (native engine)")
    impratio: float = key(1.0, "ratio of friction to normal impedance", above=0.0)
    self_collision: bool = key(False, "collide the robot's bodies with each other, not only with the ground")
    frictionloss: bool = key(True, "keep the joints' dry friction")
    threads: int = key(0, "threads of the native engine; 0 takes all cores", low=0)
    contacts_per_env: int = key(48, "contacts kept per environment (mjx-warp)", low=1)
    constraints_per_env: int = key(256, "constraint rows kept per environment (mjx-warp)", low=1)


@dataclasses.dataclass(frozen=True)
class ActionSettings:
    """How a policy's output becomes joint position targets."""

    mode: Literal["absolute", "reference"] = key(
        "absolute",
        "absolute: target over the joint's range (MimicKit); reference: offset from the reference pose one step ahead",
    )
    zero_center: bool = key(True, "absolute: centre of the range at zero instead of the middle of the limits")
    scale: float = key(1.0, "reference: radians of offset for an output of 1", above=0.0)
    velocity_lead: float = key(
        0.0, "reference: share of the lag kd/kp x reference velocity that is added to the target", low=0.0, high=2.0
    )


@dataclasses.dataclass(frozen=True)
class ObservationSettings:
    """What actor and critic see."""

    terms: list[Literal["character", "phase", "target"]] = key(["character", "target"], "observation terms, in order")
    frame: Literal["global", "heading"] = key("global", "axes of observations (MimicKit's global_obs)")
    root_height: bool = key(True, "include heights (MimicKit's root_height_obs)")
    joints: Literal["rotation", "angle"] = key(
        "rotation", "joints as 6-D rotations (MimicKit) or as coordinates (compact)"
    )
    target_steps: list[int] = key([1, 2, 3], "control steps ahead of the target poses (MimicKit's tar_obs_steps)")
    phase_encoding: int = key(4, "octaves of sine and cosine of the phase (MimicKit's num_phase_encoding)", low=0)


@dataclasses.dataclass(frozen=True)
class RewardSettings:
    """One reward term: weight x exp(-scale x error)."""

    weight: float = key(0.0, "weight of the term")
    scale: float = key(1.0, "how fast the term falls with its error", low=0.0)


def _deepmimic_rewards() -> dict[str, RewardSettings]:
    values = {
        "pose": (0.5, 0.25),
        "vel": (0.1, 0.01),
        "root_pose": (0.15, 5.0),
        "root_vel": (0.1, 1.0),
        "key_pos": (0.15, 10.0),
    }
    return {name: RewardSettings(weight, scale) for name, (weight, scale) in values.items()}


@dataclasses.dataclass(frozen=True)
class TerminationSettings:
    """When an episode ends before its time."""

    early: bool = key(True, "end failed episodes at once (MimicKit's enable_early_termination)")
    fall: bool = key(True, "fail when a body that is no contact body touches the ground")
    pose: bool = key(True, "fail when a body is farther than pose_distance from the reference")
    pose_distance: float = key(1.0, "metres (MimicKit's pose_termination_dist)", above=0.0)


@dataclasses.dataclass(frozen=True)
class EnvSettings:
    """The imitation task: episodes, actions, observations, rewards, terminations."""

    episode_length: float = key(10.0, "seconds", above=0.0)
    random_start: bool = key(True, "start episodes anywhere in the clip (MimicKit's rand_reset), else at its beginning")
    retry_start: float = key(
        0.0, "probability that an episode that failed starts again where it did", low=0.0, high=1.0
    )
    action: ActionSettings = key(ActionSettings, "")
    observations: ObservationSettings = key(ObservationSettings, "")
    rewards: dict[str, RewardSettings] = key(_deepmimic_rewards(), "reward terms; null removes an inherited one")
    terminations: TerminationSettings = key(TerminationSettings, "")
    enable_random_force: bool = key(False, "random forces by the four keys here; more is under disturb")
    random_force_scale: list[float] = key(
        [50.0, 50.0, 50.0], "largest N along each world axis, each drawn by itself", low=0.0
    )
    random_force_bodies: list[str] = key([], "bodies that get a force of their own, all at once; [] for all it may be")
    random_force_probability: float = key(
        0.02, "that forces act in a control step, whatever was in the one before", low=0.0, high=1.0
    )


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """One network's optimiser and how much it learns from an iteration."""

    type: Literal["SGD", "Adam"] = key("SGD", "SGD with momentum 0.9, or AdamW")
    learning_rate: float = key(1e-4, "learning rate (the first one, if it adapts)", above=0.0)
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
        None, "annealed: last value in environments that are pushed (disturb.quiet), null: as end", above=0.0
    )
    anneal_iterations: int = key(200, "annealed: successful iterations from begin to end", low=1)
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
    buffer_size: int = key(200_000, "replay capacity in samples, on each device; 0 for none", low=0)
    replay_samples: int = key(1000, "samples an iteration puts into a full buffer", low=1)


@dataclasses.dataclass(frozen=True)
class LearnSettings:
    """Networks and updates; names and defaults are MimicKit's where the idea is the same."""

    algorithm: Literal["DeepMimic", "ADD"] = key("DeepMimic", "row of the algorithm table (learn/algorithms.py)")
    steps_per_iter: int = key(32, "control steps of a rollout", low=1)
    discount: float = key(0.99, "discount factor", low=0.0, high=1.0)
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


@dataclasses.dataclass(frozen=True)
class KeepSettings:
    """What a run tests and keeps while it trains."""

    test_episodes: int = key(64, "episodes of a test, mode actions from random phases", low=1)
    iters_per_output: int = key(50, "iterations from one test, log row and checkpoint to the next", low=1)
    keep_checkpoints: int = key(3, "latest checkpoints kept", low=1)
    curves: bool = key(True, "draw curves.png at every log row")


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """One run."""

    robot: str = key("g1", "robot: a name, a folder, or an MJCF file with robot.yaml beside it")
    motion: str = key("walk", "clip or weighted set: a name or a file")
    num_envs: int = key(0, "environments over all devices; 0 chooses for the machine", low=0)
    seed: int = key(0, "seed of all randomness", low=0)
    max_samples: float = key(0.0, "stop after this many samples; 0 for no limit", low=0.0)
    max_minutes: float = key(0.0, "stop after this many minutes; 0 for no limit", low=0.0)
    max_iterations: int = key(0, "stop after this many iterations; 0 for no limit", low=0)
    engine: EngineSettings = key(EngineSettings, "")
    env: EnvSettings = key(EnvSettings, "")
    disturb: DisturbSettings = key(DisturbSettings, "")
    randomize: RandomizeSettings = key(RandomizeSettings, "")
    learn: LearnSettings = key(LearnSettings, "")
    keep: KeepSettings = key(KeepSettings, "")
