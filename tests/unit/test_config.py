"""Configs: loading, extending, overriding, and what is said about mistakes."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Literal

import pytest

from mimicjax import config, paths
from mimicjax.config.key import key
from mimicjax.config.settings import EngineSettings
from mimicjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Term:
    weight: float = key(1.0, "share of the reward", low=0.0)
    scale: float = key(1.0, "steepness", above=0.0)


@dataclasses.dataclass(frozen=True)
class Learn:
    """How it learns."""

    actor_lr: float = key(1e-4, "learning rate of the 100 % policy", above=0.0, high=1.0)
    epochs: int = key(5, "passes over the data", low=1)
    algorithm: Literal["deepmimic", "amp", "add"] = key("add", "algorithm")
    layers: tuple[int, ...] = key((1024, 512), "hidden layers", low=1)
    clip: float | None = key(None, "gradient norm", above=0.0)


@dataclasses.dataclass(frozen=True)
class Schema:
    seed: int = key(0, "random seed", low=0)
    robot: str = key("g1", "robot")
    video: bool = key(False, "record videos")
    learn: Learn = key(Learn, "learning")
    student: Learn | None = key(None, "second learner")
    rewards: dict[str, Term] = key({"pose": Term(), "vel": Term(0.1)}, "reward terms")
    bodies: list[str] = key([], "bodies")
    speeds: dict[str, float] = key({}, "speeds", low=0.0)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a config file below a configs folder of this test."""
    monkeypatch.setattr(paths, "CONFIGS", tmp_path / "configs")

    def to(name, text):
        file = tmp_path / "configs" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return to


def test_defaults_and_empty_file(write):
    write("empty", "# nothing\n")
    assert config.load(Schema, None) == config.load(Schema, "empty") == Schema()
    assert config.load(EngineSettings, None) == EngineSettings()


def test_values_take_the_types_of_the_schema(write):
    write(
        "a",
        "seed: 1e3\nlearn: {actor_lr: 1e-3, layers: [8, 4], clip: 2}\nbodies: [hand]\n"
        "speeds: {walk: 1}\nstudent: {epochs: 2}\n",
    )
    got = config.load(Schema, "a")
    assert got.seed == 1000 and type(got.seed) is int
    assert got.learn == Learn(actor_lr=1e-3, layers=(8, 4), clip=2.0) and type(got.learn.clip) is float
    assert got.student == Learn(epochs=2) and got.bodies == ["hand"] and got.speeds == {"walk": 1.0}


def test_extends_merges_sections_and_dicts_and_replaces_lists(write):
    write("base/one", "learn: {epochs: 2, layers: [8]}\nrewards: {root: {weight: 0.5, scale: 3}}\nbodies: [a, b]\n")
    write("base/two", "learn: {epochs: 3}\n")
    write("folder/top", "extends: [base/one, base/two]\nrewards: {root: {weight: 0.7}, vel: null}\nbodies: [c]\n")
    file = write("folder/leaf", "extends: top.yaml\nseed: 4\n")
    got = config.load(Schema, file)
    assert got.learn == Learn(epochs=3, layers=(8,)) and got.bodies == ["c"] and got.seed == 4
    assert got.rewards == {"pose": Term(), "root": Term(0.7, 3.0)}
    assert config.load(Schema, "folder/leaf") == got


def test_overrides_in_order(write):
    write("a", "seed: 1\n")
    got = config.load(
        Schema,
        "a",
        ["seed=2", "learn.clip=0.5", "rewards.pose.weight=0", "rewards.vel=null", "robot=1e4", "student.epochs=9"],
    )
    assert (got.seed, got.learn.clip, got.robot, got.student) == (2, 0.5, "1e4", Learn(epochs=9))
    assert got.rewards == {"pose": Term(0.0)}
    assert config.load(Schema, "a", {"learn.layers": (3,), "learn.clip": "null"}).learn == Learn(layers=(3,))


def test_dump_and_load_give_the_same(write, tmp_path):
    overrides = {
        "rewards.pose": None,
        "rewards.root": {"weight": 1e-5},
        "learn.actor_lr": "1e-05",
        "robot": "yes",
        "bodies": ["1", "null"],
    }
    got = config.load(Schema, None, overrides)
    config.dump(got, tmp_path / "run" / "config.yaml")
    assert config.load(Schema, tmp_path / "run" / "config.yaml") == got == config.from_dict(Schema, config.to_dict(got))
    assert list(config.to_dict(got))[:3] == ["seed", "robot", "video"]
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_difference():
    a, b = (config.to_dict(config.load(Schema, None, o)) for o in ([], ["seed=3", "learn.layers=[1]", "rewards.x={}"]))
    assert config.difference(a, a) == []
    assert config.difference(a, b) == [
        "seed: 0 -> 3",
        "learn.layers: [1024, 512] -> [1]",
        "rewards.x.weight: (absent) -> 1.0",
        "rewards.x.scale: (absent) -> 1.0",
    ]


