"""The live display: one of two forms, any kind of budget."""

from __future__ import annotations

import io
import math
import re

import pytest

from mimicjax.run.display import Display, Extent, figures
from mimicjax.text import duration, short

ROW = {"Test_Return": 30.0, "Test_Episode_Length": 60.0, "Body_Pos_Err": 0.0512, "Train_Episode_Length": 50.0}
LIVE = {"Train_Return": 30.044, "Train_Episode_Length": 74.0, "Body_Pos_Err": 0.051}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make(*budget, bar=False, start=None):
    clock, stream = Clock(), io.StringIO()
    return Display(Extent(*budget), start, stream=stream, bar=bar, clock=clock), clock, stream


def test_plain_lines_come_with_log_rows_only():
    display, clock, stream = make(4e6)
    with display:
        clock.now += 50
        display.update(1_000_000, 0.8, 10)
        assert stream.getvalue() == ""
        clock.now += 50
        display.update(2_000_000, 1.7, 20, ROW)
        display.message("saved")
    assert stream.getvalue() == (
        "iteration 20 | 2M/4M samples | 1.7 min | 20k/s | 2 min left | test: episode 60 steps, "
        "reward/step 0.500, error 0.051 m\nsaved\n"
    )


def screen(text: str) -> list[str]:
    """What a terminal shows of a stream: the control codes by which rich overwrites and erases lines are obeyed."""
    lines, at = [""], 0
    for code, char in re.findall(r"\x1b\[([0-9;?]*[A-Za-z])|([^\x1b])", text):
        if code.endswith("A"):
            at -= int(code[:-1])
        elif code == "2K" or char == "\r":
            lines[at] = "" if code else lines[at]
        elif char == "\n":
            at += 1
            lines += [""] * (at + 1 - len(lines))
        else:
            lines[at] += char
    return [line for line in lines if line]


def test_a_terminal_keeps_the_log_rows_and_the_live_line_goes_with_the_run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    display, clock, stream = make(bar=True)
    with display:
        clock.now += 50
        display.update(250_000, 0.8, 61, LIVE, logged=False)
        display.update(250_000, 0.8, 61, {**ROW, "Samples_Per_Second": 5000.0})
        display.message("[saved] checkpoint")
        clock.now += 50
        display.update(975_000, 3.2, 238, LIVE, logged=False)
        *above, live = screen(stream.getvalue())
        assert above == [
            "iteration 61 | 250k samples | 0.8 min | 5k/s | test: episode 60 steps, reward/step 0.500, error 0.051 m",
            "[saved] checkpoint",
        ]
        figures = "train: episode 74 steps, reward/step 0.406, error 0.051 m"
        assert live[2:].rstrip() == f"iter 238 | 975k | 3.2 min | 14.5k/s | {figures}"
    display.message("stopped at iteration 238")
    assert screen(stream.getvalue()) == [*above, "stopped at iteration 238"]


def test_a_budget_draws_a_bar_and_a_narrow_terminal_shows_less(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    display, clock, stream = make(4e6, bar=True)
    with display:
        for samples in (500_000, 1_000_000):
            clock.now += 25
            display.update(samples, 0.8, 10, LIVE, logged=False)
        live = screen(stream.getvalue())[-1]
    assert "━" in live and "1M/4M | 20k/s | 2 min left | train: episode 74 steps, error 0.051 m" in live
    assert display.bar.share == 0.25


def test_learned_rewards_are_shown_instead_of_a_return_of_nothing():
    """AMP has no return of its own: the log has NaN, and a line the style reward and the distance from the clips."""
    display, clock, stream = make(4e6)
    clock.now += 50
    style = {"Disc_Reward_Mean": 0.4123, "Motion_Distance": 0.731}
    display.update(2_000_000, 1.7, 20, {**ROW, "Test_Return": math.nan, **style})
    assert stream.getvalue().endswith(
        "| 50 s left | test: episode 60 steps, error 0.051 m | style 0.412, distance 0.731\n"
    )


def test_figures_of_tests_and_of_training_are_not_mixed():
    assert figures(ROW, "Test") == {"episode": "60 steps", "reward/step": "0.500", "error": "0.051 m"}
    assert figures(ROW, "Train", errors=False) == {"episode": "50 steps"}
    assert figures({"Train_Episode_Length": math.nan, "Train_Return": math.nan}, "Train") == {}  # no episode ended


def test_an_unknown_speed_is_said_to_be_unknown():
    display, clock, stream = make(0, 0.0, 1)
    clock.now += 20
    display.update(4096, 0.3, 1, {**ROW, "Samples_Per_Second": math.nan})  # one iteration, which was compiled meanwhile
    assert "iteration 1 | 4.1k samples | 0.3 min | -/s | 0 s left | test: " in stream.getvalue()


def test_a_stream_that_is_no_terminal_gets_lines():
    assert not Display(stream=io.StringIO()).bar.shown


@pytest.mark.parametrize(
    ("budget", "fraction", "left"),
    [
        ((), None, None),
        ((0, 0.0, 0), None, None),
        ((1000,), 0.5, 60.0),
        ((0, 10), 0.6, 120.0),
        ((0, 0, 50), 0.8, 15.0),
        ((1000, 10, 50), 0.8, 15.0),  # the iterations end first
    ],
)
@pytest.mark.parametrize("bar", [True, False])
def test_budgets(budget, fraction, left, bar):
    display, clock, _ = make(*budget, bar=bar, start=Extent(0, 4.0, 0))
    with display:
        clock.now += 60
        display.update(500, 6.0, 40, {})
        assert display.fraction() == fraction
        assert display.eta() == left


def test_a_resumed_run_counts_its_own_time():
    display, clock, _ = make(4000, start=Extent(samples=2000))
    clock.now += 5
    display.update(2500, 0.5, 3)
    assert math.isnan(display.rate)  # it may have compiled
    clock.now += 5
    display.update(3000, 1.0, 5)
    assert display.rate == 100 and display.eta() == 10 and display.fraction() == 0.75


def test_short_numbers():
    assert [short(n) for n in (0, 999, 1000, 999_999, 12_345_678, 3e9)] == ["0", "999", "1k", "1M", "12.3M", "3G"]
    assert [duration(s) for s in (5, 600, 3700)] == ["5 s", "10 min", "1 h 02 min"]
