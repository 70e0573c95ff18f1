"""python -m mimicjax.robot: what a robot is made of, or what in its files cannot be used. See docs/robots.md."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from mimicjax import commands, rotation
from mimicjax.robot import kinematics
from mimicjax.robot.load import load
from mimicjax.types import BALL, FIXED, HINGE, Robot

INDENT = 17  # of the values


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; the exit code: 0 fine, 2 something in the robot's files cannot be used."""
    return commands.main("robot", _run, argv)


def _run(argv: Sequence[str]) -> None:
    parser = commands.Parser(prog="python -m mimicjax.robot", description="Load a robot and say what it is.")
    parser.add_argument("robot", metavar="NAME|FILE", help="a name (g1), a folder, a robot.yaml, or an .xml beside one")
    for what, value in rows(load(parser.parse_args(argv).robot)):
        print(textwrap.fill(f"{what:{INDENT}s}{value}", 110, subsequent_indent=INDENT * " ", break_long_words=False,
                            break_on_hyphens=False))  # fmt: skip


def rows(robot: Robot) -> Iterator[tuple[str, str]]:
    """The lines of the table: (what, its value)."""
    names = np.asarray(robot.body_names)
    low, high = height(robot)
    yield "robot", f"{robot.name}, {robot.xml}"
    yield "bodies", f"{robot.num_bodies}: {', '.join(names)}; the first is the root"
    kinds = {"hinge": HINGE, "ball": BALL, "fixed": FIXED}
    counts = {word: int(np.sum(robot.joint_kinds == kind)) for word, kind in kinds.items()}
    yield "joints", ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    yield "actuators", f"{robot.num_dofs}, one a degree of freedom: {', '.join(robot.dof_names)}"
    yield "kp", f"{_range(robot.kp)} N m/rad"
    yield "kd", f"{_range(robot.kd)} N m s/rad"
    yield "torque limit", f"{_range(robot.torque_limit)} N m"
    yield "armature", f"{_range(robot.armature)} kg m^2"
    yield "mass", f"{robot.mass:.3f} kg"
    yield (
        "height",
        f"{high - low:.3f} m of collision shapes, the lowest {low:.3f} m above the ground, in the start pose",
    )
    for what in ("key_bodies", "contact_bodies", "wrench_bodies"):
        yield what.replace("_", " "), ", ".join(names[getattr(robot, what)]) or "none"


def height(robot: Robot) -> tuple[float, float]:
    """z [m] of the lowest and of the highest point of the collision shapes in the start pose; nan without shapes."""
    if not len(robot.ground_body):
        return float("nan"), float("nan")
    pose = kinematics.pose_of(robot, jnp.asarray(robot.start_qpos), jnp.zeros(robot.nv))
    turned = rotation.rotate(pose.body_quat[robot.ground_body], jnp.asarray(robot.ground_points))
    z = np.asarray(pose.body_pos[robot.ground_body] + turned)[:, 2]
    return float(np.min(z - robot.ground_radius)), float(np.max(z + robot.ground_radius))


def _range(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


if __name__ == "__main__":
    sys.exit(main())
