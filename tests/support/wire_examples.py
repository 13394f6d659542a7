"""The examples of a feature's messages in docs/protocol.md, held against the structs. It must not know any feature."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import msgspec

Struct = type[msgspec.Struct]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


def examples(heading: str) -> tuple[list[str], list[str]]:
    """Return the examples under a heading: to the server, and from it."""
    section = DOCUMENT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    to_server, from_server = section.split("\nFrom the server.", 1)
    return _json(to_server), _json(from_server)


def check_server_example(example: str, kinds: Sequence[Struct]) -> None:
    """Check that it decodes into its struct and encodes to the same object again."""
    message = msgspec.json.decode(example, type=_union(kinds))
    assert json.loads(msgspec.json.encode(message)) == json.loads(example)


def check_client_example(example: str, kinds: Sequence[Struct]) -> Any:
    """Check that it decodes into its struct, with every documented field known to it; return the message."""
    message = msgspec.json.decode(example, type=_union(kinds))
    assert set(json.loads(example)) - {"type"} <= set(type(message).__struct_fields__)
    return message


def tags(shown: Sequence[str]) -> set[str]:
    """Return the types of some examples."""
    return {json.loads(example)["type"] for example in shown}


def tags_of(kinds: Sequence[Struct]) -> set[str]:
    """Return the types of some structs."""
    return {str(kind.__struct_config__.tag) for kind in kinds}


def _json(text: str) -> list[str]:
    return re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)


def _union(kinds: Sequence[Struct]) -> Any:
    return reduce(or_, kinds)
