"""What somebody shows to say who they are. Pure; it must not know how it is checked."""

from __future__ import annotations

from typing import Literal

import msgspec


class Credential(msgspec.Struct, frozen=True):
    """The session cookie's value, a bearer token, ``?token=``, or a token in a message. The secret is never shown."""

    kind: Literal["cookie", "bearer", "query", "message"]
    secret: str

    def __repr__(self) -> str:
        return f"Credential(kind={self.kind!r})"
