"""The benchmark command and the benchmarks on a tiny config: they run, and their numbers hang together."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mimicjax import commands
from mimicjax.benchmark import __main__ as benchmark
from mimicjax.benchmark import machine, throughput
from mimicjax.benchmark.throughput import Case, Rates

ROOT = Path(__file__).parents[2]
TINY = [
    "--learn.steps_per_iter", "2", "--learn.actor_hidden", "[8]", "--learn.critic_hidden", "[8]",
    "--learn.actor.epochs", "1", "--learn.critic.epochs", "1",
]  # fmt: skip


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import learning  # type: ignore[import-not-found]

    return learning


def test_a_tiny_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "found.json"
    argv = ["--config", "deepmimic_g1", "--engines", "native", "--num-envs", "4", "--seconds", "0.01", *TINY]
    assert commands.main("benchmark", benchmark.run, [*argv, "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert "training/physics" in out and "native" in out
    data = json.loads(file.read_text())
    (found,) = data["results"]
    assert found["num_envs"] == 4 and data["versions"]["mujoco"] and data["config"] == "deepmimic_g1"
    assert all(rate > 0 for rate in found["steps_per_second"].values())
    assert found["compile_seconds"]["training"] > 0
    assert found["bytes_per_env"]["state"] > 4 * (36 + 35 + 35 + 245)  # qpos, qvel, warm start, one observation
    assert str(Path.home()) not in file.read_text().replace(str(tmp_path), "")


def test_cases_take_turns_and_ratios_are_taken_round_by_round() -> None:
    order: list[str] = []
    cases = [Case(name, lambda n, name=name: order.append(name), 1) for name in "ab"]
    rates = throughput.measure(cases, seconds=1e-9, rounds=3)
    assert order[4:] == list("abbaab") and len(rates["a"].rate) == 3
    drifting = {"a": Rates([1.0, 10.0, 100.0], []), "b": Rates([2.0, 20.0, 200.0], [])}
    assert throughput.ratio(drifting, "a", "b") == 0.5


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--engines", "nativ"], "native"),
        (["--num-envs", "4,x"], "separated by commas"),
        (["--num-envs=0,4"], "above 0"),
        (["--seconds", "0"], "--seconds"),
        (["--learn.discont", "0.9"], "learn.discount"),
    ],
)
def test_mistakes_are_told_in_one_line(argv: list[str], says: str, capsys: pytest.CaptureFixture) -> None:
    assert commands.main("benchmark", benchmark.run, argv) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1, err


def test_several_numbers_of_environments() -> None:
    request = benchmark.parse(["--num-envs", "4,8", "--seed", "3"])
    assert request.num_envs == (4, 8) and request.settings.seed == 3
    assert benchmark.parse(["--num-envs", "16"]).num_envs == (16,)
    assert benchmark.parse(["--engine", "mjx-jax"]).engines == ("mjx-jax",)


def test_facts_do_not_name_the_computer() -> None:
    import platform

    facts = machine.facts(devices=False)
    assert platform.node() not in json.dumps(facts).split('"')
    assert str(Path.home()) not in json.dumps(facts)
    assert machine.peak_rss() > 10 << 20


def test_rows_get_the_clock_of_the_command(learning: ModuleType, tmp_path: Path) -> None:
    """A command that writes two rows a while after it began: minutes count from its start."""
    metrics = tmp_path / "metrics.jsonl"
    row = {"Samples": 10, "Test_Return": 3.0, "Test_Episode_Length": 4.0, "Body_Pos_Err": 0.05, "Root_Pos_Err": 0.1}
    code = (
        "import json, sys, time\nprint('hello', flush=True)\nfor n in (1, 2):\n"
        f"    time.sleep(0.6)\n    open(sys.argv[1], 'a').write(json.dumps({{**{row!r}, 'Samples': 10 * n}}) + '\\n')"
    )
    process = learning.watch([sys.executable, "-c", code, str(metrics)], metrics, tmp_path / "log.txt")
    assert process.code == 0 and [r["Samples"] for r in process.rows] == [10, 20]
    assert 0.01 <= process.rows[0]["minutes"] < process.rows[1]["minutes"] <= process.minutes
    assert 0 < process.first_output <= process.rows[0]["minutes"] and process.peak_bytes > 1 << 20


def test_learned_means_first_and_for_good(learning: ModuleType) -> None:
    lengths = [100, 295, 200, 291, 299]
    rows = [
        {"minutes": 1.0 + i, "Samples": 1000 * (i + 1), "Test_Episode_Length": n, "Test_Return": 0.8 * n,
         "Body_Pos_Err": 0.05, "Root_Pos_Err": 0.1, "Samples_Per_Second": 50.0} for i, n in enumerate(lengths)
    ]  # fmt: skip
    found = learning.summary(learning.Process(rows, 0.1, 5.5, 1 << 20, 0), [0.5, 3.5], 290)
    assert (found["minutes_to_first"], found["minutes_to_stay"]) == (2.0, 4.0)
    assert found["at"]["0.5"] is None and found["at"]["3.5"]["test_length"] == 200
    np.testing.assert_allclose(found["end"]["return_per_step"], 0.8)
    assert found["end"]["body_error_mm"] == 50.0
    worse = learning.summary(learning.Process(rows[:3], 0.1, 5.5, 1 << 20, 0), [], 290)
    assert worse["minutes_to_first"] == 2.0 and worse["minutes_to_stay"] is None
    assert "2.0" in learning.tables({"0": found}, [0.5, 3.5], 290)


def test_published_settings_name_no_folders(learning: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "clip.npz"
    assert learning.plain([str(file), f"--robot={tmp_path}", "mimickit/add_g1", "--a=[1, 2]", 3]) == [
        "clip.npz", f"--robot={tmp_path.name}", "mimickit/add_g1", "--a=[1, 2]", 3,
    ]  # fmt: skip
