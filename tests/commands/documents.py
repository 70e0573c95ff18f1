"""What a markdown file shows to be typed: code blocks, and commands in the text.

`<!-- not run: why -->` on a line of its own keeps the next block, table or paragraph from being run; behind a command in
the text, that command. `... --flag` stands for the command before it in the same table with another flag.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROGRAMS = ("python", "pip", "git", "pre-commit", "ruff", "pyright", "apt-get", "tensorboard", ".ci/run")
MARK = re.compile(r"^<!-- not run: (.+) -->$")
SPAN = re.compile(r"`([^`\n]+)`(?: <!-- not run: (.+?) -->)?")
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Snippet(NamedTuple):
    """Something to run."""

    file: Path
    line: int
    kind: str  # python, yaml or shell
    text: str
    reason: str  # why it is not run; empty if it is

    @property
    def name(self) -> str:
        return f"{self.file.name}:{self.line}"


class Block(NamedTuple):
    """Neighbouring lines: a fenced block, a table or a paragraph."""

    line: int
    fence: str | None  # the language of a fenced block, None outside of one
    lines: list[str]


def blocks(text: str) -> Iterator[Block]:
    fence, start, lines = None, 1, []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.startswith("```"):
            if lines or fence is not None:
                yield Block(start, fence, lines)
            fence, start, lines = (line[3:].strip() if fence is None else None), number + 1, []
        elif fence is None and (not line.strip() or MARK.match(line)):
            if lines:
                yield Block(start, None, lines)
            start, lines = number + 1, []
            if line.strip():
                yield Block(number, None, [line])
        else:
            lines.append(line)
    assert fence is None, "a fenced block without an end"


def snippets(file: Path) -> Iterator[Snippet]:
    reason = ""
    for block in blocks(file.read_text()):
        if block.fence is None and (mark := MARK.match(block.lines[0])):
            assert not reason, f"{file.name}:{block.line}: two marks"
            reason = mark[1]
            continue
        if block.fence:
            yield Snippet(file, block.line, block.fence, "\n".join(block.lines), reason)
        else:
            rows = _typed(block) if block.fence is not None else _spans(block)
            for line, command, why in rows:
                yield Snippet(file, line, "shell", command, reason or why)
        reason = ""
    assert not reason, f"{file.name}: a mark at the end"


def _typed(block: Block) -> Iterator[tuple[int, str, str]]:
    """The commands of a fenced block without a language: all of its lines, or none."""
    commands = [(n, line) for n, line in enumerate(block.lines, start=block.line) if is_command(line)]
    assert len(commands) in (0, len(block.lines)), f"line {block.line}: some lines are commands, others are not"
    yield from ((n, line, "") for n, line in commands)


def _spans(block: Block) -> Iterator[tuple[int, str, str]]:
    """The commands in a paragraph or table."""
    before = ""
    for number, line in enumerate(block.lines, start=block.line):
        for code, why in SPAN.findall(line):
            if code.startswith("... --"):
                assert before, f"line {number}: {code} follows no command"
                yield number, before + code.removeprefix("..."), why
            elif is_command(code):
                before = code
                yield number, code, why


def is_command(text: str) -> bool:
    return text.split(" ")[0] in PROGRAMS


def commands(text: str) -> list[list[str]]:
    """The words of each command of a line; what stands behind two spaces and # is a comment."""
    typed = re.sub(r"\s+#\s.*$", "", text)
    return [shlex.split(part) for part in re.split(r"&&|;", typed)]


def links(file: Path) -> list[str]:
    """Targets of the links and pictures outside of fenced blocks, without those of the web."""
    text = "\n".join("\n".join(block.lines) for block in blocks(file.read_text()) if block.fence is None)
    return [target for target in LINK.findall(text) if "://" not in target]


def anchors(file: Path) -> set[str]:
    """What links may point to inside a file: its headings, as GitHub writes them."""
    headings = [
        line.lstrip("# ") for b in blocks(file.read_text()) if b.fence is None for line in b.lines if line[:1] == "#"
    ]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
