"""What training, tests, evaluation and films all start from; made by build.world."""

from __future__ import annotations

from typing import NamedTuple

from mimicjax.config.settings import RunSettings
from mimicjax.engine.scene import Scene
from mimicjax.env.env import Env
from mimicjax.env.task import Task
from mimicjax.env.view import Scope
from mimicjax.motion.reference import Motion
from mimicjax.types import Clip, Device, Robot


class World(NamedTuple):
    """What training, tests, evaluation and play all need; no learning state."""

    settings: RunSettings  # resolved: engine and number of environments as chosen
    robot: Robot
    scene: Scene  # its wrench bodies: the robot's own and those that training pushes
    scope: Scope  # what terms of the env are made for
    clips: tuple[Clip, ...]
    motion: Motion
    env: Env  # of training, with disturbances and randomisation if settings say so
    test_env: Env  # the same on the model as given, without noise or pushes: of tests, evaluation and films
    devices: tuple[Device, ...]
    notes: tuple[str, ...]  # what was chosen for this machine and why, for the user
    task: Task | None = None
