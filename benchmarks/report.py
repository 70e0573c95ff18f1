"""What all benchmarks share: the facts of machine and versions, results as JSON, tables as Markdown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# what is measured is the checkout that this file lies in, here and in the commands that are started: not another one that
# is installed
ROOT = str(Path(__file__).parents[1])
sys.path.insert(0, ROOT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))

from mimicjax.benchmark import machine  # noqa: E402
from mimicjax.files import replace_text  # noqa: E402

RESULTS = Path(__file__).parent / "results"


def begin(devices: bool = True) -> dict[str, Any]:
    """Machine, versions, commit, date and load, before anything is measured. devices: ask jax, which starts it."""
    return machine.facts(devices)


def write(name: str, facts: dict[str, Any], results: dict[str, Any]) -> Path:
    """Store facts and results as results/<name>.json, whole or not at all; gives the file."""
    path = RESULTS / f"{name}.json"
    data = {**facts, "load_after": machine.load(), **results}
    replace_text(path, json.dumps(data, indent=1) + "\n")
    return path


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers should come as text, formatted."""
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in cells) + " |" for cells in lines)


def footer(facts: dict[str, Any]) -> str:
    """The line under a table that says where its numbers come from."""
    return f"Measured on {machine.line(facts)}; load at the end {machine.load():g}."
