"""Every transition of a quote, decided without a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tidewire.core.errors import Conflict, InvalidFields, InvalidRequest, RequestError
from tidewire.quotes import editing
from tidewire.quotes.editing import (
    DRAFT_LIFE_S,
    QUOTED_LIFE_S,
    TRANSITIONS,
    Act,
    Author,
    Edit,
    apply_edits,
    bind,
    create,
    editable,
    expire,
    rate,
    replayed,
    undo,
)
from tidewire.quotes.model import Premium, Status
from tidewire.store.quote_records import Change, Decision, Quote

NOW = 1_772_366_400.0  # 2026-03-01
ADA = Author(1, "ada", "c-1")
ACT = Act(ADA, NOW)
BASIC = {"customer_name": "Grace Hopper", "state": "CA", "product": "personal_auto", "effective_date": "2026-03-05"}
DRAFT = create("q", BASIC, ACT).quote
PREMIUM = Premium(
    amount="1204.00", currency="USD", term_months=6, plan="t@1", calculation_id="k", based_on_version=4, at=NOW
)
QUOTED = rate(DRAFT, PREMIUM, ACT).quote
BOUND = bind(QUOTED, ACT).quote
EXPIRED = expire(DRAFT, replace(ACT, now=NOW + DRAFT_LIFE_S)).quote
OPERATIONS: dict[str, Callable[[Quote], Decision]] = {
    "edit": lambda quote: apply_edits(quote, [Edit("notes", "x")], ACT),
    "fact": lambda quote: apply_edits(quote, [Edit("vehicle_year", 2020)], ACT),
    "rate": lambda quote: rate(quote, replace_premium(quote.version), ACT),
    "bind": lambda quote: bind(quote, ACT),
    "expire": lambda quote: expire(quote, replace(ACT, now=NOW + DRAFT_LIFE_S + QUOTED_LIFE_S)),
}
ENDS = {
    (Status.DRAFT, "edit"): Status.DRAFT,
    (Status.DRAFT, "fact"): Status.DRAFT,
    (Status.DRAFT, "rate"): Status.QUOTED,
    (Status.DRAFT, "bind"): "not_quoted",
    (Status.DRAFT, "expire"): Status.EXPIRED,
    (Status.QUOTED, "edit"): Status.QUOTED,
    (Status.QUOTED, "fact"): Status.DRAFT,
    (Status.QUOTED, "rate"): Status.QUOTED,
    (Status.QUOTED, "bind"): Status.BOUND,
    (Status.QUOTED, "expire"): Status.EXPIRED,
    **{(Status.BOUND, name): "quote_bound" for name in ("edit", "fact", "rate", "bind")},
    (Status.BOUND, "expire"): Status.BOUND,
    **{(Status.EXPIRED, name): "quote_expired" for name in ("edit", "fact", "rate", "bind")},
    (Status.EXPIRED, "expire"): Status.EXPIRED,
}


def replace_premium(version: int) -> Premium:
    """Return a premium for a version."""
    return Premium(
        amount="1.00", currency="USD", term_months=6, plan="t@1", calculation_id="k2", based_on_version=version, at=NOW
    )


@pytest.mark.parametrize("quote", [DRAFT, QUOTED, BOUND, EXPIRED], ids=lambda quote: str(quote.status))
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_in_every_state(quote: Quote, name: str) -> None:
    """It ends in the state of the table, by a transition that is allowed, or is refused with its code."""
    wanted = ENDS[Status(quote.status), name]
    if not isinstance(wanted, Status):
        with pytest.raises(RequestError) as refused:
            OPERATIONS[name](quote)
        assert refused.value.code == wanted
        return
    decision = OPERATIONS[name](quote)
    after = decision.quote
    assert after.status == wanted
    assert wanted == quote.status or wanted in TRANSITIONS[Status(quote.status)]
    assert [change.version for change in decision.changes] == list(range(quote.version + 1, after.version + 1))
    # An offer has a premium, and only an offer or what has become of one.
    assert (after.premium is not None) == (
        after.status in (Status.QUOTED, Status.BOUND) or (quote.premium is not None and name == "expire")
    )
    assert editable(after, NOW) == (after.status in (Status.DRAFT, Status.QUOTED))


def test_whoever_comes_second_changes_nothing() -> None:
    """Expiring what is not due or has expired already is nothing to store."""
    for quote, now in ((DRAFT, NOW), (EXPIRED, NOW * 2), (BOUND, NOW * 2)):
        decision = expire(quote, replace(ACT, now=now))
        assert (decision.quote, decision.changes) == (quote, ())


def test_a_calculation_that_was_overtaken_is_discarded() -> None:
    """A premium for facts that have changed since is refused; one that only notes have overtaken is right."""
    noted = apply_edits(DRAFT, [Edit("notes", "x")], ACT).quote
    assert rate(noted, PREMIUM, ACT).quote.status == Status.QUOTED
    changed = apply_edits(DRAFT, [Edit("vehicle_year", 2020)], ACT).quote
    with pytest.raises(Conflict) as refused:
        rate(changed, PREMIUM, ACT)
    assert refused.value.code == "superseded"


def test_time_is_given_and_taken() -> None:
    """A touched draft lives ninety days more; a quoted one thirty from its premium; past it nothing is edited."""
    later = replace(ACT, now=NOW + 5)
    assert apply_edits(DRAFT, [Edit("notes", "x")], later).quote.expires_at == NOW + 5 + DRAFT_LIFE_S
    assert QUOTED.expires_at == NOW + QUOTED_LIFE_S
    assert apply_edits(QUOTED, [Edit("notes", "x")], later).quote.expires_at == QUOTED.expires_at
    with pytest.raises(Conflict) as refused:
        apply_edits(QUOTED, [Edit("notes", "x")], replace(ACT, now=NOW + QUOTED_LIFE_S))
    assert refused.value.code == "quote_expired"


def test_a_policy_cannot_begin_in_the_past() -> None:
    """Binding after the day on which it was to begin is refused."""
    with pytest.raises(InvalidFields):
        bind(QUOTED, replace(ACT, now=NOW + 10 * 86_400.0))


def test_only_fields_are_undone() -> None:
    """A change of the status cannot be undone; undoing twice is a conflict, not another change."""
    status = next(change for change in rate(DRAFT, PREMIUM, ACT).changes if change.field == editing.STATUS)
    with pytest.raises(InvalidRequest) as refused:
        undo(QUOTED, status, ACT)
    assert refused.value.code == "not_undoable"
    done = apply_edits(DRAFT, [Edit("notes", "x", 0)], ACT)
    back = undo(done.quote, done.changes[0], ACT)
    assert back.quote.value("notes") is None
    with pytest.raises(Conflict):
        undo(back.quote, done.changes[0], ACT)


def test_a_history_with_a_hole_is_no_quote() -> None:
    """Replaying needs every version."""
    changes: list[Change] = list(create("q", BASIC, ACT).changes)
    assert replayed("q", changes).fields == DRAFT.fields
    with pytest.raises(ValueError, match="does not follow"):
        replayed("q", [changes[0], changes[2]])
