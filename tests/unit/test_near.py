"""Which keys and configs a mistyped name is told to mean: those that a person would think of first, and no others."""

from __future__ import annotations

import pytest

from mimicjax import config, train
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError, nearest


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        ("--learn.lr 1", "--learn.actor.learning_rate, --learn.critic.learning_rate"),
        ("--learn.actor_lr 1", "--learn.actor.learning_rate"),
        ("--learn.gama 1", "--learn.discount"),  # by its meaning
        ("--lambda 1", "--learn.td_lambda"),
        ("--learn.hidden [8]", "--learn.disc.hidden, --learn.enc.hidden, --learn.skill.hidden"),
        ("--learn.entropy 1", "--learn.action_entropy_weight"),
        ("--iterations 3", "--engine.iterations, --engine.ls_iterations, --max_iterations"),
        ("--env.reward.pose.weight 1", "--env.rewards.pose.weight, --env.rewards.root_pose.weight"),
        ("--friction 1", "--randomize.friction, --randomize.friction_each"),
        ("--sede 1", "--seed"),
        ("--config mimikit/add_g1", "mimickit/add_g1, add_g1"),
        ("--config configs/add_g1", "add_g1, "),
        ("--config add_g1.yaml", "add_g1, "),
        ("--config push", "add_g1_push, amp_g1_push, ase_g1_push"),
    ],
)
def test_what_is_near_comes_first(argv, meant):
    with pytest.raises(UserError) as error:
        train.parse(argv.split())
    assert f"(did you mean {meant}" in str(error.value)


@pytest.mark.parametrize("argv", ["--quux 1", "--learn.quux 1", "--config zzz", "--zzz.qqq x"])
def test_nothing_is_near(argv):
    with pytest.raises(UserError) as error:
        train.parse(argv.split())
    assert "did you mean" not in str(error.value)
    if argv.startswith("--learn"):
        assert "there are: --learn.algorithm, --learn.steps_per_iter" in str(error.value)


def test_keys_of_files_have_the_same_neighbours(tmp_path):
    for text, meant in {
        "learn: {lr: 1}": "learn.actor.learning_rate",
        "learn: {gamma: 1}": "discount",
        "rewards: {}": "env.rewards",
    }.items():
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(UserError, match=rf"unknown key \(did you mean {meant}"):
            config.load(RunSettings, tmp_path / "a.yaml")


def test_names_of_a_list_are_near_in_spelling_only():
    assert nearest("add", ["ADD", "DeepMimic"]) == " (did you mean ADD?)"
    assert nearest("sede", ["seed", "resume", "help"]) == " (did you mean seed?)"
    assert nearest("PPO", ["ADD", "DeepMimic"]) == ""
