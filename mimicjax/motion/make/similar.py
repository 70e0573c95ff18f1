"""A plan for one size of legs becomes one for another: lengths grow with the size, times and speeds with its root.

Then all forces over the weight stay what they were, since gravity does (Froude's similarity; Alexander and Jayes 1983).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mimicjax.motion.make.balance import MotionPlan
from mimicjax.motion.make.biped import Biped


def planned(
    plan: Callable[..., MotionPlan], biped: Biped, options: Mapping[str, float], powers: Mapping[str, float]
) -> MotionPlan:
    """What `plan`, written for legs of size 1, plans for the biped, with its options in real units.

    powers: option -> the power of the size that it grows with, 1 for lengths, 0.5 for times and speeds; 0 if absent.
    """
    if biped.size == 1.0:
        return plan(biped, **options)
    size = biped.size
    lengths = ("hips", "leg_length", "ankle", "sole", "heel", "toe")
    there = biped._replace(size=1.0, **{name: getattr(biped, name) / size for name in lengths})
    values = {name: value / size ** powers.get(name, 0.0) for name, value in options.items()}
    values["fps"] = options["fps"] * size**0.5  # frames of the same number for a time that grows
    made = plan(there, **values)
    moved = {name: getattr(made, name) * size for name in ("root_pos", "foot_pos", "support", "travel")}
    com = None if made.com is None else made.com * size
    return made._replace(fps=options["fps"], com=com, **moved)
