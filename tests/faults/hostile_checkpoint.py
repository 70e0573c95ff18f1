"""Checkpoints made to do harm: their checksums are right, and what they claim is not."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from absurd import VALUES

FIELDS = (
    "shape",
    "chunks",
    "dtype",
    "compressor",
    "fill_value",
    "order",
    "zarr_format",
    "filters",
    "dimension_separator",
)
CLAIMS = [[10**12], [10**6, 10**6], [-1], [2**63 - 1], [0], [], [1] * 40, [2**31, 2**31, 2**31]]


def headers(whole: bytes) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """An array's own header (zarr's) with absurd values, written by the library that reads it."""
    for field in FIELDS:
        values = [*CLAIMS, *(value for value in VALUES if not isinstance(value, bytes))]
        for number, value in enumerate(values):
            try:
                json.dumps(value).encode()
            except (ValueError, RecursionError, UnicodeEncodeError):
                continue
            yield f"{field} is value {number}", functools.partial(_headed, {field: value})
    for shape in CLAIMS:
        yield f"shape and chunks are {shape}", functools.partial(_headed, {"shape": shape, "chunks": shape})
    for share in range(1, 40):
        yield f"cut at {share}/40", functools.partial(_put, whole[: len(whole) * share // 40])


def _put(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _headed(changes: dict, path: Path) -> None:
    import tensorstore

    state = next(parent for parent in path.parents if parent.name == "state")
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{state}/"}).result()
    key = next(key for key in store.list().result() if key.endswith(b".zarray"))
    header = json.loads(store[key])
    store[key] = json.dumps({**header, **changes}).encode()


def numbers(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Every byte, and every place where a length may stand, with absurd numbers and a checksum that fits."""
    absurd = [b"\x00", b"\x7f", b"\xff", b"\xff" * 9 + b"\x01", struct.pack("<Q", 2**62), b"\x80" * 20]
    step = max(1, len(whole) // 80)
    for place in range(4, len(whole) - 4, step):
        for number, value in enumerate(absurd):
            yield f"number {number} at {place}", _sealed(whole[:place] + value + whole[place + len(value) : -4])
    for length in range(0, len(whole), step):
        yield f"cut at {length}", whole[:length]
        yield f"cut at {length} and sealed", _sealed(whole[:length])


def _sealed(body: bytes) -> bytes:
    """With its length in its head, and the CRC-32C at its end, as OCDBT has them."""
    if len(body) >= 12:
        body = body[:4] + struct.pack("<Q", len(body) + 4) + body[12:]
    return body + struct.pack("<I", _crc32c(body))


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
