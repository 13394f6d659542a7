"""Finds the line of every key of a TOML file that has one key per line, and keys that are written twice. Pure.

The standard library's parser keeps no positions, and until Python 3.14 gives none for a repeated key; a library that
keeps them would be one more dependency, for a few error messages. This one only looks where keys begin; whether the
text is TOML at all, ``tomllib`` says. Keys inside ``{...}`` have the line of what they stand in.
Source: TOML 1.0.0, "Keys", "Table", "Array of Tables", "String"; github.com/python/cpython issue 115516.
It must not know what the keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER = re.compile(rf"[ \t]*(?P<open>\[\[?)[ \t]*(?P<key>{_DOTTED})[ \t]*\]")
_ENTRY = re.compile(rf"[ \t]*(?P<key>{_DOTTED})[ \t]*=")
_PART = re.compile(_KEY)
# What can begin, end or hide a bracket: strings (long ones first), comments, brackets.
_TOKEN = re.compile(r'"""|\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[{]|[\]}]')


@dataclass(slots=True)
class Places:
    """Where keys are.

    Attributes:
        lines: Path of a table or key -> its line, from 1; the first one where it is written twice.
        implied: Path of a table that has no header of its own -> the line of the first thing in it.
        repeated: Every key or table that was there already: (its path, its line, the line of the first).
    """

    lines: dict[Path, int] = field(default_factory=dict)
    implied: dict[Path, int] = field(default_factory=dict)
    repeated: list[tuple[Path, int, int]] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """Return the line of a path, or of the nearest thing that it stands in; 1 if there is none."""
        while path:
            if line := self.lines.get(path) or self.implied.get(path):
                return line
            path = path[:-1]
        return 1


def places_of(text: str) -> Places:
    """Return where the keys of a text are; a text that is not TOML gives places too, as far as they can be told."""
    found, counts = Places(), dict[Path, int]()
    table: Path = ()
    for number, line in _starting_lines(text):
        if header := _HEADER.match(line):
            table = _parts(header["key"])
            if header["open"] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            _note(found, table, number)
        elif entry := _ENTRY.match(line):
            _note(found, (*table, *_parts(entry["key"])), number)
    return found


def _note(found: Places, path: Path, line: int) -> None:
    for length in range(1, len(path)):
        found.implied.setdefault(path[:length], line)
    if path in found.lines:
        found.repeated.append((path, line, found.lines[path]))
    else:
        found.lines[path] = line


def _parts(dotted: str) -> Path:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in _PART.findall(dotted))


def _starting_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines, numbered from 1, that do not begin inside a value."""
    depth, long = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if not depth and not long:
            yield number, line
        # A header's brackets are closed on their line.
        depth, long = _after(line, depth, long)


def _after(line: str, depth: int, long: str) -> tuple[int, str]:
    """Return how many brackets are open after a line, and which long string, if any."""
    at = 0
    while True:
        if long:
            end = line.find(long, at)
            if end < 0:
                return depth, long
            at, long = end + 3, ""
        token = _TOKEN.search(line, at)
        if token is None:
            return depth, ""
        at = token.end()
        if token[0] in {'"""', "'''"}:
            long = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth = max(0, depth - 1)
