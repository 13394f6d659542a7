"""The watchers' messages, and the document that promises them."""

from __future__ import annotations

import pytest

from tests.support.wire_examples import check_client_example, check_server_example, examples, tags, tags_of
from tidewire.vitals import wire

TO_SERVER, FROM_SERVER = examples("Watching the nodes")


@pytest.mark.parametrize("example", FROM_SERVER)
def test_every_server_example_is_what_its_struct_encodes(example: str) -> None:
    """A documented message decodes into its struct and encodes to the same object again."""
    check_server_example(example, wire.SERVER_TYPES)


@pytest.mark.parametrize("example", TO_SERVER)
def test_every_client_example_is_understood(example: str) -> None:
    """A documented client message decodes into its struct, with every documented field known to it."""
    check_client_example(example, wire.CLIENT_TYPES)


def test_every_message_has_an_example() -> None:
    """No message exists that the document does not show."""
    assert (tags(TO_SERVER), tags(FROM_SERVER)) == (tags_of(wire.CLIENT_TYPES), tags_of(wire.SERVER_TYPES))
