"""The policy as StableHLO, for whoever runs XLA but not this package: `jax.export.deserialize(bytes).call(obs)`."""

from __future__ import annotations

import jax
import jax.export
import jax.numpy as jnp

from mimicjax import build
from mimicjax.evaluation.restored import Restored
from mimicjax.learn import acting

PLATFORMS = ("cpu", "cuda", "tpu")


def program(restored: Restored) -> bytes:
    """A function of observations [B,O] (any B) to mean actions [B,A], its numbers inside; serialised."""
    spec, agent = build.spec(restored.world), restored.agent

    def act(obs: jax.Array) -> jax.Array:
        blocks, before = {}, 0
        for name in spec.actor:
            blocks[name] = obs[:, before : before + spec.blocks[name]]
            before += spec.blocks[name]
        return acting.mode(restored.policy, agent, blocks, ())

    width = sum(spec.blocks[name] for name in spec.actor)
    (batch,) = jax.export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((batch, width), jnp.float32)
    return bytes(jax.export.export(jax.jit(act), platforms=PLATFORMS)(shape).serialize())
