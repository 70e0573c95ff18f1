"""What is shown is what the environment does; pushes reach the body they are meant for; wishes are told once."""

from __future__ import annotations

import dataclasses
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import synthetic_clip
from restored_runs import untrained

from mimicjax import play, pretrained
from mimicjax.config.follow import FollowSettings
from mimicjax.config.settings import ActionSettings, EnvSettings, LearnSettings, ObservationSettings, RunSettings
from mimicjax.errors import UserError
from mimicjax.types import CLAMP
from mimicjax.viewer.simulation import Simulation
from mimicjax.viewer.stage import GHOST, Stage

pytest.importorskip("mjviser")


@pytest.fixture(scope="module")
def simulation(g1) -> Simulation:
    seen = ObservationSettings(frame="robot", joints="angle", target_steps=[1])
    env = EnvSettings(
        observations=seen, action=ActionSettings(mode="reference", scale=0.1), follow=FollowSettings(time=0.5),
        early_termination=False,
    )  # fmt: skip
    learn = LearnSettings(actor_hidden=[8], critic_hidden=[8])
    clip = dataclasses.replace(synthetic_clip(g1.num_dofs, CLAMP), name="some")
    return Simulation(untrained(g1, [clip], RunSettings(env=env, learn=learn)), "zero")


def test_a_push_moves_the_robot_its_way(simulation):
    simulation.reset(0, 0.0)
    plain = [simulation.step() for _ in range(3)][-1]
    simulation.reset(0, 0.0)
    wrench = np.zeros((len(simulation.bodies), 6))
    wrench[simulation.bodies.index("torso_link"), 1] = 300.0
    pushed = [simulation.step(wrench) for _ in range(3)][-1]
    assert pushed.qvel[1] - plain.qvel[1] > 0.3 and plain.time == pytest.approx(0.1, abs=1e-6)
    assert 0 < plain.effort <= 1 and plain.error < pushed.error


def test_the_clip_alone_is_the_clip_and_begins_again_at_its_end(simulation):
    begun = simulation.reset(0, 0.5)
    np.testing.assert_allclose(begun.qpos, begun.reference, atol=1e-5)
    simulation.acting = "clip"
    try:
        frames = [simulation.step() for _ in range(16)]
    finally:
        simulation.acting = "zero"
    np.testing.assert_allclose(frames[0].time, 0.5 + 1 / 30, atol=1e-5)
    np.testing.assert_allclose(frames[0].qpos, frames[0].reference, atol=1e-5)
    assert frames[-1].time < 0.1  # the clip has 1 s


def test_both_robots_stand_where_they_should(simulation):
    frame = simulation.reset(0, 0.2)
    stage = Stage(simulation.world)
    there = frame.reference.copy()
    there[1] += 2.0
    places, _ = stage.pose(frame.qpos, there)
    own, ghost = (places[stage.model.body(prefix + "torso_link").id] for prefix in ("", GHOST))
    np.testing.assert_allclose(ghost - own, [0, 2, 0], atol=1e-5)
    torso = own + [0.0, 0.0, 0.1]
    assert stage.hit(torso + [0.0, -3.0, 0.0], np.array([0.0, 1.0, 0.0])) in simulation.bodies
    assert stage.hit(torso + [0.0, 0.0, 5.0], np.array([0.0, 0.0, 1.0])) == ""
    assert stage.pose(frame.qpos, None)[0][stage.model.body(GHOST + "torso_link").id][2] < -90


@pytest.fixture
def page(simulation):
    from mimicjax.viewer.page import Page

    made = Page("127.0.0.1", 8180, ["one", "two"], lambda: "written")
    made.show(simulation)
    yield made
    made.close()


def test_a_push_has_the_impulse_that_was_asked_for_and_ends(page, simulation):
    page.push("torso_link", 90.0, 20.0)
    rows = [page.wrench() for _ in range(8)]
    pushed = [row for row in rows if row is not None]
    assert rows[6] is None and len(pushed) == 6
    total = simulation.dt * sum(row[simulation.bodies.index("torso_link"), :3] for row in pushed)
    np.testing.assert_allclose(total, [0, 20, 0], atol=1e-9)
    for choice in ("in its place", "hidden", "beside"):
        page._ghost.value = choice
        page.push("head_link", 0.0, 5.0)
        page.draw(simulation.step(page.wrench()))


def test_wishes_are_told_once_and_a_second_page_takes_another_port(page, simulation):
    from mimicjax.viewer.page import Page

    page._wish(reset=(0, 0.3))
    page._wish(single=True, run="two")
    assert page.wishes() == ((0, 0.3), True, "two") and page.wishes() == (None, False, None)
    other = Page("127.0.0.1", page.port, ["one"], lambda: "")
    assert other.port != page.port
    other.close()


def test_flags_that_do_not_go_together_are_told():
    for argv, message in (
        (["--config", "deepmimic_g1"], "no policy"),
        (["--config", "x", "--run", "y", "--clip-only"], "without --run"),
        (["--port", "0"], "allowed is 1 to 65535"),
        (["--checkpoint", "last"], "--checkpoint last"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            play.parse(argv)
    assert play.parse(["--run", "a", "--run", "b"]).run == [Path("a"), Path("b")]
    assert play.parse([]).run == [pretrained.folder_of(play.FIRST)]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium")
def test_a_browser_sees_the_robot_and_can_push_it(page, simulation, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    imageio = pytest.importorskip("imageio.v3")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--use-gl=swiftshader", "--ignore-gpu-blocklist", "--enable-unsafe-swiftshader"]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        tabs = [browser.new_page(viewport={"width": 900, "height": 700}) for _ in range(2)]
        for tab in tabs:  # a second one disturbs nothing
            tab.goto(f"http://127.0.0.1:{page.port}")
        end, shot = time.monotonic() + 60, tmp_path / "page.png"
        while time.monotonic() < end:
            page.draw(simulation.reset(0, 0.2))
            tabs[0].screenshot(path=shot)
            picture = imageio.imread(shot)[:, :500, :3].astype(int)
            if (picture.max(axis=2) < 90).sum() > 300:  # the robot's dark parts on a bright page
                break
        else:
            pytest.fail("no robot on the page within a minute")
        tabs[1].close()
        tabs[0].get_by_role("button", name="push", exact=True).click()
        while (wrench := page.wrench()) is None and time.monotonic() < end:
            time.sleep(0.1)
        assert wrench is not None and np.abs(wrench).max() > 50
        browser.close()
