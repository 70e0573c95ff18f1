"""Tasks, a file each, and the table of their makers."""

from __future__ import annotations

from collections.abc import Callable

from mimicjax.config.settings import EnvSettings
from mimicjax.env.task import Task
from mimicjax.env.tasks import location, reach, steering
from mimicjax.errors import pick
from mimicjax.types import Robot

# (robot, settings, s of a control step) -> Task
TASKS: dict[str, Callable[[Robot, EnvSettings, float], Task]] = {
    "location": location.make,
    "reach": reach.make,
    "steering": steering.make,
}


def of(robot: Robot, settings: EnvSettings, dt: float) -> Task | None:
    """The task of the settings; None for none. Raises UserError for an unknown name."""
    name = settings.task
    return None if name is None else pick(TASKS, name, "env.task", "task")(robot, settings, dt)
