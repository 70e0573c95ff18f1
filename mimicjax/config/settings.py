"""The schema of a run: every key a config file or a command-line flag may set, with its type, meaning and default.

Each section has a file of its own beside this one, which puts them together: whoever needs a section takes it from here.
Loading, extending, overriding and checking are in loading.py; the schema only says what there is.
"""

from __future__ import annotations

import dataclasses

from mimicjax.config.engine import EngineSettings
from mimicjax.config.env import (
    ActionSettings,
    EnvSettings,
    ObservationSettings,
    RewardSettings,
    SamplingSettings,
    TerminationSettings,
)
from mimicjax.config.follow import FollowSettings
from mimicjax.config.getup import GetupSettings
from mimicjax.config.key import key
from mimicjax.config.learn import (
    DiscSettings,
    EncSettings,
    LatentSettings,
    LearnSettings,
    OptimizerSettings,
    SkillSettings,
    SmpSettings,
    StdSettings,
)
from mimicjax.config.push import DisturbSettings
from mimicjax.config.randomize import RandomizeSettings
from mimicjax.config.tasks import LocationSettings, ReachSettings, SteeringSettings

__all__ = [
    "ActionSettings", "DiscSettings", "DisturbSettings", "EncSettings", "EngineSettings", "EnvSettings", "FollowSettings",
    "GetupSettings", "KeepSettings", "LatentSettings", "LearnSettings", "LocationSettings", "ObservationSettings",
    "OptimizerSettings", "RandomizeSettings",
    "ReachSettings", "RewardSettings", "RunSettings", "SamplingSettings", "SkillSettings", "SmpSettings",
    "SteeringSettings", "StdSettings",
    "TerminationSettings",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class KeepSettings:
    """What a run tests and keeps while it trains."""

    test_episodes: int = key(64, "episodes of a test, mode actions from random phases", low=1)
    iters_per_output: int = key(50, "iterations from one test, log row and checkpoint to the next", low=1)
    keep_checkpoints: int = key(3, "latest checkpoints kept, beside the best", low=1)
    curves: bool = key(True, "draw curves.png at every log row")


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """One run."""

    robot: str = key("g1", "robot: a name, a folder, or an MJCF file with robot.yaml beside it")
    motion: str = key("walk", "clip or weighted set: a name or a file")
    num_envs: int = key(0, "environments over all devices; 0 chooses for the machine", low=0)
    memory_fraction: float = key(
        0.0, "num_envs 0: share of a device's memory to fill with environments (--num-envs auto: 0.5); 0: their usual number",
        low=0.0, high=1.0,
    )  # fmt: skip
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
