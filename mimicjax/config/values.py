"""Config values against their schema: check what a file or flag gave, merge it over what is there, build the record.

A schema is a frozen dataclass whose fields may be bool, int, float, str, Literal, X | None, list[X], tuple[X, ...],
dict[str, X] and other dataclasses; a field's metadata may hold `meaning` and the limits `low`, `high`, `above`.
Between file and record, values are "plain": numbers, text, lists and nested dicts, as YAML and JSON hold them.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Union

from mimicjax.errors import UserError, nearest

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
    Any: "anything",
}


class Place(NamedTuple):
    """Where a value was found, for messages."""

    source: str  # file, or "command line"
    key: str  # dotted, "" at the top
    schema: type  # the whole schema, to look for keys that were put into the wrong section

    def child(self, name: str) -> Place:
        return self._replace(key=f"{self.key}.{name}" if self.key else name)

    def error(self, message: str) -> UserError:
        return UserError(f"{self.source}: {self.key + ': ' if self.key else ''}{message}")


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
def keys(schema: type, prefix: str = "") -> tuple[str, ...]:
    """All dotted keys of a schema; <name> stands for the free name of a dict's entry."""
    found = []
    for name, (kind, _) in fields(schema).items():
        found.append(prefix + name)
        inner, middle = section(kind), ""
        if inner is None and entries(kind) is not None:
            inner, middle = section(entries(kind)), ".<name>"
        if inner is not None:
            found += keys(inner, f"{prefix}{name}{middle}.")
    return tuple(found)


def describe(kind: Any, limits: Mapping[str, Any] = types.MappingProxyType({})) -> str:
    """What is allowed, in words."""
    if len(members(kind)) > 1:
        return " or ".join(describe(k, limits) for k in members(kind))
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in args)
    if origin in (list, tuple):
        return f"a list [{describe(args[0], limits)}, ...]"
    if origin is dict:
        return f"a mapping {{name: {describe(args[1], limits)}}}"
    if dataclasses.is_dataclass(kind):
        return "{" + ", ".join(fields(kind)) + "}"
    words = {"low": "at least", "high": "at most", "above": "above"}
    bounds = [f"{words[k]} {limits[k]:g}" for k in words if k in limits] if kind in (int, float) else []
    return " ".join([WORDS.get(kind, str(kind)), " and ".join(bounds)]).strip()


def unknown_key(place: Place, allowed: Mapping[str, Any]) -> UserError:
    """The error for a key that is not in its section; looks in the other sections too."""
    name = place.key.rsplit(".", 1)[-1]
    hint = nearest(name, allowed)
    if not hint:
        leaf = {k: k.rsplit(".", 1)[-1] for k in keys(place.schema)}
        close = difflib.get_close_matches(name, set(leaf.values()), n=3, cutoff=0.7)
        elsewhere = [k for c in close for k in leaf if leaf[k] == c][:3]
        hint = f" (did you mean {', '.join(elsewhere)}?)" if elsewhere else ""
    return place.error(f"unknown key{hint}; allowed here: {', '.join(allowed)}")


def check(kind: Any, value: Any, place: Place, limits: Mapping[str, Any] = types.MappingProxyType({})) -> Any:
    """The plain value for what was given, or a UserError; sections and dicts may be given in part."""
    if len(members(kind)) > 1:
        return _check_union(kind, value, place, limits)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _check_section(kind, value, place)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict and isinstance(value, Mapping):
        inner = {_name(n, place): v for n, v in value.items()}
        return {n: None if v is None else check(args[1], v, place.child(n), limits) for n, v in inner.items()}
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return [check(args[0], v, place.child(str(i)), limits) for i, v in enumerate(value)]
    if origin is Literal and any(value == a and type(value) is type(a) for a in args):
        return value
    found = _scalar(kind, value)
    if found is None and kind is not type(None) or not _within(found, limits):
        hint = nearest(value, [a for a in args if isinstance(a, str)]) if isinstance(value, str) else ""
        raise place.error(f"given {_show(value)}, allowed is {describe(kind, limits)}{hint}")
    return found


