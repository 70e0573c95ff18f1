"""Engines in a fresh Python: on several devices, and with thread pools in which a wait for another thread lasts for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STATES = Path(__file__).with_name("test_engines.py")  # its random states and engines


def run_python(program: str, timeout: float, **environment: str) -> str:
    """What a fresh Python prints; fails after `timeout` seconds, which is how a deadlock looks."""
    env = {key: value for key, value in os.environ.items() if key != "NPROC"} | environment
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=timeout, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


SHARDED = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from tests_engines import N, engine, inputs, start
name = {name!r}
mesh = jax.make_mesh((4,), ("envs",), axis_types=(AxisType.Auto,))
def chunk(physics, ctrl, wrench):
    return jax.lax.scan(lambda p, _: (engine(name).step(p, ctrl, wrench), None), physics, length=5)[0]
split = jax.jit(jax.shard_map(chunk, mesh=mesh, in_specs=P("envs"), out_specs=P("envs"), check_vma=False))
_, _, ctrl, wrench = inputs()
on = lambda tree: jax.device_put(tree, NamedSharding(mesh, P("envs")))
out = split(*on((start(name), ctrl, wrench)))
assert len(out.qpos.sharding.device_set) == 4
one = jax.jit(chunk)(start(name), ctrl, wrench)
worst = max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in zip(out[:2], one[:2]))
assert worst == 0.0 if name == "native" else np.isfinite(worst), worst
print("same")
"""

SIZES = """
import jax, numpy as np
from tests_engines import engine, inputs
for count in {counts}:
    qpos, qvel, ctrl, wrench = [np.resize(x, (count, *x.shape[1:])) for x in inputs()]
    step = lambda physics, _: (engine("{name}").step(physics, ctrl, wrench), None)
    physics, _ = jax.jit(lambda p: jax.lax.scan(step, p, length=10))(engine("{name}").init(qpos, qvel))
    assert np.isfinite(physics.qpos).all() and not np.asarray(physics.unstable).any()
print("done")
"""


def with_path(program: str) -> str:
    """The program, with test_engines.py importable as `tests_engines`."""
    load_this = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('tests_engines', {str(STATES)!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['tests_engines'] = module\n"
        "spec.loader.exec_module(module)\n"
    )
    return load_this + program


def test_native_on_four_devices():
    flags = "--xla_force_host_platform_device_count=4"
    out = run_python(with_path(SHARDED.format(name="native")), 120, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    assert out.endswith("same\n")


@pytest.mark.slow
def test_mjx_does_not_hang():
    """With a pool of two threads 128 environments in a scan do (with 64 not always); see mimicjax/__init__.py."""
    sizes = SIZES.format(name="mjx-jax", counts=(1, 64, 128))
    assert run_python(with_path(sizes), 600, JAX_PLATFORMS="cpu").endswith("done\n")


def test_native_does_not_hang():
    """Not even where XLA's pool has one thread only and inputs are so large that they would be copied by another one."""
    sizes = SIZES.format(name="native", counts=(1, 4096))
    assert run_python(with_path(sizes), 300, JAX_PLATFORMS="cpu", NPROC="1").endswith("done\n")
