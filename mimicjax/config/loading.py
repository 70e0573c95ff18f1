"""Configs: load by name or file, extend, override, check, keep. The schema is in settings.py.

A file may extend others (`extends: base/ppo` or a list, later ones win); its own keys win over all of them. Sections
and dicts merge key by key, lists are replaced, and `null` removes an inherited entry of a dict; an entry of its default
that a later file names again, with only some of its keys, comes back with the default's other values. Every mistake is
a UserError of one line that says where it is and what is allowed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mimicjax import limits, paths
from mimicjax.config import records, values
from mimicjax.config.flags import add_flags, nested, parse_flags, parse_overrides
from mimicjax.config.near import near
from mimicjax.config.schema import NO_NAMES, Names
from mimicjax.errors import UserError, reason
from mimicjax.files import is_file, replace_text

T = TypeVar("T")
FRAGMENTS = ("base", "disturb", "randomize")  # folders of configs/ with parts to extend, not runs to train


def load(
    schema: type[T], name: str | Path | None, overrides: Mapping[str, Any] | Sequence[str] = (), names: Names = NO_NAMES
) -> T:
    """The config `name` with overrides, as a `schema`.

    name: a file below configs/ without its ending (`mimickit/add_g1`), or a path that ends in .yaml or .yml; None takes
    the defaults. overrides: dotted key -> value, or a sequence of "key=value"; text is read as the key's type says.
    names: kind of names -> those that keys of that kind may have (`names.NAMES`); other kinds may be any text.
    """
    data = records.defaults(schema)
    source = "defaults"
    if name is not None:
        file = find(name)
        source = _show(file)
        for link, content in _read_chain(schema, file, ()):
            data = records.merge(schema, data, values.check(schema, content, values.Place(link, "", schema, names)))
    if not isinstance(overrides, Mapping):
        overrides = dict(_split(text) for text in overrides)
    for dotted, value in overrides.items():
        place = values.Place("command line", "", schema, names)
        data = records.merge(schema, data, values.check(schema, nested(schema, dotted, value, place), place))
    return records.build(schema, data, values.Place(source, "", schema, names))


def from_dict(schema: type[T], data: Mapping[str, Any], source: str = "config", names: Names = NO_NAMES) -> T:
    """The record for what to_dict gave (keys that are missing take their defaults); names and UserError as load."""
    place = values.Place(source, "", schema, names)
    merged = records.merge(schema, records.defaults(schema), values.check(schema, data, place))
    return records.build(schema, merged, place)


def to_dict(instance: Any) -> dict[str, Any]:
    """A config as plain nested data for YAML and JSON, in the schema's order; removed default entries are null."""
    return records.plain(instance)


def dump(instance: Any, path: str | Path) -> None:
    """Write the resolved config as YAML; `load` of that file gives an equal record."""
    text = yaml.dump(to_dict(instance), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    replace_text(Path(path), text)


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """'learn.lr: 0.1 -> 0.2' for every dotted key in which two plain configs differ, in order."""
    flat_a, flat_b = _flat(a), _flat(b)
    absent = "(absent)"
    both = [(k, flat_a.get(k, absent), flat_b.get(k, absent)) for k in {**flat_a, **flat_b}]
    return [f"{k}: {x} -> {y}" for k, x, y in both if x != y]


def command_line(
    parser: argparse.ArgumentParser,
    schema: type[T],
    argv: Sequence[str],
    default: str | None = None,
    names: Names = NO_NAMES,
) -> tuple[argparse.Namespace, T]:
    """Parse a command whose --config names a config and whose other flags may override any key of it.

    parser: holds the command's own flags; --config and one flag a key are added, with the values of the chosen config
    in their help. default: the config if --config is not given; None takes the schema's defaults. names: see load.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", default=default, nargs="?")
    name = first.parse_known_args(argv)[0].config
    add_flags(parser, schema, load(schema, name, names=names), names)
    parser.add_argument("--config", default=default, help="a config below configs/, or a .yaml file (now %(default)s)")
    namespace = parse_flags(parser, argv)
    return namespace, load(schema, name, parse_overrides(namespace), names)


def find(name: str | Path, beside: Path | None = None) -> Path:
    """The file of a config; a path given inside a file is relative to that file. UserError if there is none."""
    text = str(name)
    if text.endswith((".yaml", ".yml")):
        file = Path(beside.parent if beside else "", text)
        if not is_file(file):
            siblings = [str(p) for p in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
            near_names = _near(text.rpartition(".")[0], [*siblings, *_names()])
            raise UserError(f"{_in(beside)}no config file {text[:200]}{near_names}")
        return file
    file = paths.CONFIGS / f"{text}.yaml"
    if not text or not is_file(file):
        raise UserError(f"{_in(beside)}no config {text[:100]!r}{_near(text, _names())}; there are: {listing()}")
    return file


def _near(text: str, names: Sequence[str]) -> str:
    """' (did you mean a, b?)' for the configs near to `text`, whose folder may be missing, or ''."""
    stems = {name.removesuffix(".yaml").removesuffix(".yml"): name for name in names}
    close = near(text, dict.fromkeys(stems, ""), separator="/")
    return f" (did you mean {', '.join(stems[stem] for stem in close)}?)" if close else ""


def available() -> list[str]:
    """Names of the configs that describe a whole run."""
    return [name for name in _names() if name.partition("/")[0] not in FRAGMENTS]


def fragments() -> list[str]:
    """Names of the configs that describe only a part of a run, for others to extend."""
    return [name for name in _names() if name.partition("/")[0] in FRAGMENTS]


def listing() -> str:
    """The names of both kinds, in words."""
    return (", ".join(available()) or "none") + (f"; to extend: {', '.join(fragments())}" if fragments() else "")


def _names() -> list[str]:
    return sorted(p.relative_to(paths.CONFIGS).with_suffix("").as_posix() for p in paths.CONFIGS.rglob("*.yaml"))


def _read_chain(schema: type, file: Path, above: tuple[Path, ...]) -> list[tuple[str, dict[str, Any]]]:
    """(file, its keys) of everything that `file` extends, furthest first, and of `file` itself."""
    chain = (*above, file.resolve())
    if chain[-1] in above:
        raise UserError(f"{_show(above[0])}: extends goes in a circle: {' -> '.join(_show(p) for p in chain)}")
    content = read_yaml(file)
    parents = content.pop("extends", None)
    if isinstance(parents, str):
        parents = [parents]
    if not isinstance(parents, list | None) or not all(isinstance(p, str) for p in parents or ()):
        raise UserError(
            f"{_show(file)}: extends: given {parents!r}, allowed is the name of a config or a list of names"
        )
    inherited = [link for parent in parents or () for link in _read_chain(schema, find(parent, file), chain)]
    return [*inherited, (_show(file), content)]


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file ({} if it is empty); UserError with file and line."""
    try:
        if (size := file.stat().st_size) > limits.YAML_BYTES or not file.is_file():
            raise UserError(
                f"{_show(file)}: {f'has {size} bytes; at most {limits.YAML_BYTES} are read' if size else 'is no file'}"
            )
        loader = _Loader(file.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        _count(root, {}, 1)
        content = None if root is None else loader.construct_document(root)
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{_show(file)}: cannot be read: {reason(problem)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:  # the last two: impossible dates, deep nesting
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(problem, "problem", None) or reason(problem)
        raise UserError(f"{_show(file)}{line}: not valid YAML: {what}") from None
    if not isinstance(content, dict | None):
        raise UserError(f"{_show(file)}: given {type(content).__name__}, allowed is a mapping of keys to values")
    return content or {}


def _count(node: yaml.Node | None, known: dict[int, int], depth: int) -> int:
    """Nodes of a graph, those behind an alias each time it is met. Raises YAMLError where they are too many, or in a circle.

    known: what was counted; 0 stands for a node that is being counted.
    """
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if depth > limits.YAML_DEPTH:
        raise yaml.MarkedYAMLError(problem=f"nested more than {limits.YAML_DEPTH} deep", problem_mark=node.start_mark)
    if id(node) not in known:
        known[id(node)] = 0
        pairs = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_count(part, known, depth + 1) for part in pairs)
    count = known[id(node)]
    if count == 0 or count > limits.YAML_NODES:
        what = f"stands for more than {limits.YAML_NODES} values" if count else "contains itself"
        raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark)
    return count


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, where YAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode) or name.tag == "tag:yaml.org,2002:merge":
                continue
            if name.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name.value!r} is given twice", name.start_mark
                )
            seen.add(name.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Lists on one line, sections in blocks, no references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def flow_list(self, data: list) -> yaml.Node:
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.add_representer(list, _Dumper.flow_list)


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"command line: given {text!r}, allowed is key=value")
    return name, value


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        inner = isinstance(value, Mapping) and value
        flat.update(_flat(value, f"{prefix}{name}.") if inner else {prefix + name: value})
    return flat


def _in(file: Path | None) -> str:
    return f"{_show(file)}: extends: " if file else ""


def _show(file: Path) -> str:
    relative = os.path.relpath(file)
    return str(file) if relative.startswith("..") else relative
