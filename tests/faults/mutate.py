"""Damage, from a seed: what a file of `whole` bytes becomes."""

from __future__ import annotations

import re

import numpy as np

SPECIAL = [b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"1e-320", b"99999999999999999999999", b"null", b"true", b"[]", b"{}",
           b"''", b"~", b"!!python/object/apply:os.system ['true']", b"*a", b"&a [*a]", b"2026-13-45", b"\x00", b"\xff\xfe",
           b"0x7fffffffffffffff", "\u202e\u0007".encode(), b"9" * 5000, b"<<", b"- " * 300, b"[" * 2000]  # fmt: skip
NUMBER = re.compile(rb"-?\d+\.?\d*(?:e[-+]?\d+)?")


def mutated(whole: bytes, rng: np.random.Generator, text: bool) -> bytes:
    """One to three damages. text: half of them are of numbers, words and lines rather than of bytes."""
    data = whole
    for _ in range(int(rng.integers(1, 4))):
        kinds = _TEXT + _BYTES if text else _BYTES
        data = kinds[int(rng.integers(len(kinds)))](data, rng)
        if not data:
            return b""
    return data


def _at(data: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(len(data)))


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[_at(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: _at(data, rng)]


def _drop(data: bytes, rng: np.random.Generator) -> bytes:
    begin = _at(data, rng)
    return data[:begin] + data[begin + int(rng.integers(1, 200)) :]


def _twice(data: bytes, rng: np.random.Generator) -> bytes:
    begin = _at(data, rng)
    piece = data[begin : begin + int(rng.integers(1, 400))]
    return data[:begin] + piece * int(rng.integers(2, 6)) + data[begin:]


def _noise(data: bytes, rng: np.random.Generator) -> bytes:
    begin, count = _at(data, rng), int(rng.integers(1, 60))
    return data[:begin] + rng.bytes(count) + data[begin + count :]


def _insert(data: bytes, rng: np.random.Generator) -> bytes:
    begin = _at(data, rng)
    return data[:begin] + SPECIAL[int(rng.integers(len(SPECIAL)))] + data[begin:]


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    found = list(NUMBER.finditer(data))
    if not found:
        return _insert(data, rng)
    hit = found[int(rng.integers(len(found)))]
    return data[: hit.start()] + SPECIAL[int(rng.integers(len(SPECIAL)))] + data[hit.end() :]


def _line(data: bytes, rng: np.random.Generator) -> bytes:
    """A line lost, moved, doubled or indented otherwise."""
    lines = data.splitlines(keepends=True)
    one, other = (int(rng.integers(len(lines))) for _ in range(2))
    what = int(rng.integers(4))
    if what == 0:
        del lines[one]
    elif what == 1:
        lines.insert(other, lines.pop(one))
    elif what == 2:
        lines.insert(other, lines[one])
    else:
        lines[one] = b" " * int(rng.integers(1, 5)) + lines[one]
    return b"".join(lines)


_BYTES = (_flip, _cut, _drop, _twice, _noise, _insert)
_TEXT = (_number, _number, _line, _line)
