"""What a schema says: its fields, their types, limits and defaults, in Python and in words.

A schema is a frozen dataclass whose fields may be bool, int, float, str, Literal, X | None, list[X], tuple[X, ...],
dict[str, X] and other dataclasses; a field's metadata may hold `meaning`, the limits `low`, `high`, `above`, and `names`:
the kind of names that its text, or the keys of its dict, must be among (`Names`).
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, Literal, Union

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
    Any: "anything",
}


Names = Mapping[str, Collection[str]]  # kind of names -> those that there are
Limits = Mapping[str, Any]  # see `limits_of`
NO_NAMES: Names = types.MappingProxyType({})
NO_LIMITS: Limits = types.MappingProxyType({})


@functools.cache
def fields(schema: type) -> dict[str, tuple[Any, dataclasses.Field]]:
    """name -> (type, field) of a dataclass, with the types resolved."""
    hints = typing.get_type_hints(schema)
    return {f.name: (hints[f.name], f) for f in dataclasses.fields(schema)}


def members(kind: Any) -> tuple[Any, ...]:
    """The types a value may have: those of a union, or the type itself."""
    return typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else (kind,)


def section(kind: Any) -> type | None:
    """The dataclass in `kind` (itself or X | None), or None."""
    return next((k for k in members(kind) if isinstance(k, type) and dataclasses.is_dataclass(k)), None)


def entries(kind: Any) -> Any | None:
    """The X of dict[str, X] (or of dict[str, X] | None), or None."""
    return next((typing.get_args(k)[1] for k in members(kind) if typing.get_origin(k) is dict), None)


@functools.cache
def keys(schema: type, prefix: str = "") -> Mapping[str, str]:
    """All dotted keys of a schema and their meanings; <name> stands for the free name of a dict's entry."""
    meanings: dict[str, str] = {}
    for name, (kind, field) in fields(schema).items():
        meanings[prefix + name] = field.metadata.get("meaning", "")
        inner, middle = section(kind), ""
        if inner is None and entries(kind) is not None:
            inner, middle = section(entries(kind)), ".<name>"
        if inner is not None:
            meanings |= keys(inner, f"{prefix}{name}{middle}.")
    return meanings


def limits_of(field: dataclasses.Field, names: Names) -> Limits:
    """A field's metadata with the names that are allowed in the place of their kind; without, where they are not known."""
    kind = field.metadata.get("names", "")
    known = {"names": tuple(names[kind])} if kind in names else {}
    return {**{k: v for k, v in field.metadata.items() if k != "names"}, **known}


def limits_inside(limits: Limits) -> Limits:
    """Those of a dict's entries: its names are the keys'."""
    return {k: v for k, v in limits.items() if k != "names"}


def describe(kind: Any, limits: Limits = NO_LIMITS) -> str:
    """What is allowed, in words."""
    if len(members(kind)) > 1:
        return " or ".join(describe(k, limits) for k in members(kind))
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in args)
    if origin in (list, tuple):
        return f"a list [{describe(args[0], limits)}, ...]"
    if origin is dict:
        keyed = f", name one of {', '.join(limits['names'])}" if "names" in limits else ""
        return f"a mapping {{name: {describe(args[1], limits_inside(limits))}}}{keyed}"
    if dataclasses.is_dataclass(kind):
        return "{" + ", ".join(fields(kind)) + "}"
    if kind is str and "names" in limits:
        return "one of " + ", ".join(limits["names"])
    words = {"low": "at least", "high": "at most", "above": "above"}
    bounds = [f"{words[k]} {limits[k]:g}" for k in words if k in limits] if kind in (int, float) else []
    return " ".join([WORDS.get(kind, str(kind)), " and ".join(bounds)]).strip()


def default_of(field: dataclasses.Field) -> Any:
    """A field's default, dataclasses.MISSING if it has none."""
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
