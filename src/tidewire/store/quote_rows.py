"""How a quote and its changes lie in their tables. It must not know transactions, or who asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from tidewire.store.quote_records import Change, FieldState, Quote, QuoteIndex


def quote_of(row: Row[Any]) -> Quote:
    """Return the quote of a row of ``quotes``."""
    return Quote(
        id=row.id,
        status=row.status,
        version=row.version,
        fields={name: FieldState(**state) for name, state in row.fields.items()},
        premium=row.premium,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
    )


def change_of(row: Row[Any]) -> Change:
    """Return the change of a row of ``quote_changes``."""
    return Change(
        version=row.version,
        field=row.field,
        revision=row.revision,
        before=row.before,
        after=row.after,
        at=row.at,
        actor_id=row.actor_id,
        actor=row.actor,
        op_id=row.op_id,
        connection=row.connection,
        reason=row.reason,
    )


def columns_of(quote: Quote, index: QuoteIndex) -> dict[str, Any]:
    """Return the columns of a quote's row, without its number."""
    return {
        "status": quote.status,
        "version": quote.version,
        "fields": {name: _plain(state) for name, state in quote.fields.items()},
        "premium": None if quote.premium is None else dict(quote.premium),
        "state": index.state,
        "product": index.product,
        "customer": index.customer,
        "search": index.search,
        "created_at": quote.created_at,
        "created_by": quote.created_by,
        "updated_at": quote.updated_at,
        "expires_at": quote.expires_at,
    }


def rows_of(quote_id: str, changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Return the rows of a quote's changes, without their numbers."""
    return [
        {
            "quote_id": quote_id,
            "version": change.version,
            "field": change.field,
            "revision": change.revision,
            "before": change.before,
            "after": change.after,
            "at": change.at,
            "actor_id": change.actor_id,
            "actor": change.actor,
            "op_id": change.op_id,
            "connection": change.connection,
            "reason": change.reason,
        }
        for change in changes
    ]


def _plain(state: FieldState) -> dict[str, Any]:
    # Not dataclasses.asdict, which copies every value of every field with every edit.
    return {
        "value": state.value,
        "revision": state.revision,
        "version": state.version,
        "by": state.by,
        "at": state.at,
    }
