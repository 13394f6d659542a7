"""A change of a quote as the history shows it. Pure; it must not know rooms, sockets or who asks."""

from __future__ import annotations

from typing import Any

import msgspec

from tidewire.quotes.editing import PREMIUM
from tidewire.quotes.model import FIELDS
from tidewire.quotes.reason import why_of
from tidewire.quotes.wire import WITHHELD
from tidewire.store.quote_records import Change


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """One change as the history shows it; a premium's content is withheld from those who may not see it.

    Attributes:
        reason, why: Why it was made, as a sentence and, for programs, as a code with what the sentence names; null if
            somebody simply made it.
    """

    version: int
    field: str
    revision: int
    before: Any
    after: Any
    at: float
    by: str
    op_id: str | None
    connection: str
    reason: str
    why: dict[str, str | int] | None
    undoable: bool


def change_view(change: Change, *, premium: bool) -> ChangeView:
    """Return a change as somebody may see it."""
    hidden = change.field == PREMIUM and not premium
    return ChangeView(
        version=change.version,
        field=change.field,
        revision=change.revision,
        before=WITHHELD if hidden else change.before,
        after=WITHHELD if hidden else change.after,
        at=change.at,
        by=change.actor,
        op_id=change.op_id,
        connection=change.connection,
        reason=change.reason,
        why=why_of(change.reason),
        undoable=change.field in FIELDS,
    )
