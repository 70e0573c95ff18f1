"""A packed policy acts as the run it came from, is small, says what it can, and is found by its name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from mimicjax import build, config, evaluate, pack, paths, pretrained
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.learn import acting
from mimicjax.run import checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run folder with one checkpoint, of an agent before any training, and two results of evaluate."""
    run = tmp_path_factory.mktemp("runs") / "mine"
    settings = config.load(RunSettings, "deepmimic_g1_push")
    settings = dataclasses.replace(settings, learn=dataclasses.replace(settings.learn, actor_hidden=[8]))
    world = build.world(settings)
    agent = jax.jit(lambda key: build.first_agent(world, key))(jax.random.key(3))
    run.mkdir()
    config.dump(world.settings, run / "config.yaml")
    checkpoint.save(run / "checkpoints", 7, {"agent": agent}, {**build.facts(world), "samples": 2_000_000})
    (run / "evaluation").mkdir()
    overall = {"episodes": 9, "Completed": {"value": 0.5}, "MPJPE_Root": {"value": 11.25}}
    plain = {"checkpoint": 7, "engine": "native", "overall": {"all": overall}}
    pushed = {"checkpoint": 7, "profile": "quick", "quote": ["mine: torso_link survives 42 N s"]}
    for name, data in {"a": plain, "b": pushed, "of_another": {**plain, "checkpoint": 6}}.items():
        (run / "evaluation" / f"{name}.json").write_text(json.dumps(data))
    return run


@pytest.fixture(scope="module")
def packed(folder) -> Path:
    out = folder.parent / "g1_mine"
    assert pack.run(["--run", str(folder), "-o", str(out), "--command", "train it"]) == 0
    return out


def test_it_acts_as_the_run_does_without_critic_and_optimisers(folder, packed):
    runs = [build.restore(each) for each in (folder, packed)]
    assert runs[1].trained_on == runs[0].trained_on and "name: auto" in (packed / "config.yaml").read_text()
    assert not jax.tree.leaves((runs[1].agent.critic, runs[1].agent.actor_opt))
    obs = {"actor": np.float32(np.random.default_rng(0).normal(size=(3, len(runs[0].agent.norm["actor"].mean))))}
    want, got = (acting.mode(each.policy, each.agent, obs, ()) for each in runs)
    np.testing.assert_array_equal(got, want)
    sizes = [sum(file.stat().st_size for file in each.rglob("*") if file.is_file()) for each in (folder, packed)]
    assert sizes[1] < 0.7 * sizes[0]
    here = str(packed.parent).encode()
    assert not [file for file in packed.rglob("*") if file.is_file() and here in file.read_bytes()]


def test_its_card_has_the_figures_of_its_own_checkpoint(packed):
    card = (packed / pack.CARD).read_text()
    for text in ("2 M samples (iteration 7)", "50%", "11.2 mm", "9 episodes on native", "torso_link survives 42 N s",
                 "`train it`", "arms, trunk", "MIT"):  # fmt: skip
        assert text in card, text
    assert card.count("11.2 mm") == 1 and "/" not in card.replace("m/s", "")


def test_nothing_is_packed_over_and_nothing_half_made_stays(folder, packed, monkeypatch):
    with pytest.raises(UserError, match="is there already"):
        pack.parse(["--run", str(folder), "-o", str(packed)])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(config, "dump", full)
    with pytest.raises(UserError, match="No space left"):
        pack.write(build.restore(folder), packed.with_name("second"), "")
    assert not [path for path in packed.parent.iterdir() if "second" in path.name]


def test_a_policy_that_comes_along_is_found_by_name(packed, monkeypatch):
    monkeypatch.setattr(paths, "PRETRAINED", packed.parent)
    for text in ("g1_mine", "pretrained/g1_mine"):
        options = evaluate.parse(["--run", text])
        assert options.run == packed and pretrained.results_of(options.run) == Path("evaluation/g1_mine")
    assert pretrained.folder_of("elsewhere/mine") == Path("elsewhere/mine")
    with pytest.raises(UserError, match="policies that come with mimicjax: g1_mine"):
        build.restore(pretrained.folder_of("g1_min"))


def test_every_policy_that_ships_is_small_and_has_a_card():
    for name in pretrained.names():
        folder = paths.PRETRAINED / name
        assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 2e6
        assert "## What it can" in (folder / pack.CARD).read_text()
