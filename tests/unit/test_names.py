"""The names that commands hand to the schema: all kinds, all of them in the tables, and listed at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from mimicjax import config, train
from mimicjax.benchmark import __main__ as benchmark
from mimicjax.config import schema
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.names import NAMES


def kinds_in(section: type) -> Iterator[str]:
    for kind, field in schema.fields(section).values():
        if "names" in field.metadata:
            yield field.metadata["names"]
        inner = schema.section(kind) or schema.section(schema.entries(kind) or int)
        if inner:
            yield from kinds_in(inner)


def test_every_kind_of_the_schema_has_a_table_and_every_table_is_used():
    assert set(kinds_in(RunSettings)) == set(NAMES)


def test_defaults_and_shipped_configs_use_names_that_there_are():
    assert config.from_dict(RunSettings, config.to_dict(RunSettings()), names=NAMES) == RunSettings()
    for name in [*config.available(), *config.fragments()]:
        assert config.load(RunSettings, name, names=NAMES) == config.load(RunSettings, name)


@pytest.mark.parametrize("parse", [train.parse, benchmark.parse])
@pytest.mark.parametrize(
    "argv, says",
    [
        (
            ["--learn.algorithm", "add"],
            "learn.algorithm: given 'add', allowed is one of DeepMimic, ",
        ),
        (["--env.observations.terms", "[charcter]"], "env.observations.terms.0: given 'charcter', allowed is one of"),
        (
            ["--env.rewards", "{pos: null}"],
            "env.rewards.pos: unknown name (did you mean pose?); allowed here: pose, vel,",
        ),
        (["--env.rewards.posture.weight", "1"], "env.rewards.posture: unknown name (did you mean pose?)"),
    ],
)
def test_commands_refuse_names_that_no_table_has(parse, argv, says):
    with pytest.raises(UserError) as error:
        parse(argv)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_the_file_with_a_wrong_name_is_named(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("extends: deepmimic_g1\nenv: {rewards: {posse: {weight: 1.0}}}\n")
    with pytest.raises(UserError, match=r"mine\.yaml: env\.rewards\.posse: unknown name \(did you mean pose\?\)"):
        train.parse(["--config", str(file)])


def test_help_lists_them(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        train.parse(["--help"])
    text = capsys.readouterr().out
    assert f"(learn/algorithms.py); one of {', '.join(NAMES['algorithms'])} (now ADD)" in text
    assert f"a list [one of {', '.join(NAMES['observations'])}, ...]" in text
    assert f"name one of {', '.join(NAMES['rewards'])} (now " in text


def test_listing_names_loads_no_physics():
    code = "import sys, mimicjax.names; print([m for m in ('mujoco', 'orbax') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
