"""Writes what the TypeScript client knows of the message structs: types, and shapes to check by at run time.

``python -m tests.support.wire_types`` renews the files; a test fails while one is out of date.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from msgspec import inspect

from tidewire.core import protocol
from tidewire.core.close_code import CLOSE_CODES

CLIENT = Path(__file__).resolve().parents[2] / "frontend" / "src" / "client"
TYPES_HEAD = """/**
 * The hub's messages as TypeScript types. Generated from src/tidewire/core/protocol.py; renew with
 * `python -m tests.support.wire_types`. It must not be edited by hand.
 */

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
"""
SHAPES_HEAD = """/**
 * What the hub's messages must be, to check them by, and what its close codes mean. Generated from
 * src/tidewire/core/protocol.py and close_code.py; renew with `python -m tests.support.wire_types`. It must not be
 * edited by hand.
 */

/** What a value must be; `optional` may also be absent or null. */
export type Shape =
  | { kind: "string" | "number" | "integer" | "boolean" | "json" }
  | { kind: "word"; words: readonly string[] }
  | { kind: "list"; of: Shape }
  | { kind: "object"; fields: Readonly<Record<string, Shape>>; optional: readonly string[] };
"""


def types() -> str:
    """Return the text of the file of types."""
    structs: dict[type, str] = {}
    for struct in [*get_args(protocol.ServerMessage), *protocol.CLIENT_TYPES]:
        _interface(struct, structs)
    return "\n".join([TYPES_HEAD, *structs.values()])


def shapes() -> str:
    """Return the text of the file of shapes."""
    parts = [SHAPES_HEAD]
    for struct in get_args(protocol.ServerMessage):
        name = struct.__name__
        const = "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()
        shape = json.dumps(_shape(inspect.type_info(struct)), indent=2)
        parts.append(f"export const {const}_SHAPE: Shape = {shape};\n")
    names = {str(code): entry.name for code, entry in CLOSE_CODES.items()}
    meanings = {entry.name: [entry.meaning, entry.action] for entry in CLOSE_CODES.values()}
    parts.append(
        "/** Close code to its name. */\n"
        f"export const CLOSE_NAMES: Readonly<Record<number, string>> = {json.dumps(names)};\n"
    )
    parts.append(
        "/** Name of a close code: what happened, what to do. */\n"
        f"export const CLOSE_SENTENCES: Readonly<Record<string, readonly [string, string]>> = {json.dumps(meanings)};\n"
    )
    return "\n".join(parts)


FILES: dict[Path, Callable[[], str]] = {CLIENT / "wire.ts": types, CLIENT / "wire-shapes.ts": shapes}


def _interface(struct: type, done: dict[type, str]) -> None:
    if struct in done:
        return
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    done[struct] = ""
    lines = []
    if info.tag is not None:
        lines.append(f"  type: {json.dumps(info.tag)};")
    for field in info.fields:
        for nested in _structs(field.type):
            _interface(nested, done)
        optional = not field.required
        lines.append(f"  {field.encode_name}{'?' if optional else ''}: {_type(field.type)};")
    text = (struct.__doc__ or "").strip().split("\n")[0]
    done[struct] = f"/** {text} */\nexport interface {_name(struct)} {{\n" + "\n".join(lines) + "\n}\n"


def _name(struct: type) -> str:
    # `Error` is a class of the language.
    return {"Error": "ErrorMessage"}.get(struct.__name__, struct.__name__)


def _structs(kind: inspect.Type) -> list[type]:
    if isinstance(kind, inspect.StructType):
        return [kind.cls]
    if isinstance(kind, inspect.UnionType):
        return [found for part in kind.types for found in _structs(part)]
    return _structs(kind.item_type) if isinstance(kind, inspect.ListType) else []


def _type(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        return _type(kind.type)
    if isinstance(kind, inspect.UnionType):
        return " | ".join(dict.fromkeys(_type(part) for part in kind.types))
    if isinstance(kind, inspect.LiteralType):
        return " | ".join(json.dumps(value) for value in sorted(kind.values))
    if isinstance(kind, inspect.ListType):
        return f"{_type(kind.item_type)}[]"
    if isinstance(kind, inspect.StructType):
        return _name(kind.cls)
    names: dict[type, str] = {
        inspect.StrType: "string",
        inspect.IntType: "number",
        inspect.FloatType: "number",
        inspect.BoolType: "boolean",
        inspect.NoneType: "null",
        inspect.RawType: "Json",
        inspect.DictType: "{ [name: string]: Json }",
    }
    return names[type(kind)]


def _shape(kind: inspect.Type) -> dict[str, Any]:
    if isinstance(kind, inspect.UnionType):
        parts = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
        # A message id is a string or a number; the client looks at it itself.
        return _shape(parts[0]) if len(parts) == 1 else {"kind": "json"}
    if isinstance(kind, inspect.LiteralType):
        return {"kind": "word", "words": sorted(kind.values)}
    if isinstance(kind, inspect.ListType):
        return {"kind": "list", "of": _shape(kind.item_type)}
    if isinstance(kind, inspect.StructType):
        optional = [field.encode_name for field in kind.fields if _nullable(field)]
        return {
            "kind": "object",
            "fields": {field.encode_name: _shape(field.type) for field in kind.fields},
            "optional": optional,
        }
    names: dict[type, str] = {
        inspect.StrType: "string",
        inspect.IntType: "integer",
        inspect.FloatType: "number",
        inspect.BoolType: "boolean",
        inspect.RawType: "json",
        inspect.DictType: "json",
    }
    return {"kind": names[type(kind)]}


def _nullable(field: inspect.Field) -> bool:
    return not field.required


if __name__ == "__main__":
    for path, text in FILES.items():
        path.write_text(text())
