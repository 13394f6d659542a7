"""What somebody shows to say who they are. Pure; it must not know how it is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Credential:
    """The session cookie's value, a bearer token, ``?token=``, or a token in a message. The secret is never shown."""

    kind: Literal["cookie", "bearer", "query", "message"]
    secret: str = field(repr=False)
