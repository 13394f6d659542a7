"""The document that describes the hub's messages to programs, made from the structs that are sent. Pure.

AsyncAPI 3.0.0, from the server's side: it *receives* what clients send. It must not know rooms or features; ``app``
passes the features' structs.
Source: AsyncAPI specification 3.0.0, "Document structure"; contract.md section 6.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

Struct = type[msgspec.Struct]

_ABOUT = (
    "JSON text frames over one WebSocket. Subprotocol tidewire.v1: one message per frame, sequence is its first key. "
    "Subprotocol tidewire.v1.batch: the first line of a frame is the sequence of its first message, then one message "
    "per line without sequence. The schemas below leave sequence out. docs/protocol.md has examples and close codes."
)


@cache
def asyncapi_document(
    *, version: str, client: tuple[Struct, ...], server: tuple[Struct, ...], paths: tuple[str, ...]
) -> Mapping[str, Any]:
    """Return the document as plain JSON types.

    Args:
        client: Tagged structs that clients send.
        server: Tagged structs that the server sends.
        paths: Addresses at which the protocol is spoken.
    """
    described = [_describable(kind) for kind in (*client, *server)]
    _, schemas = msgspec.json.schema_components(described, ref_template="#/components/schemas/{name}")
    names = {kind: _name(kind, kind in client) for kind in (*client, *server)}
    channels = {_channel(path): _describe_channel(path, names.values()) for path in paths}
    operations: dict[str, Any] = {}
    for channel in channels:
        operations[f"{channel}_receive"] = _operation("receive", channel, [names[kind] for kind in client])
        operations[f"{channel}_send"] = _operation("send", channel, [names[kind] for kind in server])
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tidewire hub", "version": version, "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {name: _message(kind) for kind, name in names.items()},
            "schemas": schemas,
        },
    }


def tag_of(kind: Struct) -> str:
    """Return the ``type`` of a struct on the wire."""
    return str(kind.__struct_config__.tag)


def _describable(kind: Struct) -> Struct:
    """Return a struct with the same schema without defaults of raw bytes, which have no JSON form."""
    fields = msgspec.structs.fields(kind)
    if not any(isinstance(field.default, msgspec.Raw) for field in fields):
        return kind
    definitions: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in fields:
        if isinstance(field.default, msgspec.Raw):
            definitions.append((field.name, Any | msgspec.UnsetType, msgspec.UNSET))
        elif field.default is msgspec.NODEFAULT:
            definitions.append((field.name, field.type))
        else:
            definitions.append((field.name, field.type, field.default))
    config = kind.__struct_config__
    return msgspec.defstruct(
        kind.__name__,
        definitions,
        tag=config.tag,
        tag_field=config.tag_field,
        kw_only=True,
        namespace={"__doc__": kind.__doc__},
    )


def _name(kind: Struct, from_client: bool) -> str:
    # One word may go both ways with another shape.
    return f"{'client' if from_client else 'server'}_{tag_of(kind)}"


def _message(kind: Struct) -> dict[str, Any]:
    summary = inspect.cleandoc(kind.__doc__ or "").split("\n\n", 1)[0].replace("\n", " ")
    return {"name": tag_of(kind), "summary": summary, "payload": {"$ref": f"#/components/schemas/{kind.__name__}"}}


def _channel(path: str) -> str:
    return path.strip("/").replace("/", "_").replace("-", "_")


def _describe_channel(path: str, names: Iterable[str]) -> dict[str, Any]:
    return {
        "address": path,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"ws": {"method": "GET"}},
    }


def _operation(action: str, channel: str, names: Iterable[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }
