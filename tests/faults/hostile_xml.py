"""MJCFs made to do harm: absurd attributes, and few bytes that stand for very much."""

from __future__ import annotations

from collections.abc import Iterator

WORLD = "<worldbody>"
BODY = "<body name='b'><geom size='1'/></body>"
NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "1e300",
    "-1",
    "0",
    "1e999",
    "9" * 400,
    "",
    "x",
    "0 0 0 0",
    "1 2 3 4 5 6 7 8 9",
    "&#27;[31m",
    "\u202e",
    "%n",
    "x" * 100_000,
    "1e-300",
    "1e39",
    "-1e39",
    "true",
    "0x7fffffff",
    "2147483648",
    "../../etc/passwd",
    "1,2,3",
    "nan nan nan",
    "0 0 0",
    "inf 0 0",
]
ATTRIBUTES = (
    ("body", "pos"),
    ("body", "name"),
    ("inertial", "mass"),
    ("inertial", "diaginertia"),
    ("joint", "range"),
    ("joint", "axis"),
    ("joint", "armature"),
    ("geom", "size"),
    ("geom", "pos"),
    ("geom", "type"),
    ("geom", "quat"),
    ("joint", "name"),
    ("position", "kp"),
    ("position", "joint"),
    ("option", "timestep"),
)
INSIDE = {
    "replicate 10^9": f"<replicate count='1000000000' offset='1 0 0'>{BODY}</replicate>",
    "replicate in replicate": "<replicate count='1000'>" * 5 + BODY + "</replicate>" * 5,
    "replicate -1": f"<replicate count='-1'>{BODY}</replicate>",
    "composite": "<composite type='cable' count='100000000 1 1' size='1'/>",
    "flexcomp": "<flexcomp type='grid' count='2000 2000 2000' spacing='1 1 1' name='f'/>",
    "deep bodies": "<body>" * 20_000 + "</body>" * 20_000,
    "frames": "<frame>" * 100_000,
    "100,000 geoms": "<geom size='1'/>" * 100_000,
}
BEFORE = {
    "a texture of 10^10 texels": "<asset><texture name='t' type='2d' builtin='flat' width='100000' height='100000'/></asset>",
    "a height field of 10^10": "<asset><hfield name='h' nrow='100000' ncol='100000' size='1 1 1 1'/></asset>",
    "memory": "<size memory='900G'/>",
    "includes itself": "<include file='robot.xml'/>",
    "includes a device": "<include file='/dev/zero'/>",
    "a mesh from a device": "<asset><mesh name='m' file='/dev/zero'/></asset>",
    "nuserdata": "<size nuserdata='2000000000'/>",
    "njmax": "<size njmax='2000000000' nconmax='2000000000'/>",
    "a plugin": "<extension><plugin plugin='nothing'/></extension>",
    "keyframes": "<keyframe>" + "<key/>" * 100_000 + "</keyframe>",
}


def xml(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """(what it is, the file's bytes)."""
    text = whole.decode()
    for tag, name in ATTRIBUTES:
        for value in NUMBERS:
            begin = text.find(f"<{tag} ")
            if begin >= 0:
                yield (
                    f"{tag} {name} is {value[:20]!r}",
                    (
                        text[: begin + len(tag) + 2]
                        + f'{name}="{value}" '
                        + _without(text[begin + len(tag) + 2 :], name)
                    ).encode(),
                )
    for name, inside in INSIDE.items():
        yield name, text.replace(WORLD, WORLD + inside, 1).encode()
    for name, head in BEFORE.items():
        yield name, text.replace(WORLD, head + WORLD, 1).encode()
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    yield (
        "entities",
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>'.encode() + whole.replace(b"<worldbody>", b"<worldbody>&l11;", 1),
    )
    yield "an outer entity", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + whole


def _without(text: str, name: str) -> str:
    """The first element's text without its attribute of that name."""
    end = text.find(">")
    head, at = text[:end], text[:end].find(f'{name}="')
    return text if at < 0 else head[:at] + head[head.find('"', at + len(name) + 2) + 1 :] + text[end:]
