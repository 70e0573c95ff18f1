"""What a push sweep makes of its episodes: fits of known curves, recovery, outcomes, the report."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from push_sweeps import LEVELS, outcomes_of, two_runs

from mimicjax.evaluation import output
from mimicjax.evaluation.push import cells, figures, fit, outcomes, report, table
from mimicjax.evaluation.push.cells import FOREVER, Cell, Plan
from mimicjax.evaluation.push.sweep import Curves


@pytest.mark.parametrize("half, width, count", [(28.0, 8.0, 400), (38.0, 4.0, 400)])
def test_the_fit_finds_the_levels_of_a_known_curve(half, width, count):
    chance = 1 / (1 + np.exp((LEVELS - half) / width))
    at = fit.fit(LEVELS, np.full(8, count), np.round(count * chance).astype(int)).at
    assert at[0.5].value == pytest.approx(half, rel=0.01)
    assert at[0.9].value == pytest.approx(half - width * np.log(9), rel=0.02)
    for share, value in ((0.5, half), (0.9, half - width * np.log(9))):
        assert at[share].low < value < at[share].high < value * 1.2


def test_intervals_of_the_fit_hold_what_they_promise():
    generator, hits = np.random.default_rng(0), 0
    chance = 1 / (1 + np.exp((LEVELS - 28.0) / 6.0))
    for seed in range(60):
        at = fit.fit(LEVELS, np.full(8, 24), generator.binomial(24, chance), seed).at[0.5]
        hits += at.low <= 28.0 <= at.high
    assert hits >= 52


def test_what_lies_beyond_the_levels_tried_is_said_to():
    twelve = np.full(8, 12)
    at = fit.fit(LEVELS, twelve, twelve).at
    assert all(level.value is None and level.beyond == "above" and level.high is None for level in at.values())
    at = fit.fit(LEVELS, twelve, 0 * twelve).at
    assert all(level.value is None and level.beyond == "below" and level.low is None for level in at.values())
    step = fit.fit(LEVELS, twelve, 12 * (LEVELS < 30)).at[0.5]
    assert step.low <= 22.0 < step.value < 32.0 <= step.high  # between the two levels anything is possible
    assert fit.fit(LEVELS[:1], twelve[:1], twelve[:1]) is None
    assert fit.fit(LEVELS, 0 * twelve, 0 * twelve) is None


def test_ratios_of_two_fits():
    first, second = (
        fit.fit(LEVELS, np.full(8, 200), np.round(200 / (1 + np.exp((LEVELS - half) / 5))).astype(int), seed)
        for seed, half in enumerate((20.0, 40.0))
    )
    ratio = fit.ratio(first, second, 0.5)
    assert ratio.value == pytest.approx(2.0, rel=0.02) and ratio.low < 2.0 < ratio.high < 2.4
    assert fit.ratio(first, fit.fit(LEVELS, np.full(8, 9), np.full(8, 9)), 0.5) is None


def test_recovery_time_of_synthetic_errors():
    dt, rows = 1 / 30, 60
    time = dt * (1 + np.arange(rows))
    unpushed = np.full((rows, 4), 0.02)
    end = np.full(4, 0.5)  # after 15 rows; the push began after 9
    error = unpushed.copy()
    error[:, 1] = np.where((time > 0.4) & (time <= 1.2 + 1e-9), 0.1, 0.02)  # back from the row after 1.2 s
    error[:, 2] = np.where((time > 0.8) & (time < 1.9), 0.1, 0.02)  # not below for 0.3 s before the end
    error[:, 3] = np.where((time > 0.7) & (time <= 0.9 + 1e-9), 0.1, 0.029)  # grows only after the push has ended
    recovery = outcomes.recovery_time(error, unpushed, 9, end, dt)
    np.testing.assert_allclose(recovery, [0.0, 0.7 + dt, np.inf, 0.4 + dt], atol=1e-6)


def curves(rows: int, count: int, **changes: np.ndarray) -> Curves:
    usual = {"body_error": 0.02, "global_error": 0.1, "tilt": 0.0, "torque": 10.0, "load": 0.5}
    filled = {name: np.full((rows, count), value) for name, value in usual.items()}
    return Curves(fallen=np.zeros((rows, count), bool), **filled)._replace(**changes)


def test_outcomes_of_five_episodes():
    dt, onset, rows = 0.1, 10, 30
    fallen, error = np.zeros((rows, 5), bool), np.full((rows, 5), 0.02)
    fallen[5, 1] = True  # before the push, and up again: not counted
    fallen[15:17, 2] = True  # five steps after the onset
    far = np.full((rows, 5), 0.1)
    far[29, 3] = 0.6
    error[10:14, 2:] = 0.05
    tilt = np.zeros((rows, 5))
    tilt[15, 2], tilt[16, 2] = 1.0, 2.0  # what comes after the fall is of no interest
    none = np.zeros(5)
    plan = Plan(clip=none, start=none, body=none, wrench=none, steps=np.array([0.0, 2.0, 2.0, 4.0, FOREVER]))
    rows_of = cells.SweepRows(np.array([-1, 0, 0, 1, 2]), np.zeros(5, int))
    seen = curves(rows, 5, fallen=fallen, body_error=error, global_error=far, tilt=tilt)
    results = outcomes.judge(seen, plan, rows_of, onset, dt)
    assert results.stood.tolist() == [True, False, True, True, True]
    assert results.survived.tolist() == [True, False, False, True, True]
    assert results.success.tolist() == [True, False, False, False, True]
    np.testing.assert_allclose(results.push_error[2:], [0.05, 0.05, (4 * 0.05 + 16 * 0.02) / 20])
    np.testing.assert_allclose(results.push_error_unpushed[2:], 0.02)
    assert results.tilt[2] == 1.0 and np.isnan(results.tilt[1]) and results.torque[3] == 10.0
    assert (
        np.isnan(results.after_error[2])
        and results.after_error[3] == pytest.approx(0.02)
        and np.isnan(results.recovery[4])
    )
    assert results.recovery[3] == pytest.approx(0.1)  # steps 10 to 13 are above, the push ends with step 13


@pytest.fixture(scope="module")
def two():
    return two_runs()


def test_report_has_thresholds_a_quote_and_a_table(two):
    assert "plain: torso_link survives 50 % of 0.2 s pushes of 2" in report.quote(two[0])
    assert "(8 headings); un-pushed body error 14.9 mm" in report.quote(two[0])
    rows = {(r["body"], r["direction"], r["duration"]): r for r in report.thresholds(two[1])}
    assert rows["torso_link", "headings", 0.1]["survive_50"]["value"] == pytest.approx(38.0, rel=0.05)
    assert rows["torso_link", "headings", 0.1]["episodes"] == 8 * 8 * 20 and ("pelvis", "headings", 0.2) not in rows
    both = {(r["body"], r["direction"], r["duration"]): r for r in report.comparison(*two)}
    assert both["torso_link", "headings", 0.2]["survive_50"]["ratio"]["value"] == pytest.approx(38 / 22, rel=0.08)
    read = list(csv.DictReader(io.StringIO(output.csv_of(report.rows(two)))))
    assert len(read) == 2 * len(two[0].cells) and read[-1]["run"] == "pushed"
    assert {r["duration"] for r in read} == {"0.1", "0.2", "sustained"}
    assert max(float(r["survival_more_than_first"]) for r in read) > 0.5 > float(read[0]["survival_low"]) - 0.5


def test_survival_and_errors_of_a_cell_by_hand():
    """Five episodes: one fell before the push, one by it, three stay up."""
    cell = np.array([-1, -1, 0, 0, 0, 0, 0])
    stood = np.array([True, True, False, True, True, True, True])
    survived = np.array([True, False, False, False, True, True, True])
    error = np.array([0.010, np.nan, np.nan, np.nan, 0.020, 0.030, 0.040])
    rest = np.array([np.nan, np.nan, np.nan, np.nan, 0.5, np.inf, 1.5])
    kinds, rows = [Cell("torso_link", "left", 0.2, 10.0)], cells.SweepRows(cell, np.array([0, 1, 0, 0, 1, 1, 0]))
    sweep = report.summarise("by hand", kinds, rows, outcomes_of(stood, survived, error, rest), 0)
    (row,) = sweep.cells
    assert (row["episodes"], row["stood"], row["survived"], row["recovered"]) == (5, 4, 3, 2)
    assert row["survival"]["value"] == 0.75 and row["push_error"] == pytest.approx(30.0)  # mm
    assert row["recovery"] == 1.5  # the median of 0.5, 1.5 and never
    assert row["torque"] == 1.0 and row["tilt"] == pytest.approx(180 / np.pi)
    assert sweep.unpushed["survival"]["value"] == 0.5 and sweep.unpushed["body_error"]["value"] == pytest.approx(10.0)
    assert sweep.fits == {}  # one level


def test_nobody_standing_at_the_onset_gives_no_threshold_and_no_crash(tmp_path):
    kinds = [Cell("torso_link", d, 0.2, x) for d in ("forward", "left") for x in LEVELS]
    cell = np.concatenate([np.full(40, -1), np.repeat(np.arange(len(kinds)), 20)])
    none, nan = np.zeros(len(cell), bool), np.full(len(cell), np.nan)
    sweep = report.summarise("weak", kinds, cells.SweepRows(cell, 0 * cell), outcomes_of(none, none, nan, nan), 0)
    data = report.data({"run": "weak"}, {}, [sweep])
    assert data["quote"] == ["weak: too few levels, or nobody stood at the onset: no threshold"]
    assert sweep.fits == {} and sweep.cells[0]["survival"] == {"value": None, "low": None, "high": None}
    assert data["sweeps"][0]["thresholds"] == [] and table.thresholds([sweep]) is None
    assert table.unpushed(sweep) == "weak, nobody pushing: body error -, 0 of 40 stay up"
    json_file, csv_file = output.write(tmp_path, "weak", data, report.rows([sweep]))
    assert json.loads(json_file.read_text())["sweeps"][0]["cells"][0]["stood"] == 0
    assert [row["survival"] for row in csv.DictReader(csv_file.open())] == [""] * 16
    axis = next(axis for axis in figures.heat([sweep], "torso_link").axes if axis.images)
    assert not axis.texts and np.ma.getmaskarray(axis.images[0].get_array()).all()
    assert figures.polar([sweep], "N s") is None
