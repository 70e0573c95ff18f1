"""What randomisation puts between policy and physics: against loops by hand, closed forms, and the profiles' sources."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import STILL, assert_identical, packed_g1, scope_g1

from mimicjax import config
from mimicjax.config.randomize import StartSettings
from mimicjax.config.settings import ActionSettings, EnvSettings, ObservationSettings, RandomizeSettings, RunSettings
from mimicjax.env import env as environment
from mimicjax.env import observations, randomisation
from mimicjax.env.view import View
from mimicjax.errors import UserError
from mimicjax.robot import kinematics
from mimicjax.run import rollout
from mimicjax.types import RUNNING

S = 4
COMPACT = ObservationSettings(joints="angle")
ENV = EnvSettings(action=ActionSettings(mode="reference"), observations=COMPACT)


def make(**changes) -> randomisation.Randomisation:
    scope = scope_g1(ENV)
    return randomisation.make(scope, dataclasses.replace(RandomizeSettings(), **changes), observations.make(scope), S)


def part_of_columns(seen) -> np.ndarray:
    """The name of the part that every number of an observation belongs to."""
    return np.asarray([part.name for part in seen.parts for _ in range(part.size)])


def keys(count: int, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), count)


def draws(reference, count: int = 2000, **changes) -> randomisation.Noise:
    return jax.device_get(jax.jit(jax.vmap(lambda key: make(**changes).draw(key, reference)))(keys(count)))


@pytest.mark.parametrize("joints", ["angle", "rotation"])
def test_parts_say_where_they_are(reference, simulated, joints):
    """What a part of the pose moves is what its part says; the sizes add up."""
    settings = ObservationSettings(terms=["character", "phase", "target"], joints=joints)
    seen = observations.make(scope_g1(EnvSettings(observations=settings)))
    names, see = part_of_columns(seen), jax.jit(seen.see)
    targets = jax.tree.map(lambda x: jnp.stack([x] * 3), reference)
    view = View.of(simulated, reference)._replace(targets=targets, phase=jnp.float32(0.3))
    whole = see(view)
    assert whole.shape == names.shape
    moved = {
        "root_velocity": view._replace(pose=simulated._replace(root_vel=simulated.root_vel + 1)),
        "root_angular_velocity": view._replace(pose=simulated._replace(root_ang_vel=simulated.root_ang_vel + 1)),
        "joint_angles": view._replace(
            pose=simulated._replace(dof_pos=simulated.dof_pos + 1, joint_quat=jnp.roll(simulated.joint_quat, 1, 1))
        ),
        "joint_velocities": view._replace(pose=simulated._replace(dof_vel=simulated.dof_vel + 1)),
        "key_bodies": view._replace(pose=simulated._replace(body_pos=simulated.body_pos + 1)),
        "phase": view._replace(phase=jnp.float32(0.4)),
        "target_rotation": view._replace(targets=targets._replace(root_quat=jnp.roll(targets.root_quat, 1, 1))),
        "target_bodies": view._replace(targets=targets._replace(body_pos=targets.body_pos + 1)),
    }
    for name, other in moved.items():
        assert set(names[np.asarray(see(other) != whole)]) == {name}


def test_late_targets_are_those_of_so_many_substeps_ago(g1, reference):
    """Delays of 0 to 9 substeps against the plain meaning: a line of targets, read so far behind."""
    parts = make(delay=[0, 9])
    noise, drive = parts.draw(jax.random.key(0), reference), jax.jit(parts.drive)
    targets = np.random.default_rng(0).normal(size=(6, 29)).astype(np.float32)
    line = np.concatenate([np.tile(reference.dof_pos, (12, 1)), np.repeat(targets, S, axis=0)])
    for late in range(10):
        now, got = noise._replace(delay=jnp.int32(late)), []
        for row in targets:
            now, ctrl = drive(now, jax.random.key(1), row)
            assert ctrl.shape == (S, 29)
            got.append(ctrl)
        np.testing.assert_array_equal(np.concatenate(got), line[12 - late : len(line) - late], err_msg=str(late))
    found = draws(reference, delay=[2, 5]).delay
    assert sorted(set(found.tolist())) == [2, 3, 4, 5] and np.bincount(found)[2:].min() > 400


def test_torque_noise_is_a_torque(g1, reference):
    """kp times the shift of the target is the torque: normal by episode, within 0.5 to 1.5 of the share by substep."""
    found = draws(reference, torque_noise=0.04)
    share = np.asarray(found.torque) / g1.torque_limit
    assert abs(share.mean()) < 1e-3 and share.std() == pytest.approx(0.04, rel=0.02)
    parts = make(torque_noise=0.04)
    noise, ctrl = parts.drive(
        randomisation.Noise((), found.torque[0], (), (), (), (), ()), jax.random.key(0), jnp.ones(29)
    )
    np.testing.assert_allclose((np.asarray(ctrl) - 1.0) * g1.kp, found.torque[0], atol=1e-4)
    each = make(torque_noise=0.1, torque_noise_per="substep")
    driven = jax.vmap(lambda draw, key: each.drive(each.draw(draw, reference), key, jnp.zeros(29))[1])
    ctrl = jax.jit(driven)(keys(500), keys(500, 1))
    share = np.asarray(ctrl) * g1.kp / g1.torque_limit
    assert share.shape == (500, S, 29) and 0.14 < np.abs(share).max() <= 0.15
    assert len(np.unique(share[0, :, 0])) == S
    # a product of U(0.5,1.5) and U(-1,1): variance (1 + 1/12) / 3
    assert share.std() == pytest.approx(0.1 * np.sqrt((1 + 1 / 12) / 3), rel=0.02)


def test_encoders_that_are_off_shift_what_is_seen_and_what_is_done(g1, reference):
    parts = make(joint_zero=0.05)
    noise = parts.draw(jax.random.key(0), reference)
    assert 0.04 < np.abs(noise.zero).max() <= 0.05
    pose = jax.jit(parts.measured)(noise, reference)
    np.testing.assert_allclose(pose.dof_pos, reference.dof_pos + noise.zero, rtol=1e-6)
    qpos, qvel = kinematics.qpos_of(g1, reference)
    want = jax.jit(lambda qpos: kinematics.pose_of(g1, qpos, qvel))(qpos.at[7:].add(noise.zero))
    np.testing.assert_allclose(pose.body_pos, want.body_pos, atol=1e-5)
    # holding what is measured is holding what is
    _, ctrl = parts.drive(noise, jax.random.key(1), pose.dof_pos)
    np.testing.assert_allclose(ctrl, reference.dof_pos, atol=1e-6)


def test_actions_are_filtered_from_the_second_on(g1, reference):
    parts = make(smoothing=[0.3, 0.3])
    noise, actions, want = parts.draw(jax.random.key(0), reference), np.random.default_rng(0).normal(size=(5, 29)), []
    for step, action in enumerate(actions.astype(np.float32)):
        noise, got = parts.smooth(noise, action, jnp.int32(step))
        want.append(action if step == 0 else 0.3 * want[-1] + 0.7 * action)
        np.testing.assert_allclose(got, want[-1], rtol=1e-5, atol=1e-6)


def test_noise_and_bias_are_of_the_size_and_place_they_say(g1, reference):
    sizes = {"joint_angles": 0.03, "root_velocity": 0.5, "target_position": 0.2}
    parts = make(noise=sizes, bias={"root_rotation": 0.02})
    names = part_of_columns(observations.make(scope_g1(ENV)))
    clean = jnp.zeros(len(names))
    noise = jax.jit(jax.vmap(lambda key: parts.draw(key, reference)))(keys(3000))
    seen = np.asarray(jax.jit(jax.vmap(lambda n, key: parts.sense(n, key, clean)))(noise, keys(3000, 1)))
    for name in set(names):
        part, size = seen[:, names == name], sizes.get(name, 0.0)
        if name == "root_rotation":
            assert part.std() == pytest.approx(0.02, rel=0.03)
        elif size:
            assert 0.98 * size < np.abs(part).max() <= size and part.std() == pytest.approx(size / np.sqrt(3), rel=0.03)
        else:
            assert not part.any(), name
    again = parts.sense(jax.tree.map(lambda x: x[0], noise), jax.random.key(5), clean)  # another step, the same bias
    np.testing.assert_array_equal(again[names == "root_rotation"], seen[0][names == "root_rotation"])


def test_episodes_begin_near_the_reference(g1, reference):
    start = StartSettings(root_position=[0.05, 0.04, 0.0], root_velocity=[0.5, 0.0, 0.0], joint_angles=0.1)
    parts = make(start=start)
    given = kinematics.qpos_of(g1, reference)
    pose, qpos, qvel = jax.jit(jax.vmap(lambda key: parts.start(key, reference, *given)))(keys(1000))
    moved, pushed = np.asarray(qpos - given[0]), np.asarray(qvel - given[1])
    assert np.abs(moved[:, :3]).max(axis=0) == pytest.approx([0.05, 0.04, 0.0], rel=0.02, abs=1e-6)
    assert np.abs(pushed[:, 0]).max() == pytest.approx(0.5, rel=0.02) and np.abs(pushed[:, 1:3]).max() < 1e-5
    assert 0.09 < np.abs(moved[:, 7:]).max() <= 0.1001
    low, high = g1.dof_range.T
    inside = (reference.dof_pos >= low) & (reference.dof_pos <= high)
    assert ((qpos[:, 7:] >= low - 1e-6) & (qpos[:, 7:] <= high + 1e-6))[:, inside].all()
    places = jax.jit(lambda *state: kinematics.pose_of(g1, *state).body_pos)(qpos[3], qvel[3])
    np.testing.assert_allclose(pose.body_pos[3], places, atol=1e-6)


def test_some_begin_on_the_reference_and_some_thrown_far(g1, reference):
    """Of 4000: 40 % on it, 45 % within 0.1 m, 15 % within 0.3 m."""
    start = StartSettings(root_position=[0.1, 0.0, 0.0], joint_velocities=0.5, share=0.6, thrown=0.15, thrown_by=3.0)
    given = kinematics.qpos_of(g1, reference)
    _, qpos, qvel = jax.jit(jax.vmap(lambda key: make(start=start).start(key, reference, *given)))(keys(4000))
    off, speed = np.abs(qpos[:, 0] - given[0][0]), np.abs(qvel[:, 6:] - given[1][6:]).max(axis=1)
    still, far = speed < 1e-6, speed > 0.5
    assert still.mean() == pytest.approx(0.4, abs=0.03) and far.mean() == pytest.approx(0.15, abs=0.02)
    assert off[still].max() < 1e-6 and 0.095 < off[~still & ~far].max() <= 0.1001 and 0.28 < off[far].max() <= 0.3001


def test_nobody_begins_in_the_ground_deeper_than_the_clip(g1, reference):
    start = StartSettings(root_rotation=[0.5, 0.5, 0.0], joint_angles=0.3)
    lowest = lambda pose: kinematics.ground_clearance(g1, pose).min()  # noqa: E731
    given = kinematics.qpos_of(g1, reference)

    @jax.jit
    def run():
        begun = [
            jax.vmap(lambda key, s=s: make(start=s).start(key, reference, *given))(keys(200))
            for s in (start, dataclasses.replace(start, above_ground=True))
        ]
        return [(pose, jax.vmap(lowest)(pose), qpos) for pose, qpos, _ in begun], lowest(reference)

    ((_, sunk, flat), (pose, clear, raised)), clip = jax.device_get(run())
    bound = min(0.0, float(clip))
    assert (sunk < bound - 0.02).mean() > 0.1 and clear.min() > bound - 1e-5
    np.testing.assert_allclose(raised[:, 2] - flat[:, 2], np.maximum(0.0, bound - sunk), atol=1e-5)
    np.testing.assert_allclose(pose.root_pos, raised[:, :3], atol=1e-6)
    np.testing.assert_array_equal(np.delete(raised, 2, axis=1), np.delete(flat, 2, axis=1))


FULL = RandomizeSettings(
    variants=9, link_mass=[0.8, 1.2], joint_zero=0.05, torque_noise=0.05, delay=[0, 5], smoothing=[0.0, 0.3],
    noise={"joint_angles": 0.03}, bias={"root_rotation": 0.02},
    start=StartSettings(joint_angles=0.05),
)  # fmt: skip


def numbered(numbers) -> jax.Array:
    """Random keys of environments, each by its number."""
    return jax.vmap(lambda number: jax.random.fold_in(jax.random.key(7), number))(jnp.asarray(numbers))


def programs(randomize: RandomizeSettings):
    """(begin, control step) of four environments, compiled."""
    env = environment.make(scope_g1(ENV), None, randomize, S)

    def begin(clips, numbers):
        clip, start = jnp.zeros(4, jnp.int32), 0.1 * numbers
        return rollout.begin(env, STILL, clips, numbered(numbers), clip, start)

    def step(clips, state, lower):
        height = state.physics.qpos.at[:, 2].add(-lower)
        state = state._replace(physics=state.physics._replace(qpos=height))
        return rollout.control_step(env, STILL, clips, state, jnp.zeros((4, 29)))

    return jax.jit(begin), jax.jit(step)


@functools.cache
def follow(first: int):
    """[(state, obs), (state, Step), (state, Step)] of environments first to first + 3, of which 1 and 3 fall in the second
    of two control steps."""
    begin, step = programs(FULL)
    numbers = first + np.arange(4)
    seen = [begin(packed_g1(), numbers)]
    for lower in (np.zeros(4), np.where((numbers == 1) | (numbers == 3), 0.75, 0.0)):
        seen.append(step(packed_g1(), seen[-1][0], lower))
    return jax.device_get(seen)


def test_what_an_episode_has_is_drawn_again_at_its_reset_only():
    (first, _), (same, step), (after, ended) = follow(0)
    assert (ended.done != RUNNING).tolist() == [False, True, False, True] and not step.done.any()
    assert (first.variant > 0).all() and (first.variant <= 9).all()
    over = ended.done != RUNNING
    for name in ("zero", "torque", "bias"):
        old, new = getattr(same.noise, name), getattr(after.noise, name)
        np.testing.assert_array_equal(getattr(first.noise, name), old)
        assert ((old != new).any(axis=1) == over).all(), name
    np.testing.assert_array_equal(after.variant[~over], first.variant[~over])
    assert (ended.obs["actor"] != ended.obs["critic"]).any(axis=1).all()
    assert (after.start[over] != first.start[over]).all()


@pytest.mark.parametrize("when", ["reset", "once"])
def test_models_are_drawn_at_resets_or_once(when):
    model = make(variants=9, link_mass=[0.8, 1.2], when=when).model
    begun, again = (np.asarray([model(key, jnp.int32(4), first) for key in keys(200)]) for first in (True, False))
    assert sorted(set(begun.tolist())) == list(range(1, 10)), "row 0 is the model as given"
    if when == "once":
        np.testing.assert_array_equal(again, 4)
    else:
        np.testing.assert_array_equal(again, begun)


def test_results_do_not_depend_on_neighbours():
    """Environments 2 and 3 in places 2 and 3, and in places 0 and 1: draws to the bit, products of matrices to rounding."""
    whole, other = follow(0)[2], follow(2)[2]

    def rows(get):
        pick = lambda x, some: jax.tree.map(lambda leaf: leaf[np.asarray(some)], get(x))  # noqa: E731
        return pick(whole, [2, 3]), pick(other, [0, 1])

    for get in (lambda x: x[0].noise, lambda x: x[0].variant, lambda x: x[0].start):
        assert_identical(*rows(get))
    for a, b in zip(*map(jax.tree.leaves, rows(lambda x: x[1].obs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_nothing_is_drawn_where_nothing_is_asked_for(clips):
    """With empty settings every program is to the letter what it is without any; and what clip and start an episode has
    does not move when other things are drawn."""
    numbers = np.arange(4)
    texts = []
    for randomize in (None, RandomizeSettings()):
        begin, step = programs(randomize)
        state, _ = jax.eval_shape(begin, clips, numbers)
        assert state.noise == ()
        texts.append([str(jax.make_jaxpr(begin)(clips, numbers)), str(jax.make_jaxpr(step)(clips, state, np.zeros(4)))])
    assert texts[0] == texts[1]
    begin, step = programs(None)
    lower = np.where(numbers % 2 == 1, 0.75, 0.0)

    @jax.jit
    def starts(clips):
        state, end = step(clips, step(clips, begin(clips, numbers)[0], np.zeros(4))[0], lower)
        return state.variant, state.clip, state.start, end.done

    variant, clip, start, done = starts(clips)
    after, ended = follow(0)[2]
    assert not np.asarray(variant).any() and (np.asarray(done) == ended.done).all()
    np.testing.assert_array_equal(clip, after.clip)
    np.testing.assert_array_equal(start, after.start)


def load(folder, *profiles: str) -> RandomizeSettings:
    """What add_g1 randomises with these profiles on top."""
    file = folder / "run.yaml"
    file.write_text(f"extends: [add_g1, {', '.join(profiles)}]\n")
    return config.load(RunSettings, file).randomize


def test_profiles_are_their_sources(tmp_path):
    names = ("beyondmimic", "videomimic_s1", "playground")
    beyond, video, play = (load(tmp_path, f"randomize/{name}") for name in names)
    assert (beyond.when, beyond.base_com, beyond.joint_zero) == ("once", [0.025, 0.05, 0.05], 0.01)
    assert beyond.noise["joint_velocities"] == 0.5 and beyond.start.root_angular_velocity == [0.52, 0.52, 0.78]
    assert (video.friction, video.base_mass, video.kp) == ([0.1, 1.25], [-1.0, 3.0], [0.97, 1.03])
    assert (play.friction, play.frictionloss, play.link_mass) == ([0.4, 1.0], [0.5, 2.0], [0.9, 1.1])
    assert (play.noise["joint_velocities"], play.joint_zero, play.armature) == (1.5, 0.05, [1.0, 1.05])


def test_the_profile_none_takes_everything_back(tmp_path):
    """Of the profiles, and noise and bias of every part that a sensor can have any of."""
    noisy = tmp_path / "noisy.yaml"
    sizes = ", ".join(f"{name}: 0.1" for name in observations.part_names(scope_g1(ENV)))
    noisy.write_text(f"randomize: {{noise: {{{sizes}}}, bias: {{{sizes}}}}}\n")
    assert len(load(tmp_path, noisy.name).noise) == len(load(tmp_path, noisy.name).bias) == 12
    for profile in (
        "randomize/beyondmimic",
        "randomize/videomimic_s1",
        "randomize/playground",
        "randomize/starts",
        noisy.name,
    ):
        off = load(tmp_path, profile, "randomize/none")
        assert off == RandomizeSettings() and off.models == 0


def test_mistakes_are_named(g1):
    for changes, words in (
        ({"delay": [3, 1]}, "randomize.delay.*low not above high"),
        ({"smoothing": [0.5]}, "randomize.smoothing"),
        ({"start": StartSettings(root_position=[0.1])}, "start.root_position.*three numbers"),
        ({"start": StartSettings(share=0.2, thrown=0.3)}, "start.thrown: given 0.3, allowed is at most .*, 0.2"),
        ({"noise": {"joint_angle": 0.1}}, r"randomize\.noise: unknown part.*'joint_angle' .did you mean joint_angles"),
        ({"bias": {"target": 0.1}}, r"randomize\.bias: unknown part of an observation .target"),
    ):
        with pytest.raises(UserError, match=words):
            make(**changes)
