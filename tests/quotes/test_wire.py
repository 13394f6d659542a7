"""The quotes' messages, and the document that promises them."""

from __future__ import annotations

import json
import re
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidewire.quotes import wire

SECTION = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8").split("\n## Quotes\n", 1)[1]
TO_SERVER, FROM_SERVER = SECTION.split("\n## ", 1)[0].split("\nFrom the server.", 1)


def _examples(text: str) -> list[str]:
    return re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)


def _union(kinds: tuple[type[msgspec.Struct], ...]) -> Any:
    return reduce(or_, kinds)


@pytest.mark.parametrize("example", _examples(FROM_SERVER))
def test_every_server_example_is_what_its_struct_encodes(example: str) -> None:
    """A documented message decodes into its struct and encodes to the same object again."""
    message = msgspec.json.decode(example, type=_union(wire.SERVER_TYPES))
    assert json.loads(msgspec.json.encode(message)) == json.loads(example)


@pytest.mark.parametrize("example", _examples(TO_SERVER))
def test_every_client_example_is_understood(example: str) -> None:
    """A documented client message decodes into its struct, with every documented field known to it."""
    message = msgspec.json.decode(example, type=_union(wire.CLIENT_TYPES))
    assert set(json.loads(example)) - {"type"} <= set(type(message).__struct_fields__)


def test_every_message_has_an_example() -> None:
    """No message exists that the document does not show."""
    for text, kinds in ((TO_SERVER, wire.CLIENT_TYPES), (FROM_SERVER, wire.SERVER_TYPES)):
        assert {json.loads(e)["type"] for e in _examples(text)} == {str(k.__struct_config__.tag) for k in kinds}
