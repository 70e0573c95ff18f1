"""Evaluation against figures derived by hand: intervals, MimicKit's means, a robot that never moves."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from restored_runs import untrained

from mimicjax.config.settings import EnvSettings, LearnSettings, ObservationSettings, RunSettings
from mimicjax.engine import state
from mimicjax.errors import UserError
from mimicjax.evaluation import endings, metrics, output, report, table
from mimicjax.evaluation.metrics import ERRORS, Results
from mimicjax.robot.load import load
from mimicjax.types import CLAMP, FAILED, SUCCEEDED, TIME_UP, Clip, Engine

SPEED = 0.9  # m/s of the clip that walks away


def test_share_is_wilsons_interval():
    share = metrics.share(np.arange(10) < 8)  # Wilson's 95 % interval of 8 in 10, from its closed form
    z, p, n = 1.959963985, 0.8, 10
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    wanted = [(middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)]
    assert share.value == 0.8 and share.episodes == 10
    np.testing.assert_allclose([share.low, share.high], wanted, rtol=1e-6)
    np.testing.assert_allclose(wanted, [0.4902, 0.9433], atol=1e-4)  # as published
    assert metrics.share(np.zeros(0, bool)).value is None


def test_ratio_with_equal_weights_is_the_t_interval_of_the_mean():
    mean = metrics.ratio(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4))
    half = 3.182446 * np.sqrt(5 / 3) / 2  # t(0.975, 3), deviation, root of 4
    np.testing.assert_allclose([mean.value, mean.low, mean.high], [2.5, 2.5 - half, 2.5 + half], rtol=1e-6)


def test_ratio_weighs_steps_and_its_interval_holds_what_it_promises():
    assert metrics.ratio(np.array([10.0, 1.0]), np.array([10.0, 2.0])).value == pytest.approx(11 / 12)
    assert metrics.ratio(np.array([3.0]), np.array([2.0])) == (1.5, None, None, 1)
    generator, hits = np.random.default_rng(0), 0
    for _ in range(400):  # lengths and sums of episodes that hang together; the true ratio is 0.5 + 0.1 x E[n^2] / E[n]
        n = generator.integers(1, 11, 30)
        ratio = metrics.ratio(n * (0.5 + 0.1 * n + 0.1 * generator.normal(size=30)), n)
        hits += ratio.low <= 0.5 + 0.1 * 38.5 / 5.5 <= ratio.high
    assert 0.91 < hits / 400 < 0.98


def results(**changes) -> Results:
    """Four episodes of one clip: succeeded, time up, failed at half, succeeded but once far away."""
    zeros = dict.fromkeys(ERRORS, np.zeros(4))
    four = Results(
        clip=np.zeros(4, int),
        start=np.zeros(4),
        origin=np.array([0, 1, 1, 1]),
        length=np.array([10, 30, 15, 10]),
        limit=np.array([10, 30, 30, 10]),
        done=np.array([SUCCEEDED, TIME_UP, FAILED, SUCCEEDED]),
        total=np.array([10.0, 15.0, 5.0, 10.0]),
        mean_error=zeros,
        first_error=dict(zeros),
        global_error=np.array([0.1, 0.2, 0.4, 0.3]),
        worst_error=np.array([0.2, 0.4, 0.45, 0.6]),
        means={"Speed": np.array([1.0, 1.0, 2.0, 0.5]), "Reference_Speed": np.ones(4)},
        broke_rule=np.array([False, False, True, False]),
        last={"fell_body": np.full(4, -1.0), "far_body": np.full(4, 2.0), "end_time": np.array([1.0, 3.0, 1.5, 1.0])},
        strays=True,
    )
    return four._replace(**changes)


def test_figures_of_four_episodes():
    figures = {name: figure.value for name, figure in metrics.figures(results()).items()}
    assert figures["Completed"] == 0.75 and figures["Success_MimicKit"] == 0.75
    assert figures["Success_0.5m"] == 0.5 and figures["Success_0.25m"] == 0.25
    assert figures["Completion"] == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert figures["Return_Per_Step"] == pytest.approx(40 / 65) and figures["Return"] == pytest.approx(10.0)
    assert figures["Episode_Length"] == pytest.approx(65 / 4)
    assert figures["MPJPE_Global"] == pytest.approx(1000 * (0.1 * 10 + 0.2 * 30 + 0.4 * 15 + 0.3 * 10) / 65)


def test_how_episodes_ended_is_told_by_way_body_and_phase():
    duration, bodies = np.array([1.0]), ("pelvis", "left_hand", "head")
    ways, names = endings.classify(results(), bodies)
    assert ways == ["whole", "whole", "left the reference", "whole"] and names == ["", "", "head", ""]
    (row,) = endings.rows(results(), bodies, duration)
    assert (row["how"], row["body"], row["episodes"], row["share"], row["phase_median"]) == (
        "left the reference", "head", 1, 0.25, 0.5,
    )  # fmt: skip
    down = {**results().last, "fell_body": np.array([-1.0, -1.0, 1.0, -1.0])}
    assert endings.classify(results(last=down), bodies)[1][2] == "left_hand"
    assert metrics.figures(results(last=down))["Fell"].value == 0.25
    assert metrics.figures(results())["Strayed"].value == 0.25
    assert endings.classify(results(strays=False), bodies)[0][2] == "unstable"
    assert endings.table([]) is None and endings.table([row]).row_count == 1


def test_survival_counts_every_passage_of_a_part_of_the_clip(tmp_path):
    # one loop of 1 s in steps of 0.1 s: 10, 30, 15 and 10 steps; the third fails at 1.5 s, in the part from 0.5 on
    share, passed = endings.survival(results(), np.array([1.0]), 0.1)
    assert passed.sum() == 65 and share[10] == pytest.approx(1 - 1 / passed[10])
    assert np.nansum(share < 1) == 1
    endings.draw(results(), np.array([1.0]), 0.1, tmp_path / "endings.png")
    assert (tmp_path / "endings.png").stat().st_size > 5000


def test_errors_count_every_step_and_one_entry_for_every_reset():
    mean = dict.fromkeys(ERRORS, np.array([2.0, 1.0, 0.0, 0.0]))
    figures = metrics.figures(results(mean_error=mean, first_error=dict.fromkeys(ERRORS, np.full(4, 0.25))))
    for name in ERRORS:  # (20 + 30 over the steps + 4 x 0.25) / (65 steps + 4 resets)
        assert figures[name].value == pytest.approx(51 / 69)
    assert figures["Speed"].value == pytest.approx((10 + 30 + 2 * 15 + 0.5 * 10) / 65)  # m/s, by steps
    assert figures["MPJPE_Root"].value == pytest.approx(1000 * 50 / 65)  # no entries for resets


def test_groups_are_overall_then_every_clip():
    groups = list(metrics.groups(results(clip=np.array([0, 0, 1, 1])), ("a", "b")))
    assert [(g.clip, g.origin, g.episodes) for g in groups] == [
        (None, "all", 4), (None, "start", 1), (None, "random", 3),
        ("a", "all", 2), ("a", "start", 1), ("a", "random", 1), ("b", "all", 2), ("b", "random", 2),
    ]  # fmt: skip


def test_cases_are_every_start_and_phases_spread_over_the_clips():
    duration = np.array([1.0, 2.0, 0.5])
    clip, start, origin = report.cases(duration, 64, seed=3)
    assert clip[:3].tolist() == [0, 1, 2] and not start[:3].any() and origin.tolist() == [0] * 3 + [1] * 64
    assert sorted(np.bincount(clip[3:])) == [21, 21, 22]
    assert np.all(start[3:] >= 0) and np.all(start[3:] < duration[clip[3:]]) and start.dtype == np.float32
    again, other = report.cases(duration, 64, seed=3), report.cases(duration, 64, seed=4)
    assert np.array_equal(start, again[1]) and not np.array_equal(start, other[1])
    assert len(report.cases(duration, 0, 0)[0]) == 3 and len(report.cases(duration, 2, 0)[0]) == 5


@pytest.fixture(scope="module")
def frozen(evaluated):
    return evaluated[0]


@pytest.fixture(scope="module")
def evaluated():
    """Results, and the world, of a robot that stays as it was put: a clip that stands still, one that walks away upright."""
    robot = load("g1")
    standing = np.tile(robot.start_qpos, (61, 1)).astype(np.float64)  # 2 s
    walking = standing + SPEED / 30.0 * np.arange(61)[:, None] * (np.arange(robot.nq) == 0)
    clips = [
        Clip(name, "g1", robot.dof_names, 30.0, CLAMP, q[:, :3], q[:, 3:7], q[:, 7:])
        for name, q in (("stand", standing), ("walk_away", walking))
    ]
    still = Engine("still", state.init, lambda physics, ctrl, wrench, variant: physics, state.write)
    learn = LearnSettings(actor_hidden=[8], critic_hidden=[8])
    settings = RunSettings(env=EnvSettings(observations=ObservationSettings(joints="angle")), learn=learn)
    restored = untrained(robot, clips, settings)
    return report.run(restored, still, 6, 0), restored.world


def test_standing_still_is_a_perfect_imitation_of_a_clip_that_stands(frozen):
    figures = metrics.figures(frozen.rows(frozen.clip == 0))
    for name in ("Completed", "Success_MimicKit", "Success_0.25m", "Completion"):
        assert figures[name].value == 1.0
    assert figures["Return_Per_Step"].value == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose([figures[n].value for n in ("MPJPE_Global", *ERRORS)], 0.0, atol=1e-3)
    assert frozen.done[0] == SUCCEEDED and frozen.length[0] == frozen.limit[0] == 60
    # what is seen does not change, so what is done does not; of the clip that leaves, more is seen in every step
    assert figures["Action_Rate"].value == pytest.approx(0.0, abs=1e-6)
    assert metrics.figures(frozen.rows(frozen.clip == 1))["Action_Rate"].value > 1e-4


def test_a_clip_that_walks_away_gives_the_errors_of_the_distance_walked(frozen):
    away = frozen.rows(np.flatnonzero((frozen.clip == 1) & (frozen.origin == 0)))
    steps = 34  # the first at which SPEED k / 30 > 1 m
    assert away.length.tolist() == [steps] and away.done.tolist() == [FAILED] and away.limit.tolist() == [60]
    figures = {name: figure.value for name, figure in metrics.figures(away).items()}
    mean = SPEED * np.mean(np.arange(1, steps + 1) / 30)
    assert figures["MPJPE_Global"] == pytest.approx(1000 * mean, rel=1e-4)
    assert figures["Root_Pos_Err"] == pytest.approx(mean * steps / (steps + 1), rel=1e-4)
    assert figures["Completion"] == pytest.approx(steps / 60) and figures["Success_MimicKit"] == 0.0
    assert away.worst_error[0] == pytest.approx(SPEED * steps / 30, rel=1e-4) and away.broke_rule[0]
    for name in ("MPJPE_Root", "Body_Pos_Err", "Root_Vel_Err", "Dof_Vel_Err"):
        assert figures[name] == pytest.approx(0.0, abs=1e-3)


def test_clips_are_shown_worst_first():
    """Least completed, then the largest error; where they are many the rest is in the files."""
    plain = lambda value: {"value": value, "low": None, "high": None}  # noqa: E731

    def clip(completion, error):
        figures = dict.fromkeys(table.HEADLINE, plain(0.5)) | {"Completion": plain(completion)}
        return {"all": {"episodes": 3, **figures, "MPJPE_Global": plain(error)}}

    clips = {"a": clip(1.0, 20.0), "b": clip(0.5, 10.0), "c": clip(1.0, 30.0), "d": clip(1.0, None)}
    assert table.worst_first({"clips": clips}) == ["b", "d", "c", "a"]  # an error that is not finite is the largest
    many = {f"clip{number:03d}": clip(1 - number / 1000, 1.0) for number in range(100)}
    shown = table.per_clip({"clips": many})
    assert shown.row_count == table.MOST_CLIPS
    assert list(shown.columns[0].cells)[:2] == ["clip099", "clip098"]


def test_report_is_written_whole_as_json_and_csv(evaluated, tmp_path):
    facts = {"run": "r", "checkpoint": 5, "engine": "still", "seed": 0, "versions": {}}
    data = report.report(*evaluated, facts)
    paths = output.write(tmp_path / "deep" / "er", "name", data, report.rows(data))
    read = json.loads(paths[0].read_text())
    assert read["clips"]["stand"]["start"]["Completed"]["value"] == 1.0 and len(read["episodes"]) == 8
    assert read["episodes"][1]["done"] == "failed" and read["episodes"][1]["length"] == 34
    assert read["episodes"][1]["ended"] == "left the reference" and read["episodes"][1]["body"]
    assert read["episodes"][1]["end_phase"] == pytest.approx(34 / 60, abs=1e-3)
    rows = list(csv.DictReader(paths[1].open()))
    assert sum(row["episodes"] for row in read["endings"]) == 1 and float(rows[0]["Strayed"]) == 1 / 8
    assert [row["clip"] for row in rows] == [""] * 3 + ["stand"] * 3 + ["walk_away"] * 3
    assert float(rows[4]["Completed"]) == 1.0 and rows[4]["MPJPE_Global_low"] == "" and rows[0]["engine"] == "still"
    assert sorted(p.name for p in paths[0].parent.iterdir()) == ["name.csv", "name.json"]
    with pytest.raises(UserError, match="cannot be written"):
        output.write(paths[0] / "no", "name", data, report.rows(data))
