"""What the config says of pushes: which bodies, which mistakes are named, and the profiles that are shipped."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import scene_g1, scope_g1

from mimicjax import config
from mimicjax.config.push import PushSettings
from mimicjax.config.settings import RunSettings
from mimicjax.engine import scene
from mimicjax.env import disturbances, push_profiles
from mimicjax.errors import UserError

TORSO = "torso_link"


def push(**given) -> PushSettings:
    return dataclasses.replace(PushSettings(bodies=[TORSO]), **given)


def test_bodies_beyond_the_robots_own_come_after_them(g1):
    profiles = {"p": push(bodies=["pelvis", TORSO], force=[1.0, 2.0])}
    wider = push_profiles.wrench_bodies(g1, profiles)
    np.testing.assert_array_equal(wider, [*g1.wrench_bodies, 0])
    np.testing.assert_array_equal(push_profiles.wrench_bodies(g1, {"p": push(force=[1.0, 2.0])}), g1.wrench_bodies)
    scope = scope_g1()._replace(layout=scene.with_wrench_bodies(scene_g1(), wider).layout)
    assert disturbances.make(scope, profiles, 1, observe=False) is not None


WRONG = {
    "unknown body": ({"bodies": ["torso"], "force": [1, 2]}, r"p\.bodies.*'torso'.*torso_link.*head_link"),
    "fixed body": ({"bodies": ["world"], "torque": [1, 2]}, r"p\.bodies.*'world'.*the world is fixed.*pelvis"),
    "twice": ({"bodies": [TORSO, TORSO], "force": [1, 2]}, r"p\.bodies.*twice"),
    "upside down": ({"force": [200, 100]}, r"p\.force: given \[200\.0, 100\.0\], allowed is \[low, high\]"),
    "one number": ({"interval": [1], "force": [1, 2]}, r"p\.interval: given \[1\.0\]"),
    "two axes": ({"force": [1, 2], "force_axes": [1, 1]}, r"p\.force_axes.*three"),
    "no direction": ({"torque": [1, 2], "torque_axes": [0, 0, 0]}, r"p\.torque_axes"),
    "nothing": ({"bodies": [TORSO]}, r"p\.force: nothing is given"),
    "no time": ({"force": [1, 2], "duration": [0, 0]}, r"p\.duration"),
    "log of nothing": ({"force": [0, 2], "distribution": "log_uniform"}, r"p\.force.*log_uniform"),
    "endless sine": ({"force": [1, 2], "shape": "half_sine", "sustained": True}, r"p\.shape"),
    "negative duration": (
        {"force": [1, 2], "duration": [-0.1, 1]},
        r"profiles\.p\.duration\.0: given -0\.1.*at least 0",
    ),
    "unknown key": ({"forces": [1, 2]}, r"profiles\.p\.forces: unknown key \(did you mean force"),
    "wrong shape": ({"shape": "sine"}, r"profiles\.p\.shape.*half_sine"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_name_their_key(g1, case):
    given, words = WRONG[case]
    with pytest.raises(UserError, match=r"disturb\.profiles\.p") as caught:
        settings = config.load(RunSettings, None, {"disturb.profiles": {"p": given}})
        push_profiles.wrench_bodies(g1, settings.disturb.profiles)
        disturbances.make(scope_g1(), settings.disturb.profiles, 1, observe=False)
    assert caught.match(words) and "\n" not in str(caught.value)


def test_massless_bodies_are_refused(g1, monkeypatch):
    monkeypatch.setattr("mimicjax.robot.bodies.massless", lambda robot: {"head_link"})
    with pytest.raises(UserError, match="head_link has no mass"):
        push_profiles.check(g1, scene_g1().layout, "p", push(bodies=["head_link"], torque=[1.0, 2.0]))


def test_shipped_profiles_load_and_are_no_runs(g1):
    names = [name for name in config.fragments() if name.startswith("disturb/")]
    assert {"disturb/upper_body", "disturb/beyondmimic", "disturb/playground"} <= set(names)
    assert not set(names) & set(config.available())
    for name in names:
        profiles = config.load(RunSettings, name).disturb.profiles
        assert profiles and disturbances.make(scope_g1(), profiles, 1, observe=False) is not None, name
    found = config.load(RunSettings, "disturb/beyondmimic").disturb.profiles["beyondmimic"]
    assert (found.velocity, found.angular_velocity, found.interval) == ([0.5, 0.5, 0.2], [0.52, 0.52, 0.78], [1.0, 3.0])
