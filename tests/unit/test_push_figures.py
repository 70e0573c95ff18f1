"""Figures and tables of push sweeps: their numbers are read back and compared with the sweeps."""

from __future__ import annotations

import numpy as np
import pytest
from push_sweeps import counted, two_runs

from mimicjax.errors import UserError
from mimicjax.evaluation.push import figures, table
from mimicjax.evaluation.push.cells import HEADINGS, Cell


@pytest.fixture(scope="module")
def two():
    return two_runs()


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
    assert names[0] == list(HEADINGS)
    assert [name for name in names[1] if name] == list(HEADINGS[::2]) and len(names[1]) == 8
    assert "only the named" in four.get_suptitle() and "only the named" not in whole.get_suptitle()
