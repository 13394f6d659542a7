"""The filter of the list of quotes as it is asked over HTTP, strictly read. It must not know SQL.

Moments are Unix seconds, as figures name them: what a dashboard has counted can be listed to the microsecond.
Source: docs/quotes.md.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from tidewire.core.errors import InvalidRequest
from tidewire.quotes.model import STATES, Status
from tidewire.store.quote_records import QuoteFilter, Span

SEARCH_MAX_CHARS = 120
# The end of the year 9999, as databases know it.
MOMENT_MAX = 253_402_300_799
_NO_GUESS = "Tidewire will not guess what was meant."

_Search = Annotated[str, Query(max_length=SEARCH_MAX_CHARS)]
_Words = Annotated[list[str], Query(max_length=60)]
# A product that is not offered any more has its quotes still.
_Names = Annotated[list[Annotated[str, Query(pattern=r"^[a-z0-9_-]{1,40}$")]], Query(max_length=60)]
_Moment = Annotated[float | None, Query(ge=0, le=MOMENT_MAX, allow_inf_nan=False)]


def list_filter(
    search: _Search = "",
    status: _Words = [],  # noqa: B006 - FastAPI copies it
    state: _Words = [],  # noqa: B006
    product: _Names = [],  # noqa: B006
    created_from: _Moment = None,
    created_before: _Moment = None,
    quoted_from: _Moment = None,
    quoted_before: _Moment = None,
    bound_from: _Moment = None,
    bound_before: _Moment = None,
) -> QuoteFilter:
    """Return which quotes are asked for. Raises InvalidRequest that says what cannot be."""
    return QuoteFilter(
        search,
        _known(status, tuple(Status), "status"),
        _known(state, STATES, "state"),
        tuple(dict.fromkeys(product)),
        created=_span("created", created_from, created_before),
        quoted=_span("quoted", quoted_from, quoted_before),
        bound=_span("bound", bound_from, bound_before),
    )


def _span(name: str, begin: float | None, before: float | None) -> Span:
    if begin is not None and before is not None and begin >= before:
        raise InvalidRequest(
            f"{name}_from is not before {name}_before, so that the list could show nothing.",
            required_action="Send Unix seconds, the earlier one as ..._from, or leave one of them out.",
            will_not=_NO_GUESS,
        )
    return Span(begin, before)


def _known(words: list[str], allowed: tuple[str, ...], name: str) -> tuple[str, ...]:
    if not set(words) <= set(allowed):
        raise InvalidRequest(
            f"There is no such {name}.", required_action=f"Use a {name} of docs/quotes.md.", will_not=_NO_GUESS
        )
    return tuple(dict.fromkeys(words))
