"""Config values against their schema: what a file or a flag gave, checked, as plain values.

Plain values are numbers, text, lists and nested dicts, as YAML and JSON hold them. Every mistake is a UserError that says
where it is, what was given and what is allowed.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from mimicjax.config.near import near
from mimicjax.config.schema import (
    NO_LIMITS,
    NO_NAMES,
    Limits,
    Names,
    describe,
    entries,
    fields,
    keys,
    limits_inside,
    limits_of,
    members,
    section,
)
from mimicjax.errors import UserError, nearest


class Place(NamedTuple):
    """Where a value comes from, for messages."""

    source: str  # file, or "command line"
    key: str  # dotted, "" at the top
    schema: type  # the whole schema, to look for keys that were put into the wrong section
    names: Names = NO_NAMES  # a kind that is not here may be any text

    def child(self, name: str) -> Place:
        return self._replace(key=f"{self.key}.{name}" if self.key else name)

    def error(self, message: str) -> UserError:
        return UserError(f"{self.source}: {self.key + ': ' if self.key else ''}{message}")


def unknown_key(place: Place, allowed: Mapping[str, tuple[Any, dataclasses.Field]]) -> UserError:
    """The error for a key that its section does not have; suggests keys of this section, or else of any other.

    allowed: the `fields` of the section.
    """
    name = place.key.rsplit(".", 1)[-1]
    meanings = {n: field.metadata.get("meaning", "") for n, (_, field) in allowed.items()}
    close = near(name, meanings) or near(place.key, keys(place.schema))
    hint = f" (did you mean {', '.join(close)}?)" if close else ""
    return place.error(f"unknown key{hint}; allowed here: {', '.join(allowed)}")


def check(kind: Any, value: Any, place: Place, limits: Limits = NO_LIMITS) -> Any:
    """The plain value for what was given, or a UserError; sections and dicts may be given in part."""
    if len(members(kind)) > 1:
        return _check_union(kind, value, place, limits)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _check_section(kind, value, place)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict and isinstance(value, Mapping):
        return _check_dict(args[1], value, place, limits)
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return [check(args[0], v, place.child(str(i)), limits) for i, v in enumerate(value)]
    if origin is Literal and any(value == a and type(value) is type(a) for a in args):
        return value
    scalar = _scalar(kind, value)
    if scalar is None and kind is not type(None) or not _within(scalar, limits):
        raise _not_allowed(kind, value, place, limits)
    return scalar


def _not_allowed(kind: Any, value: Any, place: Place, limits: Limits) -> UserError:
    words = [a for k in members(kind) if typing.get_origin(k) is Literal for a in typing.get_args(k)]
    words += limits.get("names", ()) if str in members(kind) else ()
    hint = nearest(value, [w for w in words if isinstance(w, str)]) if isinstance(value, str) else ""
    return place.error(f"given {_show(value)}, allowed is {describe(kind, limits)}{hint}")


def _check_dict(entry: Any, value: Mapping[Any, Any], place: Place, limits: Limits) -> dict[str, Any]:
    """The entries of a dict[str, entry] that were given, null (to remove one) included."""
    allowed = limits.get("names", value)  # any, if it does not say which
    for name in value:
        if _name(name, place) not in allowed:
            hint = f"{nearest(name, allowed)}; allowed here: {', '.join(allowed)}"
            raise place.child(name).error(f"unknown name{hint}")
    inside = limits_inside(limits)
    return {n: None if v is None else check(entry, v, place.child(n), inside) for n, v in value.items()}


def _check_union(kind: Any, value: Any, place: Place, limits: Limits) -> Any:
    if value is None and type(None) in members(kind):
        return None
    rest = [k for k in members(kind) if k is not type(None)]
    if len(rest) == 1 and (value is None or section(rest[0]) or entries(rest[0])):
        return check(rest[0], value, place, limits)  # its messages name the key inside
    for member in rest:
        try:
            return check(member, value, place, limits)
        except UserError:
            continue
    raise _not_allowed(kind, value, place, limits)


def _check_section(kind: type, value: Any, place: Place) -> dict[str, Any]:
    if value is None:  # a section whose lines are all commented out
        return {}
    if not isinstance(value, Mapping):
        raise place.error(f"given {_show(value)}, allowed is a mapping with the keys {', '.join(fields(kind))}")
    for name in value:
        if _name(name, place) not in fields(kind):
            raise unknown_key(place.child(name), fields(kind))
    limits = {n: limits_of(field, place.names) for n, (_, field) in fields(kind).items()}
    return {n: check(fields(kind)[n][0], v, place.child(n), limits[n]) for n, v in value.items()}


def _name(name: Any, place: Place) -> str:
    if not isinstance(name, str):
        raise place.error(f"the key {name!r} is not text; put it in quotes")
    return name


def _show(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
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
            return value if abs(value) < 2**63 else None
        number = float(value)  # YAML reads 1e-4 as text
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return number if kind is float else int(number) if number.is_integer() else None


def _within(value: Any, limits: Limits) -> bool:
    if isinstance(value, str):
        return value in limits.get("names", (value,))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    low, high, above = limits.get("low"), limits.get("high"), limits.get("above")
    return (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)
