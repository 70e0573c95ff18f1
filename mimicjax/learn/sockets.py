"""What learning is put together from: policies, losses, learned rewards, and the algorithm that names them.

Each socket is a record of pure functions. Shapes: n samples of a minibatch, B environments of this device, T control steps,
A actions, [...] any leading axes. Observations come in blocks, name -> [...,size], as the environment gives them; a network
sees the blocks that `Spec` names for it, one after the other. "Prepared" blocks are normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from mimicjax.config.settings import LearnSettings
from mimicjax.learn.normalizers import Moments
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Reflection, Rollout

Blocks = Mapping[str, Array]  # block -> [...,size]


class Mirror(NamedTuple):
    """What observations and actions become in a mirror between left and right; static."""

    blocks: Mapping[str, Reflection]
    action: Reflection


class Spec(NamedTuple):
    """What a policy has to fit; static."""

    blocks: Mapping[str, int]  # size of every observation block
    actor: tuple[str, ...]  # blocks that the actor sees, in order
    critic: tuple[str, ...]
    actions: int
    dt: float = 1 / 30  # s, a control step
    mirror: Mirror | None = None  # for a policy and a value that do the same in a mirror


class Agent(NamedTuple):
    """Everything of actor and critic that training changes."""

    actor: Any  # the policy's parameters
    critic: Any
    actor_opt: Any
    critic_opt: Any
    norm: dict[str, Moments]  # block -> moments of all its samples so far
    progress: Array  # [] float32 in [0, 1], how far the standard deviation is annealed
    frozen: Any = ()  # what the policy acts with that training leaves as it is, such as a skill policy


class Gaussian(NamedTuple):
    """A diagonal normal distribution over normalised actions."""

    mean: Array  # [...,A]
    log_std: Array  # [A] or [...,A]


class Policy(NamedTuple):
    """A policy with its value function.

    Its memory is what it keeps for itself in every environment, such as a latent: leaves [B,...], () for nothing. It acts
    with the memory it has; `remember` makes that of the next step. learn/acting.py samples, and takes modes.
    """

    init: Callable[[Array], tuple[Any, Any]]  # (key) -> first parameters of actor and critic
    begin: Callable[[Array], Any]  # (keys [B]) -> memory of environments that begin
    remember: Callable[[Array, Any, Array], Any]  # (keys [B], memory, done [B] int8) -> memory of the next step
    # (agent, prepared blocks [...], memory [...], pushed [...]: 1 where the environment may be pushed) -> [...,A]
    distribution: Callable[[Agent, Blocks, Any, Array], Gaussian]
    value: Callable[[Agent, Blocks, Any], Array]  # (agent, prepared blocks [...], memory [...]) -> [...]
    frozen: Callable[[], Any] = tuple  # () -> what Agent.frozen looks like, before its numbers are read
    # (agent, blocks as the environment gives them [...], action [...,A]) -> what the environment is told [...,D]
    command: Callable[[Agent, Blocks, Array], Array] = lambda agent, obs, action: action


class Minibatch(NamedTuple):
    """What a policy loss or a penalty may look at: n samples, and the policy with the parameters that are differentiated."""

    settings: LearnSettings
    policy: Policy
    agent: Agent
    blocks: dict[str, Array]  # prepared, [n,size]
    memory: Any  # [n,...], what the action was chosen with
    pushed: Array  # [n]
    action: Array  # [n,A]
    old_log_prob: Array  # [n], when it was chosen
    advantage: Array  # [n], normalised
    sampled: Array  # [n] float32, 1 where the action was sampled and physics held
    distribution: Gaussian  # now
    log_prob: Array  # [n] of `action`, now
    keys: Array  # [n], random keys of the samples in this gradient step, whatever device they are on
    axis: str | None  # of the devices, for parallel.share


class Loss(Protocol):
    """A policy loss or penalty, weight included.

    Gives this device's share [] (parallel.share) of a mean over the samples of all devices, and statistics of this device.
    """

    def __call__(self, batch: Minibatch) -> tuple[Array, Statistics]: ...


class RewardModel(NamedTuple):
    """A reward that learns. Its rewards are times `weight` when they are added to the others."""

    name: str  # prefix of its statistics: "Disc" for Disc_Reward_Mean
    weight: float
    init: Callable[[Array], Any]  # (key) -> state
    reward: Callable[[Any, Rollout], Array]  # (state, rollout) -> [T,B]
    # (key, state, rollout, demonstrations, active: whether normalisers still change, axis) -> (state, statistics);
    # demonstrations: draws from the clips what it asked to see, (key) -> [T B,size]
    update: Callable[[Array, Any, Rollout, Callable[[Array], Array], Array, str | None], tuple[Any, Statistics]]
    specs: Callable[[str], Any]  # (device axis) -> prefix tree of PartitionSpecs of the state


class RewardModelMaker(NamedTuple):
    """A kind of learned reward: what it needs to see of every step, by name in env.discriminator.VIEWS, and its maker."""

    needs: str
    # (settings, size of what it sees, environments on each device, devices) -> RewardModel; raises UserError
    make: Callable[[LearnSettings, int, int, int], RewardModel]


class Algorithm(NamedTuple):
    """What tells one algorithm from another."""

    policy: Callable[[LearnSettings, Spec], Policy]
    policy_loss: Loss
    penalties: tuple[Loss, ...]
    reward_models: tuple[RewardModelMaker, ...] = ()
