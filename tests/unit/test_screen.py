"""What is shown can be lost without a command failing; what the system refuses is told in a line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mimicjax import commands

PRINTS = (
    "import sys; from mimicjax import commands; sys.exit(commands.main('x', lambda argv: print('a' * 99999) or {}))"
)


def run(body: str, shell: str) -> subprocess.CompletedProcess:
    code = PRINTS.format(body)
    command = f'{sys.executable} -c "{code}" {shell}'
    return subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("shell", ("> /dev/full", "| true", ">&-", "2>&- >&-"))
def test_a_screen_that_is_gone_stops_nothing(shell):
    done = run("0", shell)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize(
    "problem,says",
    (
        (OSError(28, "No space left on device", "there"), "mimicjax.x: error: there: No space left on device\n"),
        (MemoryError(), "mimicjax.x: error: the machine has no memory left for this\n"),
    ),
)
def test_what_the_system_refuses_is_a_line(problem, says, capsys):
    def refuse(argv):
        raise problem

    assert commands.main("x", refuse, []) == 2
    assert capsys.readouterr().err == says
