"""The AsyncAPI document: every message is in it, and it holds together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from tidewire.alerts import wire as alert_wire
from tidewire.analytics import wire as analytics
from tidewire.app.hub_side import MESSAGES
from tidewire.core import protocol
from tidewire.market.rules import TickMessage
from tidewire.monitoring import activity_wire
from tidewire.quotes import wire as quotes
from tidewire.vitals import wire as vitals
from tidewire.web.asyncapi import asyncapi_document, tag_of

FEATURES_CLIENT = (*quotes.CLIENT_TYPES, *analytics.CLIENT_TYPES, *vitals.CLIENT_TYPES, *activity_wire.CLIENT_TYPES)
FEATURES_SERVER = (
    *quotes.SERVER_TYPES,
    *analytics.SERVER_TYPES,
    *vitals.SERVER_TYPES,
    *activity_wire.SERVER_TYPES,
    *alert_wire.SERVER_TYPES,
)


@pytest.fixture
def document() -> dict[str, Any]:
    """The document of this build, as a program reads it."""
    client, server = MESSAGES
    made = asyncapi_document(version="1", client=client, server=server, paths=("/ws", "/ws/admin-dashboard"))
    return json.loads(json.dumps(made))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _resolve(document: dict[str, Any], reference: str) -> Any:
    value: Any = document
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        value = value[part.replace("~1", "/").replace("~0", "~")]
    return value


def test_every_message_is_in_it(document: dict[str, Any]) -> None:
    """Each struct of the protocol and of the features has a message whose schema names its type."""
    clients = (*get_args(protocol.ClientMessage), *FEATURES_CLIENT)
    servers = (*get_args(protocol.ServerMessage), TickMessage, *FEATURES_SERVER)
    wanted = {("client", tag_of(kind)) for kind in clients} | {("server", tag_of(kind)) for kind in servers}
    messages = document["components"]["messages"]
    assert {tuple(name.split("_", 1)) for name in messages} == wanted
    for message in messages.values():
        schema = _resolve(document, message["payload"]["$ref"])
        assert schema["properties"]["type"] in ({"const": message["name"]}, {"enum": [message["name"]]})
        assert message["summary"]


def test_it_has_the_structure_of_the_specification(document: dict[str, Any]) -> None:
    """The required parts of AsyncAPI 3.0.0 are there, with the members that each needs, and nothing else at the top."""
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    assert set(document) <= {
        "asyncapi",
        "id",
        "info",
        "servers",
        "defaultContentType",
        "channels",
        "operations",
        "components",
    }
    assert {channel["address"] for channel in document["channels"].values()} == {"/ws", "/ws/admin-dashboard"}
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = _resolve(document, operation["channel"]["$ref"])
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
        assert channel["messages"]
    assert len(document["operations"]) == 2 * len(document["channels"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No dangling reference, and every schema is used."""
    references = list(_references(document))
    for reference in references:
        _resolve(document, reference)
    used = {reference.rsplit("/", 1)[1] for reference in references if "/schemas/" in reference}
    assert used == set(document["components"]["schemas"])


def test_directions_are_the_servers(document: dict[str, Any]) -> None:
    """The server receives what clients send."""
    received = document["operations"]["ws_receive"]["messages"]
    assert {message["$ref"].rsplit("/", 1)[1] for message in received} == {
        f"client_{tag_of(kind)}" for kind in (*protocol.CLIENT_TYPES, *FEATURES_CLIENT)
    }
