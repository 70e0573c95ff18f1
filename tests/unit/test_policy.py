"""A policy as a function of observations: normalised, its mean, and only where it is such a function."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax.evaluation.policy import policy
from mimicjax.learn.normalizers import Moments
from mimicjax.learn.sockets import Agent, Gaussian


def restored(begin) -> Any:
    """A run whose policy's mean is its gain times what it sees; observations have mean 1 and standard deviation 2."""
    gaussian = lambda agent, blocks, memory, pushed: Gaussian(agent.actor * blocks["own"], jnp.zeros(3))  # noqa: E731
    norm = {"own": Moments(jnp.float32(100), jnp.full(3, 1.0), jnp.full(3, 4.0))}
    agent = Agent(jnp.float32(3), (), (), (), norm, jnp.float32(0))
    as_it_is = lambda agent, obs, action: action  # noqa: E731
    return SimpleNamespace(policy=SimpleNamespace(begin=begin, distribution=gaussian, command=as_it_is), agent=agent)


def test_actions_are_the_mean_at_the_normalised_observation():
    action = policy(restored(lambda keys: ()))({"own": jnp.asarray([[1.0, 5.0, -1.0]])})
    np.testing.assert_allclose(action, [[0.0, 6.0, -3.0]], rtol=1e-6)  # 3 x (o - 1) / 2


def test_a_policy_with_a_memory_is_refused():
    with pytest.raises(ValueError, match="keeps a memory"):
        policy(restored(lambda keys: jnp.zeros((len(keys), 4))))
