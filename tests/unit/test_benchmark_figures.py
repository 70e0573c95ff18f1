"""What the scripts in benchmarks/ compute beyond the package: shares of clips and latents told apart; cases of changes."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name: str):
    """A file of benchmarks/ as a module."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def latents():
    return script("latents")


def test_steps_are_labelled_with_the_nearest_clip(latents):
    """Two clips about 0 and about 1 in one feature, the other one noise that is as large in both."""
    generator = np.random.default_rng(0)
    clips = np.stack([np.column_stack([np.full(50, level), generator.normal(size=50)]) for level in (0.0, 1.0)])
    steps = np.zeros((6, 3, 2))
    steps[:, 1, 0] = 1.0
    steps[3:, 2, 0] = 1.0  # changes half-way
    labels = latents.nearest_clip(steps, clips)
    np.testing.assert_array_equal(labels, [[0, 1, 0]] * 3 + [[0, 1, 1]] * 3)
    alive = np.ones((6, 3), bool)
    alive[4:, 2] = False
    np.testing.assert_allclose(latents.shares(labels, alive, 2), [[1, 0], [0, 1], [0.75, 0.25]])


def test_latents_are_told_apart_by_the_other_episodes_only(latents):
    which = np.repeat([0, 1, 2], 4)
    apart = np.eye(3)[which]
    assert latents.told_apart(apart, which).all()
    alike = np.random.default_rng(0).dirichlet(np.ones(3), size=600)
    guess = latents.told_apart(alike, np.repeat(np.arange(6), 100)).mean()
    assert guess < 1 / 6 + 4 * np.sqrt(1 / 6 * 5 / 6 / 600)  # no better than chance by four standard errors


def test_cases_of_changes(tmp_path):
    ablation = script("ablation")
    given = argparse.Namespace(changes=BENCHMARKS / "unshakable.yaml", cases="preset,no_leash")
    assert list(ablation.chosen(given)) == ["preset", "no_leash"] and ablation.chosen(given)["preset"] == {"flags": []}
    with pytest.raises(SystemExit, match="leesh is not in unshakable.yaml; there are preset"):
        ablation.chosen(argparse.Namespace(changes=given.changes, cases="leesh"))
    longer = ablation.chosen(argparse.Namespace(changes=given.changes, cases="together_discount"))["together_discount"]
    together = ablation.chosen(argparse.Namespace(changes=given.changes, cases="together"))["together"]
    assert longer == {"flags": [*together["flags"], "--learn.discount=0.97"]}


def test_every_change_is_understood():
    """The flags of all cases name keys that exist, with values that are allowed."""
    from mimicjax import train

    cases = script("ablation").chosen(argparse.Namespace(changes=BENCHMARKS / "unshakable.yaml", cases=None))
    for name, case in cases.items():
        settings, *_ = train.parse([f"--config={case.get('config', BENCHMARKS / 'pushed.yaml')}", *case["flags"]])
        assert settings.robot == "g1", name