MISTAKES = {
    "sede: 1": ["unknown key", "sede", "did you mean seed", "learn, student"],
    "epochs: 1": ["unknown key", "did you mean learn.epochs, student.epochs?"],
    "learn: {actor_lr: fast}": ["learn.actor_lr: given 'fast'", "a number at most 1 and above 0"],
    "learn: {actor_lr: 0}": ["learn.actor_lr: given 0", "above 0"],
    "learn: {actor_lr: .nan}": ["learn.actor_lr: given nan"],
    "learn: {epochs: 0.5}": ["learn.epochs: given 0.5", "a whole number at least 1"],
    "learn: {epochs: true}": ["learn.epochs: given true"],
    "learn: {epochs: null}": ["learn.epochs: given null"],
    "learn: {algorithm: ad}": ["learn.algorithm: given 'ad'", "one of deepmimic, amp, add", "did you mean add"],
    "learn: {layers: [8, 0]}": ["learn.layers.1: given 0"],
    "learn: {layers: 8}": ["learn.layers: given 8", "a list [a whole number at least 1, ...]"],
    "learn: {clip: -1}": ["learn.clip: given -1", "a number above 0 or null"],
    "learn: 5": ["learn: given 5", "a mapping with the keys actor_lr"],
    "video: 1": ["video: given 1", "true or false"],
    "robot: 3": ["robot: given 3", "text"],
    "rewards: {pose: {wieght: 1}}": ["rewards.pose.wieght: unknown key", "did you mean weight?"],
    "rewards: {pose: 1}": ["rewards.pose: given 1"],
    "rewards: {1: {}}": ["rewards: the key 1 is not text"],
    "student: {epochs: x}": ["student.epochs: given 'x'"],
    "speeds: {walk: -1}": ["speeds.walk: given -1", "at least 0"],
    "seed: 1\nvideo: [": ["bad.yaml, line 2", "not valid YAML"],
    "seed: 1\nseed: 2": ["bad.yaml, line 2", "'seed' is given twice"],
    "- 1": ["given list", "a mapping of keys"],
    "extends: 3": ["extends: given 3"],
    "extends: bda": ["extends: no config 'bda'", "did you mean bad?", "there are: bad"],
    "extends: nope.yaml": ["extends: no config file nope.yaml"],
    "extends: bad": ["extends goes in a circle"],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_in_a_file(write, text):
    write("bad", text)
    with pytest.raises(UserError) as error:
        config.load(Schema, "bad")
    assert "\n" not in str(error.value) and "bad.yaml" in str(error.value)
    for part in MISTAKES[text]:
        assert part in str(error.value)


@pytest.mark.parametrize("name", ["add_g2", "add_g1"])
def test_unknown_config_names_the_near_ones_and_all(write, name):
    write("mimickit/add_g1", "")
    write("other", "")
    with pytest.raises(UserError, match="did you mean mimickit/add_g1.*there are: mimickit/add_g1, other"):
        config.load(Schema, name)


def test_a_mistake_in_a_base_file_names_that_file(write):
    write("base/b", "seed: -1\n")
    write("a", "extends: base/b\nseed: 1\n")
    with pytest.raises(UserError, match=r"base/b\.yaml: seed: given -1"):
        config.load(Schema, "a")


@pytest.mark.parametrize(
    "override", ["sed=1", "learn.x=1", "seed.x=1", "seed", "seed=x", "learn=[", "rewards.pose.x=1", "=1"]
)
def test_mistakes_in_overrides(override):
    with pytest.raises(UserError, match="^command line: "):
        config.load(Schema, None, [override])


def parse(*argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", action="store_true")
    return config.command_line(parser, Schema, argv)


def test_flags(write):
    write("a", "seed: 3\n")
    argv = "--config a --resume --learn.actor_lr 1e-3 --video --bodies [x,y]"
    argv += " --rewards.pose.weight 2 --learn.clip null --robot 7"
    namespace, got = parse(*argv.split())
    assert namespace.resume and namespace.config == "a"
    assert (got.seed, got.learn.actor_lr, got.video, got.bodies, got.robot) == (3, 1e-3, True, ["x", "y"], "7")
    assert got.rewards["pose"] == Term(2.0)
    assert config.parse_overrides(namespace)["learn.actor_lr"] == "1e-3"
    assert config.parse_overrides(parse()[0]) == {}


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ("--learn.actor_lr -1e-4", "learn.actor_lr: given '-1e-4', allowed is a number"),
        ("--learn.actr_lr 1", "unknown flag --learn.actr_lr (did you mean --learn.actor_lr"),
        ("--actor_lr=1", "did you mean --learn.actor_lr"),
        ("--learn.actor 1", "unknown flag --learn.actor"),
        ("--learn.algorithm ppo", "one of deepmimic, amp, add"),
        ("--seed", "expected one argument"),
        ("3", "a value without a flag: 3"),
        ("--learn.layers [1", "written as YAML"),
        ("--config", "expected one argument"),
        ("--config b", "no config 'b'"),
    ],
)
def test_mistakes_in_flags(write, argv, part):
    write("a", "")
    with pytest.raises(UserError) as error:
        parse(*argv.split())
    assert part in str(error.value) and "\n" not in str(error.value)


