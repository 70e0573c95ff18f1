"""Every known sickness is told from rows that show it, and not from healthy ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mimicjax.config.settings import LatentSettings, LearnSettings
from mimicjax.run.sickness import SICKNESSES, Watch, chance

LEARN = LearnSettings(latent=LatentSettings(dim=16))
# a run of AMP and ASE as it should be, row by row
HEALTHY = [
    {
        "Disc_Agent_Acc": 0.95, "Disc_Demo_Acc": 0.93, "Disc_Reward_Mean": 0.4 + 0.02 * n, "Motion_Distance": 1.0 - 0.05 * n,
        "Demo_Distance": 1.2 - 0.05 * n, "Demo_Spread": 0.9, "Enc_Reward_Mean": 0.1 + 0.03 * n, "Diversity_Loss": 0.5,
    }
    for n in range(14)
]  # fmt: skip
# words of the line -> what is otherwise in every row
SICK = {
    "the discriminator has won": {"Disc_Agent_Acc": 1.0, "Disc_Demo_Acc": 0.999, "Disc_Reward_Mean": 0.01},
    "may be standing still": {"Disc_Reward_Mean": 1.5, "Motion_Distance": 0.7, "Demo_Distance": 0.8},
    "mode collapse": {"Motion_Distance": 0.3, "Demo_Distance": 0.7},
    "the latent is ignored": {"Enc_Reward_Mean": 0.105},
    "latents act alike": {"Diversity_Loss": 0.99},
}


def lines(rows, learn=LEARN):
    watch = Watch(learn)
    return [line for row in rows for line in watch.look(row)]


def test_a_healthy_run_is_left_alone():
    assert lines(HEALTHY) == []


@pytest.mark.parametrize("words", SICK)
def test_a_sick_run_is_told_so_once_with_what_to_change(words):
    told = lines([row | SICK[words] for row in HEALTHY])
    assert len(told) == 1 and words in told[0]
    assert told[0].startswith("warning: ") and told[0].endswith("(docs/methods.md)") and "learn." in told[0]


def test_add_names_its_accuracies_otherwise():
    row = {"Disc_Neg_Acc": 1.0, "Disc_Pos_Acc": 1.0, "Disc_Reward_Mean": 0.0}
    assert "has won" in lines([row] * 5)[0]
    assert lines([row | {"Disc_Reward_Mean": 0.3}] * 5) == []  # ADD's is nearly always right, and its reward is smooth


def test_what_passes_is_not_reported():
    won = SICK["the discriminator has won"]
    assert lines([row | won for row in HEALTHY[:4]] + HEALTHY[:3] + [row | won for row in HEALTHY[:4]]) == []


def test_rows_without_its_columns_show_nothing():
    assert lines([{"Test_Return": 3.0, "Disc_Reward_Mean": math.nan, "Enc_Reward_Mean": math.nan}] * 20) == []
    assert all(sickness.rows > 1 for sickness in SICKNESSES)


def test_what_an_encoder_earns_that_knows_nothing():
    """In two dimensions the mean of max(cos, 0) over angles is 1 / pi; in 64 MimicKit's log begins with 0.050."""
    assert chance(2) == pytest.approx(1 / np.pi)
    assert chance(64) == pytest.approx(0.050, abs=5e-4)
