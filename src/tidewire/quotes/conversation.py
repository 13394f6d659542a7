"""The quotes' messages on the socket: subscribe, edit, focus. It must not know SQL, HTTP or how rooms work inside.

A client is let into the room before the quote is read, and nothing is published before it is stored: so the state
together with the updates behind it is complete. Source: docs/quotes.md; docs/decisions/0016.
"""

from __future__ import annotations

from datetime import date

import msgspec
import structlog

from tidewire.accounts.grants import Address
from tidewire.accounts.model import Principal
from tidewire.core.clock import Clock
from tidewire.core.errors import InvalidRequest, NotFound, RequestError, StoreError, Unavailable
from tidewire.hub.command import Answer, Command
from tidewire.hub.hub import Hub
from tidewire.hub.session import Session
from tidewire.quotes.attention import Attention
from tidewire.quotes.desk import Desk
from tidewire.quotes.editing import Author, Edit, day_of
from tidewire.quotes.model import FIELDS, read_fields
from tidewire.quotes.rules import EDIT, PREFIX, VIEW, audience_of, require, rights_of, room_of
from tidewire.quotes.wire import EditDone, FieldEdit, FieldFocus, QuoteSubscribe, document_of, state_of, version_of
from tidewire.store.quote_records import Outcome, Quote

_log = structlog.get_logger(__name__)

# Versions of one quote that other nodes publish at the same time may come in another order; more never do.
LOOK_BACK = 16
# A quote that changes faster than it can be read, so many times in a row, is not edited by people.
ATTEMPTS = 8


class Conversation:
    """The handlers; ``commands`` is their table."""

    def __init__(self, desk: Desk, attention: Attention, hub: Hub, clock: Clock) -> None:
        self._desk = desk
        self._attention = attention
        self._hub = hub
        self._clock = clock
        hub.features.on_moved(self._moved)
        self.states = 0
        self.read_again = 0

    def commands(self) -> list[Command]:
        """Return the table."""
        return [
            Command(QuoteSubscribe, self.subscribe),
            Command(FieldEdit, self.edit),
            Command(FieldFocus, self.focus),
        ]

    def statistics(self) -> dict[str, int]:
        """Return counters since start."""
        return {"states": self.states, "states_read_again": self.read_again}

    def subscribe(self, session: Session, message: QuoteSubscribe) -> Answer:
        """Enter the room, then send the present state."""
        require(session.principal, VIEW)
        return self._subscribe(session, message.quote_id, room_of(message.quote_id))

    def edit(self, session: Session, message: FieldEdit) -> Answer:
        """Change one field; everybody in the room is told, the author too."""
        principal = require(session.principal, EDIT)
        room_of(message.quote_id)
        values = read_fields({message.field: message.value}, self._today())
        edit = Edit(message.field, values[message.field], message.base_revision)
        author = Author(principal.user_id, principal.username, session.connection_id)
        return self._edit(message.quote_id, edit, author, message.op_id)

    def focus(self, session: Session, message: FieldFocus) -> Answer:
        """Note which field has the focus; only inside the room, and only of those who may edit."""
        require(session.principal, EDIT)
        room_id = room_of(message.quote_id)
        if message.field is not None and message.field not in FIELDS:
            raise InvalidRequest(
                "There is no such field.",
                required_action="Use a field of GET /api/v1/quotes/fields, or null.",
                will_not="Tidewire will not show a focus that nobody can see.",
            )
        if not self._hub.features.inside(session, room_id):
            raise NotFound(
                "You are not in that quote.",
                required_action="Send quote_subscribe first.",
                will_not="Tidewire will not tell others that you are there.",
            )
        self._attention.say(session, message.quote_id, message.field, typing=message.typing)
        return b""

    async def _subscribe(self, session: Session, quote_id: str, room_id: str) -> bytes:
        features = self._hub.features
        await features.enter(session, room_id, presence=True)
        try:
            await self._send_state(session, quote_id)
        except (RequestError, StoreError) as error:
            # Without its state a client could make nothing of the room's messages.
            features.leave(session, room_id, "state_unavailable", error.message)
            raise
        return b""

    async def _send_state(self, session: Session, quote_id: str) -> None:
        """Send the state; it is never older than an update that the connection has got before."""
        features, room_id = self._hub.features, PREFIX + quote_id
        for _ in range(ATTEMPTS):
            quote = await self._desk.quotes.get(quote_id)
            # No await from here on: what is published meanwhile comes after the state.
            if not features.inside(session, room_id):
                return
            if self._newest(session, room_id) <= quote.version:
                features.send(session, self._state(session, quote))
                self.states += 1
                return
            self.read_again += 1
        raise Unavailable(
            "The quote changes faster than it can be read.",
            required_action="Try again in a moment.",
            will_not="Tidewire will not show a state that is older than what you have seen.",
            code="storage_busy",
        )

    def _newest(self, session: Session, room_id: str) -> int:
        """Return the highest version that has come into the room here."""
        messages = self._hub.history(room_id, LOOK_BACK, audience_of(session.principal))
        return max(map(version_of, messages), default=0)

    def _state(self, session: Session, quote: Quote) -> bytes:
        premium, may_edit = rights_of(session.principal)
        now = self._clock.time()
        document = document_of(quote, premium=premium, may_edit=may_edit, now=now)
        return state_of(
            document,
            timestamp=now,
            place=self._hub.features.epoch_and_offset(PREFIX + quote.id),
            editors=self._attention.editors(quote.id),
        )

    async def _edit(self, quote_id: str, edit: Edit, author: Author, op_id: str) -> bytes:
        outcome = await self._desk.edit(quote_id, [edit], author, op_id)
        return msgspec.json.encode(_done(outcome, edit))

    def _moved(self, session: Session, address: Address, before: Principal | None) -> None:
        """A member may see or edit more or less from now on: what it has is replaced."""
        if address.family == "quote" and rights_of(session.principal) != rights_of(before):
            self._hub.features.spawn(self._send_anew(session, address.key), "quote-state-anew")

    async def _send_anew(self, session: Session, quote_id: str) -> None:
        try:
            await self._send_state(session, quote_id)
        except (RequestError, StoreError) as error:
            _log.warning("quote_state_unsent", quote_id=quote_id, **error.describe())
            self._hub.features.leave(session, PREFIX + quote_id, "state_unavailable", error.message)

    def _today(self) -> date:
        return day_of(self._clock.time())


def _done(outcome: Outcome, edit: Edit) -> EditDone:
    made = next((change for change in outcome.changes if change.field == edit.field), None)
    quote = outcome.quote
    return EditDone(
        quote_id=quote.id,
        field=edit.field,
        value=edit.value,
        revision=quote.revision(edit.field) if made is None else made.revision,
        version=quote.version if made is None else made.version,
        repeated=outcome.repeated,
    )
