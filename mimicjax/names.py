"""The names that a config may use, from the tables where each is written once; commands hand them to the schema.

The schema lies below the parts that these tables belong to, so it only says of which kind the names of a key are
(`names=` in `config.key`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mimicjax.env.observations import TERMS
from mimicjax.env.rewards import ERRORS
from mimicjax.env.tasks import TASKS
from mimicjax.env.terminations import TERMINATIONS
from mimicjax.learn.algorithms import ALGORITHMS

NAMES: Mapping[str, Collection[str]] = {
    "algorithms": ALGORITHMS,
    "observations": TERMS,
    "rewards": ERRORS,
    "tasks": TASKS,
    "terminations": TERMINATIONS,
}
