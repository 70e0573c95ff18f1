"""What a push sweep makes of its episodes: fits of known curves, recovery, outcomes, the report, pictures."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from mimicjax.evaluation.push import cells, figures, fit, outcomes, report
from mimicjax.evaluation.push.cells import FOREVER, Cell, Plan
from mimicjax.evaluation.push.sweep import Curves

LEVELS = np.array([5.0, 10.0, 15.0, 22.0, 32.0, 45.0, 65.0, 90.0])


@pytest.mark.parametrize("half, width, count", [(28.0, 8.0, 400), (38.0, 4.0, 400)])
def test_the_fit_finds_the_levels_of_a_known_curve(half, width, count):
    chance = 1 / (1 + np.exp((LEVELS - half) / width))
    found = fit.fit(LEVELS, np.full(8, count), np.round(count * chance).astype(int))
    assert found.at[0.5].value == pytest.approx(half, rel=0.01)
    assert found.at[0.9].value == pytest.approx(half - width * np.log(9), rel=0.02)
    for share, value in ((0.5, half), (0.9, half - width * np.log(9))):
        assert found.at[share].low < value < found.at[share].high < value * 1.2


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
    assert all(found.value is None and found.beyond == "above" and found.high is None for found in at.values())
    at = fit.fit(LEVELS, twelve, 0 * twelve).at
    assert all(found.value is None and found.beyond == "below" and found.low is None for found in at.values())
    step = fit.fit(LEVELS, twelve, 12 * (LEVELS < 30)).at[0.5]
    assert step.low <= 22.0 < step.value < 32.0 <= step.high  # between the two levels anything is possible
    assert fit.fit(LEVELS[:1], twelve[:1], twelve[:1]) is None
    assert fit.fit(LEVELS, 0 * twelve, 0 * twelve) is None


def test_ratios_of_two_fits():
    first, second = (
        fit.fit(LEVELS, np.full(8, 200), np.round(200 / (1 + np.exp((LEVELS - half) / 5))).astype(int), seed)
        for seed, half in enumerate((20.0, 40.0))
    )
    found = fit.ratio(first, second, 0.5)
    assert found.value == pytest.approx(2.0, rel=0.02) and found.low < 2.0 < found.high < 2.4
    assert fit.ratio(first, fit.fit(LEVELS, np.full(8, 9), np.full(8, 9)), 0.5) is None


def test_recovery_time_of_synthetic_errors():
    dt, rows = 1 / 30, 60
    time = dt * (1 + np.arange(rows))
    calm = np.full((rows, 4), 0.02)
    end = np.full(4, 0.5)  # after 15 rows; the push began after 9
    error = calm.copy()
    error[:, 1] = np.where((time > 0.4) & (time <= 1.2 + 1e-9), 0.1, 0.02)  # back from the row after 1.2 s
    error[:, 2] = np.where((time > 0.8) & (time < 1.9), 0.1, 0.02)  # not below for 0.3 s before the end
    error[:, 3] = np.where((time > 0.7) & (time <= 0.9 + 1e-9), 0.1, 0.029)  # grows only after the push has ended
    found = outcomes.recovery_time(error, calm, 9, end, dt)
    np.testing.assert_allclose(found, [0.0, 0.7 + dt, np.inf, 0.4 + dt], atol=1e-6)


def curves(rows: int, count: int, **changes: np.ndarray) -> Curves:
    zeros = np.zeros((rows, count))
    return Curves(zeros.astype(bool), *(np.full((rows, count), v) for v in (0.02, 0.1, 0.0, 10.0, 0.5)))._replace(
        **changes
    )


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
    plan = Plan(*(np.zeros(5),) * 4, np.array([0.0, 2.0, 2.0, 4.0, FOREVER]))
    rows_of = cells.SweepRows(np.array([-1, 0, 0, 1, 2]), np.zeros(5, int))
    found = outcomes.judge(
        curves(rows, 5, fallen=fallen, body_error=error, global_error=far, tilt=tilt), plan, rows_of, onset, dt
    )
    assert found.stood.tolist() == [True, False, True, True, True]
    assert found.survived.tolist() == [True, False, False, True, True]
    assert found.success.tolist() == [True, False, False, False, True]
    np.testing.assert_allclose(found.push_error[2:], [0.05, 0.05, (4 * 0.05 + 16 * 0.02) / 20])
    np.testing.assert_allclose(found.push_error_unpushed[2:], 0.02)
    assert found.tilt[2] == 1.0 and np.isnan(found.tilt[1]) and found.torque[3] == 10.0
    assert (
        np.isnan(found.after_error[2]) and found.after_error[3] == pytest.approx(0.02) and np.isnan(found.recovery[4])
    )
    assert found.recovery[3] == pytest.approx(0.1)  # steps 10 to 13 are above, the push ends with step 13


def example(label: str, half: float, kinds: list[Cell], repeats: int = 20) -> report.Sweep:
    """A sweep whose survival is a logistic curve of the level."""
    generator = np.random.default_rng(0)
    cell = np.concatenate([np.full(40, -1), np.repeat(np.arange(len(kinds)), repeats)])
    level = np.array([*(kind.level for kind in kinds), 0.0])[cell]
    up = (generator.random(len(cell)) < 1 / (1 + np.exp((level - half) / 4))) | (cell < 0)
    some = generator.random(len(cell))
    found = outcomes.Outcomes(np.ones(len(cell), bool), up, up, *(0.01 + 0.01 * some,) * 4, *(some,) * 4)
    return report.summarise(label, kinds, cells.SweepRows(cell, np.zeros(len(cell), int)), found, 0)


@pytest.fixture(scope="module")
def two():
    short = [Cell("torso_link", d, t, x) for d in (*cells.HEADINGS, "up") for t in (0.1, 0.2) for x in LEVELS]
    steady = [Cell("torso_link", d, None, x) for d in cells.HEADINGS[::2] for x in (20.0, 40.0, 80.0)]
    turned = [Cell("pelvis", d, 0.2, x) for d in cells.GROUPS["torques"] for x in (5.0, 20.0, 60.0)]
    kinds = [*short, *steady, *turned]
    return example("calm", 22.0, kinds), example("pushed", 38.0, kinds)


def test_report_has_thresholds_a_quote_and_a_table(two):
    assert "calm: torso_link survives 50 % of 0.2 s pushes of 2" in report.quote(two[0])
    assert "(8 headings); un-pushed body error 14.9 mm" in report.quote(two[0])
    rows = {(r["body"], r["direction"], r["duration"]): r for r in report.thresholds(two[1])}
    assert rows["torso_link", "headings", 0.1]["survive_50"]["value"] == pytest.approx(38.0, rel=0.05)
    assert rows["torso_link", "headings", 0.1]["episodes"] == 8 * 8 * 20 and ("pelvis", "headings", 0.2) not in rows
    both = {(r["body"], r["direction"], r["duration"]): r for r in report.comparison(*two)}
    assert both["torso_link", "headings", 0.2]["survive_50"]["ratio"]["value"] == pytest.approx(38 / 22, rel=0.08)
    read = list(csv.DictReader(io.StringIO(report.table(two))))
    assert len(read) == 2 * len(two[0].cells) and read[-1]["run"] == "pushed"
    assert {r["duration"] for r in read} == {"0.1", "0.2", "sustained"}
    assert max(float(r["survival_more_than_first"]) for r in read) > 0.5 > float(read[0]["survival_low"]) - 0.5


def test_pictures_are_drawn_and_not_empty(two, tmp_path):
    from matplotlib.image import imread

    paths = figures.draw(tmp_path, "two", two) + figures.draw(tmp_path, "one", two[:1])
    names = sorted(path.name for path in paths)
    assert names[:4] == ["one-heat-pelvis.png", "one-heat-torso_link.png", "one-polar-sustained.png", "one-polar.png"]
    for path in paths:
        image = imread(path)[..., :3]
        assert image.std() > 0.05 and min(image.shape[:2]) > 200
    assert sorted(p.name for p in tmp_path.iterdir()) == names  # nothing half written stays


def test_the_polar_plot_names_the_directions_that_were_measured(two):
    whole, four = figures.polar(two[:1], "N s"), figures.polar(two[:1], "N")  # sustained pushes drive it four ways
    names = [[text.get_text().replace("\n", "_") for text in f.axes[0].get_xticklabels()] for f in (whole, four)]
    assert names[0] == list(cells.HEADINGS)
    assert [name for name in names[1] if name] == list(cells.HEADINGS[::2]) and len(names[1]) == 8
    assert "only the named" in four.get_suptitle() and "only the named" not in whole.get_suptitle()


def test_nobody_standing_at_the_onset_gives_no_threshold_and_no_crash(tmp_path):
    kinds = [Cell("torso_link", d, 0.2, x) for d in ("forward", "left") for x in LEVELS]
    found = example("weak", 20.0, kinds)
    none = np.zeros(40 + 20 * len(kinds), bool)
    nan = np.full(len(none), np.nan)
    cell = np.concatenate([np.full(40, -1), np.repeat(np.arange(len(kinds)), 20)])
    found = report.summarise(
        "weak", kinds, cells.SweepRows(cell, 0 * cell), outcomes.Outcomes(none, none, none, *(nan,) * 8), 0
    )
    data = report.data({"run": "weak"}, {}, [found])
    assert "no threshold" in data["quote"][0] and found.fits == {} and found.cells[0]["survival"]["value"] is None
    for path in [*report.write(tmp_path, "weak", data, [found]), *figures.draw(tmp_path, "weak", [found])]:
        assert path.stat().st_size > 100
