"""A run whose starts depend on failures: what it records, logs and stores, and that it goes on exactly."""

from __future__ import annotations

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_identical

from mimicjax import build, config, paths, statistics
from mimicjax.config.settings import RunSettings
from mimicjax.run import checkpoint, loop

STEPS, ENVS = 8, 8
SIZES = {
    "engine.name": "native", "num_envs": ENVS, "learn.steps_per_iter": STEPS, "learn.actor_hidden": [16],
    "learn.critic_hidden": [16], "keep.test_episodes": 2, "keep.iters_per_output": 2, "keep.curves": False,
    # far from what an untrained policy can do: some episodes fail
    "env.terminations.pose.limit": 0.05, "env.sampling.by": "failures", "env.sampling.memory": 1000.0, "max_iterations": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    file = tmp_path_factory.mktemp("set") / "set.yaml"
    clips = "".join(f"  - {{file: {paths.MOTIONS}/g1/{name}.npz}}\n" for name in ("walk", "squat"))
    file.write_text(f"motions:\n{clips}")
    return build.training(build.world(config.load(RunSettings, "deepmimic_g1", SIZES | {"motion": str(file)})))


def test_failures_are_recorded_in_the_chunk_and_a_checkpoint_goes_on_exactly(training, tmp_path):
    state = training.place(training.first())
    assert not np.any(np.concatenate([np.ravel(x) for x in state.sampling]))
    state, stats = training.chunk(state, training.motion, jnp.int32(4))
    values = statistics.values(stats)
    record = jax.device_get(state.sampling)
    np.testing.assert_allclose(record.steps.sum(), 4 * STEPS * ENVS, rtol=0.02)  # and a little has faded
    assert record.failures.sum() > 0 and record.ended.sum() == pytest.approx(values["episodes"], rel=0.02)
    assert 0.0 < values["Sampling_Entropy"] < 1.0 and 1 / len(record.steps) < values["Sampling_Top_Share"] < 1.0
    checkpoint.save(tmp_path, 4, state, training.facts)
    back, _ = loop.restore(training, tmp_path)
    assert_identical(back, state)
    gone_on = [training.chunk(each, training.motion, jnp.int32(2))[0] for each in (state, back)]
    assert_identical(*gone_on)
    assert np.any(np.asarray(gone_on[0].sampling.steps) != record.steps) and training.chunk._cache_size() == 1


def test_the_run_folder_has_success_by_clip(training, tmp_path):
    assert loop.train(training, tmp_path, resume=False)
    rows = list(csv.DictReader((tmp_path / "sampling.csv").open()))
    assert [row["clip"] for row in rows] == ["walk", "squat"] and sum(
        float(row["share"]) for row in rows
    ) == pytest.approx(1)
    logged = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(logged) == 2
    for row in rows:
        last = logged[-1][f"Success_{row['clip']}"]
        assert last == (pytest.approx(float(row["success"]), rel=1e-4) if row["success"] else None)
    header = (tmp_path / "log.txt").read_text().splitlines()[0].split()
    assert {"Sampling_Entropy", "Sampling_Top_Share"} <= set(header) and "Success_walk" not in header
