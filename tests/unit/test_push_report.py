"""What a push sweep makes of its episodes: fits of known curves, recovery, outcomes, the report, pictures."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from mimicjax.errors import UserError
from mimicjax.evaluation import output
from mimicjax.evaluation.push import cells, figures, fit, outcomes, report, table
from mimicjax.evaluation.push.cells import FOREVER, Cell, Plan
from mimicjax.evaluation.push.sweep import Curves

LEVELS = np.array([5.0, 10.0, 15.0, 22.0, 32.0, 45.0, 65.0, 90.0])


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


def outcomes_of(stood: np.ndarray, survived: np.ndarray, error: np.ndarray, rest: np.ndarray) -> outcomes.Outcomes:
    """Outcomes [E] in which all errors are `error`, and recovery, tilt, torque and load are `rest`."""
    return outcomes.Outcomes(
        stood=stood,
        survived=survived,
        success=survived,
        push_error=error,
        push_error_unpushed=error,
        after_error=error,
        after_error_unpushed=error,
        recovery=rest,
        tilt=rest,
        torque=rest,
        load=rest,
    )


def counted(counts: dict[Cell, int], episodes: int = 20) -> report.Sweep:
    """A sweep in which so many of a cell's episodes survive, and all un-pushed ones."""
    kinds = list(counts)
    cell = np.concatenate([np.full(4, -1), np.repeat(np.arange(len(kinds)), episodes)])
    survivors = [np.arange(episodes) < counts[kind] for kind in kinds]
    up = np.concatenate([np.ones(4, bool), *survivors])
    results = outcomes_of(np.ones(len(cell), bool), up, np.full(len(cell), 0.02), np.ones(len(cell)))
    return report.summarise("counted", kinds, cells.SweepRows(cell, np.zeros(len(cell), int)), results, 0)


def example(label: str, half: float, kinds: list[Cell], repeats: int = 20) -> report.Sweep:
    """A sweep whose survival is a logistic curve of the level."""
    generator = np.random.default_rng(0)
    cell = np.concatenate([np.full(40, -1), np.repeat(np.arange(len(kinds)), repeats)])
    level = np.array([*(kind.level for kind in kinds), 0.0])[cell]
    up = (generator.random(len(cell)) < 1 / (1 + np.exp((level - half) / 4))) | (cell < 0)
    some = generator.random(len(cell))
    results = outcomes_of(np.ones(len(cell), bool), up, 0.01 + 0.01 * some, some)
    return report.summarise(label, kinds, cells.SweepRows(cell, np.zeros(len(cell), int)), results, 0)


@pytest.fixture(scope="module")
def two():
    short = [Cell("torso_link", d, t, x) for d in (*cells.HEADINGS, "up") for t in (0.1, 0.2) for x in LEVELS]
    steady = [Cell("torso_link", d, None, x) for d in cells.HEADINGS[::2] for x in (20.0, 40.0, 80.0)]
    turned = [Cell("pelvis", d, 0.2, x) for d in cells.GROUPS["torques"] for x in (5.0, 20.0, 60.0)]
    kinds = [*short, *steady, *turned]
    return example("plain", 22.0, kinds), example("pushed", 38.0, kinds)


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


def shown(sheet) -> list:
    """The panels of a figure, without colour scales and hidden ones."""
    return [axis for axis in sheet.axes if axis.get_visible() and axis.images]


def test_a_heat_map_has_the_survival_of_every_cell():
    counts = {("forward", 10.0): 20, ("forward", 40.0): 15, ("left", 10.0): 5, ("left", 40.0): 0, ("left", 80.0): 0}
    sweep = counted({Cell("torso_link", way, 0.2, level): count for (way, level), count in counts.items()})
    (axis,) = shown(figures.heat([sweep], "torso_link"))
    values = np.ma.filled(axis.images[0].get_array(), np.nan)
    np.testing.assert_allclose(values, [[100, 75, np.nan], [25, 0, 0]])
    assert [text.get_text() for text in axis.get_yticklabels()] == ["forward", "left"]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["10", "40", "80"]
    assert axis.get_title() == "force for 0.2 s" and axis.get_xlabel() == "impulse, N s"
    texts = {(*np.round(text.get_position()).astype(int),): [] for text in axis.texts}
    for text in axis.texts:
        texts[(*np.round(text.get_position()).astype(int),)].append(text.get_text())
    # Wilson's interval of 15 in 20: (0.75 + 1.921 / 20 ± 1.96 sqrt(0.1875 / 20 + 0.9604 / 400)) / (1 + 3.8415 / 20)
    assert texts[1, 0] == ["75", "53–89"] and texts[0, 1] == ["25", "11–47"]  # and its mirror image, of 5 in 20
    assert texts[0, 0] == ["100", "84–100"] and texts[1, 1] == ["0", "0–16"] and (2, 0) not in texts


