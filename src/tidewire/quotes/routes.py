"""The quotes' HTTP side: list, make, read, change, undo, bind, with the same rules as on the socket.

It must not know SQL or rooms. Source: contract.md section 6; RFC 9110 section 13 (If-Match), RFC 6585 (428);
docs/quotes.md.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, NoReturn

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from tidewire.accounts.http import Callers
from tidewire.accounts.model import Principal
from tidewire.core.clock import Clock
from tidewire.core.cursor import read_place, write_place
from tidewire.core.errors import InvalidRequest, PreconditionRequired
from tidewire.core.protocol import MAX_DEPTH
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.command import depth
from tidewire.quotes.change_wire import ChangeView, change_view
from tidewire.quotes.desk import Desk
from tidewire.quotes.editing import Author, Edit, day_of
from tidewire.quotes.list_filter import list_filter
from tidewire.quotes.model import FIELDS, Status, read_fields
from tidewire.quotes.pace import WritePace
from tidewire.quotes.route_parts import FIELDS_BODY, UNDO_BODY, Key, refusals
from tidewire.quotes.rules import EDIT, VIEW, require, room_of, sees_premium
from tidewire.quotes.wire import QuoteRow, Version, description_of, document_of, row_of
from tidewire.store.quote_records import Quote, QuoteFilter

PAGE_MAX = 200
# No cursor that this server makes is longer.
CURSOR_MAX_CHARS = 128
_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,9})"')
_NO_GUESS = "Tidewire will not guess what was meant."

_Match = Annotated[str | None, Header(alias="If-Match", max_length=64)]
_Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
_Cursor = Annotated[str | None, Query(max_length=CURSOR_MAX_CHARS)]
_Before = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


class FieldsBody(msgspec.Struct, frozen=True):
    """What making and changing take; unknown members are ignored."""

    fields: dict[str, msgspec.Raw]


class UndoBody(msgspec.Struct, frozen=True):
    """Which change to undo: the one that made this version."""

    version: Version


class ListAnswer(msgspec.Struct, frozen=True):
    """A part of the list.

    Attributes:
        counts: By status, of the same search and states.
        may_create: Whether whoever asked may make a quote now.
    """

    quotes: list[QuoteRow]
    next: str | None
    counts: dict[str, int]
    may_create: bool


class ChangesAnswer(msgspec.Struct, frozen=True):
    """A part of the history, newest first."""

    changes: list[ChangeView]
    next: int | None


class _Cursored(msgspec.Struct, frozen=True, array_like=True):
    at: float
    id: Annotated[str, msgspec.Meta(max_length=36)]


_decode_fields = msgspec.json.Decoder(FieldsBody).decode
_decode_undo = msgspec.json.Decoder(UndoBody).decode
_place = msgspec.json.Decoder(_Cursored)


class QuotesApi:
    """The routes and what they need."""

    def __init__(self, desk: Desk, callers: Callers, pace: WritePace, clock: Clock) -> None:
        self._desk = desk
        self._callers = callers
        self._pace = pace
        self._clock = clock

    def router(self) -> APIRouter:
        """Return the routes under /api/v1/quotes."""
        router = APIRouter(prefix="/api/v1/quotes", tags=["quotes"])
        self._add_collection(router)
        self._add_reading(router)
        self._add_writing(router)
        return router

    def _add_collection(self, router: APIRouter) -> None:
        @router.get("", summary="The list of quotes, newest change first")
        async def listing(
            request: Request,
            wanted: Annotated[QuoteFilter, Depends(list_filter)],
            limit: _Limit = 50,
            after: _Cursor = None,
        ) -> Response:
            principal = require(await self._callers.of(request), VIEW)
            return await self._list(principal, wanted, limit, after)

        @router.post("", summary="Make a quote", status_code=201, openapi_extra=FIELDS_BODY, responses=refusals())
        async def create(request: Request, key: Key = None) -> Response:
            principal = require(await self._callers.of(request), EDIT)
            self._pace.take(principal)
            body = _read(await request.body(), _decode_fields)
            values = read_fields(body.fields, day_of(self._clock.time()))
            outcome = await self._desk.create(values, _author(principal), key)
            answer = self._document(principal, outcome.quote, 201)
            answer.headers["Location"] = f"/api/v1/quotes/{outcome.quote.id}"
            return answer

        @router.get("/fields", summary="What each field may contain")
        async def fields(request: Request) -> Response:
            require(await self._callers.of(request), VIEW)
            return _json({"fields": [description_of(spec) for spec in FIELDS.values()]})

    def _add_reading(self, router: APIRouter) -> None:
        @router.get("/{quote_id}", summary="A quote; its ETag is its version")
        async def read(request: Request, quote_id: str) -> Response:
            principal = require(await self._callers.of(request), VIEW)
            room_of(quote_id)
            return self._document(principal, await self._desk.quotes.get(quote_id))

        @router.get("/{quote_id}/changes", summary="What has been changed, newest first")
        async def changes(request: Request, quote_id: str, limit: _Limit = 50, before: _Before = None) -> Response:
            principal = require(await self._callers.of(request), VIEW)
            room_of(quote_id)
            await self._desk.quotes.get(quote_id)
            found = await self._desk.quotes.history(quote_id, limit=limit, before=before)
            shown = [change_view(change, premium=sees_premium(principal)) for change in found]
            return _json(ChangesAnswer(shown, found[-1].version if found and found[-1].version > 1 else None))

    def _add_writing(self, router: APIRouter) -> None:
        needing_version, needing_quote = refusals(404, 412, 428), refusals(404)

        @router.patch(
            "/{quote_id}",
            summary="Change fields, all or none",
            openapi_extra=FIELDS_BODY,
            responses=needing_version,
        )
        async def patch(request: Request, quote_id: str, match: _Match = None, key: Key = None) -> Response:
            principal, version = await self._writer(request, quote_id), _version(match)
            body = _read(await request.body(), _decode_fields)
            values = read_fields(body.fields, day_of(self._clock.time()))
            edits = [Edit(name, value) for name, value in values.items()]
            outcome = await self._desk.edit(quote_id, edits, _author(principal), key, version=version)
            return self._document(principal, outcome.quote)

        @router.post(
            "/{quote_id}/undo",
            summary="Put a field back to what it was",
            openapi_extra=UNDO_BODY,
            responses=needing_quote,
        )
        async def undo(request: Request, quote_id: str, key: Key = None) -> Response:
            principal = await self._writer(request, quote_id)
            body = _read(await request.body(), _decode_undo)
            outcome = await self._desk.undo(quote_id, body.version, _author(principal), key)
            return self._document(principal, outcome.quote)

        @router.post("/{quote_id}/bind", summary="Make a quoted quote a contract", responses=needing_version)
        async def bind(request: Request, quote_id: str, match: _Match = None, key: Key = None) -> Response:
            principal, version = await self._writer(request, quote_id), _version(match)
            outcome = await self._desk.bind(quote_id, version, _author(principal), key)
            return self._document(principal, outcome.quote)

    async def _writer(self, request: Request, quote_id: str) -> Principal:
        principal = require(await self._callers.of(request), EDIT)
        self._pace.take(principal)
        room_of(quote_id)
        return principal

    async def _list(self, principal: Principal, wanted: QuoteFilter, limit: int, after: str | None) -> Response:
        place = None if after is None else _read_cursor(after)
        page = await self._desk.quotes.page(wanted, limit=limit, after=place)
        counts = await self._desk.quotes.counts(wanted)
        rows = [row_of(quote, premium=sees_premium(principal)) for quote in page.quotes]
        following = None if page.after is None else _cursor(page.after)
        by_status: dict[str, int] = {status: counts.get(status, 0) for status in Status}
        return _json(ListAnswer(rows, following, by_status, principal.can(EDIT)))

    def _document(self, principal: Principal, quote: Quote, status: int = 200) -> Response:
        document = document_of(
            quote, premium=sees_premium(principal), may_edit=principal.can(EDIT), now=self._clock.time()
        )
        answer = _json(document, status)
        answer.headers["ETag"] = f'"{quote.version}"'
        return answer


def _author(principal: Principal) -> Author:
    return Author(principal.user_id, principal.username, "http")


def _version(match: str | None) -> int:
    if match is None:
        raise PreconditionRequired(
            "The request does not say which version of the quote it is for.",
            required_action='Send If-Match with the ETag of the quote that you have read, such as If-Match: "12".',
            will_not="Tidewire will not overwrite changes that you may not have seen.",
        )
    found = _TAG.fullmatch(match.strip())
    if found is None:
        raise InvalidRequest(
            "If-Match does not hold one ETag of a quote.",
            required_action='Send If-Match with the ETag of the quote that you have read, such as If-Match: "12".',
            will_not=_NO_GUESS,
        )
    return int(found[1])


def _cursor(place: tuple[float, str]) -> str:
    return write_place(_Cursored(*place)).rstrip("=")


def _read_cursor(text: str) -> tuple[float, str]:
    try:
        cursor = read_place(text, _place)
    except ValueError:
        _refuse("after is not the next of a page.")
    if not 0 <= cursor.at < 1e11:
        _refuse("after is not the next of a page.")
    return cursor.at, cursor.id


def _read(body: bytes, decode: Any) -> Any:
    if depth(body) > MAX_DEPTH:
        _refuse(f"The JSON is nested more than {MAX_DEPTH} deep.")
    try:
        return decode(body)
    except UNREADABLE as exc:
        _refuse(str(exc)[:200])


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(
        message, required_action="Send the request as docs/quotes.md describes it.", will_not=_NO_GUESS
    )


def _json(answer: object, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(answer), status, headers, media_type="application/json")