def _check_union(kind: Any, value: Any, place: Place, limits: Mapping[str, Any]) -> Any:
    if value is None and type(None) in members(kind):
        return None
    rest = [k for k in members(kind) if k is not type(None)]
    if len(rest) == 1 and (value is None or section(rest[0]) or entries(rest[0])):
        return check(rest[0], value, place, limits)  # its messages name the key inside
    for one in rest:
        try:
            return check(one, value, place, limits)
        except UserError:
            continue
    names = [a for k in rest if typing.get_origin(k) is Literal for a in typing.get_args(k) if isinstance(a, str)]
    hint = nearest(value, names) if isinstance(value, str) else ""
    raise place.error(f"given {_show(value)}, allowed is {describe(kind, limits)}{hint}")


def _check_section(kind: type, value: Any, place: Place) -> dict[str, Any]:
    if value is None:  # a section whose lines are all commented out
        return {}
    if not isinstance(value, Mapping):
        raise place.error(f"given {_show(value)}, allowed is a mapping with the keys {', '.join(fields(kind))}")
    for name in value:
        if _name(name, place) not in fields(kind):
            raise unknown_key(place.child(name), fields(kind))
    return {n: check(fields(kind)[n][0], v, place.child(n), fields(kind)[n][1].metadata) for n, v in value.items()}


def _name(name: Any, place: Place) -> str:
    if not isinstance(name, str):
        raise place.error(f"the key {name!r} is not text; put it in quotes")
    return name


def _show(value: Any) -> str:
    text = (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else repr(value)
    )
    return text if len(text) <= 80 else text[:77] + "..."


def _scalar(kind: Any, value: Any) -> Any:
    """The value as the scalar type `kind`, or None if it is not one."""
    if kind is Any:
        return value
    if kind in (bool, str):
        return value if isinstance(value, kind) else None
    if kind not in (int, float) or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        if kind is int and isinstance(value, int):  # a float would lose the last digits of a large number
            return value
        number = float(value)  # YAML reads 1e-4 as text
    except (ValueError, OverflowError):
        return None
    if math.isnan(number):
        return None
    return number if kind is float else int(number) if number.is_integer() else None


def _within(value: Any, limits: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    low, high, above = limits.get("low"), limits.get("high"), limits.get("above")
    return (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)


def plain(value: Any, default: Any = None) -> Any:
    """A record or value as plain data; entries of a dict that its default has and it has not are null.

    So what was removed stays removed when the plain data is loaded over the defaults again.
    """
    if dataclasses.is_dataclass(value):
        return {n: plain(getattr(value, n), default_of(f)) for n, (_, f) in fields(type(value)).items()}
    if isinstance(value, Mapping):
        removed = [n for n in default if n not in value] if isinstance(default, Mapping) else []
        return {**{n: plain(v) for n, v in value.items()}, **dict.fromkeys(removed)}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def default_of(field: dataclasses.Field) -> Any:
    """A field's default, dataclasses.MISSING if it has none."""
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def defaults(schema: type) -> dict[str, Any]:
    """The plain defaults of a schema; keys without one are left out."""
    found = {n: default_of(f) for n, (_, f) in fields(schema).items()}
    return {n: plain(v) for n, v in found.items() if v is not dataclasses.MISSING}


def merge(kind: Any, low: Any, high: Any, default: Any = None) -> Any:
    """Checked plain `high` over plain `low`: sections and dicts key by key, everything else replaced.

    default: of a dict; an entry of it that `low` has removed and `high` gives in part comes back as it was there.
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
        found = next(((typing.get_origin(k), typing.get_args(k)[0]) for k in members(kind) if typing.get_args(k)), None)
        if found and found[0] in (list, tuple):
            return found[0](build(found[1], v, place) for v in value)
    return value
