"""What `pip install mimicjax` brings: the package and its robots, motions and configs, found from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mimicjax import paths

DATA = [
    "robots/*/robot.xml",
    "robots/*/robot.yaml",
    "motions/g1/*.npz",
    "configs/**/*.yaml",
    "pretrained/*/config.yaml",
    "pretrained/**/facts.json",
]
CHECKOUT = paths.ROOT / "pyproject.toml"
HERE = "from mimicjax import paths; from mimicjax.robot.load import load; print(paths.ROOT); print(load('g1').name)"

pytestmark = pytest.mark.skipif(not CHECKOUT.is_file(), reason="the package is not running from a checkout")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an unpacked wheel, built from this checkout without a network."""
    for tool in ("pip", "hatchling"):
        pytest.importorskip(tool, reason=f"{tool} is not installed; the dev extra has it")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder]
    done = subprocess.run(build, cwd=CHECKOUT.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("mimicjax-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.mark.parametrize("pattern", DATA)
def test_wheel_carries_the_data(unpacked: Path, pattern: str):
    """What git ignores stays out; that is all that may be missing."""
    wanted = _not_ignored(paths.ROOT, sorted(str(path.relative_to(paths.ROOT)) for path in paths.ROOT.glob(pattern)))
    assert wanted
    for file in wanted:
        assert (unpacked / "mimicjax" / "data" / file).read_bytes() == (paths.ROOT / file).read_bytes()


def test_wheel_carries_nothing_else(unpacked: Path):
    assert sorted(path.name for path in unpacked.iterdir()) == ["mimicjax", _info(unpacked).name]
    assert sorted(path.name for path in (unpacked / "mimicjax" / "data").iterdir()) == [
        "configs",
        "motions",
        "pretrained",
        "robots",
    ]
    assert not [path for path in unpacked.rglob("*") if path.name == "__pycache__" or path.suffix == ".pyc"]


def test_wheel_carries_the_licences_and_the_pins(unpacked: Path):
    info = _info(unpacked)
    assert {"LICENSE", "THIRD_PARTY.md"} <= {path.name for path in (info / "licenses").iterdir()}
    needs = [line for line in (info / "METADATA").read_text().splitlines() if line.startswith("Requires-Dist: mujoco")]
    assert needs == ["Requires-Dist: mujoco-mjx<3.18,>=3.17", "Requires-Dist: mujoco<3.18,>=3.17"]


def test_unpacked_wheel_finds_its_data_from_an_empty_folder(unpacked: Path, tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", HERE], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(unpacked / "mimicjax" / "data"), "g1"], done.stderr
    assert not list(tmp_path.iterdir())


def _info(unpacked: Path) -> Path:
    (info,) = unpacked.glob("*.dist-info")
    return info


def _not_ignored(folder: Path, files: list[str]) -> list[str]:
    try:
        done = subprocess.run(
            ["git", "check-ignore", "--stdin"], cwd=folder, input="\n".join(files), capture_output=True, text=True
        )
    except FileNotFoundError:
        return files
    return [file for file in files if file not in done.stdout.splitlines()]
