"""One key of the schema: what settings*.py are made of."""

from __future__ import annotations

import dataclasses
from typing import Any


def key(default: Any, meaning: str, **limits: Any) -> Any:
    """A config key: default (or what makes it), meaning for --help, limits `low`, `high` (inclusive), `above` (exclusive).

    names: the kind of names (a key of `values.Names`) that its text, or the keys of its dict, must be among.
    """
    metadata = {"meaning": meaning, **limits}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)
