"""The files behind an MJCF, looked at before MuJoCo builds anything: how much they would build, and which they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from mimicjax import limits
from mimicjax.errors import UserError, reason
from mimicjax.files import is_file

CELLS = {"texture": ("width", "height"), "hfield": ("nrow", "ncol")}
FOLDERS = ("meshdir", "texturedir", "assetdir")


def check(xml: Path) -> None:
    """Raises UserError for an MJCF that would build more than limits.py allows: MuJoCo itself would go on for minutes.

    What replicate, composite and flexcomp make of an element counts as often as it is made.
    """
    count = 0.0
    for root in documents(xml).values():
        waiting = [(root, 1.0)]
        while waiting and count <= limits.XML_ELEMENTS:
            element, times = waiting.pop()
            made = math.prod(_whole(each) for each in element.get("count", "1").split())
            times *= made if element.tag in ("replicate", "composite", "flexcomp") else 1.0
            count += times
            cells = math.prod(_whole(element.get(name, "1")) for name in CELLS.get(element.tag, ()))
            if cells > limits.XML_CELLS:
                raise UserError(f"{xml}: a {element.tag} of {cells:.3g} cells; at most {limits.XML_CELLS} are built")
            waiting += [(child, times) for child in element]
    if count > limits.XML_ELEMENTS:
        raise UserError(f"{xml}: more than {limits.XML_ELEMENTS} elements, with those that it makes of others")


def files(xml: Path) -> list[Path]:
    """All files that an MJCF takes in, itself first: what it includes, meshes, textures, height fields."""
    there = documents(xml)
    found = dict.fromkeys(there)
    elements = [(path, element) for path, root in there.items() for element in root.iter()]
    folders = {element.get(name) for _, element in elements if element.tag == "compiler" for name in FOLDERS} - {None}
    for path, element in elements:
        name = element.get("file")
        if name and element.tag != "include":
            places = [path.parent / name, xml.parent / name, *(xml.parent / str(folder) / name for folder in folders)]
            found.update({place: None for place in places if is_file(place)})
    return list(found)


def documents(xml: Path) -> dict[Path, Element]:
    """An MJCF and what it includes, by path. Raises UserError for what is no XML or too large."""
    found: dict[Path, Element] = {}
    waiting, size = [xml], 0
    while waiting:
        path = waiting.pop()
        if path in found or not is_file(path):
            continue  # MuJoCo says what is missing
        size += path.stat().st_size
        if size > limits.XML_BYTES:
            raise UserError(f"{xml}: has with what it includes more than {limits.XML_BYTES} bytes")
        try:
            found[path] = ElementTree.fromstring(path.read_bytes())
        except (OSError, ElementTree.ParseError, ValueError, LookupError) as problem:
            raise UserError(f"{path}: no XML that can be read: {reason(problem)}") from None
        waiting += list(_included(found[path], xml.parent))
    return found


def _included(root: Element, folder: Path) -> Iterator[Path]:
    return (folder / name for element in root.iter("include") if (name := element.get("file")))


def _whole(text: str) -> float:
    """A count; 1 for what is none, which MuJoCo refuses."""
    try:
        number = float(text)
    except ValueError:
        return 1.0
    return number if number >= 1 else 1.0
