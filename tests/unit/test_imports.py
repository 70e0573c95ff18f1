"""Imports go one way, so that each part can be read, tested and replaced without those that are built on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mimicjax

PACKAGE = Path(mimicjax.__file__).parent
BASE = {
    "arrays",
    "bar",
    "statistics",
    "types",
    "rotation",
    "config",
    "errors",
    "files",
    "limits",
    "paths",
    "pretrained",
    "text",
    "versions",
}
LAYERS = [
    "robot",
    "motion",
    "engine|env|learn",
    "world",
    "draw",
    "run",
    "evaluation",
    "build_sizes|build_world",
    "build|names",
]  # after BASE, before the commands
LEVEL = {name: level for level, names in enumerate(LAYERS, start=1) for name in names.split("|")}


def part(module: str) -> str:
    """'mimicjax.env.rewards' -> 'env'. A package's __main__ is a command, whatever the package."""
    words = module.split(".")
    return "__main__" if words[-1] == "__main__" else (words + [""])[1]


def level(name: str) -> int:
    """0 for the base, larger for what is built on it; what no layer names is a command."""
    return 0 if name in BASE or name in ("", "__version__") else LEVEL.get(name, len(LAYERS) + 1)


def allowed(module: str, imported: str) -> bool:
    """Whether `module` may import `imported`; within a part, the base and the commands all may."""
    here, there = part(module), part(imported)
    ends = (0, len(LAYERS) + 1)
    return here == there or level(there) < level(here) or (level(there) == level(here) and level(here) in ends)


def module_of(file: Path) -> str:
    words = ("mimicjax", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def imports_of(tree: ast.AST, module: str, package: bool) -> Iterator[tuple[int, str]]:
    """(line, module of ours) for every import, those inside functions and type checks included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = module.split(".")[: -(node.level - package) or None] if node.level else []
            source = ".".join([*up, *([node.module] if node.module else [])])
            found = [f"{source}.{alias.name}" if source == "mimicjax" else source for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in found if name.split(".")[0] == "mimicjax")


def violations() -> Iterator[str]:
    for file in sorted(PACKAGE.rglob("*.py")):
        module = module_of(file)
        for line, name in imports_of(ast.parse(file.read_text()), module, file.name == "__init__.py"):
            if not allowed(module, name):
                yield f"{file.relative_to(PACKAGE.parent)}:{line} imports {name}"


def test_imports_go_one_way():
    assert not list(violations())


def test_every_part_of_the_rule_exists():
    """A renamed folder must not slip out of the rule."""
    found = {file.stem for file in PACKAGE.glob("*.py")} | {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert BASE | set(LEVEL) <= found


@pytest.mark.parametrize(
    "module,imported,fine",
    [
        ("mimicjax.env.env", "mimicjax.motion.library", True),
        ("mimicjax.env.env", "mimicjax.env.rewards", True),
        ("mimicjax.motion.library", "mimicjax.robot.kinematics", True),
        ("mimicjax.robot.load", "mimicjax.motion.files", False),
        ("mimicjax.env.env", "mimicjax.learn.losses", False),
        ("mimicjax.learn.losses", "mimicjax.engine.mjx", False),
        ("mimicjax.engine.mjx", "mimicjax.env", False),
        ("mimicjax.run.loop", "mimicjax.env.env", True),
        ("mimicjax.run.loop", "mimicjax.build", False),
        ("mimicjax.run.loop", "mimicjax.world", True),
        ("mimicjax.run.loop", "mimicjax.evaluation.episodes", False),
        ("mimicjax.evaluation.episodes", "mimicjax.run.rollout", True),
        ("mimicjax.train", "mimicjax.build", True),
        ("mimicjax.train", "mimicjax.commands", True),
        ("mimicjax.motion.__main__", "mimicjax.commands", True),
        ("mimicjax.motion.files", "mimicjax.commands", False),
        ("mimicjax.config.loading", "mimicjax.paths", True),
        ("mimicjax.types", "mimicjax.robot", False),
        ("mimicjax.run.checkpoint", "mimicjax.__version__", True),
    ],
)
def test_the_rule(module: str, imported: str, fine: bool):
    assert allowed(module, imported) is fine


@pytest.mark.parametrize(
    "code,names",
    [
        ("import mimicjax.run.loop as loop", ["mimicjax.run.loop"]),
        ("from mimicjax import build, paths", ["mimicjax.build", "mimicjax.paths"]),
        ("from mimicjax.env.env import Env", ["mimicjax.env.env"]),
        ("from . import rewards", ["mimicjax.env"]),
        ("from ..learn import losses", ["mimicjax.learn"]),
        ("from .. import learn", ["mimicjax.learn"]),
        ("def late():\n    import mimicjax.run", ["mimicjax.run"]),
        ("import jax\nfrom mimicjaxy import run", []),
    ],
)
def test_every_kind_of_import_is_seen(code: str, names: list[str]):
    assert [name for _, name in imports_of(ast.parse(code), "mimicjax.env.env", package=False)] == names


def test_no_two_classes_share_a_name():
    names = [
        node.name
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
