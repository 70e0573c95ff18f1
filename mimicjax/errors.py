"""The one exception that means: the user can mend this. Commands print it as one line and exit with code 2."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


MOST_QUOTED = 200  # characters of a library's or a file's own words in a message
LONGEST = 1500  # characters of a message; of longer ones, the middle is left out
_NOT_SHOWN = (
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
)  # what moves a terminal's cursor, turns text around, or is no character


class UserError(Exception):
    """Something the user gave cannot be used; the message says what was given, where, and what is allowed.

    A message is one line without control characters, whatever names and values are in it.
    """

    def __init__(self, message: str) -> None:
        text = plain(message)
        super().__init__(text if len(text) <= LONGEST else f"{text[: LONGEST - 302]} … {text[-299:]}")


def plain(text: str) -> str:
    """The text in one line, '?' for what is no printable character."""
    if text.isprintable():
        return text
    return "".join("?" if unicodedata.category(each) in _NOT_SHOWN else each for each in " ".join(text.split()))


def reason(problem: BaseException) -> str:
    """Why something failed, from the exception that says so: a line of at most MOST_QUOTED characters."""
    if isinstance(problem, RecursionError):
        return "nested too deeply"
    if isinstance(problem, UnicodeDecodeError):
        return f"byte {problem.object[problem.start]:#04x} at {problem.start} is not UTF-8"
    text = plain(getattr(problem, "strerror", None) or str(problem)) or type(problem).__name__
    return text if len(text) <= MOST_QUOTED else f"{text[: MOST_QUOTED - 1]}…"


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