def test_an_entry_that_the_config_removed_comes_back_with_its_defaults(write):
    write("a", "rewards: {vel: null, root: {weight: 0.25}}\n")
    assert parse("--config", "a", "--rewards.vel.scale", "3")[1].rewards["vel"] == Term(0.1, 3.0)
    write("b", "extends: a\nrewards: {vel: {scale: 3}}\n")
    assert config.load(Schema, "b").rewards["vel"] == Term(0.1, 3.0)


@pytest.mark.parametrize("argv", ["--rewards.rot.weight 0.3", "--rewards.rot.weight=0.3"])
def test_a_flag_of_an_entry_that_is_nowhere_says_how_to_add_it(argv):
    with pytest.raises(UserError) as error:
        parse(*argv.split())
    says, _, value = str(error.value).partition("to add it: --rewards ")
    assert (
        says
        == "command line: unknown flag --rewards.rot.weight: rewards has no rot in this config; known here: pose, vel; "
    )
    assert parse("--rewards", value.strip("'"))[1].rewards["rot"] == Term(0.3)


@dataclasses.dataclass(frozen=True)
class Named:
    colour: str = key("red", "colour", names="colours")
    others: list[str] = key([], "more of them", names="colours")
    again: str | None = key(None, "one or none", names="colours")
    weights: dict[str, float] = key({"red": 1.0}, "of colours", names="colours", low=0.0)
    pet: str = key("cat", "pet", names="pets")


COLOURS = {"colours": {"red": 1, "blue": 2}}  # any collection, such as a table


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour: bleu", "bad.yaml: colour: given 'bleu', allowed is one of red, blue (did you mean blue?)"),
        ("others: [red, Blue]", "others.1: given 'Blue', allowed is one of red, blue (did you mean blue?)"),
        ("again: green", "again: given 'green', allowed is one of red, blue or null"),
        ("weights: {rde: 1}", "weights.rde: unknown name (did you mean red?); allowed here: red, blue"),
        ("weights: {grey: null}", "weights.grey: unknown name"),
        ("weights: {red: -1}", "weights.red: given -1, allowed is a number at least 0"),
    ],
)
def test_names_are_those_of_the_tables(write, text, says):
    write("bad", text)
    with pytest.raises(UserError) as error:
        config.load(Named, "bad", names=COLOURS)
    assert says in str(error.value) and "\n" not in str(error.value)
    if "-1" not in text:
        config.load(Named, "bad")  # without the tables they are plain text


def test_names_that_there_are(write):
    write("a", "colour: blue\nothers: [blue]\nagain: red\nweights: {blue: 2}\npet: any\n")
    got = config.load(Named, "a", ["again=null"], names=COLOURS)
    assert got == Named("blue", ["blue"], None, {"red": 1.0, "blue": 2.0}, "any")
    assert config.from_dict(Named, config.to_dict(got), names=COLOURS) == got
    with pytest.raises(UserError, match="^mine: pet: given 'any', allowed is one of cat"):
        config.from_dict(Named, config.to_dict(got), "mine", {"pets": ["cat"]})


def test_flags_of_names(capsys, monkeypatch):
    def named(*argv):
        return config.command_line(argparse.ArgumentParser(), Named, argv, names=COLOURS)[1]

    assert named("--weights.red", "2", "--colour", "blue").weights == {"red": 2.0}
    for argv in (["--weights", "{rde: 1}"], ["--weights.rde", "1"]):
        with pytest.raises(UserError, match=r"weights\.rde: unknown name \(did you mean red\?\)"):
            named(*argv)
    with pytest.raises(UserError, match="weights has no blue in this config.*to add it: --weights '{blue: 3}'"):
        named("--weights.blue", "3")
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        named("--help")
    text = capsys.readouterr().out
    for part in (
        "--colour NAME",
        "colour; one of red, blue (now red)",
        "more of them; a list [one of red, blue, ...] (now [])",
        "of colours; a mapping {name: a number at least 0}, name one of red, blue (now {red: 1.0})",
        "pet; text (now cat)",
    ):
        assert part in text


def test_help_shows_the_values_of_the_chosen_config(write, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    write("a", "seed: 31\nrewards: {root: {weight: 0.25}}\n")
    with pytest.raises(SystemExit):
        parse("--config", "a", "--help")
    text = capsys.readouterr().out
    for part in (
        "random seed; a whole number at least 0 (now 31)",
        "share of the reward; a number at least 0 (now 0.25)",
        "--rewards.root.weight FLOAT",
        "learning rate of the 100 % policy; a number at most 1 and above 0 (now 0.0001)",
        "algorithm; one of deepmimic, amp, add (now add)",
        "How it learns.",
        "hidden layers; a list [a whole number at least 1, ...] (now [1024, 512])",
    ):
        assert part in text
