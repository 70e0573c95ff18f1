"""The live display: one of two forms, any kind of budget."""

from __future__ import annotations

import io

import pytest

from mimicjax.run.display import Display, duration, short

ROW = {"Test_Return": 30.0, "Test_Episode_Length": 60.0, "Body_Pos_Err": 0.0512, "Train_Episode_Length": 50.0}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make(*budget, bar=False, **start):
    clock, stream = Clock(), io.StringIO()
    return Display(*budget, stream=stream, bar=bar, clock=clock, **start), clock, stream


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
        "iteration 20 | 2M/4M samples | 1.7 min | 20k/s | 2 min left | episode 60 steps | "
        "reward/step 0.500 | error 0.051 m\nsaved\n"
    )


def test_the_bar_prints_no_lines_of_its_own():
    display, clock, stream = make(4e6, bar=True)
    with display:
        clock.now += 50
        display.update(1_000_000, 0.8, 10, ROW)
        display.message("[saved] checkpoint")
    text = stream.getvalue()
    assert (
        "1M/4M | 20k/s | 2 min left | 60 steps | reward/step 0.500 | 0.051 m" in text
        and "[saved] checkpoint" in text
        and "━" in text
    )
    assert display.progress and display.progress.tasks[0].completed == 0.25


def test_a_stream_that_is_no_terminal_gets_lines():
    assert Display(stream=io.StringIO()).progress is None


@pytest.mark.parametrize(
    ("budget", "fraction", "left"),
    [
        ((), None, None),
        ((0, 0.0, 0), None, None),
        ((1000,), 0.5, 60.0),
        ((None, 10), 0.6, 120.0),
        ((None, None, 50), 0.8, 15.0),
        ((1000, 10, 50), 0.8, 15.0),  # the iterations end first
    ],
)
@pytest.mark.parametrize("bar", [True, False])
def test_budgets(budget, fraction, left, bar):
    display, clock, _ = make(*budget, bar=bar, samples=0, minutes=4.0, iteration=0)
    with display:
        clock.now += 60
        display.update(500, 6.0, 40, {})
        assert display.fraction() == fraction
        assert display.eta() == left


def test_a_resumed_run_counts_its_own_time():
    display, clock, _ = make(4000, samples=2000)
    clock.now += 10
    display.update(3000, 1.0, 5)
    assert display.rate == 100 and display.eta() == 10 and display.fraction() == 0.75


def test_short_numbers():
    assert [short(n) for n in (0, 999, 1000, 999_999, 12_345_678, 3e9)] == ["0", "999", "1k", "1M", "12.3M", "3G"]
    assert [duration(s) for s in (5, 600, 3700)] == ["5 s", "10 min", "1 h 02 min"]