def test_a_heat_map_of_two_runs_has_their_difference():
    first, second = (
        counted({Cell("torso_link", "left", None, 10.0): a, Cell("torso_link", "left", None, 40.0): b})
        for a, b in ((20, 5), (18, 15))
    )
    axes = shown(figures.heat([first, second], "torso_link"))
    np.testing.assert_allclose([axis.images[0].get_array()[0] for axis in axes], [[100, 25], [90, 75], [-10, 50]])
    assert [text.get_text() for text in axes[2].texts] == ["-10", "+50"]
    assert axes[2].get_title() == "second − first: steady force"


def test_a_polar_plot_has_the_thresholds_of_the_fits_as_radii():
    """Forward half survive 20 N s, to the left 40, to the right all that was tried, to the back none."""
    levels = (10.0, 20.0, 40.0, 80.0)
    counts = {"forward": (19, 10, 1, 0), "left": (20, 18, 10, 1), "back": (0, 0, 0, 0), "right": (20, 20, 20, 20)}
    sweep = counted(
        {Cell("torso_link", way, 0.2, level): n for way in counts for level, n in zip(levels, counts[way], strict=True)}
    )
    sheet = figures.polar([sweep], "N s")
    (axis,) = sheet.axes
    ring, beyond = axis.lines
    at = {key.direction: fit.at[0.5] for key, fit in sweep.fits.items()}
    np.testing.assert_allclose(ring.get_xdata(), np.pi / 2 * np.array([0, 1, 2, 3, 0]))  # anticlockwise, closed
    radii = [at["forward"].value, at["left"].value, 10.0, 80.0, at["forward"].value]
    np.testing.assert_allclose(ring.get_ydata(), radii)
    np.testing.assert_allclose(radii[:2], [20.0, 40.0], rtol=0.08)
    assert beyond.get_xydata().tolist() == [[1.5 * np.pi, 80.0]]  # a hollow triangle to the right
    band = axis.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == 80.0 and at["forward"].low in band[:, 1] and at["left"].high in band[:, 1]
    assert axis.get_title() == "torso_link, N s" and [text.get_text() for text in sheet.legends[0].texts] == ["0.2 s"]


def test_a_figure_for_every_body_and_unit_is_written_whole(two, tmp_path):
    from matplotlib.image import imread

    paths = figures.draw(tmp_path, "two", two) + figures.draw(tmp_path, "one", two[:1])
    names = ["heat-pelvis.png", "heat-torso_link.png", "polar-sustained.png", "polar.png"]
    assert sorted(path.name for path in paths) == [f"{stem}-{name}" for stem in ("one", "two") for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    whole = imread(tmp_path / "one-polar.png").shape
    assert whole[:2] == (5 * 110, 6 * 110)  # inches at 110 dots
    with pytest.raises(UserError, match="cannot be written"):
        figures.draw(paths[0] / "no", "one", two[:1])


def test_the_table_on_the_screen_has_what_half_survive(two):
    rows = table.thresholds(two)
    columns = [list(column.cells) for column in rows.columns]
    assert columns[0][:2] == ["torso_link", "torso_link"] and columns[1][:2] == ["headings", "headings"]
    half = {key.duration: f for key, f in two[0].fits.items() if key.direction == "headings"}[0.1]
    assert columns[3][0] == f"{half.at[0.5].value:.3g} N s [{half.at[0.5].low:.3g}, {half.at[0.5].high:.3g}]"
    assert [column.header for column in rows.columns][3:] == [
        "plain: 50 %", "plain: 90 %", "pushed: 50 %", "pushed: 90 %", "ratio at 50 %",
    ]  # fmt: skip
    assert table.unpushed(two[0]).startswith("plain, nobody pushing: body error 14.9 mm [")


def test_the_polar_plot_names_the_directions_that_were_measured(two):
    whole, four = figures.polar(two[:1], "N s"), figures.polar(two[:1], "N")  # sustained pushes drive it four ways
    names = [[text.get_text().replace("\n", "_") for text in f.axes[0].get_xticklabels()] for f in (whole, four)]
    assert names[0] == list(cells.HEADINGS)
    assert [name for name in names[1] if name] == list(cells.HEADINGS[::2]) and len(names[1]) == 8
    assert "only the named" in four.get_suptitle() and "only the named" not in whole.get_suptitle()


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
    (axis,) = shown(figures.heat([sweep], "torso_link"))
    assert not axis.texts and np.ma.getmaskarray(axis.images[0].get_array()).all()
    assert figures.polar([sweep], "N s") is None
