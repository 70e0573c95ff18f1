"""The one exception that means: the user can mend this. Commands print it as one line and exit with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user gave cannot be used; the message says what was given, where, and what is allowed."""


def nearest(given: str, allowed: Iterable[str], most: int = 3) -> str:
    """' (did you mean a, b?)' for the allowed names nearest to `given`, or '' if none is near."""
    close = difflib.get_close_matches(given, list(allowed), n=most, cutoff=0.5)
    return f" (did you mean {', '.join(close)}?)" if close else ""
