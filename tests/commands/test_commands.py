"""python -m mimicjax: the list of commands, and what runs one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mimicjax
from mimicjax import __main__ as listing


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mimicjax", *arguments], capture_output=True, text=True, timeout=120)


def test_all_commands_are_listed() -> None:
    package = Path(mimicjax.__file__).parent
    files = [*package.glob("*.py"), *(file for file in package.glob("*/__main__.py"))]
    runs = {file for file in files if 'if __name__ == "__main__"' in file.read_text()} - {package / "__main__.py"}
    assert {file.parent.name if file.name == "__main__.py" else file.stem for file in runs} == set(listing.NAMES)
    printed = run()
    assert printed.returncode == 0
    for name in listing.NAMES:
        assert f"python -m mimicjax.{name} " in printed.stdout and len(listing.purpose(name)) > 10


def test_a_command_runs_as_by_its_module() -> None:
    helped = run("evaluate", "--help")
    assert helped.returncode == 0 and "--push-sweep" in helped.stdout
    failed = run("evaluate", "--run", "/nowhere")
    assert failed.returncode == 2 and failed.stderr.startswith("mimicjax.evaluate: error: /nowhere")


def test_a_wrong_name_is_told() -> None:
    failed = run("trian")
    assert failed.returncode == 2
    assert failed.stderr.startswith("mimicjax: error: given: unknown command 'trian' (did you mean train?)")
