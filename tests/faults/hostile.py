"""Files made to do harm: every field of a file with every absurd value, and what only bytes can say."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from absurd import BOMB, DEEP, VALUES, YAML
from hostile_checkpoint import headers, numbers
from hostile_xml import xml


def files(kind: str, whole: bytes) -> Iterator[tuple[str, bytes | Callable[[Path], None]]]:
    """(what it is, the file's bytes, or what makes the file at a path and those beside it)."""
    makers = {
        "clip .npz": _archive,
        "import: archive": _archive,
        "clip .pkl": _pickles,
        "import: pickle": _pickles,
        "set": _yaml,
        "config": _yaml,
        "robot.yaml": _yaml,
        "robot.xml": xml,
        "facts.json": _json,
        "metrics.jsonl": _rows,
        "import: text": _json,
        "checkpoint: arrays": headers,
        "checkpoint: index": numbers,
        "checkpoint: manifest": numbers,
        "checkpoint: names": _json,
        "import: table": _cells,
        "log.txt": _cells,
    }
    yield "nothing", b""
    yield "zeros", bytes(5_000_000)
    yield from makers[kind](whole)


def _archive(whole: bytes) -> Iterator[tuple[str, bytes]]:
    with np.load(io.BytesIO(whole)) as file:
        good = dict(file)
    for key in good:
        for number, value in enumerate(VALUES):
            packed = io.BytesIO()
            try:
                np.savez_compressed(packed, **{**good, key: _array(value)})
            except (ValueError, OverflowError, UnicodeEncodeError):
                continue
            yield f"{key} is value {number}", packed.getvalue()
    headers = [
        "(1000000000000,)",
        "(-1,)",
        "(2**70,)",
        "(1, " * 200,
        "()",
        "__import__('os').system('touch canary')",
        "(0, 999999999999)",
    ]
    for key in list(good)[:3]:
        for kind in ("<f8", "|i1", "<U100000000", "O", "V0", "x" * 1_000_000):
            for shape in headers:
                yield f"{key} claims {shape[:30]} of {kind[:12]}", _zipped({f"{key}.npy": _npy(kind, shape)}, good, key)
    yield (
        "a member of 3 GB",
        _zipped({"root_pos.npy": _npy("|i1", "(3000000000, 3)", bytes(300_000_000))}, good, "root_pos"),
    )
    yield "20,000 members", _zipped({f"k{n}.npy": _npy("<f8", "()", bytes(8)) for n in range(20_000)}, good, "")
    for end in (10, 100, len(whole) // 2):
        yield f"cut at {end}", whole[:end]


def _array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        return np.array([1.0])


def _npy(kind: str, shape: str, data: bytes = b"") -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(head)) + head + data


def _zipped(members: dict[str, bytes], good: dict[str, np.ndarray], without: str) -> bytes:
    packed = io.BytesIO()
    np.savez_compressed(packed, **{key: value for key, value in good.items() if key != without})
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def _pickles(whole: bytes) -> Iterator[tuple[str, bytes]]:
    good = pickle.loads(whole)  # ours, made a moment ago
    for protocol in (0, 2, 5):
        for key in good:
            for number, value in enumerate(VALUES):
                yield f"{key} is value {number}, protocol {protocol}", pickle.dumps({**good, key: value}, protocol)
        for number, value in enumerate(VALUES):
            frames = [list(row) for row in good["frames"]]
            frames[3][5] = value
            yield f"a cell is value {number}, protocol {protocol}", pickle.dumps({**good, "frames": frames}, protocol)
    laughs: Any = ["x"] * 10
    for _ in range(12):
        laughs = [laughs] * 10
    yield "lists that stand for 10^13", pickle.dumps({**good, "frames": laughs})
    for name in (
        "os system",
        "posix system",
        "builtins eval",
        "builtins exec",
        "subprocess Popen",
        "nt system",
        "numpy load",
        "pickle loads",
    ):
        module, function = name.split()
        yield f"calls {name}", f"c{module}\n{function}\n(S'touch canary'\ntR.".encode()
        yield (
            f"calls {name} in protocol 4",
            b"\x80\x04\x8c"
            + bytes([len(module)])
            + module.encode()
            + b"\x8c"
            + bytes([len(function)])
            + function.encode()
            + b"\x93\x8c\x0ctouch canary\x85R.",
        )
        yield f"instance of {name}", f"(S'touch canary'\ni{module}\n{function}\n.".encode()
    for name, data in {
        "text of 2^60 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x.",
        "bytes of 2^60": b"\x80\x04\x8e" + struct.pack("<Q", 2**60),
        "bytearray of 2^40": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
        "a frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 2**60),
        "a number of 2^31 bytes": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
        "deep lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        "a million marks": b"(" * 1_000_000 + b".",
        "memo far out": b"\x80\x02]r\xff\xff\xff\xff.",
        "extension": b"\x80\x02\x82\x01.",
        "doubled text": b"\x80\x02X\x04\x00\x00\x00aaaa" + b"2\x86" * 60 + b".",
        "digits": b"I" + b"9" * 1_000_000 + b"\n.",
        "long digits": b"L" + b"9" * 1_000_000 + b"L\n.",
        "itself": b"\x80\x02]q\x00h\x00a.",
        "persistent": b"Pnobody\n.",
        "no stop": b"\x80\x04]",
        "only stop": b".",
    }.items():
        yield name, data


def _yaml(whole: bytes) -> Iterator[tuple[str, bytes]]:
    good = yaml.safe_load(whole)
    for path in list(_leaves(good))[:12]:
        for number, text in enumerate(YAML):
            replaced = yaml.safe_dump(_with(good, path, "MARK")).replace("MARK", text)
            yield f"{path} is text {number}", replaced.encode("utf-8", "surrogatepass")
    for path in list(_leaves(good))[:6]:
        for number, value in enumerate(VALUES):
            if not isinstance(value, bytes) and value is not DEEP:
                yield f"{path} is value {number}", yaml.safe_dump(_with(good, path, value)).encode("utf-8", "replace")
    yield "aliases that stand for 9^12", BOMB.encode() + whole
    yield "a circle by merging", b"a: &a\n  <<: *a\n" + whole
    yield "100,000 keys", "".join(f"k{n}: {n}\n" for n in range(100_000)).encode() + whole
    yield "3 MB of comment", b"#" * 3_000_000 + b"\n" + whole
    yield "UTF-16", whole.decode().encode("utf-16")
    yield "a list", b"- 1\n- 2\n"
    yield "a quoted text without end", b"a: '" + whole


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _leaves(inner, (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of nested lists and dicts with the place at `path` replaced."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: _with(inner, path[1:], new) if key == path[0] else inner for key, inner in value.items()}
    return [_with(inner, path[1:], new) if number == path[0] else inner for number, inner in enumerate(value)]


def _json(whole: bytes) -> Iterator[tuple[str, bytes]]:
    good = json.loads(whole)
    places = sorted((path for path in _leaves(good) if len(path) <= 2), key=len)[:12]
    for path in places:
        for number, value in enumerate(VALUES):
            if not isinstance(value, bytes):
                yield f"{path} is value {number}", json.dumps(_with(good, path, value)).encode("utf-8", "surrogatepass")
    yield "deep", b"[" * 100_000
    yield "deep in a key", b'{"Frames":' * 50_000
    yield "digits", b'{"Loop": ' + b"9" * 5000 + b"}"
    yield "no end", whole[:-10]


def _rows(whole: bytes) -> Iterator[tuple[str, bytes]]:
    lines = whole.splitlines(keepends=True)
    for row in (0, len(lines) // 2, len(lines) - 1):
        for name, data in _json(lines[row]):
            yield f"row {row}, {name}", b"".join([*lines[:row], data, b"\n", *lines[row + 1 :]])


def _cells(whole: bytes) -> Iterator[tuple[str, bytes]]:
    lines = whole.splitlines(keepends=True)
    words = [text.encode("utf-8", "surrogatepass") for text in YAML] + [
        str(value)[:10_000].encode("utf-8", "surrogatepass") for value in VALUES[:36]
    ]
    for row in (0, 1, len(lines) // 2, -1):
        separator = b"," if b"," in lines[row] else None
        cells = lines[row].split(separator)
        for number, word in enumerate(words):
            for column in (0, 1, len(cells) - 1):
                changed = [*lines]
                changed[row] = (separator or b" ").join([*cells[:column], word, *cells[column + 1 :]]) + b"\n"
                yield f"row {row}, column {column}, word {number}", b"".join(changed)
    yield "one line of 9 MB", b"1," * 4_500_000
    yield "a million lines", b"1\n" * 1_000_000
    yield "no line ends", whole.replace(b"\n", b" ")


def special(folder: Path) -> Iterator[tuple[str, Path]]:
    """What is no file: a device, a pipe without a writer, a folder, a link to itself."""
    os.mkfifo(folder / "pipe.npz")
    (folder / "itself.npz").symlink_to(folder / "itself.npz")
    (folder / "folder.npz").mkdir()
    for name in ("zero", "full", "stdin"):
        (folder / f"{name}.npz").symlink_to(f"/dev/{name}")
    yield from ((each, folder / f"{each}.npz") for each in ("pipe", "itself", "folder", "zero", "full", "stdin"))
