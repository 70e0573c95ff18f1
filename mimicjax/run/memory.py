"""How much of a device's memory environments take, from shapes alone, and so how many fit: known before anything compiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mimicjax.config.settings import LearnSettings, OptimizerSettings
from mimicjax.errors import UserError

MOST = {"cpu": 128, "gpu": 16384, "tpu": 16384}  # environments of a device that `fitting` goes to: docs/cluster.md
PASSES = 3  # copies of a layer's outputs that a gradient step holds: forward, kept for backward, backward
NUMBER = 4  # bytes of a float32


class Room(NamedTuple):
    """A device's memory, in bytes."""

    per_env: int
    fixed: int  # whatever the number of environments: motion, networks, optimisers, replay
    device: int  # that the device has, used or free

    def needed(self, envs: int) -> int:
        """Bytes that so many environments of a device take, with all that is fixed."""
        return self.fixed + self.per_env * envs

    def most(self, fraction: float = 1.0) -> int:
        """Environments that fit into that share of the device; 0 where not even what is fixed fits."""
        return max(0, int(fraction * self.device - self.fixed)) // self.per_env


def bytes_per_env(
    learn: LearnSettings, state: int, physics: int, rollout: int, widths: Mapping[str, int]
) -> dict[str, int]:
    """What an environment takes, by what for.

    state: bytes between control steps. physics: bytes of the engine while it steps. rollout: bytes that an iteration keeps.
    widths: numbers that actor, critic ("actor", "critic") and a reward model ("disc") see. Learning holds the rollout once
    more, as samples, and of one minibatch what the layers put out.
    """
    networks = {
        "actor": (learn.actor, learn.actor_hidden),
        "critic": (learn.critic, learn.critic_hidden),
        "disc": (learn.disc.optimizer, learn.disc.hidden),
    }
    sides = 2 if learn.symmetry else 1
    largest = max(sides * _minibatch(learn, *networks[name], width) for name, width in widths.items())
    return {"state": state, "physics": physics, "rollout": rollout, "learning": rollout + largest}


def _minibatch(learn: LearnSettings, optimizer: OptimizerSettings, hidden: list[int], width: int) -> int:
    """Bytes of a network's gradient step, for one environment's share of the minibatch."""
    samples = min(optimizer.batch_size, learn.steps_per_iter)
    return int(samples * NUMBER * (width + PASSES * sum(hidden)))


def check(room: Room, envs: int) -> None:
    """Raises UserError if so many environments of a device cannot fit into it."""
    if room.needed(envs) <= room.device:
        return
    most = room.most()
    what = f"at most {most:,} fit" if most else "not even one fits"
    raise UserError(
        f"num_envs: {envs:,} environments on a device take about {gib(room.needed(envs))}, and it has {gib(room.device)}: "
        f"{what}; fewer of them, shorter rollouts (learn.steps_per_iter), a smaller learn.disc.buffer_size or more devices help"
    )


def fitting(room: Room, fraction: float, platform: str) -> tuple[int, str]:
    """(environments for each device, why): the largest power of two in that share of its memory, up to MOST.

    platform: of the devices. Raises UserError where not even one fits.
    """
    fit, most = room.most(fraction), MOST.get(platform, MOST["gpu"])
    if fit < 1:
        raise UserError(
            f"memory_fraction {fraction:g} of a device is {gib(int(fraction * room.device))}, and one environment with all "
            f"that is fixed takes {gib(room.needed(1))}; a larger fraction helps"
        )
    count = min(2 ** (fit.bit_length() - 1), most)
    share = room.needed(count) / room.device
    why = f"{fit:,} fit into {fraction:.0%} of its {gib(room.device)}"
    limit = f"; no more than {most:,} on a {platform} device" if fit >= 2 * most else ""
    return count, f"{count:,} environments on a device take {share:.1%} of its memory: {why}{limit}"


def gib(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
