"""Which key or config a mistyped name may have meant.

Spelling alone is not enough: who types `learn.lr` means `learn.actor.learning_rate`, and who types `gamma` the discount. So
a name is near if its last part is spelled alike, if its words (or initials) are in the other's path, or if a word of it
is in the other's meaning; of equally near ones, those with the more similar path come first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

CUTOFF = 0.6  # of the likeness of last parts, below which nothing is near
MARGIN = 0.17  # below the nearest one, what is no longer worth naming


def near(name: str, meanings: Mapping[str, str], most: int = 3, separator: str = ".") -> list[str]:
    """The names in `meanings` (name -> what it means, may be empty) that are near to `name`, the nearest first."""
    path, _, last = _plain(name).rpartition(separator)
    scores = {other: _likeness(last, other, meaning, separator) for other, meaning in meanings.items()}
    best = max(scores.values(), default=0.0)
    close = [other for other, score in scores.items() if score >= max(CUTOFF, best - MARGIN)]
    paths = {other: _plain(other).rpartition(separator)[0] for other in close}
    return sorted(close, key=lambda other: -scores[other] - 0.15 * _same_path(path, paths[other], separator))[:most]


def _likeness(last: str, other: str, meaning: str, separator: str) -> float:
    """How near, from 0 to 1, the last part of a name is to another name."""
    path, _, other_last = _plain(other).rpartition(separator)
    words = other_last.split("_")
    initials = "".join(word[:1] for word in words)
    around = {*words, initials, *re.split(rf"[_{re.escape(separator)}]", path)}
    typed = set(last.split("_"))
    score = _ratio(last, other_last)
    if len(last) > 1 and typed <= around and typed & {*words, initials}:
        score = max(score, 0.85)
    if len(last) > 3:  # shorter words are near to too many
        score = max(score, *(0.85 * _ratio(last, word) for word in words))
        meant = (_ratio(last, word) for word in re.findall(r"[a-z]+", _plain(meaning)))
        score = max(score, *(0.75 * ratio for ratio in meant if ratio > 0.85), 0.0)
    return score


def _same_path(path: str, other: str, separator: str) -> float:
    """How alike, from 0 to 1, the paths of two names are; one that leads deeper loses little."""
    if other.startswith(path):
        return 1.0 - 0.1 * (other.count(separator) - path.count(separator))
    ratio = _ratio(path, other)
    return 0.8 * ratio if ratio > CUTOFF else 0.0


def _ratio(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()


def _plain(text: str) -> str:
    return text.lower().replace("-", "_")
