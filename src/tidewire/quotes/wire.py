"""The quotes' messages and HTTP documents as structs, and how a quote and its changes become them. Pure.

Whatever shows a premium asks for ``premium`` or makes one body per audience here, and nowhere else. It must not know
rooms, sockets or who asks. ``docs/protocol.md`` has an example of each message, ``docs/quotes.md`` of each document.
Source: contract.md section 5, features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tidewire.core.protocol import MAX_ID_CHARS, Epoch, MessageId, Offset, RoomId
from tidewire.quotes.calculation_wire import CalculationProgress
from tidewire.quotes.editing import PREMIUM, STATUS, editable
from tidewire.quotes.model import FIELDS, FieldSpec, Premium, missing_for_rating, premium_of
from tidewire.quotes.rules import PLAIN, PREFIX, WITH_PREMIUM
from tidewire.store.quote_records import Change, Quote

QuoteId = Annotated[str, msgspec.Meta(min_length=36, max_length=36)]
FieldName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
OpId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
Revision = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Version = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
WITHHELD = {"withheld": True}

# ---- client to server ------------------------------------------------------------------------------------------------


class _Client(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what a client sends. Unknown fields are ignored."""

    id: MessageId | None = None


class QuoteSubscribe(_Client, frozen=True, kw_only=True, tag="quote_subscribe"):
    """Enter a quote's room and get its present state."""

    quote_id: QuoteId


class FieldEdit(_Client, frozen=True, kw_only=True, tag="field_edit"):
    """Change one field.

    Attributes:
        base_revision: The field's revision that the person saw.
        op_id: The client's own name for the edit; sent again with the same one, it is done once.
    """

    quote_id: QuoteId
    field: FieldName
    base_revision: Revision
    value: msgspec.Raw
    op_id: OpId


class FieldFocus(_Client, frozen=True, kw_only=True, tag="field_focus"):
    """Say which field has the focus (null: none), and whether somebody types in it. Volatile."""

    quote_id: QuoteId
    field: FieldName | None = None
    typing: bool = False


CLIENT_TYPES: tuple[type[msgspec.Struct], ...] = (QuoteSubscribe, FieldEdit, FieldFocus)

# ---- documents -------------------------------------------------------------------------------------------------------


class FieldView(msgspec.Struct, frozen=True):
    """One field as it is now; ``by`` and ``at`` are null if it was never set."""

    value: Any
    revision: int
    by: str | None
    at: float | None


class QuoteView(msgspec.Struct, frozen=True, kw_only=True):
    """A quote without its fields; ``premium`` is absent for those who may not see it."""

    id: str
    status: str
    version: int
    created_at: float
    created_by: str
    updated_at: float
    expires_at: float | None
    premium: Premium | msgspec.UnsetType | None = msgspec.UNSET


class QuoteDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A quote as HTTP shows it."""

    quote_id: str
    version: int
    quote: QuoteView
    fields: dict[str, FieldView]
    missing: list[str]
    editable: bool


class QuoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """A quote as the list shows it."""

    id: str
    status: str
    version: int
    customer_name: Any
    state: Any
    product: Any
    vehicle: str
    driver_name: Any
    created_by: str
    updated_at: float
    expires_at: float | None
    premium_amount: str | msgspec.UnsetType | None = msgspec.UNSET


class FieldDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What a form must know of a field; see ``model.FieldSpec``."""

    name: str
    kind: str
    label: str
    group: str
    low: int
    high: int
    allowed: tuple[str, ...]
    required: bool
    rated: bool
    needed: bool


class EditDone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a ``field_edit``; ``repeated``: it had been done already."""

    quote_id: str
    field: str
    value: Any
    revision: int
    version: int
    repeated: bool


# ---- server to client ------------------------------------------------------------------------------------------------


class Editor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's connection that has the focus in a field."""

    connection_id: str
    user_id: int
    username: str
    field: str | None
    typing: bool


class QuoteState(QuoteDocument, frozen=True, kw_only=True, tag_field="type", tag="quote_state"):
    """A quote as it is now, with the room's place at that moment; it replaces what you have of it."""

    room_id: RoomId
    timestamp: float
    epoch: Epoch | None
    offset: Offset | None
    editors: list[Editor]


class FieldUpdateBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a room's ``field_update`` says."""

    quote_id: str
    field: str
    value: Any
    revision: int
    version: int
    updated_by: str
    updated_at: float
    op_id: str | None


class FieldUpdate(FieldUpdateBody, frozen=True, kw_only=True, tag_field="type", tag="field_update"):
    """A field has been changed, by anybody."""

    room_id: RoomId
    timestamp: float
    epoch: Epoch
    offset: Offset


class QuoteUpdateBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a room's ``quote_update`` says."""

    quote_id: str
    update_type: Literal["status", "premium"]
    version: int
    updated_by: str
    updated_at: float
    data: dict[str, Any]


