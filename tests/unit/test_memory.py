"""How many environments fit into a device, told before anything is compiled."""

from __future__ import annotations

import dataclasses

import jax
import pytest

from mimicjax import build, commands, config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.names import NAMES
from mimicjax.run import checks, memory
from mimicjax.run.memory import Room

GIB = 2**30
ROOM = Room(per_env=100 * 1024, fixed=GIB, device=80 * GIB)


def settings(name: str = "deepmimic_g1", **keys) -> RunSettings:
    return config.load(RunSettings, name, {"engine.name": "native", **keys}, NAMES)


def test_most_is_what_fits_exactly():
    most = ROOM.most()
    assert ROOM.needed(most) <= ROOM.device < ROOM.needed(most + 1)
    assert Room(100, 50, 249).most(0.5) == 0 and Room(100, 50, 300).most(0.5) == 1
    memory.check(ROOM, most)
    with pytest.raises(
        UserError, match=rf"{most + 1:,} environments .* 80.0 GiB, and it has 80.0 GiB: at most {most:,} fit"
    ):
        memory.check(ROOM, most + 1)
    with pytest.raises(UserError, match="not even one fits"):
        memory.check(ROOM._replace(fixed=81 * GIB), 1)


def test_fitting_is_a_power_of_two_within_the_share():
    """0.5 of 80 GiB less 1 GiB is 39 GiB, 408,944 environments of 100 KiB; of 4 GiB less 1, 10,485."""
    assert memory.fitting(ROOM, 0.5, "gpu")[0] == memory.MOST["gpu"]
    count, why = memory.fitting(ROOM._replace(device=4 * GIB), 0.5, "gpu")
    assert count == 8192 and "10,485 fit into 50% of its 4.0 GiB" in why and "no more than" not in why
    assert "no more than 128 on a cpu device" in memory.fitting(ROOM, 0.5, "cpu")[1]
    with pytest.raises(UserError, match="a larger fraction helps"):
        memory.fitting(ROOM._replace(device=2 * GIB), 0.5, "gpu")


def test_bytes_follow_what_is_kept_and_learned():
    """By hand: a minibatch of 2 samples an environment, each 4 bytes of 10 inputs and three times 24 outputs."""
    learn = settings(**{"learn.actor_hidden": [16, 8], "learn.critic_hidden": [4]}).learn
    learn = dataclasses.replace(learn, actor=dataclasses.replace(learn.actor, batch_size=2.0))
    taken = memory.bytes_per_env(learn, 100, 1000, 500, {"actor": 10, "critic": 1})
    assert taken == {"state": 100, "physics": 1000, "rollout": 500, "learning": 500 + 2 * 4 * (10 + 3 * 24)}
    mirrored = memory.bytes_per_env(dataclasses.replace(learn, symmetry=True), 100, 1000, 500, {"actor": 10})
    assert mirrored["learning"] == 500 + 2 * 2 * 4 * (10 + 3 * 24)


def test_what_a_preset_takes_on_mjx_is_near_what_the_compiler_plans():
    """jax 0.10.2 plans 161 KiB of temporary memory an environment for the preset's whole chunk with mjx-jax, and an H100 took
    141 KiB with Warp; `device_peak` of docs/benchmarks.md."""
    parts = build.parts(build.world(settings(**{"engine.name": "mjx-jax", "num_envs": 2})))
    assert 141 * 1024 < sum(parts.bytes_per_env.values()) < 1.3 * 161 * 1024


def test_auto_fills_the_device(monkeypatch):
    assert commands.long_flags(["--num-envs", "auto"]) == commands.long_flags(["--num-envs=auto"])
    flags = commands.long_flags(["--num-envs", "auto", "--seed", "1"])
    assert flags == ["--num_envs", "0", "--memory_fraction", "0.5", "--seed", "1"]
    monkeypatch.setitem(memory.MOST, jax.devices()[0].platform, 4)
    world = build.fitted_world(settings(memory_fraction=0.5))
    assert world.settings.num_envs == 4 * len(jax.devices())
    assert world.notes[-1].startswith("4 environments on a device take")


def test_too_many_are_refused_before_anything_is_compiled():
    with pytest.raises(UserError, match=r"num_envs: 500,000,000 environments on a device take about .* TiB|GiB"):
        build.training(build.world(settings(num_envs=500_000_000 * len(jax.devices()))))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"num_envs": 128}, []),
        ({"num_envs": 128, "learn.actor.batch_size": 3.0}, ["learn.actor.batch_size 3 makes minibatches of 384"]),
        ({"num_envs": 4096}, ["learn.std.anneal_samples 600000 is 4.6 iterations of 131,072 samples"]),
    ],
)
def test_what_does_not_fit_an_iteration_is_told(keys, says):
    asked = settings(**keys)
    notes = checks.sizes(asked, asked.num_envs)
    assert len(notes) == len(says) and all(text in note for text, note in zip(says, notes, strict=True)), notes


def test_the_preset_for_a_gpu_is_told_nothing():
    asked = settings("deepmimic_g1_push_gpu")
    assert asked.num_envs == 4096 and not checks.sizes(asked, 4096)
