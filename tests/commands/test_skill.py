"""A task policy that drives the skill policy of an ASE run, as users meet it: training, resuming, evaluating, mistakes."""

from __future__ import annotations

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import build, commands, evaluate, train
from mimicjax.evaluation import film
from mimicjax.learn import skill
from mimicjax.run import checkpoint_files

TINY = [
    "--num-envs", "4", "--learn.steps_per_iter", "4", "--learn.actor_hidden", "[16]", "--learn.critic_hidden", "[12]",
    "--learn.disc.hidden", "[8]", "--learn.enc.hidden", "[8]", "--learn.latent.dim", "5", "--keep.iters_per_output", "1",
    "--keep.test_episodes", "2", "--keep.curves", "false", "--env.episode_length", "0.3", "--engine", "native",
]  # fmt: skip
# sizes of the skill policy are taken from its run, whatever is said here
DRIVE = ["--config", "ase_steering_g1", *TINY, "--learn.actor_hidden", "[24]", "--learn.latent.dim", "7"]


def arrays(out: Path, step: int) -> dict[str, np.ndarray]:
    return checkpoint_files.read_arrays(out / "checkpoints" / f"{step:010d}" / "state")


def fails(capsys: pytest.CaptureFixture, *argv: str) -> str:
    """Run in this process; the one line of the error."""
    assert commands.main("train", train.run, argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("mimicjax.train: error: ") and err.count("\n") == 1, err
    return err


@pytest.fixture(scope="module")
def skills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an ASE policy after one iteration."""
    out = tmp_path_factory.mktemp("skills") / "ase"
    assert train.run(["--config", "ase_g1", *TINY, "--out", str(out), "--max-iterations", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def driven(skills: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a task policy after two iterations; the skill policy's run folder was gone before the second."""
    copy, out = tmp_path_factory.mktemp("copy") / "ase", tmp_path_factory.mktemp("driven") / "run"
    shutil.copytree(skills, copy)
    assert train.run([*DRIVE, "--skill", str(copy), "--out", str(out), "--max-iterations", "1"]) == 0
    shutil.rmtree(copy)
    assert train.run(["--resume", str(out), "--max-iterations", "2"]) == 0
    return out


def test_the_skill_policy_stays_as_it_is(skills: Path, driven: Path) -> None:
    """Bit for bit, its discriminator too, while the task policy learns."""
    there = arrays(skills, 1)
    first, last = arrays(driven, 1), arrays(driven, 2)
    pairs = {
        "agent.frozen.net.": "agent.actor.net.",
        "agent.frozen.norm.": "agent.norm.actor.",
        "reward_models.0.params.": "reward_models.0.params.",
        "reward_models.0.norm.": "reward_models.0.norm.",
    }
    for here, origin in pairs.items():
        names = [name for name in last if name.startswith(here)]
        assert names
        for name in names:
            np.testing.assert_array_equal(last[name], there[name.replace(here, origin, 1)], err_msg=name)
    moved = [name for name in last if name.startswith("agent.actor.net.")]
    assert moved and all(not np.array_equal(first[name], last[name]) for name in moved)


@pytest.mark.slow
def test_resuming_is_exact(skills: Path, driven: Path, tmp_path: Path) -> None:
    out = tmp_path / "whole"
    assert train.run([*DRIVE, "--skill", str(skills), "--out", str(out), "--max-iterations", "2"]) == 0
    whole, parts = arrays(out, 2), arrays(driven, 2)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name], err_msg=name)


def test_what_the_robot_is_told_is_ases_mean_action(skills: Path, driven: Path) -> None:
    """For a latent of length 1, by ASE's own policy; without the run of the skill policy."""
    ase, task = build.restore(skills), build.restore(driven)
    latent = ase.policy
    width = task.world.settings.learn.skill.sees
    seen = jnp.linspace(-1.0, 1.0, width)[None]
    z = jnp.asarray([[3.0, 0.0, -4.0, 0.0, 0.0]])
    obs = {"actor": jnp.concatenate([seen, jnp.full((1, 5), 9.0)], axis=-1)}  # steering's five numbers follow
    told = task.policy.command(task.agent, obs, z)
    norm = ase.agent.norm["actor"]
    blocks = {"actor": jnp.clip((seen - norm.mean) / jnp.maximum(jnp.sqrt(norm.var), 1e-4), -10, 10)}
    memory = latent.begin(jax.random.split(jax.random.key(0), 1))._replace(z=jnp.asarray([[0.6, 0.0, -0.8, 0.0, 0.0]]))
    want = latent.distribution(ase.agent, blocks, memory, jnp.zeros(1)).mean
    assert told.shape == (1, 29)
    np.testing.assert_allclose(told, want, atol=1e-6)


def test_latents_lie_on_the_sphere() -> None:
    np.testing.assert_allclose(skill.unit(jnp.asarray([3.0, -4.0])), [0.6, -0.8], atol=1e-7)
    assert np.isfinite(skill.unit(jnp.zeros(3))).all()


@pytest.mark.slow
def test_it_is_evaluated_and_filmed_without_the_skill_run(driven: Path) -> None:
    assert evaluate.run(["--run", str(driven), "--episodes", "1"]) == 0
    restored = build.restore(driven)
    episode = film.shoot(restored, restored.world.test_env, seed=0)
    assert len(episode.qpos) > 1 and np.isfinite(episode.qpos).all()


def test_mistakes_are_told_in_one_line(
    skills: Path, driven: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    drive = [*DRIVE, "--out", str(tmp_path / "run"), "--max-iterations", "1"]
    run = ["--skill", str(skills)]
    assert "needs a skill policy: --skill RUN" in fails(capsys, *drive)
    assert "no such run folder" in fails(capsys, *drive, "--skill", "nowhere")
    assert "algorithm is HRL; it must be ASE" in fails(capsys, *drive, "--skill", str(driven))
    assert "env.observations.frame: heading -> global" in fails(
        capsys, *drive, *run, "--env.observations.frame", "global"
    )
    assert "env.action.mode" in fails(capsys, *drive, *run, "--env.action.mode", "reference")
    assert "only HRL drives" in fails(capsys, "--config", "amp_g1", *run, "--out", str(tmp_path / "run"))
    other = tmp_path / "other"
    shutil.copytree(skills, other)
    text = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(text.replace("robot: g1", "robot: humanoid"))
    assert "its robot is humanoid; this run's is g1" in fails(capsys, *drive, "--skill", str(other))
    assert not (tmp_path / "run").exists()
