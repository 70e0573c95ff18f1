"""A robot small enough to compile in seconds that has every kind of joint: hinges, balls and a body without a joint."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from conftest import DT, synthetic_clip

from mimicjax.config.settings import EngineSettings, EnvSettings
from mimicjax.engine import scene
from mimicjax.engine.scene import Scene
from mimicjax.env.view import Scope
from mimicjax.motion import library
from mimicjax.robot.load import load
from mimicjax.types import CLAMP, WRAP, Clips, Robot

SIDE = """
<body name="{0}_arm" pos=".02 {1}.2 .3" quat=".9 {1}.3 -.2 {1}.1">
  <joint name="{0}_shoulder" type="ball" range="0 2" armature=".01"/>
  <geom type="capsule" fromto="0 0 0 .3 0 0" size=".04" mass="1"/>
  <body name="{0}_hand" pos=".3 {1}.05 0">
    <joint name="{0}_wrist" axis="{1}1 2 {1}3" range="-1 1" armature=".01"/>
    <geom type="sphere" size=".05" mass=".3"/>
  </body>
</body>"""
LEG = """
<body name="{0}_leg" pos="0 {1}.1 -.1">
  <joint name="{0}_hip" axis="0 1 0" range="-1.5 1.5" armature=".01"/>
  <geom type="capsule" fromto="0 0 0 0 0 -.5" size=".05" mass="2"/>
</body>"""
ARMS = SIDE.format("left", "") + SIDE.format("right", "-")
LEGS = LEG.format("left", "") + LEG.format("right", "-")
XML = f"""
<mujoco><compiler angle="radian"/><worldbody><body name="pelvis" pos="0 0 .78"><freejoint/>
  <geom type="box" size=".1 .15 .05" mass="5"/>{LEGS}
  <body name="torso" pos="0 0 .1"><joint name="waist" axis="0 1 0" range="-1 1" armature=".01"/>
    <geom type="box" size=".1 .15 .15" pos="0 0 .15" mass="5"/>
    <body name="head" pos=".05 0 .4" quat=".9 0 .2 0"><geom type="sphere" size=".1" mass="1"/></body>{ARMS}
  </body>
</body></worldbody></mujoco>
"""
PAIRS = [f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "shoulder", "wrist")]
GAINS = "{kp: 40, kd: 2, torque_limit: 30}"
YAML = f"""
name: small
key_bodies: [head, left_hand, right_hand]
contact_bodies: [left_leg, right_leg]
wrench_bodies: [torso, left_hand, right_hand]
joint_error_weights: {{waist: 0.5, left_shoulder: 2.0, right_shoulder: 2.0}}
start_pose: {{root_height: 0.78}}
gains: {{waist: {GAINS}, {", ".join(f"{joint}: {GAINS}" for joint in PAIRS)}}}
"""


@functools.cache
def robot() -> Robot:
    folder = Path(tempfile.mkdtemp())  # scenes read it again
    (folder / "robot.xml").write_text(XML)
    (folder / "robot.yaml").write_text(YAML)
    return load(folder)


@functools.cache
def alone() -> Scene:
    return scene.build(robot(), EngineSettings())


@functools.cache
def packed() -> Clips:
    """The clip of the golden values on this robot: clip 0 loops, clip 1 does not."""
    return library.pack(robot(), [synthetic_clip(robot().num_dofs, loop) for loop in (WRAP, CLAMP)])


def scope(settings: EnvSettings | None = None) -> Scope:
    return Scope(robot(), settings or EnvSettings(), alone().layout, DT)
