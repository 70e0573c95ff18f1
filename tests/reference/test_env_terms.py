"""Observations, rewards, tracking errors and failures against MimicKit's (golden values B.2 to B.6).

Robot X(0.313) against the clip at 0.313 s, its targets one, two and three control steps later.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import scope_g1

from mimicjax.config.settings import EnvSettings, ObservationSettings, TerminationSettings
from mimicjax.env import discriminator, observations, rewards, terminations
from mimicjax.env.view import Scope, View
from mimicjax.motion import coordinates, library
from mimicjax.robot.kinematics import ground_clearance
from mimicjax.types import CLAMP, Clip

GLOBAL = ObservationSettings()
LOCAL = ObservationSettings(frame="heading")
FRAMES = {"global": GLOBAL, "heading": LOCAL}
CONTACTS = ("left_knee_link",)
# Rotations are slerped in float32 and not normalised: X's root has |q|^2 = 1 - 5e-5. Rotating a vector by such a
# quaternion depends on how the formula is written, so all that is turned into a heading or root frame differs by that.
UNNORMAL = 5e-5
SUM = 1e-3  # absolute, of checksums: they add hundreds of float32 numbers, some of them finite differences


def scope_of(observed: ObservationSettings, **settings) -> Scope:
    return scope_g1(EnvSettings(observations=observed, **settings))


def view_of(robot, clips, pose, reference) -> View:
    query = jax.jit(jax.vmap(lambda c, t: library.query(robot, c, 0, t), in_axes=(None, 0)))
    targets = query(clips, 0.313 + jnp.arange(1, 4) / 30)
    return View.of(pose, reference)._replace(targets=targets, phase=jnp.float32(0.313))


@pytest.fixture(scope="module")
def view(g1, clips, simulated, reference):
    return view_of(g1, clips, simulated, reference)


@pytest.fixture(scope="module")
def obs(view):
    terms = {name: observations.make(scope_of(settings)) for name, settings in FRAMES.items()}
    return jax.jit(lambda view: {name: term.see(view) for name, term in terms.items()})(view)


def test_simulated_state_and_kinematics(g1, simulated, reference, golden):
    head, wrist = g1.body_names.index("head_link"), g1.body_names.index("left_wrist_yaw_link")
    golden(simulated.root_pos, (0.3004, 0.061789, 0.78623))
    golden(jnp.roll(simulated.root_quat, -1), (0.099171, 0.012908, 0.233404, 0.967197))
    golden(simulated.body_pos[head], (0.465341, -0.02449, 1.229805))
    golden(simulated.body_pos[wrist], (0.264337, 0.335337, 0.897816))
    golden(reference.body_pos[head], (0.368415, 0.023258, 1.227893))
    golden(reference.body_pos[wrist], (0.264058, 0.381938, 0.85131))


SUMS = [
    ("global", slice(None), (242.75512, 4.19547, 333.59044)),
    ("global", slice(13, 193), (59.05915, -5.80148, 67.03206)),
    ("global", slice(193, 222), (-5.11046, 1.88933, 35.27892)),
    ("global", slice(237, 441), (61.98774, 7.94067, 73.88236)),
    ("heading", slice(None), (240.56814, 3.85885, 333.38555)),
    ("heading", slice(441, 645), (61.65325, 8.38762, 73.60647)),
]
VALUES = [
    ("global", 0, (0.78623, 0.890712, 0.454056, 0.021325, 0.071263, -0.18581, 0.979997, 0.900001, -0.055093, 0.48541,
                   -0.408536, -0.281771, -0.980456)),
    ("global", 222, (-0.319715, 0.260704, -0.660517, 0.285665, -0.006119, -0.720288, 0.164941, -0.086279, 0.443575,
                     -0.036063, 0.273548, 0.111586, 0.335445, -0.119428, 0.077014)),
    ("global", 237, (-0.023333, 0.020021, 0.773085, 0.969652, 0.241531, 0.037967, -0.018, -0.084348, 0.996274)),
    ("global", 426, (-0.176963, 0.233785, -0.719139, 0.311971, -0.158713, -0.693711, 0.134393, -0.075229, 0.455204,
                     0.009744, 0.281112, 0.094853, 0.31705, -0.157273, 0.102657)),
    ("global", 645, (0.03, -0.010072, 0.788989, 0.987092, 0.153321, 0.046294, -0.038289, -0.054761, 0.997765)),
    ("heading", 0, (0.78623, 0.999773, 0.000023, 0.021325, -0.020898, -0.197906, 0.979997, 0.776807, -0.45783, 0.48541,
                    -0.491943, -0.065494, -0.980456)),
    ("heading", 222, (-0.166438, 0.377469, -0.660517)),
    ("heading", 237, (0, 0, 0.773085, 0.999279, -0.000013, 0.037967, -0.037854, -0.077496, 0.996274)),
    ("heading", 441, (0.0226, -0.019598, 0.781135, 0.998257, -0.040583, 0.042861, -0.045341, -0.062293, 0.997028)),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "part", "want"), SUMS)
def test_observation_checksums(frame, part, want, obs, golden, checksums):
    assert obs[frame].shape == (849,)
    golden(checksums(obs[frame][part]), want, atol=SUM)


@pytest.mark.parametrize(("frame", "first", "want"), VALUES)
def test_observation_values(frame, first, want, obs, golden):
    golden(obs[frame][first : first + len(want)], want, atol=UNNORMAL)


def test_phase_observation(view, golden):
    settings = ObservationSettings(terms=["character", "phase"], root_height=False, phase_encoding=4)
    seen = jax.jit(observations.make(scope_of(settings)).see)(view)
    want = (0.313, 0.922673, -0.711536, 0.999921, -0.02513, -0.385584, -0.70265, -0.012566, -0.999684)
    assert seen.shape == (245,)
    golden(seen[-9:], want)


@pytest.mark.parametrize(("frame", "want"), [
    ("global", (56.63008, 0.70337, 112.71253)), ("heading", (55.65671, 0.29142, 112.63397)),
])  # fmt: skip
def test_amp_policy_observation(frame, want, view, golden, checksums):
    seen = observations.make(scope_of(dataclasses.replace(FRAMES[frame], terms=["character"]))).see(view)
    assert seen.shape == (237,)
    golden(checksums(seen), want, atol=SUM)


@pytest.mark.parametrize(("frame", "demo", "agent", "gap"), [
    ("global", (56.68420, 10.54266, 123.01612), (57.27399, 10.85176, 123.78820), (-0.58979, -0.30910, 6.36976)),
    ("heading", (55.40640, 10.36852, 122.44779), (55.59597, 10.54318, 123.03142), (-0.18957, -0.17467, 5.16138)),
])  # fmt: skip
def test_add_discriminator_observation(frame, demo, agent, gap, view, reference, simulated, golden, checksums):
    scope = scope_of(FRAMES[frame])
    features = discriminator.features(scope)
    its, own = features(reference), features(simulated)
    assert its.shape == (317,)
    golden(checksums(its), demo, atol=SUM)
    golden(checksums(own), agent, atol=SUM)
    golden(checksums(discriminator.VIEWS["difference"](scope).see(view)), gap, atol=SUM)
    if frame == "global":
        golden(its[:9], (0.2504, 0.091789, 0.76623, 0.962172, 0.270614, 0.031455, -0.006358, -0.093118, 0.995635))
        golden(its[237:240], (0.118015, -0.068531, 0.461663))


@pytest.mark.parametrize(("frame", "start", "sums", "oldest", "newest", "speeds"), [
    ("global", 0.313, (166.52975, 9.63055, 331.08650),
     (-0.053333, 0.007663, 0.760437, 0.955857, 0.293518, 0.013583, 0.015845, -0.09765, 0.995095),
     (0, 0, 0.76623, 0.962172, 0.270614, 0.031455, -0.006358, -0.093118, 0.995635),
     ((0.8, 0, 0, 0.046392, -0.30844, -0.015468), (0.8, -0.255093, 0.18541, -0.208536, -0.281771, -0.780456))),
    ("heading", 0.313, (164.56850, 10.76287, 331.19435),
     (-0.049267, 0.021816, 0.760437, 0.999625, 0.02376, 0.013583, -0.011185, -0.098293, 0.995095),
     (0, 0, 0.76623, 0.999505, 0.000014, 0.031455, -0.031332, -0.087918, 0.995635),
     ((0.77012, -0.216599, 0, -0.038851, -0.309481, -0.015468),
      (0.701055, -0.462164, 0.18541, -0.277037, -0.214786, -0.780456))),
    ("global", 0.021, (187.21369, 14.00260, 339.67123), None, None, None),
    ("heading", 0.021, (187.00641, 14.07614, 339.60555), None, None, None),
])  # fmt: skip
def test_amp_discriminator_observation(g1, clips, golden, checksums, frame, start, sums, oldest, newest, speeds):
    """B.5: three steps of the clip; sizes 3 + 6 + 6 x 30 + 3 x 5 + 6 + 29 a step."""
    observed = dataclasses.replace(FRAMES[frame], terms=["character"])
    sight = discriminator.VIEWS["motion"](scope_of(observed, disc_steps=3))
    times = start - jnp.arange(2, -1, -1) / 30
    poses = jax.jit(jax.vmap(lambda c, t: library.query(g1, c, 0, t), in_axes=(None, 0)))(clips, times)
    last = jax.tree.map(lambda rows: rows[-1], poses)
    seen = np.asarray(jax.jit(sight.see)(View.of(last, last)._replace(history=poses)))
    assert seen.shape == (717,) and sight.history == 3
    golden(checksums(seen), sums, atol=SUM)
    if oldest:
        steps = seen.reshape(3, -1)
        golden(steps[0, :9], oldest, atol=UNNORMAL)
        golden(steps[2, :9], newest, atol=UNNORMAL)
        golden(steps[0, -35:-29], speeds[0], atol=UNNORMAL)
        golden(steps[2, -35:-29], speeds[1], atol=UNNORMAL)


@pytest.mark.parametrize(("frame", "want", "terms"), [
    ("global", 0.928409, (0.998915, 0.998846, 0.955759, 0.862431, 0.663064)),
    ("heading", 0.957431, (0.998915, 0.998846, 0.9918, 0.898881, 0.796203)),
])  # fmt: skip
def test_reward(frame, want, terms, view, golden):
    reward, values = jax.jit(rewards.make(scope_of(FRAMES[frame])))(view)
    golden(reward, want)
    golden([values[name] for name in ("pose", "vel", "root_pose", "root_vel", "key_pos")], terms)


def test_tracking_errors(simulated, reference, golden):
    names = ("Root_Pos_Err", "Root_Rot_Err", "Body_Pos_Err", "Body_Rot_Err", "Dof_Vel_Err", "Root_Vel_Err",
             "Root_Ang_Vel_Err")  # fmt: skip
    errors = jax.jit(terminations.tracking_errors)(simulated, reference)
    assert set(errors) == set(names)
    golden([errors[name] for name in names], (0.061644, 0.229129, 0.051405, 0.231206, 0.064942, 0.2, 0.133333))


@pytest.mark.parametrize(("settings", "largest"), [(GLOBAL, 0.112281), (LOCAL, 0.010007)], ids=["world", "root"])
@pytest.mark.parametrize("margin", [-UNNORMAL, UNNORMAL])
def test_largest_body_distance(settings, largest, margin, view):
    scope = scope_of(settings, terminations={"pose": TerminationSettings(largest + margin)})
    assert bool(terminations.make(scope)(view)) == (margin < 0)
    words = terminations.reason(scope, view)
    assert words == ("left the reference" if margin < 0 else "failed")


@pytest.fixture(scope="module")
def clearance(g1, reference):
    return np.asarray(jax.jit(lambda pose: ground_clearance(g1, pose))(reference))


# MimicKit's falls are contact forces (torso 0.2 N: fail, 0.05 N: none, left knee 500 N: none); ours are shapes that
# reach the ground, so the same three cases are the robot let down until the body is a millimetre in it, or not yet.
@pytest.mark.parametrize(("body", "depth", "falls"), [
    ("torso_link", 0.001, True), ("torso_link", -0.001, False), ("left_knee_link", 0.001, False),
])  # fmt: skip
def test_falls(body, depth, falls, clearance, g1, reference):
    may = g1.contact_bodies if body in CONTACTS else [b for b, name in enumerate(g1.body_names) if name != body]
    lower = clearance[g1.body_names.index(body)] + depth
    down = jnp.asarray([0.0, 0.0, -lower])
    pose = reference._replace(root_pos=reference.root_pos + down, body_pos=reference.body_pos + down)
    robot = dataclasses.replace(g1, contact_bodies=np.asarray(may))
    scope = scope_of(GLOBAL, terminations={"fall": TerminationSettings()})._replace(robot=robot)
    view = View.of(pose, pose)
    assert bool(jax.jit(terminations.make(scope))(view)) == falls
    assert terminations.reason(scope, view) == ("fell" if falls else "failed")


@pytest.mark.parametrize(("height", "near", "touching", "falls"), [
    (0.149, 0.15, True, False), (0.151, 0.15, True, True), (0.0, -1.0, True, True), (0.0, 0.15, False, True),
])  # fmt: skip
def test_what_the_clip_has_near_the_ground_may_touch_it(height, near, touching, falls, clearance, g1, reference):
    """The torso a millimetre in the ground, and at a height above it in the clip."""
    torso = g1.body_names.index("torso_link")
    may = [body for body in range(g1.num_bodies) if body != torso]

    def at(above: float):
        down = jnp.asarray([0.0, 0.0, above - clearance[torso]])
        return reference._replace(root_pos=reference.root_pos + down, body_pos=reference.body_pos + down)

    scope = scope_of(GLOBAL, terminations={"fall": TerminationSettings(reference=near)})
    robot = dataclasses.replace(g1, contact_bodies=np.asarray(may))
    scope = scope._replace(robot=robot, touching=np.arange(g1.num_bodies) == (torso if touching else -1))
    assert bool(jax.jit(terminations.make(scope))(View.of(at(-0.001), at(height)))) == falls


def test_bodies_that_clips_bring_near_the_ground(g1, reference, clearance):
    """Two frames of one pose: near is what its clearance says, but for the feet."""
    root_pos, root_quat, dof_pos = (
        np.tile(x, (2, 1)) for x in (reference.root_pos, reference.root_quat, reference.dof_pos)
    )
    clip = Clip("still", "g1", g1.dof_names, 30.0, CLAMP, root_pos, root_quat, dof_pos)
    want = clearance <= 0.3
    want[g1.contact_bodies] = False
    assert 0 < want.sum() < g1.num_bodies - len(g1.contact_bodies)
    np.testing.assert_array_equal(coordinates.touching(g1, (clip,), 0.3), want)
