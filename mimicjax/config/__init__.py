"""Configs: the schema of a run, and how its values are loaded, extended, overridden, checked and kept."""

from mimicjax.config.flags import parse_overrides
from mimicjax.config.loading import (
    available,
    command_line,
    difference,
    dump,
    fragments,
    from_dict,
    listing,
    load,
    to_dict,
)

__all__ = [
    "available", "command_line", "difference", "dump", "fragments", "from_dict", "listing", "load", "parse_overrides", "to_dict",
]  # fmt: skip
