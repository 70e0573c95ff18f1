"""Several seeds of one run: which folders and settings, what is refused, and the band of their curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mimicjax import commands, config, train
from mimicjax.config.settings import RunSettings
from mimicjax.draw import curves, spread
from mimicjax.run import seeds


def run_folder(out: Path, seed: int, lengths: list[float]) -> Path:
    folder = out / f"seed_{seed}"
    config.dump(config.load(RunSettings, "deepmimic_g1", {"seed": seed, "max_iterations": 4}), folder / "config.yaml")
    rows = [
        {"Samples": 100 * n, "Wall_Time": n, "Test_Episode_Length": length, "Test_Return": length, "Body_Pos_Err": 0.01 * seed}
        for n, length in enumerate(lengths, start=1)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_every_seed_has_its_settings_and_folder(tmp_path):
    flags = ["--config", "deepmimic_g1", "--seed", "5", "--max-iterations", "3", "--out", str(tmp_path / "many")]
    asked, whole = train.runs([*flags, "--seeds", "3"])
    assert [(each.settings.seed, each.out.name, each.resume) for each in asked] == [
        (5, "seed_5", False), (6, "seed_6", False), (7, "seed_7", False),
    ]  # fmt: skip
    assert whole == tmp_path / "many" and all(each.out.parent == whole for each in asked)
    assert train.runs(flags) == ([train.Run(asked[0].settings, tmp_path / "many", False)], None)


def test_a_folder_of_seeds_goes_on(tmp_path):
    """In the order of their numbers, with what the command line changes."""
    for seed in (10, 9):
        run_folder(tmp_path, seed, [1.0])
    for argv in (["--resume", str(tmp_path)], ["--resume", "--out", str(tmp_path)], [f"--resume={tmp_path}"]):
        asked, whole = train.runs([*argv, "--max-iterations", "9"])
        assert [each.out.name for each in asked] == ["seed_9", "seed_10"] and whole == tmp_path
        assert all(each.resume and each.settings.max_iterations == 9 for each in asked)
        assert [each.settings.seed for each in asked] == [9, 10]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--seeds", "0", "--max-samples", "1"], "--seeds: given 0"),
        (["--seeds", "two", "--max-samples", "1"], "--seeds"),
        (["--seeds", "2"], "the first would never end; give --max-samples"),
        (["--seeds", "2", "--resume", "seed_0"], "seed_0 is one run"),
    ],
)
def test_mistakes_are_told_in_one_line(argv, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path, 0, [1.0])
    assert commands.main("train", train.run, argv) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1, err


def test_the_band_is_over_the_rows_that_all_have(tmp_path):
    run_folder(tmp_path, 0, [10, 20, 30])
    run_folder(tmp_path, 1, [30, 50])
    tables = [curves.read(folder / "metrics.jsonl") for folder in seeds.folders(tmp_path)]
    samples, found = spread.band(tables, "episode length (control steps)")
    np.testing.assert_array_equal(samples, [100, 200])
    np.testing.assert_array_equal(found["test"], [[10, 20], [20, 35], [30, 50]])
    seeds.draw(tmp_path)
    assert (tmp_path / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    # 30 and 50: 40, and 20 / sqrt(2); 0 and 10 mm
    assert seeds.summary(tmp_path).endswith("test episode, steps 40.0 ± 14.1, body error, mm 5.0 ± 7.1")


def test_nothing_is_drawn_before_the_first_test(tmp_path):
    seeds.draw(tmp_path)
    assert not (tmp_path / "curves.png").exists()
    assert "0 seeds" in seeds.summary(tmp_path)
