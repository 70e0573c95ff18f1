"""Command-line flags for every key of a config: typed, checked, listed by --help with the chosen config's values."""

from __future__ import annotations

import argparse
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, NoReturn

import yaml

from mimicjax.config import values
from mimicjax.config.near import near
from mimicjax.config.records import plain
from mimicjax.config.schema import (
    NO_NAMES,
    Limits,
    Names,
    default_of,
    describe,
    entries,
    fields,
    limits_inside,
    limits_of,
    members,
    section,
)
from mimicjax.errors import UserError, nearest

MAPPING = "{NAME: ...}"  # metavar of a dict's flag
NEGATIVE = re.compile(r"-(inf(inity)?|nan|(?=[.\d])[\d_]*\.?[\d_]*(e[-+]?\d+)?)", re.IGNORECASE)  # of a float
MARK = "config key "  # before the key in the namespace, so that a config key and a command's own flag never meet


class Leaf(NamedTuple):
    """A key that a flag may set."""

    key: str  # dotted
    kind: Any
    meaning: str
    limits: Limits
    value: Any  # in the chosen config


def leaves(kind: type, current: Any, names: Names = NO_NAMES, prefix: str = "") -> Iterator[Leaf]:
    """All keys of a section, depth first.

    A dict gives itself, the entries that `current` has, and those of its default that `current` has removed (value None).
    """
    for name, (inner, field) in fields(kind).items():
        value, meta = getattr(current, name), limits_of(field, names)
        if (deeper := section(inner)) is not None and value is not None:
            yield from leaves(deeper, value, names, f"{prefix}{name}.")
            continue
        yield Leaf(prefix + name, inner, meta.get("meaning", ""), meta, value)
        if (entry := entries(inner)) is None:
            continue
        have, default = value or {}, default_of(field)
        for item, content in have.items():
            yield from _entry(entry, content, names, f"{prefix}{name}.{item}", meta)
        for item in default if isinstance(default, Mapping) else ():
            if item not in have:
                removed = _entry(entry, default[item], names, f"{prefix}{name}.{item}", meta)
                yield from (leaf._replace(value=None) for leaf in removed)


def _entry(kind: Any, content: Any, names: Names, key: str, meta: Limits) -> Iterator[Leaf]:
    """The keys of one entry of a dict."""
    if (deeper := section(kind)) is not None:
        yield from leaves(deeper, content, names, f"{key}.")
    else:
        path, _, item = key.rpartition(".")
        yield Leaf(key, kind, f"{item} of {path.rsplit('.', 1)[-1]}", limits_inside(meta), content)


