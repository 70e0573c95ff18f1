"""Several devices, exactly: what one, two and eight of them make of the same samples, environments and checkpoints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mimicjax import config
from mimicjax.config.settings import RunSettings
from mimicjax.learn.algorithms import ALGORITHMS

PROGRAMS = Path(__file__).with_name("several_devices.py")


def run(name: str, *arguments: str) -> None:
    """A program of several_devices.py in a Python with eight faked CPU devices."""
    # without optimisation all compile in two thirds of the time
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    env["PYTHONPATH"] = os.pathsep.join([str(PROGRAMS.parents[2]), str(PROGRAMS.parents[1]), env.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(PROGRAMS), name, *arguments], capture_output=True, text=True, timeout=600, env=env
    )
    assert done.returncode == 0 and done.stdout.endswith("same\n"), done.stderr[-3000:]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_iteration_is_the_same(algorithm):
    """With part of the actions not sampled, and another number of samples that count on every device."""
    run("same_iteration", algorithm)


def test_a_rollout_is_the_same():
    run("same_rollout")


def test_a_rollout_of_robots_is_the_same():
    run("same_rollout_of_robots")


def test_what_failed_where_is_the_same():
    run("same_failures")


def test_a_run_goes_on_with_other_devices(tmp_path):
    run("goes_on", str(tmp_path))


# what drives a skill policy needs the run of one
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in config.available() if config.load(RunSettings, name).learn.algorithm != "HRL"]
)
def test_config_trains(name, tmp_path):
    run("trains", name, str(tmp_path / "prior"))
