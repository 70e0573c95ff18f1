"""The schema of the imitation task: episodes, actions, observations, rewards, terminations (docs/terms.md)."""

from __future__ import annotations

import dataclasses
from typing import Literal

from mimicjax.config.follow import FollowSettings
from mimicjax.config.getup import GetupSettings
from mimicjax.config.key import key
from mimicjax.config.tasks import LocationSettings, ReachSettings, SteeringSettings


@dataclasses.dataclass(frozen=True)
class ActionSettings:
    """How a policy's output becomes joint position targets."""

    mode: Literal["absolute", "reference", "start"] = key(
        "absolute",
        "absolute: target over the joint's range (MimicKit); reference: offset from the reference pose one step ahead; "
        "start: offset from the robot's start pose",
    )
    zero_center: bool = key(True, "absolute: centre of the range at zero instead of the middle of the limits")
    scale: float = key(1.0, "reference, start: offset for an output of 1", above=0.0)
    unit: Literal["radian", "effort"] = key(
        "radian", "of scale; effort: torque limit / kp, joint by joint (BeyondMimic has 0.25 of it, with start)"
    )
    velocity_lead: float = key(
        0.0, "reference: share of the lag kd/kp x reference velocity that is added to the target", low=0.0, high=2.0
    )


@dataclasses.dataclass(frozen=True)
class ObservationSettings:
    """What actor and critic see."""

    terms: list[str] = key(["character", "target"], "observation terms, in order", names="observations")
    frame: Literal["global", "heading", "robot"] = key(
        "global",
        "axes of observations: the world's, each pose's heading (MimicKit's global_obs true, false), or the robot's heading",
    )
    root_height: bool = key(True, "include heights (MimicKit's root_height_obs)")
    joints: Literal["rotation", "angle"] = key(
        "rotation", "joints as 6-D rotations (MimicKit) or as coordinates (compact)"
    )
    target_steps: list[int] = key([1, 2, 3], "control steps ahead of the target poses (MimicKit's tar_obs_steps)")
    past_steps: int = key(5, "control steps back that the term past shows (VideoMimic: 5 with that of now)", low=1)
    phase_encoding: int = key(4, "octaves of sine and cosine of the phase (MimicKit's num_phase_encoding)", low=0)
    root_velocity: bool = key(
        True, "character, past: include the root's linear velocity, which a robot without an estimator does not know"
    )


@dataclasses.dataclass(frozen=True)
class RewardSettings:
    """One reward term: weight x exp(-scale x error)."""

    weight: float = key(0.0, "weight of the term", low=0.0)
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
    """One way to fail before an episode's time."""

    limit: float = key(
        0.0, "fall: height m of a body that may not touch the ground; pose: distance m of a body from the reference"
    )
    reference: float = key(
        0.15, "fall: a body may touch the ground while the clip's is at most so many m above it; -1: never", low=-1.0
    )


def _terminations() -> dict[str, TerminationSettings]:
    return {"fall": TerminationSettings(), "pose": TerminationSettings(1.0)}  # MimicKit's pose_termination_dist


@dataclasses.dataclass(frozen=True)
class SamplingSettings:
    """Which clips, and which seconds of them, episodes begin in while training (docs/formats.md)."""

    by: Literal["weights", "failures"] = key(
        "weights", "weights: the set's, evenly over a clip; failures: more often where episodes fail"
    )
    floor: float = key(0.1, "share of a clip's starts that is spread evenly over it", low=0.0, high=1.0)
    most: float = key(3.0, "factor by which failures may raise or lower the weight of a clip", low=1.0)
    rare: float = key(
        1e-3, "failures per second that matter as little as none: added to the rate of every bin", above=0.0
    )
    ahead: int = key(
        1, "bins whose failures count for a start, its bin and later ones (BeyondMimic's kernel size)", low=1
    )
    fade: float = key(0.8, "weight of a later bin against the one before it (BeyondMimic's lambda)", low=0.0, high=1.0)
    memory: float = key(300.0, "seconds in a bin, on average, in which what failed is forgotten e-fold", above=0.0)


@dataclasses.dataclass(frozen=True)
class EnvSettings:
    """The imitation task: episodes, actions, observations, rewards, terminations."""

    episode_length: float = key(10.0, "seconds", above=0.0)
    random_start: bool = key(True, "start episodes anywhere in the clip (MimicKit's rand_reset), else at its beginning")
    end_with_clip: bool = key(True, "succeed at the end of a clip that does not loop, else go on (MimicKit's AMP)")
    default_start: float = key(
        0.0, "probability that an episode begins in the robot's start pose at rest (ASE's default_reset_prob)",
        low=0.0, high=1.0,
    )  # fmt: skip
    retry_start: float = key(
        0.0, "probability that an episode that failed starts again where it did", low=0.0, high=1.0
    )
    fallen_start: float = key(
        0.0, "share of environments whose episodes begin with the robot on the ground", low=0.0, high=1.0
    )
    getup: GetupSettings = key(GetupSettings, "")
    sampling: SamplingSettings = key(SamplingSettings, "")
    action: ActionSettings = key(ActionSettings, "")
    observations: ObservationSettings = key(ObservationSettings, "")
    follow: FollowSettings = key(FollowSettings, "")
    rewards: dict[str, RewardSettings] = key(
        _deepmimic_rewards(), "reward terms; null removes an inherited one", names="rewards"
    )
    early_termination: bool = key(True, "end failed episodes at once (MimicKit's enable_early_termination)")
    terminations: dict[str, TerminationSettings] = key(
        _terminations(), "ways to fail; null removes an inherited one", names="terminations"
    )
    task: str | None = key(None, "what the robot is asked to do beside; null for nothing", names="tasks")
    location: LocationSettings = key(LocationSettings, "")
    reach: ReachSettings = key(ReachSettings, "")
    steering: SteeringSettings = key(SteeringSettings, "")
    disc_steps: int = key(
        10, "control steps of motion that AMP's discriminator sees (MimicKit's num_disc_obs_steps)", low=1
    )
    enable_random_force: bool = key(False, "random forces by the four keys here; more is under disturb")
    random_force_scale: list[float] = key(
        [50.0, 50.0, 50.0], "largest N along each world axis, each drawn by itself", low=0.0
    )
    random_force_bodies: list[str] = key([], "bodies that get a force of their own, all at once; [] for all it may be")
    random_force_probability: float = key(
        0.02, "that forces act in a control step, whatever was in the one before", low=0.0, high=1.0
    )
