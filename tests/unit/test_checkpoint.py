"""Checkpoints: exact, whole whenever the process dies, and clear about what does not fit."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mimicjax.errors import UserError
from mimicjax.run import checkpoint

FACTS = {
    "robot": "g1",
    "robot_hash": "abc",
    "config": {"num_envs": 4, "learn": {"lr": 0.1}},
    "samples": 12,
    "iteration": 3,
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Learner:
    params: Any
    optimiser: Any


class State(NamedTuple):
    learner: Learner
    keys: Any
    done: Any
    count: Any
    empty: Any
    extra: Any


def make(value: float = 0.5, width: int = 3) -> State:
    params = {"layer": [jnp.full((2, width), value), jnp.arange(width, dtype=jnp.float32) / 3]}
    return State(
        Learner(params, optax.adamw(1e-3).init(params)),
        jax.random.split(jax.random.key(7), 4),
        jnp.array([True, False]),
        jnp.int32(int(value * 1000)),
        jnp.zeros((4, 0)),
        {
            "rbg": jax.random.key(1, impl="rbg"),
            "odd": jnp.array([jnp.nan, -0.0, 1e-45, jnp.inf]),
            "host": np.int64(2**60),
        },
    )


def data(tree):
    return [checkpoint._data(leaf) for leaf in jax.tree.leaves(tree)]


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(data(a), data(b), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes() and x.dtype == y.dtype and x.shape == y.shape


def test_restores_every_bit_and_the_facts(tmp_path):
    state = make()
    checkpoint.save(tmp_path / "c", 3, state, FACTS)
    got, facts = checkpoint.restore(tmp_path / "c", make(0.0), FACTS)
    assert_same(got, state)
    assert {k: facts[k] for k in FACTS} == FACTS and facts["versions"]["jax"] == jax.__version__
    assert checkpoint.read_facts(tmp_path / "c") == facts
    assert jax.random.key_impl(got.extra["rbg"]) == "rbg" and type(got.extra["host"]) is np.int64
    assert np.array_equal(jax.random.normal(got.keys[2], (3,)), jax.random.normal(state.keys[2], (3,)))
    shapes = jax.eval_shape(lambda: make()._replace(extra={}))
    assert_same(checkpoint.restore(tmp_path / "c", shapes._replace(extra=state.extra))[0], state)


def test_donating_what_was_saved_or_restored_is_safe(tmp_path):
    step = jax.jit(lambda x: x * 2 + 1, donate_argnums=0)
    x = step(jnp.arange(1000.0))
    checkpoint.save(tmp_path, 1, x, {})
    expected = np.array(x)
    after = np.array(step(x))
    got, _ = checkpoint.restore(tmp_path, jnp.zeros(1000))
    assert np.array_equal(got, expected) and np.array_equal(step(got), after)


def test_keeps_the_latest_and_every_kth(tmp_path):
    assert checkpoint.latest(tmp_path / "none") is None
    for step in (0, 10, 20, 30, 40, 50):
        checkpoint.save(tmp_path, step, jnp.float32(step), {}, keep=2, keep_every=30)
    assert checkpoint.steps(tmp_path) == [0, 30, 40, 50] and checkpoint.latest(tmp_path) == 50
    assert checkpoint.restore(tmp_path, jnp.float32(0), step=30)[0] == 30
    checkpoint.save(tmp_path, 40, jnp.float32(-1), {}, keep=2)  # gone on from an earlier step, saved again
    assert checkpoint.steps(tmp_path) == [30, 40] and checkpoint.restore(tmp_path, jnp.float32(0))[0] == -1
    assert len(list(tmp_path.iterdir())) == 2


def test_keeps_the_best_and_finds_it(tmp_path):
    """By its score, the first number first; of equals the latest; without scores it is the latest."""
    scores = {
        0: None,
        10: [300, -0.02],
        20: [250, -0.01],
        30: [300, -0.01],
        40: [300, -0.03],
        50: [300, -0.01],
        60: [10, 0],
    }
    for step, score in scores.items():
        checkpoint.save(tmp_path, step, jnp.float32(step), {"score": score} if score else {}, keep=1)
        best = max((s for s in scores if scores[s] and s <= step), key=lambda s: (scores[s], s), default=step)
        assert checkpoint.restore(tmp_path, jnp.float32(0), step="best")[0] == best
        assert checkpoint.steps(tmp_path) == sorted({best, step})
    (tmp_path / f"{50:010d}" / "facts.json").write_text("no facts")
    assert checkpoint.restore(tmp_path, jnp.float32(0), step="best")[0] == 60
    checkpoint.save(
        tmp_path, 20, jnp.float32(20), {}, keep=1
    )  # gone on from an earlier step: what came later is no more
    assert checkpoint.steps(tmp_path) == [20]


@pytest.mark.parametrize("at", ["os.rename", "shutil.rmtree", "mimicjax.run.checkpoint_files.write_arrays", "os.fsync"])
@pytest.mark.parametrize("count", [1, 2])
def test_stopped_at_any_stage_what_is_listed_can_be_restored(tmp_path, monkeypatch, at, count):
    """The stages of a save that replaces a step and deletes two; the process ends at a call of `at`."""
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, jnp.full(3, step), {})
    real, calls = eval(at, {"os": os, "shutil": shutil, "mimicjax": sys.modules["mimicjax"]}), []

    def dies(*args, **kwargs):
        calls.append(args)
        if len(calls) >= count:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(at, dies)
        with contextlib.suppress(KeyboardInterrupt):
            checkpoint.save(tmp_path, 3, jnp.full(3, 30), {}, keep=1)
    for step in checkpoint.steps(tmp_path):
        assert checkpoint.restore(tmp_path, jnp.zeros(3, int), step=step)[0][0] in (step, 10 * step)
    assert checkpoint.latest(tmp_path) == 3
    checkpoint.save(tmp_path, 4, jnp.full(3, 4), {}, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["0000000004"]


LOOP = """
import sys, jax.numpy as jnp, itertools
from mimicjax.run import checkpoint
first = (checkpoint.latest(sys.argv[1]) or 0) + 1
for step in itertools.count(first):
    checkpoint.save(sys.argv[1], step, {"a": jnp.full(200_000, step), "b": jnp.int32(step)}, {"samples": step}, keep=2)
    print(step, flush=True)