class QuoteUpdate(QuoteUpdateBody, frozen=True, kw_only=True, tag_field="type", tag="quote_update"):
    """The status or the premium has been changed; a premium is withheld from those who may not see it."""

    room_id: RoomId
    timestamp: float
    epoch: Epoch
    offset: Offset


class FocusBody(Editor, frozen=True, kw_only=True):
    """What a room's ``field_focus`` says."""

    quote_id: str


class FocusUpdate(FocusBody, frozen=True, kw_only=True, tag_field="type", tag="field_focus"):
    """Somebody has entered or left a field, or types. Volatile."""

    room_id: RoomId
    timestamp: float


class QuotesChanged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="quotes_changed"):
    """A quote has been made or changed, or one's own permissions: lists ask again. Volatile."""

    room_id: RoomId
    timestamp: float
    reason: Literal["quotes", "permissions"]


SERVER_TYPES: tuple[type[msgspec.Struct], ...] = (
    QuoteState,
    FieldUpdate,
    QuoteUpdate,
    FocusUpdate,
    QuotesChanged,
    CalculationProgress,
)

# ---- making them -----------------------------------------------------------------------------------------------------

_NEVER = FieldView(None, 0, None, None)


def document_of(quote: Quote, *, premium: bool, may_edit: bool, now: float) -> QuoteDocument:
    """Return a quote as somebody may see it."""
    return QuoteDocument(
        quote_id=quote.id,
        version=quote.version,
        quote=_view(quote, premium),
        fields=_fields(quote),
        missing=missing_for_rating(quote),
        editable=may_edit and editable(quote, now),
    )


def state_of(
    document: QuoteDocument, *, timestamp: float, place: tuple[str, int] | None, editors: list[Editor]
) -> bytes:
    """Return the encoded ``quote_state``."""
    epoch, offset = place or (None, None)
    return msgspec.json.encode(
        QuoteState(
            room_id=PREFIX + document.quote_id,
            timestamp=timestamp,
            epoch=epoch,
            offset=offset,
            editors=editors,
            **{name: getattr(document, name) for name in QuoteDocument.__struct_fields__},
        )
    )


def row_of(quote: Quote, *, premium: bool) -> QuoteRow:
    """Return a quote as a row of the list."""
    known = premium_of(quote) if premium else None
    parts = (quote.value("vehicle_year"), quote.value("vehicle_make"), quote.value("vehicle_model"))
    return QuoteRow(
        id=quote.id,
        status=quote.status,
        version=quote.version,
        customer_name=quote.value("customer_name"),
        state=quote.value("state"),
        product=quote.value("product"),
        vehicle=" ".join(str(part) for part in parts if part is not None),
        driver_name=quote.value("driver_name"),
        created_by=quote.created_by,
        updated_at=quote.updated_at,
        expires_at=quote.expires_at,
        premium_amount=msgspec.UNSET if not premium else None if known is None else known.amount,
    )


def update_of(quote: Quote, change: Change) -> tuple[str, bytes | Mapping[str, bytes]]:
    """Return the type of a change's message in the room, and its body: one for all, or one per audience."""
    if change.field == PREMIUM:
        return "quote_update", {
            WITH_PREMIUM: _quote_update(quote, change, "premium", {"premium": change.after}),
            PLAIN: _quote_update(quote, change, "premium", WITHHELD),
        }
    if change.field == STATUS:
        data = {"status": change.after, "reason": change.reason, "expires_at": quote.expires_at}
        return "quote_update", _quote_update(quote, change, "status", data)
    body = FieldUpdateBody(
        quote_id=quote.id,
        field=change.field,
        value=change.after,
        revision=change.revision,
        version=change.version,
        updated_by=change.actor,
        updated_at=change.at,
        op_id=change.op_id,
    )
    return "field_update", msgspec.json.encode(body)


def description_of(spec: FieldSpec) -> FieldDescription:
    """Return what a form must know of a field."""
    return FieldDescription(**{name: getattr(spec, name) for name in FieldDescription.__struct_fields__})


class _Versioned(msgspec.Struct, frozen=True):
    version: int = 0


_version = msgspec.json.Decoder(_Versioned).decode


def version_of(message: bytes) -> int:
    """Return the version that a room's message has; 0 if it has none."""
    return _version(message).version


def _quote_update(quote: Quote, change: Change, kind: Literal["status", "premium"], data: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        QuoteUpdateBody(
            quote_id=quote.id,
            update_type=kind,
            version=change.version,
            updated_by=change.actor,
            updated_at=change.at,
            data=data,
        )
    )


def _view(quote: Quote, premium: bool) -> QuoteView:
    return QuoteView(
        id=quote.id,
        status=quote.status,
        version=quote.version,
        created_at=quote.created_at,
        created_by=quote.created_by,
        updated_at=quote.updated_at,
        expires_at=quote.expires_at,
        premium=premium_of(quote) if premium else msgspec.UNSET,
    )


def _fields(quote: Quote) -> dict[str, FieldView]:
    known = {name: FieldView(state.value, state.revision, state.by, state.at) for name, state in quote.fields.items()}
    return {name: known.get(name, _NEVER) for name in FIELDS}
