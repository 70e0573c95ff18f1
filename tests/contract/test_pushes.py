"""Whole pushes through env and engine against a plain loop over mj_step with the wrench written by hand, on every engine.

In the air, so that no contact parts two paths; machinery is that of test_engines.py. Measured for mjx-jax: half of the
environments agree to 1e-7 m or rad after each control step, 90 % to 1e-5; a dry joint that a push starts to slip is the rest.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_engines as engines
from conftest import packed_g1

from mimicjax.config.push import PushSettings
from mimicjax.config.settings import ActionSettings, EnvSettings
from mimicjax.env import disturbances
from mimicjax.env import env as environment
from mimicjax.env.view import Scope

DT = 1 / engines.SETTINGS.control_freq
STEPS = 8
BODIES = len(engines.robot().wrench_bodies)
FORCE, TORQUE = np.array([12.0, -9.0, 15.0]), np.array([0.4, 0.5, -0.6])
BEGIN, LENGTH = 1.4 * DT, 4.3 * DT  # within control steps, both of them
# shape -> mean over each of the control steps, of the peak, by hand
SHARES = {
    "constant": [0, 0.6, 1, 1, 1, 0.7, 0, 0],
    "half_sine": [
        4.3 / np.pi * (np.cos(np.pi * a / 4.3) - np.cos(np.pi * b / 4.3))
        for a, b in ((0, 0), (0, 0.6), (0.6, 1.6), (1.6, 2.6), (2.6, 3.6), (3.6, 4.3), (0, 0), (0, 0))
    ],
}
# quantile of environments and the largest error of qpos (m, rad) and qvel (m/s, rad/s) allowed in it, as in test_engines
BOUNDS = {"native": [(1.0, 0.0, 0.0)], "mjx": [(0.5, 1e-6, 1e-5), (0.9, 5e-5, 1e-3), (1.0, 1e-3, 5e-2)]}


# a push acts on an engine as any other wrench does, which test_engines.py tries on each of them in every run
EVERY_ENGINE = pytest.mark.parametrize(
    "name", ["native", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mjx-jax", "mjx-warp"))]
)


@functools.cache
def program(name: str, shape: str):
    """Row i pushes wrench body i, row W + i twists it, the others feel nothing -> (first state, steps of everything)."""
    settings = PushSettings(force=[1.0, 1.0], torque=[1.0, 1.0], shape=shape, interval=[9.0, 9.0])
    loose = EnvSettings(action=ActionSettings(mode="reference"), random_start=False, early_termination=False)
    scope = Scope(engines.robot(), loose, engines.alone().layout, DT)
    disturb = disturbances.make(scope, {"p": settings}, engines.N, observe=True)
    env, engine = environment.make(scope, disturb), engines.engine(name)
    rows = np.arange(BODIES)
    force, torque = np.zeros((2, engines.N, 1, 3), np.float32)
    force[rows, 0], torque[BODIES + rows, 0] = FORCE, TORQUE

    @jax.jit
    def run(clips):
        keys = jax.random.split(jax.random.key(0), engines.N)
        state, _, start = env.place(clips, keys, jnp.zeros(engines.N, jnp.int32), jnp.zeros(engines.N))
        state = state._replace(physics=engine.init(start.qpos.at[:, 2].add(1.0), start.qvel))
        timer = state.push.timers["p"]
        pulse = timer.pulse._replace(
            live=jnp.ones(engines.N, bool), length=jnp.full(engines.N, LENGTH), force=force, torque=torque,
            place=jnp.arange(engines.N, dtype=jnp.int32)[:, None] % BODIES,
        )  # fmt: skip
        timer = timer._replace(until=jnp.full(engines.N, BEGIN), pulse=pulse)
        state = state._replace(push=state.push._replace(timers={"p": timer}))

        def step(state, _):
            state, ctrl, wrench = env.before(clips, state, jnp.zeros((engines.N, 29)))
            before = state.physics
            state = state._replace(physics=engine.step(state.physics, ctrl, wrench, state.variant))
            row = before, ctrl, wrench, state.physics
            state, end, _ = env.after(clips, state)
            return state, (*row, end.obs["privileged"])

        return jax.lax.scan(step, state, None, length=STEPS)[1]

    return jax.device_get(run(packed_g1()))


@pytest.mark.parametrize("shape", SHARES)
@EVERY_ENGINE
def test_whole_pushes_are_mujocos(name, shape):
    if shape == "half_sine" and name != "native":
        pytest.skip("the engine's part is the same; native tells the shape")
    before, ctrl, wrench, after, _ = program(name, shape)
    rows = np.arange(BODIES)
    want = np.zeros((STEPS, engines.N, BODIES, 6), np.float32)
    shares = np.asarray(SHARES[shape])[:, None, None]
    want[:, rows, rows, :3] = shares * FORCE
    want[:, BODIES + rows, rows, 3:] = shares * TORQUE
    np.testing.assert_allclose(wrench, want, atol=2e-4)
    for step in range(STEPS):
        begin, end = (jax.tree.map(lambda x, step=step: x[step], x) for x in (before, after))
        engines.check_close(end, engines.plain(begin, ctrl[step], wrench[step]), name, BOUNDS)


def test_momentum_gained_is_the_impulse():
    """By Newton, over the whole push: force x duration for forces, nothing for torques, whatever body they act on.

    MuJoCo's integrator keeps momentum to first order of its step: a forearm that is thrown is 6 % off, the torso 1 %.
    """
    _, _, _, after, _ = program("native", "constant")
    last = [engines.momentum_of(q, v) for q, v in zip(after.qpos[-1], after.qvel[-1], strict=True)]
    gained = np.asarray(last) - last[-1]
    np.testing.assert_allclose(gained[:BODIES], np.tile(FORCE * LENGTH, (BODIES, 1)), atol=0.15)
    np.testing.assert_allclose(gained[BODIES : 2 * BODIES], 0.0, atol=0.03)


def test_the_critic_sees_the_wrench_that_comes():
    _, _, wrench, _, privileged = program("native", "constant")
    # after the wrenches, the profile's level and that the environment is pushed
    seen = privileged[:, :, : 6 * BODIES].reshape(STEPS, engines.N, BODIES, 6) * [100, 100, 100, 20, 20, 20]
    np.testing.assert_allclose(seen[:-1], wrench[1:], rtol=1e-5)
    np.testing.assert_array_equal(privileged[..., 6 * BODIES :], np.ones((STEPS, engines.N, 2)))
