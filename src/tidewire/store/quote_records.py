"""A quote and its changes as the queries hand them up, without any SQL type. Pure.

What a field may contain and who may change it is in ``quotes/``. All times are Unix seconds, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidewire.core.errors import NotFound
from tidewire.store.records import JsonValue


@dataclass(frozen=True, slots=True)
class FieldState:
    """One field of a quote as it is now.

    Attributes:
        value: Money and dates as text.
        revision: How often it has been changed; 0 if never.
        version: The quote's version that the last change made.
        by: Who changed it last.
        at: When.
    """

    value: JsonValue
    revision: int
    version: int
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class Quote:
    """One quote.

    Attributes:
        version: How many changes it has had; the newest change has this version.
        fields: Those that have been set at least once.
        premium: What rating said last, as ``quotes.model.Premium`` encodes it; None while there is none.
        expires_at: When it expires if nothing happens; None if it never does.
    """

    id: str
    status: str
    version: int
    fields: Mapping[str, FieldState]
    premium: Mapping[str, JsonValue] | None
    created_at: float
    created_by: str
    updated_at: float
    expires_at: float | None

    def value(self, name: str) -> JsonValue:
        """Return a field's value; None if it has none."""
        known = self.fields.get(name)
        return None if known is None else known.value

    def revision(self, name: str) -> int:
        """Return how often a field has been changed."""
        known = self.fields.get(name)
        return 0 if known is None else known.revision


@dataclass(frozen=True, slots=True)
class Change:
    """One row of ``quote_changes``: one thing that one person changed. Never altered afterwards.

    Attributes:
        version: The quote's version after it; rises by exactly 1.
        field: A field's name, or ``status`` or ``premium``.
        revision: The field's revision after it; 0 for what has none.
        actor_id: None: the system itself.
        op_id: The author's own name for what they did; several changes that were made together share it.
        connection: Which connection it came over; ``http`` or ``system`` without one.
        reason: Why, where the system or an undo did it.
    """

    version: int
    field: str
    revision: int
    before: JsonValue
    after: JsonValue
    at: float
    actor_id: int | None
    actor: str
    op_id: str | None
    connection: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be stored: the quote as it will be, and the changes that make it so. No changes: nothing is stored."""

    quote: Quote
    changes: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was stored.

    Attributes:
        changes: Made now, or by the same operation before.
        repeated: The operation had been done already; nothing was stored this time.
    """

    quote: Quote
    changes: Sequence[Change]
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A part of time, Unix seconds: from a moment on, and before another; None: without end that way."""

    begin: float | None = None
    before: float | None = None

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return self.begin is not None or self.before is not None


@dataclass(frozen=True, slots=True)
class QuoteFilter:
    """Which quotes of the list are wanted; empty: all.

    Attributes:
        search: Words that all must be in the customer, the driver, the vehicle or the number, in any case.
        created: When it was made.
        quoted, bound: It became that, at least once, in this time, whatever it is now.
    """

    search: str = ""
    statuses: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    created: Span = Span()
    quoted: Span = Span()
    bound: Span = Span()


@dataclass(frozen=True, slots=True)
class QuotePage:
    """A part of the list, newest change first.

    Attributes:
        after: Where the next part begins: (updated_at, id) of the last one; None at the end.
    """

    quotes: Sequence[Quote]
    after: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class QuoteIndex:
    """What the list is searched and filtered by; the features say what of a quote it is."""

    state: str
    product: str
    customer: str
    search: str = field(default="")


def unknown_quote(quote_id: str) -> NotFound:
    """Return why nothing can be read or done."""
    return NotFound(
        f"There is no quote {quote_id}.",
        required_action="Take one from the list of quotes.",
        will_not="Tidewire will not guess which quote was meant.",
    )
