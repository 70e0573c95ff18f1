"""Where the files that travel with the package are: beside it in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE / "data" if (PACKAGE / "data").is_dir() else PACKAGE.parent
ROBOTS, MOTIONS, CONFIGS, PRETRAINED = (ROOT / name for name in ("robots", "motions", "configs", "pretrained"))
