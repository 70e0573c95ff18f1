"""Trained policies that travel with the package: found by their names wherever a run folder is asked for."""

from __future__ import annotations

from pathlib import Path

from mimicjax import paths

FOLDER = "pretrained"
HELP = "run folder, or the name of a policy that comes with mimicjax"  # of flags that take either


def names() -> list[str]:
    """Of all there are, sorted."""
    return sorted(path.parent.name for path in paths.PRETRAINED.glob("*/config.yaml"))


def folder_of(text: str) -> Path:
    """The folder behind a flag's text: one on the disk, or else a policy that comes along (`g1_walk`, `pretrained/g1_walk`)."""
    name = text.removeprefix(f"{FOLDER}/")
    return paths.PRETRAINED / name if not Path(text).exists() and name in names() else Path(text)


def results_of(folder: Path) -> Path:
    """Where results lie if nobody says where: in a run's own folder, but in evaluation/NAME here for what comes along."""
    comes_along = folder.resolve().parent == paths.PRETRAINED.resolve()
    return Path("evaluation") / folder.name if comes_along else folder / "evaluation"