"""


def run(code: str, *args: object, **env: str) -> subprocess.Popen:
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(checkpoint.__file__).parents[2]), **env}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], env=env, stdout=subprocess.PIPE, text=True)


def test_killed_at_random_moments(tmp_path):
    template = {"a": jnp.zeros(200_000, int), "b": jnp.int32(0)}
    moments, last = random.Random(0), 0
    for _ in range(3):
        process = run(LOOP, tmp_path)
        assert process.stdout
        last = int(process.stdout.readline())
        time.sleep(moments.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        last = max([last, *map(int, process.stdout.read().split())])
        process.wait()
        assert checkpoint.latest(tmp_path) in (last, last + 1)  # complete, but killed before it could say so
        for step in checkpoint.steps(tmp_path):
            got, facts = checkpoint.restore(tmp_path, template, step=step)
            assert np.all(got["a"] == step) and got["b"] == step and facts["samples"] == step
    checkpoint.save(tmp_path, last + 2, template, {}, keep=2)
    assert len(list(tmp_path.iterdir())) == 2


FOUR = """
import sys, jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from mimicjax.run import checkpoint
assert jax.device_count() == 4
sharding = NamedSharding(jax.make_mesh((4,), ("env",)), PartitionSpec("env"))
state = jax.device_put({"x": jnp.arange(8.0), "key": jax.random.split(jax.random.key(0), 8)}, sharding)
got, _ = checkpoint.restore(sys.argv[1], jax.tree.map(jnp.zeros_like, {"x": state["x"]}) | {"key": state["key"]})
assert got["x"].sharding == sharding and got["key"].sharding == sharding
assert np.array_equal(got["x"], np.arange(8.0) + 5)
checkpoint.save(sys.argv[2], 1, state, {})
"""


def test_other_numbers_of_devices(tmp_path):
    keys = jax.random.split(jax.random.key(0), 8)
    one = NamedSharding(jax.make_mesh((1,), ("env",), devices=jax.devices()[:1]), PartitionSpec("env"))
    state = {"x": jnp.arange(8.0) + 5, "key": keys}
    checkpoint.save(tmp_path / "one", 1, state, {})
    process = run(FOUR, tmp_path / "one", tmp_path / "four", XLA_FLAGS="--xla_force_host_platform_device_count=4")
    assert process.wait(60) == 0
    got, _ = checkpoint.restore(tmp_path / "four", jax.device_put(state, one))
    assert got["x"].sharding == one
    assert_same(got, {"x": jnp.arange(8.0), "key": keys})


def test_a_full_disk_leaves_the_older_ones(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, make(), FACTS)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    for at in ("mimicjax.run.checkpoint_files.write_arrays", "os.fsync", "pathlib.Path.write_text"):
        with monkeypatch.context() as patch:
            patch.setattr(at, full)
            with pytest.raises(UserError, match="checkpoint 2 cannot be written .no space left"):
                checkpoint.save(tmp_path, 2, make(), FACTS)
        assert [p.name for p in tmp_path.iterdir()] == ["0000000001"]
    assert_same(checkpoint.restore(tmp_path, make())[0], make())


def refused(folder, template, facts=None, step=None) -> str:
    with pytest.raises(UserError) as error:
        checkpoint.restore(folder, template, facts, step)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_refuses_what_does_not_fit(tmp_path, monkeypatch):
    assert "no such folder" in refused(tmp_path / "none", make())
    assert "no finished checkpoint" in refused(tmp_path, make())
    checkpoint.save(tmp_path, 1, make(), FACTS)
    assert "no checkpoint of step 2; there are: 1" in refused(tmp_path, make(), step=2)
    assert "another robot: g1 there, k1 here" in refused(tmp_path, make(), {**FACTS, "robot": "k1"})
    assert "robot files" in refused(tmp_path, make(), {**FACTS, "robot_hash": "x"})
    text = refused(tmp_path, make(width=5), {**FACTS, "config": {"num_envs": 8, "learn": {"lr": 0.1}}})
    assert "learner.params.layer.0 is float32(2, 3) there and float32(2, 5) here" in text
    assert "and 3 more" in text and text.endswith("(there -> here): num_envs: 4 -> 8")
    other = make()._replace(count=(jnp.int32(0), jnp.int32(1)))
    text = refused(tmp_path, other)
    assert "count is int32() there and nothing here" in text and "count.1 is nothing there and int32() here" in text
    assert "done is bool(2,) there and int8(2,) here" in refused(tmp_path, make()._replace(done=jnp.zeros(2, jnp.int8)))
    assert "keys is key<fry>(4,) there and uint32(4, 2) here" in refused(
        tmp_path, make()._replace(keys=data(make().keys)[0])
    )
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 3)
    assert "in checkpoint format 2; this version reads format 3 only" in refused(tmp_path, make())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tensorstore reads in threads
@pytest.mark.parametrize("harm", ["flip", "cut", "delete"])
def test_damaged_files_are_noticed(tmp_path, harm):
    state = make()
    checkpoint.save(tmp_path / "c", 1, state, FACTS)
    checkpoint.save(tmp_path / "c", 2, state, FACTS)
    good = tmp_path / "c" / "0000000002"
    shutil.copytree(good, tmp_path / "copy")
    noticed = 0
    for file in sorted(p for p in good.rglob("*") if p.is_file()):
        content = bytearray(file.read_bytes())
        if harm == "delete":
            file.unlink()
        elif content:
            content[len(content) // 2] ^= 0xFF
            file.write_bytes(content[: len(content) // 2] if harm == "cut" else content)
        try:
            assert_same(checkpoint.restore(tmp_path / "c", state)[0], state)  # the file did not matter
        except UserError as error:
            noticed += 1
            assert "damaged" in str(error) and "other checkpoints there: 1" in str(error) and "\n" not in str(error)
        shutil.copy(tmp_path / "copy" / file.relative_to(good), file)
    assert noticed >= 3


def test_what_the_arrays_claim_is_compared_before_they_are_read(tmp_path: Path) -> None:
    """A header that claims 8 TB, written with right checksums, costs nothing."""
    import tensorstore

    checkpoint.save(tmp_path, 1, {"a": np.ones(3, np.float32)}, {})
    state = tmp_path / "0000000001" / "state"
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{state}/"}).result()
    header = json.loads(store["a/.zarray"])
    for claim, problem in (({"shape": [10**12]}, "has the shape"), ({"chunks": [10**12]}, "stored in pieces")):
        store["a/.zarray"] = json.dumps({**header, **claim}).encode()
        with pytest.raises(UserError, match=problem):
            checkpoint.restore(tmp_path, {"a": np.ones(3, np.float32)})
