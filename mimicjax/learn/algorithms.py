"""The table of algorithms: a policy, its loss, what penalises it, and the rewards it learns. A new algorithm is a row."""

from __future__ import annotations

from mimicjax.errors import pick
from mimicjax.learn import encoder, gaussian, latent, losses, reward_models, score
from mimicjax.learn.sockets import Algorithm

PENALTIES = (losses.action_bound, losses.action_reg, losses.entropy_bonus)  # each by its weight in the settings

ALGORITHMS = {
    "DeepMimic": Algorithm(gaussian.make, losses.ppo, PENALTIES),  # Peng et al. 2018
    "AWR": Algorithm(gaussian.make, losses.awr, PENALTIES),  # advantage-weighted regression, Peng et al. 2019
    "LCP": Algorithm(
        gaussian.make, losses.ppo, (*PENALTIES, losses.lipschitz)
    ),  # Lipschitz-constrained, Chen et al. 2024
    "AMP": Algorithm(
        gaussian.make, losses.ppo, PENALTIES, (reward_models.AMP,)
    ),  # adversarial motion priors, Peng et al. 2021
    # adversarial skill embeddings, Peng et al. 2022
    "ASE": Algorithm(latent.make, losses.ppo, (*PENALTIES, losses.diversity), (reward_models.AMP, encoder.ENCODER)),
    # adversarial differential discriminators, Zhang et al. 2025
    "ADD": Algorithm(gaussian.make, losses.ppo, PENALTIES, (reward_models.ADD,)),
    "SMP": Algorithm(gaussian.make, losses.ppo, PENALTIES, (score.SMP,)),  # score-matching motion priors, MimicKit
}


def of(name: str) -> Algorithm:
    """The row of a name. Raises UserError for another."""
    return pick(ALGORITHMS, name, "learn.algorithm", "algorithm")
