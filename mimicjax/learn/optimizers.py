"""Optimisers by MimicKit's names, with a learning rate that can change while training."""

from __future__ import annotations

import optax

from mimicjax.config.settings import OptimizerSettings


def make(settings: OptimizerSettings) -> optax.GradientTransformation:
    """SGD: momentum 0.9 with coupled L2; Adam: AdamW. The rate is in state.hyperparams['learning_rate']."""

    @optax.inject_hyperparams
    def build(learning_rate: float) -> optax.GradientTransformation:
        clip = [optax.clip_by_global_norm(settings.grad_clip)] if settings.grad_clip > 0 else []
        if settings.type == "Adam":
            return optax.chain(*clip, optax.adamw(learning_rate, weight_decay=settings.weight_decay))
        decay = [optax.add_decayed_weights(settings.weight_decay)] if settings.weight_decay > 0 else []
        return optax.chain(*clip, *decay, optax.sgd(learning_rate, momentum=0.9))

    return build(learning_rate=settings.learning_rate)
