"""docs/terms.md against the code: its terms, weights, scales and sizes."""

from __future__ import annotations

import re

import pytest
from conftest import scope_g1

from mimicjax import config, paths
from mimicjax.config.settings import EnvSettings, RunSettings
from mimicjax.env import observations, rewards

TEXT = (paths.ROOT / "docs" / "terms.md").read_text()


def test_every_reward_term_is_there_with_its_defaults():
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+|not used) \| ([\d.]+|not used) \|$", TEXT, re.MULTILINE)
    found = {name: (weight, scale) for name, weight, scale in rows if name in rewards.ERRORS}
    assert set(found) == set(rewards.ERRORS)
    for name, term in EnvSettings().rewards.items():
        assert tuple(map(float, found[name])) == (term.weight, term.scale)


@pytest.mark.parametrize("name, column", [("deepmimic_g1", 0), ("mimickit/add_g1", 1)])
def test_sizes_of_observations(name, column):
    rows = dict(re.findall(r"^\| `(character|past|target|phase)`.*\| (\d+ \| \d+) \|$", TEXT, re.MULTILINE))
    sizes = {term: int(row.split(" | ")[column]) for term, row in rows.items()}
    assert set(sizes) == set(observations.TERMS)
    settings = config.load(
        RunSettings, name, ["env.observations.terms=[character, past, phase, target]"]
    ).env.observations
    whole = sum(part.size for part in observations.make(scope_g1(EnvSettings(observations=settings))).parts)
    tracking = sizes["character"] + 3 * sizes["target"]
    assert whole == tracking + sizes["phase"] + settings.past_steps * sizes["past"]
    assert f" {tracking} " in TEXT
