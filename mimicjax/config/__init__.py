"""Configs: the schema of a run, and how its values are loaded, extended, overridden, checked and kept."""

from mimicjax.config.flags import add_flags, parse_flags, parse_overrides
from mimicjax.config.loading import (
    available,
    command_line,
    difference,
    dump,
    find,
    fragments,
    from_dict,
    listing,
    load,
    read_yaml,
    to_dict,
)

__all__ = [
    "add_flags",
    "available",
    "command_line",
    "difference",
    "dump",
    "find",
    "fragments",
    "from_dict",
    "listing",
    "load",
    "parse_flags",
    "parse_overrides",
    "read_yaml",
    "to_dict",
]
