"""Known sicknesses of runs with learned rewards, told from their log rows: a table of what shows them and what helps.

docs/methods.md says how a healthy run looks. A sickness must show in every one of the last rows, so that what passes by
itself is not reported; each is reported once a session.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mimicjax.config.settings import LearnSettings

Row = Mapping[str, Any]  # column of the log -> number
PAGE = "docs/methods.md"
WON = 0.99  # accuracy of a discriminator that has won
NO_REWARD = 0.05  # mean style reward from which nothing is learned
STYLISH = 0.3  # mean style reward that promises motion like the clips'
# A robot that stands where a cyclic clip is on average is 0.8 of the mean distance of two of its moments from all of them
FAR = 0.6  # of the clips' spread: motion that is not theirs
FALLING = 0.95  # share of the first row's distance that is left when it falls
LEFT_OUT = 2.0  # times as far from the clips to the motion as back: something is left out
ALIKE = 0.9  # share of the diversity loss of latents that change nothing
ABOVE_CHANCE = 1.25  # times what an encoder earns that knows nothing
ACCURACIES = (("Disc_Agent_Acc", "Disc_Demo_Acc"), ("Disc_Neg_Acc", "Disc_Pos_Acc"))  # AMP's and ADD's names


class Sickness(NamedTuple):
    """What a run may suffer from."""

    name: str
    rows: int  # last rows of the log that must show it
    shows: Callable[[Sequence[Row], LearnSettings], bool]  # (that many rows, the oldest first; settings)
    advice: str


def chance(dim: int) -> float:
    """Mean of max(z . e, 0) for independent directions z, e in `dim` dimensions: what an encoder earns that knows nothing.

    Half the mean size of a coordinate on the unit sphere, Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)).
    """
    return 0.5 * math.exp(math.lgamma(dim / 2) - math.lgamma((dim + 1) / 2)) / math.sqrt(math.pi)


def _all(rows: Sequence[Row], columns: Sequence[str], holds: Callable[..., bool]) -> bool:
    """Whether every row has finite numbers in the columns for which it holds."""
    values = [[float(row.get(name, math.nan)) for name in columns] for row in rows]
    return all(all(map(math.isfinite, numbers)) and holds(*numbers) for numbers in values)


def _won(rows: Sequence[Row], learn: LearnSettings) -> bool:
    """AMP and ADD name their accuracies differently."""
    earns = lambda reward: reward < NO_REWARD  # noqa: E731
    sure = any(_all(rows, pair, lambda *accuracies: min(accuracies) > WON) for pair in ACCURACIES)
    return sure and _all(rows, ["Disc_Reward_Mean"], earns)


def _stands(rows: Sequence[Row], learn: LearnSettings) -> bool:
    columns = ["Disc_Reward_Mean", "Motion_Distance", "Demo_Spread"]
    far = _all(rows, columns, lambda reward, distance, spread: reward > STYLISH and distance > FAR * spread)
    return far and rows[-1]["Motion_Distance"] > FALLING * rows[0]["Motion_Distance"]


def _collapsed(rows: Sequence[Row], learn: LearnSettings) -> bool:
    columns = ["Motion_Distance", "Demo_Distance", "Demo_Spread"]
    return _all(rows, columns, lambda there, back, spread: there < FAR * spread and back > LEFT_OUT * there)


def _unread(rows: Sequence[Row], learn: LearnSettings) -> bool:
    return _all(rows, ["Enc_Reward_Mean"], lambda reward: reward < ABOVE_CHANCE * chance(learn.latent.dim))


def _same(rows: Sequence[Row], learn: LearnSettings) -> bool:
    deaf = ALIKE * learn.diversity_tar**2
    weighted = learn.diversity_weight > 0 and deaf > 0
    return weighted and _all(rows, ["Diversity_Loss"], lambda loss: deaf < loss < learn.diversity_tar**2 / ALIKE)


SICKNESSES = (
    Sickness(
        "the discriminator has won: it is always right, and the style reward is near 0",
        5,
        _won,
        "raise learn.disc.grad_penalty, or lower learn.disc.optimizer.learning_rate",
    ),
    Sickness(
        "the style reward is high, but the motion comes no nearer to the clips: the policy may be standing still",
        10,
        _stands,
        "the discriminator is too weak: lower learn.disc.grad_penalty, raise learn.disc.optimizer.learning_rate or epochs, "
        "and look at a film",
    ),
    Sickness(
        "the motion is near the clips but shows only part of them (mode collapse)",
        10,
        _collapsed,
        "keep more of the past (learn.disc.buffer_size), leave env.random_start on, or give the clips fewer kinds of motion",
    ),
    Sickness(
        "the latent is ignored: the encoder cannot tell it from the motion better than chance",
        10,
        _unread,
        "raise learn.enc_reward_weight or learn.enc.optimizer.learning_rate, or lower learn.latent.dim",
    ),
    Sickness(
        "latents act alike: the diversity loss stays where a policy without a latent has it",
        10,
        _same,
        "raise learn.diversity_weight, or learn.actor.learning_rate",
    ),
)


class Watch:
    """Looks at the log rows of a session as they come."""

    def __init__(self, learn: LearnSettings, table: Sequence[Sickness] = SICKNESSES) -> None:
        self.learn, self.left = learn, list(table)
        self.most = max((sickness.rows for sickness in table), default=0)
        self.rows: list[Row] = []

    def look(self, row: Row) -> list[str]:
        """A line for every sickness that shows with this row, and that no line was about yet."""
        self.rows = [*self.rows, row][-self.most :]
        shown = [
            sickness
            for sickness in self.left
            if len(self.rows) >= sickness.rows and sickness.shows(self.rows[-sickness.rows :], self.learn)
        ]
        self.left = [sickness for sickness in self.left if sickness not in shown]
        return [f"warning: {sickness.name}; {sickness.advice} ({PAGE})" for sickness in shown]
