"""Who may change what of a quote, and what follows from it: every transition of a quote is decided here. Pure.

Each function takes the quote as it is and returns what is to be stored, or raises; it runs inside the transaction and
may run again. A change compares the field's revision, so that edits of different fields never conflict. It must not
know SQL, sockets or rooms.
Source: contract.md section 5 (``field_edit``); docs/quotes.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import msgspec

from tidewire.core.errors import Conflict, InvalidRequest, PreconditionFailed
from tidewire.quotes.model import FIELDS, Premium, Status, Unfit, read_value, unfit_fields
from tidewire.quotes.reason import reason_of
from tidewire.store.quote_records import Change, Decision, FieldState, Quote, QuoteIndex
from tidewire.store.records import JsonValue

DAY_S = 86_400.0
# An offer stands for a month; who has not touched a draft for a quarter has another one.
DRAFT_LIFE_S = 90 * DAY_S
QUOTED_LIFE_S = 30 * DAY_S
# What a change may be of beside the fields.
STATUS, PREMIUM = "status", "premium"
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.DRAFT: frozenset({Status.QUOTED, Status.EXPIRED}),
    Status.QUOTED: frozenset({Status.DRAFT, Status.BOUND, Status.EXPIRED}),
    Status.BOUND: frozenset(),
    Status.EXPIRED: frozenset(),
}
UNCHANGED = "Tidewire will not change the quote."


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, and over what.

    Attributes:
        user_id: None: the system itself.
        connection: As in ``Change``.
    """

    user_id: int | None
    username: str
    connection: str


SYSTEM = Author(None, "system", "system")


