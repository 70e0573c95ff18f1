"""What log.txt, metrics.jsonl and TensorBoard say of the pushes while training (docs/disturbances.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping

BODY = "Push_Body_"  # prefix of a column for every body: in metrics.jsonl and TensorBoard, too many for log.txt


def columns(stats: Mapping[str, float], samples: int) -> dict[str, float]:
    """The columns, {} without disturbances; NaN for the mean of nothing.

    stats: the statistics `push_*` of env.disturbances over `samples` control steps of all environments together.
    """
    if "push_onset_sum" not in stats:
        return {}
    active, onsets, trials = (stats[f"push_{name}_sum"] for name in ("active", "onset", "trial"))
    out = {
        "Push_Count": int(onsets), "Push_Active": _ratio(active, samples),
        "Push_Force": _ratio(stats["push_force_sum"], active), "Push_Force_Max": stats["push_force_max"],
        "Push_Torque_Max": stats["push_torque_max"], "Push_Speed_Max": stats["push_speed_max"],
        "Push_Impulse": _ratio(stats["push_impulse_sum"], onsets),
        "Push_Survival": _ratio(stats["push_survived_sum"], trials),
    }  # fmt: skip
    eligible = stats["push_eligible_sum"]  # control steps of environments that are not quiet
    out |= {f"Push_Level_{name}": _ratio(value, eligible) for name, value in _named(stats, "push_level_").items()}
    return out | {f"{BODY}{name}": _ratio(value, samples) for name, value in _named(stats, "push_body_").items()}


def _named(stats: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {k[len(prefix) : -4]: v for k, v in stats.items() if k.startswith(prefix) and k.endswith("_sum")}


def _ratio(value: float, count: float) -> float:
    return value / count if count else math.nan
