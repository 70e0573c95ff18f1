"""python -m mimicjax: the list of commands; `python -m mimicjax train ...` is `python -m mimicjax.train ...`."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from mimicjax import commands
from mimicjax.errors import pick

NAMES = ("train", "evaluate", "motion", "robot", "train_prior", "benchmark", "export", "pack", "play")


def purpose(name: str) -> str:
    """What a command is for: the first line of its file, which is not imported for it."""
    here = Path(__file__).parent
    file = here / f"{name}.py" if (here / f"{name}.py").is_file() else here / name / "__main__.py"
    line = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()[0]
    return line.partition(": ")[2]


def run(argv: Sequence[str]) -> int:
    """List the commands, or run one with the rest of the arguments."""
    if not argv or argv[0] in ("-h", "--help"):
        for name in NAMES:
            print(f"python -m mimicjax.{name:12} {purpose(name)}")
        print("\nEach has --help.")
        return 0
    name = argv[0]
    pick(dict.fromkeys(NAMES), name, "given", "command")
    sys.argv = [f"mimicjax.{name}", *argv[1:]]
    runpy.run_module(f"mimicjax.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(commands.main("", run))