def add_flags(parser: argparse.ArgumentParser, schema: type, current: Any, names: Names = NO_NAMES) -> None:
    """Add one flag a key (`--learn.actor_lr`), grouped by section; `current` gives the values that the help shows.

    names: those of the tables, by their kind, for the help and for what is allowed.
    """
    groups: dict[str, Any] = {}
    for leaf in leaves(schema, current, names):
        path = leaf.key.rpartition(".")[0]
        title = path.split(".")[0] or "run"
        if title not in groups:
            kind = section(fields(schema)[title][0]) if path and title in fields(schema) else None
            about = (kind.__doc__ or "").strip().splitlines()[0] if kind else None
            groups[title] = parser.add_argument_group(title, about)
        allowed = describe(leaf.kind, leaf.limits)
        now = yaml.safe_dump(plain(leaf.value), default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
        text = f"{leaf.meaning}; {allowed} (now {now})".removeprefix("; ").replace("%", "%%")
        switch = {"nargs": "?", "const": "true"} if leaf.kind is bool else {}
        groups[title].add_argument(
            f"--{leaf.key}", dest=MARK + leaf.key, default=argparse.SUPPRESS, metavar=_metavar(leaf.kind, leaf.limits), help=text,
            type=_checked(schema, leaf, names), **switch,
        )  # fmt: skip


def parse_flags(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """parser.parse_args with our kind of errors: a UserError that names the nearest flags, no usage text, no exit."""

    def complain(message: str) -> NoReturn:
        raise UserError(f"command line: {message}")

    parser.allow_abbrev = False  # --learn would otherwise mean whichever key happens to begin so
    parser.error = complain  # type: ignore[method-assign]
    namespace, rest = parser.parse_known_args(_join_negative(argv))
    if rest:
        raise _unknown_flag(parser, rest)
    return namespace


def _unknown_flag(parser: argparse.ArgumentParser, rest: Sequence[str]) -> UserError:
    """The error for what is left of a command line."""
    flag = rest[0].partition("=")[0]
    if not flag.startswith("-"):
        return UserError(f"command line: a value without a flag: {flag}; --help lists all flags")
    meanings = {f: (a.help or "").partition(";")[0] for a in parser._actions for f in a.option_strings if f[:2] == "--"}
    _refuse_new_entry(parser, list(meanings), flag, rest)
    name, known = flag.lstrip("-"), {option[2:]: meaning for option, meaning in meanings.items()}
    close = near(name, known)
    hint = f" (did you mean {', '.join('--' + k for k in close)}?)" if close else ""
    path = name.rpartition(".")[0] + "."
    siblings = [key for key in known if key.startswith(path) and "." not in key[len(path) :]]
    if siblings and not close:
        hint = f"; there are: {', '.join('--' + key for key in siblings)}"
    return UserError(f"command line: unknown flag {flag}{hint}; --help lists all flags")


def _refuse_new_entry(parser: argparse.ArgumentParser, known: list[str], flag: str, rest: Sequence[str]) -> None:
    """Raises the UserError that says how to add an entry, if the flag `--mapping.entry.key` asks for one that is not there."""
    mappings = {f: a for a in parser._actions if a.metavar == MAPPING for f in a.option_strings}
    for mapping, action in mappings.items():
        prefix = mapping + "."
        if not flag.startswith(prefix):
            continue
        entry, _, path = flag.removeprefix(prefix).partition(".")
        existing = list(dict.fromkeys(f.removeprefix(prefix).split(".")[0] for f in known if f.startswith(prefix)))
        if entry in existing:
            continue  # the entry exists, so its key is what is wrong
        if callable(action.type):
            action.type(f"{{{entry}: null}}")  # raises if there can be no entry of that name
        value = rest[0].partition("=")[2] or next((word for word in rest[1:2] if not word.startswith("--")), "...")
        for key in reversed(path.split(".") if path else []):
            value = f"{{{key}: {value}}}"
        raise UserError(
            f"command line: unknown flag {flag}: {mapping[2:]} has no {entry} in this config{nearest(entry, existing)}; "
            f"known here: {', '.join(existing) or 'none'}; to add it: {mapping} '{{{entry}: {value}}}'"
        )


def parse_overrides(namespace: argparse.Namespace) -> dict[str, str]:
    """dotted key -> text of the config flags that were given, for `config.load`."""
    return {name.removeprefix(MARK): text for name, text in vars(namespace).items() if name.startswith(MARK)}


def nested(schema: type, dotted: str, value: Any, place: values.Place) -> dict[str, Any]:
    """{a: {b: value}} for "a.b", text read as the key's type says. UserError for an unknown key or unreadable text."""
    kind: Any = schema
    parts = dotted.split(".")
    for part in parts:
        inner, entry = section(kind), entries(kind)
        allowed = fields(inner) if inner is not None else {}
        place = place.child(part)
        if part not in allowed and entry is None:
            raise values.unknown_key(place, allowed)
        kind = allowed[part][0] if inner is not None else entry
    tree = read_text(kind, value, place) if isinstance(value, str) else value
    for part in reversed(parts):
        tree = {part: tree}
    return tree


def read_text(kind: Any, text: str, place: values.Place) -> Any:
    """Text from the command line as a value: as it stands where text is meant, as YAML elsewhere."""
    literal = [a for k in members(kind) if typing.get_origin(k) is Literal for a in typing.get_args(k)]
    if text in literal or (str in members(kind) and not (text == "null" and type(None) in members(kind))):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise place.error(f"given {text!r}, allowed is {describe(kind)}, written as YAML") from None


def _checked(schema: type, leaf: Leaf, names: Names) -> Any:
    """An argparse type that checks the text and keeps it."""

    def check(text: str) -> str:
        place = values.Place("command line", "", schema, names)
        values.check(schema, nested(schema, leaf.key, text, place), place)
        return text

    return check


def _metavar(kind: Any, limits: Limits) -> str:
    if entries(kind) is not None:
        return MAPPING
    scalar = next(k for k in members(kind) if k is not type(None))
    if typing.get_origin(scalar) is Literal or (scalar is str and "names" in limits):
        return "NAME"
    return {bool: "BOOL", int: "INT", float: "FLOAT", str: "TEXT"}.get(scalar, "YAML")


def _join_negative(argv: Sequence[str]) -> list[str]:
    """`--key -1e-4` as `--key=-1e-4`: argparse takes the value for a flag otherwise."""
    joined: list[str] = []
    for text in argv:
        after_flag = bool(joined) and joined[-1].startswith("--") and "=" not in joined[-1]
        if after_flag and NEGATIVE.fullmatch(text):
            joined[-1] += f"={text}"
        else:
            joined.append(text)
    return joined
