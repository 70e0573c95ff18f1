"""An exported policy does what the trained one does, and its file says all that a player needs."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import jax
import mujoco
import numpy as np
import pytest
from conftest import synthetic_clip
from restored_runs import untrained

from mimicjax.config.follow import FollowSettings
from mimicjax.config.settings import ActionSettings, EnvSettings, LearnSettings, ObservationSettings, RunSettings
from mimicjax.errors import UserError
from mimicjax.evaluation.restored import Restored
from mimicjax.export import actor, graph, hlo, metadata, reference
from mimicjax.export.__main__ import parse, write
from mimicjax.learn import acting
from mimicjax.learn.normalizers import Moments
from mimicjax.types import CLAMP

onnxruntime = pytest.importorskip("onnxruntime")
EXAMPLE = Path(__file__).parents[2] / "examples" / "play_onnx.py"


def settings(mode: str = "reference", symmetry: bool = True) -> RunSettings:
    terms = ["character", "target", "past"]
    seen = ObservationSettings(terms=terms, frame="robot", joints="angle", target_steps=[1, 3], past_steps=2)
    action = ActionSettings(mode=mode, scale=0.3, velocity_lead=1.0 if mode == "reference" else 0.0)
    follow = FollowSettings(time=0.5, pull=0.2, pull_heading=0.1)
    env = EnvSettings(episode_length=0.7, observations=seen, action=action, follow=follow)
    learn = LearnSettings(actor_hidden=[16, 8], critic_hidden=[4], symmetry=symmetry)
    return RunSettings(env=env, learn=learn)


@pytest.fixture(scope="module")
def made(g1, tmp_path_factory) -> tuple[Restored, Path]:
    """A run with a normaliser that does something, exported."""
    restored = untrained(g1, [synthetic_clip(g1.num_dofs)], settings())
    rng = np.random.default_rng(0)
    size = len(restored.agent.norm["actor"].mean)
    moments = Moments(np.float32(9), *(np.float32(rng.uniform(0.5, 2, size)) for _ in range(2)))
    # larger than at first, so that actions differ from zero
    larger = jax.tree.map(lambda x: 5.0 * x, restored.agent.actor)
    restored = restored._replace(agent=restored.agent._replace(norm={"actor": moments}, actor=larger))
    out = tmp_path_factory.mktemp("export") / "policy.onnx"
    write(restored, out)
    return restored, out


def session(file: Path):
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def test_the_network_with_its_mirror_image_is_the_same_within_1e_5(made):
    restored, out = made
    assert restored.policy is not None
    size = len(restored.agent.norm["actor"].mean)
    obs = np.float32(np.random.default_rng(1).normal(0, 3, (1000, size)))
    want = acting.mode(restored.policy, restored.agent, {"actor": obs}, ())
    got = session(out).run(["actions"], {"obs": obs, "time_step": np.zeros((1000, 1), np.float32)})[0]
    assert np.abs(got).max() > 0.1
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_the_recorded_episode_is_repeated_by_the_file_and_by_the_player(made):
    _, out = made
    trace = np.load(out.with_suffix(".npz"))
    assert set(trace) == {"obs", "action", "command", "qpos", "qvel", "reset", "episode_step"}
    feed = {"obs": trace["obs"], "time_step": np.float32(trace["episode_step"])[:, None]}
    action, command = session(out).run(["actions", "joint_targets"], feed)
    np.testing.assert_allclose(action, trace["action"], atol=1e-5)
    np.testing.assert_allclose(command, trace["command"], atol=1e-5)
    spec = importlib.util.spec_from_file_location("play_onnx", EXAMPLE)
    play = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(play)
    player = play.Player(str(out))
    for step, row in enumerate(trace["obs"]):
        seen, _, target = player.step(step, place=(trace["qpos"][step], trace["qvel"][step]))
        np.testing.assert_allclose(
            seen, row, atol=1e-3, err_msg=str(step)
        )  # displaced by float32 there, by float64 here
        np.testing.assert_allclose(target, trace["command"][step], atol=2e-3)


def test_the_clip_is_in_the_file_by_time_step_and_stands_still_behind_its_end(made):
    restored, out = made
    steps = reference.steps_of(restored.world, 0, None)
    baked = reference.bake(restored.world, 0, steps)
    assert steps == 1 + 30 + 3  # the clip of 1 s is longer than the episode; and what is seen ahead
    empty = np.zeros((2, len(restored.agent.norm["actor"].mean)), np.float32)
    rows = session(out).run(list(graph.REFERENCE), {"obs": empty, "time_step": np.float32([[7], [999]])})
    for got, field in zip(rows, graph.REFERENCE, strict=True):
        np.testing.assert_array_equal(got, getattr(baked, field)[[7, -1]])
    velocity = (baked.body_pos_w[2:] - baked.body_pos_w[:-2]) * 15.0
    assert np.abs(baked.body_lin_vel_w[1:-1] - velocity).mean() < 0.25 * np.abs(velocity).mean()


def test_metadata_has_the_keys_of_other_players_in_full_precision_and_no_path(made):
    restored, out = made
    facts = session(out).get_modelmeta().custom_metadata_map
    robot = restored.world.robot
    assert facts["joint_names"].split(",") == list(robot.dof_names)
    np.testing.assert_array_equal(np.float32(facts["joint_stiffness"].split(",")), np.float32(robot.kp))
    assert "/" not in "".join(value for key, value in facts.items() if key != metadata.KEY)
    ours = json.loads(facts[metadata.KEY])
    assert ours["control_dt"] == pytest.approx(1 / 30) and ours["motion"]["loops"]
    assert sum(part["size"] for part in ours["observation"]["parts"]) == ours["observation"]["size"]


def test_the_scene_beside_it_is_that_of_training(made):
    restored, out = made
    model, want = mujoco.MjModel.from_xml_path(str(out.with_suffix(".xml"))), restored.world.scene.model
    assert (model.nq, model.nu) == (want.nq, want.nu)
    assert model.opt.timestep == pytest.approx(want.opt.timestep, rel=1e-5)  # the player counts steps, not seconds
    np.testing.assert_allclose(model.actuator_gainprm, want.actuator_gainprm, rtol=1e-5)
    np.testing.assert_allclose(model.body_mass, want.body_mass, rtol=1e-5)


def test_where_one_pose_is_the_origin_of_actions_scale_and_default_give_the_targets(g1):
    restored = untrained(g1, [synthetic_clip(g1.num_dofs, CLAMP)], settings("absolute", symmetry=False))
    baked = reference.bake(restored.world, 0, 3)
    numbers = actor.actor(restored, baked)
    facts = metadata.metadata(restored, numbers, 0, 3)
    assert numbers.mirror is None and reference.steps_of(restored.world, 0, 99.0) == 31
    origin, scale = (np.float32(facts[name].split(",")) for name in ("default_joint_pos", "action_scale"))
    np.testing.assert_allclose(origin - scale, numbers.low, atol=1e-6)
    np.testing.assert_allclose(origin + scale, numbers.high, atol=1e-6)


def test_stablehlo_takes_any_number_of_observations(made):
    restored, _ = made
    obs = np.float32(np.random.default_rng(2).normal(0, 2, (3, len(restored.agent.norm["actor"].mean))))
    want = acting.mode(restored.policy, restored.agent, {"actor": obs}, ())
    got = jax.export.deserialize(bytearray(hlo.program(restored))).call(obs)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_what_cannot_be_exported_is_said(made):
    restored, _ = made
    latent = restored.policy._replace(begin=lambda keys: np.zeros((len(keys), 4)))
    with pytest.raises(UserError, match="latent"):
        actor.check(restored._replace(policy=latent))
    world = restored.world
    balls = dataclasses.replace(world.robot, joint_kinds=np.full(world.robot.num_joints, 3))
    with pytest.raises(UserError, match="ball joints"):
        actor.check(restored._replace(world=world._replace(robot=balls)))
    with pytest.raises(UserError, match=r"must end in \.onnx"):
        parse(["--run", "x", "-o", "policy.pt"])
    with pytest.raises(UserError, match="must be above 0"):
        parse(["--run", "x", "--seconds", "-1"])
    with pytest.raises(UserError, match="--clip"):
        write(restored, Path("never.onnx"), "no_such_clip")
