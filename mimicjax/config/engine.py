"""The schema of physics: engine, step sizes, solver."""

from __future__ import annotations

import dataclasses
from typing import Literal

from mimicjax.config.key import key


@dataclasses.dataclass(frozen=True)
class EngineSettings:
    """Physics: which engine, how finely it steps, how hard its solver tries."""

    name: Literal["auto", "native", "mjx-jax", "mjx-warp", "isaacgym"] = key(
        "auto", "engine; auto takes the fastest one for this machine (never isaacgym, which is there to compare with)"
    )
    control_freq: int = key(30, "control steps per second", low=1)
    sim_freq: int = key(120, "physics steps per second, a multiple of control_freq", low=1)
    integrator: Literal["euler", "implicitfast", "implicit"] = key("implicitfast", "MuJoCo's integrator")
    solver: Literal["newton", "cg"] = key("newton", "MuJoCo's constraint solver")
    iterations: int = key(4, "solver iterations at most", low=1)
    ls_iterations: int = key(8, "line-search iterations at most", low=1)
    cone: Literal["pyramidal", "elliptic"] = key("pyramidal", "friction cone")
    jacobian: Literal["auto", "dense", "sparse"] = key("auto", "form of the constraint Jacobian (native engine)")
    impratio: float = key(1.0, "ratio of friction to normal impedance", above=0.0)
    self_collision: bool = key(False, "collide the robot's bodies with each other, not only with the ground")
    gains: Literal["robot", "armature"] = key(
        "robot", "of the joints: those of the robot's files, or derived from armature by the next two (BeyondMimic)"
    )
    natural_frequency: float = key(10.0, "Hz, of a joint with gains from armature that moves its motor only", above=0.0)
    damping_ratio: float = key(2.0, "of such a joint; 1 is critically damped", above=0.0)
    frictionloss: bool = key(True, "keep the joints' dry friction")
    threads: int = key(0, "threads of the native engine; 0 takes all cores", low=0)
    contacts_per_env: int = key(48, "contacts kept per environment (mjx-warp)", low=1)
    constraints_per_env: int = key(256, "constraint rows kept per environment (mjx-warp)", low=1)
