"""Bipeds with legs of six hinges, as the G1 is."""

from __future__ import annotations

import numpy as np

from mimicjax.errors import UserError
from mimicjax.motion.make.biped import ARM, LEG, SIDES, WAIST, Biped, Posture, inertia_only, sole_points
from mimicjax.motion.make.ik import place_feet
from mimicjax.types import BALL, Robot

NEEDED = tuple(f"{part}_joint" for part in (*WAIST, *(f"{side}_{part}" for side in SIDES for part in (*LEG, *ARM))))


def measure(robot: Robot) -> Biped:
    """Measures a robot; UserError if it lacks a joint that made motions drive."""
    missing = [name for name in NEEDED if name not in robot.dof_names]
    if missing or np.any(robot.joint_kinds == BALL):
        why = f"it has no joint {', '.join(missing[:3])}" if missing else "it has ball joints"
        raise UserError(
            f"robot {robot.name}: makers need a biped with the hinge joints of the G1 or the ball joints of the "
            f"humanoid; {why}"
        )
    model, data = inertia_only(robot)
    feet = [model.joint(f"{side}_ankle_roll_joint").bodyid[0] for side in SIDES]
    rolls, pitches = ([data.joint(f"{side}_{part}_joint").xanchor for side in SIDES] for part in LEG[1::-1])
    hips = np.array([[*roll[:2], pitch[2]] for roll, pitch in zip(rolls, pitches, strict=True)])
    sole, points = sole_points(robot, model.body(feet[0]).name)
    pitch = data.joint("left_ankle_pitch_joint").xanchor
    return Biped(
        robot=robot,
        model=model,
        hips=hips,
        foot_bodies=np.array(feet),
        leg_length=float(hips[0, 2] - pitch[2]),
        ankle=pitch - data.xpos[feet[0]],
        sole=sole,
        heel=points[points[:, 0].argmin()],
        toe=points[points[:, 0].argmax()],
        place=place,
    )


def place(biped: Biped, root_pos: np.ndarray, root_quat: np.ndarray, foot_pos: np.ndarray, foot_quat: np.ndarray,
          posture: Posture) -> np.ndarray:  # fmt: skip
    """qpos [F,nq]: the posture's angles, and legs such that the feet are where they should be (Biped.place)."""
    names = biped.robot.dof_names
    dofs = np.zeros((len(root_pos), len(names)))
    for part, angle in posture.items():
        dofs[:, names.index(f"{part}_joint")] = angle
    legs = np.array([[names.index(f"{side}_{part}_joint") for part in LEG] for side in SIDES])
    dofs = place_feet(biped, legs, root_pos, root_quat, foot_pos, foot_quat, dofs)
    return np.concatenate([root_pos, root_quat, dofs], axis=1)