@dataclass(frozen=True, slots=True)
class Edit:
    """One field's new value, in its normal form.

    Attributes:
        base_revision: The revision that the author saw; None: whichever is present (the quote's version is compared).
    """

    field: str
    value: JsonValue
    base_revision: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One operation of one author."""

    author: Author
    now: float
    op_id: str | None = None
    reason: str = ""


def day_of(now: float) -> date:
    """Return the day of a moment, UTC."""
    return datetime.fromtimestamp(now, UTC).date()


def create(quote_id: str, values: Mapping[str, JsonValue], act: Act) -> Decision:
    """Return a new draft. Raises InvalidFields if something is missing that every quote has."""
    missing = [spec.name for spec in FIELDS.values() if spec.required and values.get(spec.name) is None]
    if missing:
        raise unfit_fields(dict.fromkeys(missing, Unfit("This is needed to make a quote.", "needed")))
    quote = Quote(
        id=quote_id,
        status=Status.DRAFT,
        version=0,
        fields={},
        premium=None,
        created_at=act.now,
        created_by=act.author.username,
        updated_at=act.now,
        expires_at=None,
    )
    return apply_edits(quote, [Edit(name, value) for name, value in values.items()], act)


def apply_edits(quote: Quote, edits: Sequence[Edit], act: Act) -> Decision:
    """Return the quote with all the edits; one that sets the present value changes nothing.

    Raises:
        Conflict: A field has another revision than its author saw (``conflict``), or the quote is final.
    """
    _require_open(quote, act.now)
    changes: list[Change] = []
    after = quote
    for edit in edits:
        if edit.base_revision is not None and edit.base_revision != quote.revision(edit.field):
            raise _conflict(quote, edit.field)
        if edit.value != after.value(edit.field):
            after = _with_field(after, edit, act, changes)
    if not changes:
        return Decision(quote)
    if after.status == Status.QUOTED and any(FIELDS[change.field].rated for change in changes):
        # An offer is for the facts that it was made for.
        reason = reason_of("edited", field=changes[0].field)
        after = _with_status(after, Status.DRAFT, replace(act, reason=reason), changes)
        after = _with_premium(after, None, replace(act, reason=reason), changes)
    if after.status == Status.DRAFT:
        after = replace(after, expires_at=act.now + DRAFT_LIFE_S)
    return Decision(after, changes)


def undo(quote: Quote, change: Change, act: Act) -> Decision:
    """Return the quote with the field of ``change`` as it was before; the undoing is a new change.

    Raises:
        InvalidRequest: Not a field's change.
        InvalidFields: The value from before cannot be any more.
        Conflict: The field has been changed since, or the quote is final.
    """
    spec = FIELDS.get(change.field)
    if spec is None:
        raise InvalidRequest(
            f"A change of the {change.field} cannot be undone.",
            required_action="Change what it follows from.",
            will_not=UNCHANGED,
            code="not_undoable",
        )
    try:
        value = read_value(spec, change.before, day_of(act.now))
    except Unfit as exc:
        raise unfit_fields({spec.name: exc}) from exc
    edit = Edit(change.field, value, change.revision)
    return apply_edits(quote, [edit], replace(act, reason=reason_of("undone", version=change.version)))


def rate(quote: Quote, premium: Premium, act: Act) -> Decision:
    """Return the quote with a premium, quoted.

    Raises:
        Conflict: A fact has been changed since (``superseded``), or the quote is final.
    """
    _require_open(quote, act.now)
    if rated_version(quote) > premium.based_on_version:
        raise Conflict(
            f"The calculation was for version {premium.based_on_version}, and a fact has been changed since.",
            required_action="Calculate again.",
            will_not="Tidewire will not show a premium for facts that are no longer true.",
            code="superseded",
            details={"based_on_version": premium.based_on_version, "version": quote.version},
        )
    changes: list[Change] = []
    after = _with_premium(quote, premium, act, changes)
    if after.status == Status.DRAFT:
        after = _with_status(after, Status.QUOTED, replace(act, reason=reason_of("calculated")), changes)
    return Decision(replace(after, expires_at=act.now + QUOTED_LIFE_S), changes)


def bind(quote: Quote, act: Act) -> Decision:
    """Return the quote bound. Raises Conflict if it is not quoted, or can no longer begin when it says."""
    _require_open(quote, act.now)
    if quote.status != Status.QUOTED:
        raise Conflict(
            "Only a quoted quote can be bound; this one is a draft.",
            required_action="Calculate its premium first.",
            will_not=UNCHANGED,
            code="not_quoted",
        )
    begins = quote.value("effective_date")
    if not isinstance(begins, str) or date.fromisoformat(begins) < day_of(act.now):
        past = Unfit("This must not be in the past when the quote is bound.", "past")
        raise unfit_fields({"effective_date": past})
    changes: list[Change] = []
    after = _with_status(quote, Status.BOUND, act, changes)
    return Decision(replace(after, expires_at=None), changes)


def expire(quote: Quote, act: Act) -> Decision:
    """Return the quote expired if it is due; nothing to store if it is not."""
    if Status.EXPIRED not in TRANSITIONS[Status(quote.status)] or not _is_due(quote, act.now):
        return Decision(quote)
    changes: list[Change] = []
    after = _with_status(quote, Status.EXPIRED, replace(act, reason=reason_of("expired")), changes)
    return Decision(replace(after, expires_at=None), changes)


def require_version(quote: Quote, version: int) -> None:
    """Raise PreconditionFailed unless the quote has this version."""
    if quote.version != version:
        raise PreconditionFailed(
            f"The quote has version {quote.version}; you named {version}.",
            required_action="Read it again, look at what has changed, then decide.",
            will_not=UNCHANGED,
            details={"version": quote.version},
        )


def rated_version(quote: Quote) -> int:
    """Return the version that the last change of a rated field made; a premium for that or a later one is right."""
    return max((state.version for name, state in quote.fields.items() if FIELDS[name].rated), default=0)


def editable(quote: Quote, now: float) -> bool:
    """Whether fields can be changed at all."""
    return quote.status in (Status.DRAFT, Status.QUOTED) and not _is_due(quote, now)


def index_of(quote: Quote) -> QuoteIndex:
    """Return what the list is searched and filtered by."""
    words = ("customer_name", "customer_email", "driver_name", "vehicle_make", "vehicle_model", "vehicle_year")
    texts = [str(value) for value in map(quote.value, words) if value is not None]
    return QuoteIndex(
        state=str(quote.value("state") or ""),
        product=str(quote.value("product") or ""),
        customer=str(quote.value("customer_name") or ""),
        search=" ".join(texts).casefold(),
    )


def replayed(quote_id: str, changes: Iterable[Change]) -> Quote:
    """Return the quote that a whole history makes, in order of version. Raises ValueError if it has a hole."""
    first: Change | None = None
    quote = Quote(quote_id, Status.DRAFT, 0, {}, None, 0.0, "", 0.0, None)
    for change in changes:
        first = first or change
        if change.version != quote.version + 1:
            raise ValueError(f"version {change.version} does not follow {quote.version}")
        if change.field == STATUS:
            quote = replace(quote, status=str(change.after))
        elif change.field == PREMIUM:
            quote = replace(quote, premium=change.after if isinstance(change.after, dict) else None)
        else:
            state = FieldState(change.after, change.revision, change.version, change.actor, change.at)
            quote = replace(quote, fields={**quote.fields, change.field: state})
        quote = replace(quote, version=change.version, updated_at=change.at)
    return quote if first is None else replace(quote, created_at=first.at, created_by=first.actor)


# ---- inside


def _is_due(quote: Quote, now: float) -> bool:
    return quote.expires_at is not None and quote.expires_at <= now


def _require_open(quote: Quote, now: float) -> None:
    if quote.status == Status.BOUND:
        raise Conflict(
            "The quote is bound: it is a contract now.",
            required_action="Make a new quote, if something must change.",
            will_not=UNCHANGED,
            code="quote_bound",
        )
    # The job that expires quotes may be a minute late; the quote is not.
    if quote.status == Status.EXPIRED or _is_due(quote, now):
        raise Conflict(
            "The quote has expired.",
            required_action="Make a new quote.",
            will_not=UNCHANGED,
            code="quote_expired",
        )


def _conflict(quote: Quote, field: str) -> Conflict:
    state = quote.fields.get(field)
    by = "nobody" if state is None else state.by
    return Conflict(
        f"{by} has changed {field} since you saw it.",
        required_action="Look at the present value; to replace it, send its revision and a new op_id.",
        will_not="Tidewire will not overwrite what somebody else has written.",
        details={
            "quote_id": quote.id,
            "field": field,
            "value": quote.value(field),
            "revision": quote.revision(field),
            "version": quote.version,
            "by": None if state is None else state.by,
            "at": None if state is None else state.at,
        },
    )


def _with_field(quote: Quote, edit: Edit, act: Act, changes: list[Change]) -> Quote:
    revision = quote.revision(edit.field) + 1
    changes.append(_change(quote, edit.field, revision, quote.value(edit.field), edit.value, act))
    state = FieldState(edit.value, revision, quote.version + 1, act.author.username, act.now)
    return _raised(replace(quote, fields={**quote.fields, edit.field: state}), act)


def _with_status(quote: Quote, status: Status, act: Act, changes: list[Change]) -> Quote:
    assert status in TRANSITIONS[Status(quote.status)]  # noqa: S101 - the callers have looked
    changes.append(_change(quote, STATUS, 0, quote.status, str(status), act))
    return _raised(replace(quote, status=str(status)), act)


def _with_premium(quote: Quote, premium: Premium | None, act: Act, changes: list[Change]) -> Quote:
    encoded = None if premium is None else msgspec.to_builtins(premium)
    before = None if quote.premium is None else dict(quote.premium)
    changes.append(_change(quote, PREMIUM, 0, before, encoded, act))
    return _raised(replace(quote, premium=encoded), act)


def _raised(quote: Quote, act: Act) -> Quote:
    # Nodes' clocks differ a little; a list that is sorted by it must not see a quote go back.
    return replace(quote, version=quote.version + 1, updated_at=max(quote.updated_at, act.now))


def _change(quote: Quote, field: str, revision: int, before: JsonValue, after: JsonValue, act: Act) -> Change:
    author = act.author
    return Change(
        version=quote.version + 1,
        field=field,
        revision=revision,
        before=before,
        after=after,
        at=act.now,
        actor_id=author.user_id,
        actor=author.username,
        op_id=act.op_id,
        connection=author.connection,
        reason=act.reason[:160],
    )
