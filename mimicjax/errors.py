"""The one exception that means: the user can mend this. Commands print it as one line and exit with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class UserError(Exception):
    """Something the user gave cannot be used; the message says what was given, where, and what is allowed."""


def unknown(where: str, what: str, name: object, allowed: Iterable[str]) -> UserError:
    """The error for a name that is not among those allowed at a place: what it is a name of, the nearest ones, and all."""
    names = list(allowed)
    hint = nearest(str(name), names)
    return UserError(f"{where}: unknown {what} {str(name)[:60]!r}{hint}; allowed: {', '.join(names) or 'none'}")


def pick(table: Mapping[str, Value], name: str, where: str, what: str) -> Value:
    """The table's entry of a name. Raises UserError, which says where the name was given, if there is none."""
    if name not in table:
        raise unknown(where, what, name, table)
    return table[name]


def nearest(name: str, allowed: Iterable[str], most: int = 3) -> str:
    """' (did you mean a, b?)' for the allowed names nearest to `name` in spelling, or '' if none is near."""
    ratio = {a: difflib.SequenceMatcher(None, name.lower(), a.lower()).ratio() for a in allowed}
    least = max(0.55, max(ratio.values(), default=0.0) - 0.2)
    close = sorted((a for a in ratio if ratio[a] >= least), key=lambda a: -ratio[a])[:most]
    return f" (did you mean {', '.join(close)}?)" if close else ""
