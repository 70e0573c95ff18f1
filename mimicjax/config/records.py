"""Plain values and records: defaults, merging one over the other, building the record, and back.

Between file and record, values are plain: numbers, text, lists and nested dicts, as YAML and JSON hold them.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from mimicjax.config.schema import default_of, entries, fields, members, section
from mimicjax.config.values import Place


def plain(value: Any, default: Any = None) -> Any:
    """A record or value as plain data.

    An entry that the default of a dict has and the dict itself lacks is written as null, so that it stays removed when
    the plain data is loaded over the defaults again.
    """
    if dataclasses.is_dataclass(value):
        return {n: plain(getattr(value, n), default_of(f)) for n, (_, f) in fields(type(value)).items()}
    if isinstance(value, Mapping):
        removed = [n for n in default if n not in value] if isinstance(default, Mapping) else []
        return {**{n: plain(v) for n, v in value.items()}, **dict.fromkeys(removed)}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def defaults(schema: type) -> dict[str, Any]:
    """The plain defaults of a schema; keys without one are left out."""
    with_missing = {n: default_of(f) for n, (_, f) in fields(schema).items()}
    return {n: plain(v) for n, v in with_missing.items() if v is not dataclasses.MISSING}


def merge(kind: Any, low: Any, high: Any, default: Any = None) -> Any:
    """Checked plain `high` over plain `low`: sections and dicts key by key, everything else replaced.

    default: of a dict. An entry of it that `low` removed and `high` gives in part takes its other keys from there.
    """
    if not isinstance(high, Mapping):
        return high
    inner, entry = section(kind), entries(kind)
    if inner is not None:
        below = low if isinstance(low, Mapping) else defaults(inner)
        return {**below, **{n: _merge_field(inner, n, below.get(n), v) for n, v in high.items()}}
    if entry is not None:
        below = low if isinstance(low, Mapping) else {}
        first = {**(default or {}), **below}
        merged = {**below, **{n: merge(entry, first.get(n), v) for n, v in high.items()}}
        return {n: v for n, v in merged.items() if v is not None}  # null removes an inherited entry
    return high


def _merge_field(inner: type, name: str, low: Any, high: Any) -> Any:
    kind, field = fields(inner)[name]
    return merge(kind, low, high, plain(default_of(field)) if entries(kind) is not None else None)


def build(kind: Any, value: Any, place: Place) -> Any:
    """The record (or list, tuple, dict, scalar) for checked plain data."""
    if isinstance(value, Mapping) and (inner := section(kind)) is not None:
        missing = [n for n, (_, f) in fields(inner).items() if n not in value]
        if missing:
            raise place.error(f"the key {missing[0]} is missing; it has no default")
        return inner(**{n: build(fields(inner)[n][0], v, place.child(n)) for n, v in value.items()})
    if isinstance(value, Mapping) and (entry := entries(kind)) is not None:
        return {n: build(entry, v, place.child(n)) for n, v in value.items() if v is not None}
    if isinstance(value, list):
        for sequence, arguments in ((typing.get_origin(k), typing.get_args(k)) for k in members(kind)):
            if sequence in (list, tuple):
                return sequence(build(arguments[0], v, place) for v in value)
    return value
