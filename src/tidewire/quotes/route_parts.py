"""What the quotes' routes have in common: their key, and what OpenAPI says of them. It must not know what they do."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header

from tidewire.core.protocol import MAX_ID_CHARS

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_ID_CHARS,
        description="The same request with the same key is done once; another one with it is refused with 409.",
    ),
]
_PROBLEM = {"application/problem+json": {"schema": {"type": "object"}}}
_WORDS = {
    400: "Not understood, or fields that cannot be (`invalid_fields`, with `errors`).",
    401: "Not logged in.",
    403: "Without the permission.",
    404: "There is no such quote.",
    409: "A `conflict`, a final quote, or an Idempotency-Key that was used for another request (`op_id_reused`).",
    412: "The quote has another version than If-Match says; `details.version` is the present one.",
    428: "If-Match is missing.",
    429: "Too many writes of this user: `Retry-After` says when the next one is taken. Nothing was done.",
    503: "The database cannot be asked now, or too many calculations run; `Retry-After` says when to try again.",
}


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the failures of a route: those of every write, and ``codes``."""
    told = sorted({400, 401, 403, 409, 429, 503, *codes})
    return {code: {"description": _WORDS[code], "content": _PROBLEM} for code in told}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


FIELDS_BODY = _body(
    {
        "type": "object",
        "required": ["fields"],
        "properties": {"fields": {"type": "object", "example": {"customer_name": "Ada Lovelace", "state": "CA"}}},
    }
)
UNDO_BODY = _body(
    {"type": "object", "required": ["version"], "properties": {"version": {"type": "integer", "minimum": 1}}}
)
