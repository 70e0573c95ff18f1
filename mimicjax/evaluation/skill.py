"""The skill policy of an ASE run, made part of another run: its sizes become settings, its numbers part of the first state."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax

from mimicjax import config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.evaluation.restored import settings_of
from mimicjax.learn.skill import Judge, Skill
from mimicjax.run import checkpoint
from mimicjax.types import TrainState
from mimicjax.world import World

DRIVEN, DRIVER = "ASE", "HRL"  # algorithms of the skill policy and of what drives it
# what must be as it was for the skill policy to see and do what it has learned
ALIKE = ("engine.control_freq", "env.observations", "env.action", "env.disc_steps")


def resolve(settings: RunSettings) -> RunSettings:
    """The settings with the sizes of the skill policy in learn.skill.run; as they are without one, or with its sizes known.

    Raises UserError: --skill is missing, is not taken, is no ASE run, or sees or does something else.
    """
    learn = settings.learn
    if learn.algorithm != DRIVER:
        if learn.skill.run:
            raise UserError(
                f"--skill {learn.skill.run}: learn.algorithm is {learn.algorithm}, and only {DRIVER} drives a skill policy "
                "(config ase_steering_g1)"
            )
        return settings
    if not learn.skill.run:
        raise UserError(f"learn.algorithm {DRIVER} needs a skill policy: --skill RUN, the run folder of an ASE run")
    if learn.skill.sees:
        return settings
    run = Path(learn.skill.run)
    there = settings_of(run)
    if there.learn.algorithm != DRIVEN:
        raise UserError(f"--skill {run}: its algorithm is {there.learn.algorithm}; it must be {DRIVEN}")
    if there.robot != settings.robot:
        raise UserError(f"--skill {run}: its robot is {there.robot}; this run's is {settings.robot}")
    if there.env.task:
        raise UserError(f"--skill {run}: was trained with the task {there.env.task}; a skill policy must have none")
    apart = [
        line for line in config.difference(config.to_dict(there), config.to_dict(settings)) if line.startswith(ALIKE)
    ]
    if apart:
        raise UserError(f"--skill {run}: sees or acts otherwise than this run (there -> here): {'; '.join(apart[:3])}")
    sees = checkpoint.shapes(run / "checkpoints")["agent.norm.actor.mean"][0]
    own = dataclasses.replace(learn.skill, hidden=there.learn.actor_hidden, sees=sees)
    disc = dataclasses.replace(learn.disc, hidden=there.learn.disc.hidden, reward_scale=there.learn.disc.reward_scale)
    latent = dataclasses.replace(learn.latent, dim=there.learn.latent.dim)
    return dataclasses.replace(settings, learn=dataclasses.replace(learn, skill=own, disc=disc, latent=latent))


def read(of: World, skill: Skill, judge: Judge, facts: dict[str, Any]) -> tuple[Skill, Judge]:
    """The numbers of the skill policy and of its discriminator. skill, judge: their shapes. facts: of this run.

    Raises UserError for another robot, and for what does not fit.
    """
    run, task = Path(of.settings.learn.skill.run), of.task
    sees, seen = of.settings.learn.skill.sees, sum(part.size for part in of.env.actor["actor"])
    seen -= sum(part.size for part in task.observation.parts) if task else 0
    if sees != seen:
        raise UserError(f"--skill {run}: sees {sees} numbers of the robot; this run has {seen}")
    saved = checkpoint.read_facts(run / "checkpoints")
    if saved.get("robot_hash") != facts["robot_hash"]:
        raise UserError(f"--skill {run}: was trained with other files of robot {of.settings.robot}")
    like = {
        "agent": {"actor": {"net": skill.net}, "norm": {"actor": skill.norm}},
        "reward_models": ({"params": judge.params, "norm": judge.norm},),
    }
    there = checkpoint.restore(run / "checkpoints", like, part=True)[0]
    style = there["reward_models"][0]
    return Skill(there["agent"]["actor"]["net"], there["agent"]["norm"]["actor"]), Judge(style["params"], style["norm"])


def put(state: TrainState, skill: Skill, judge: Judge) -> TrainState:
    """A first state with the skill policy and its discriminator in place; copies, as the state is donated."""
    skill, judge = jax.tree.map(lambda leaf: jax.numpy.array(leaf), (skill, judge))
    return state._replace(agent=state.agent._replace(frozen=skill), reward_models=(judge,))
