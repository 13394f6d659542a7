"""The HTTP side of calculations: ask for one, and see what became of the newest. There is no premium in it.

It must not know SQL or rooms. Source: contract.md section 6; RFC 9110 section 15.3.3 (202); docs/quotes.md.
"""

from __future__ import annotations

import hashlib

import msgspec
from fastapi import APIRouter, Request, Response

from tidewire.accounts.http import Callers
from tidewire.quotes.calculation import Calculator
from tidewire.quotes.calculation_wire import document_of
from tidewire.quotes.editing import Author
from tidewire.quotes.pace import WritePace
from tidewire.quotes.route_parts import Key, refusals
from tidewire.quotes.rules import EDIT, VIEW, require, room_of
from tidewire.store.calculation_record import CalculationRecord, CalculationRequest


class CalculationsApi:
    """The routes and what they need."""

    def __init__(self, calculator: Calculator, callers: Callers, pace: WritePace) -> None:
        self._calculator = calculator
        self._callers = callers
        self._pace = pace

    def router(self) -> APIRouter:
        """Return the routes under /api/v1/quotes/{quote_id}."""
        router = APIRouter(prefix="/api/v1/quotes/{quote_id}", tags=["quotes"])

        @router.post("/calculate", summary="Begin to calculate the premium", status_code=202, responses=refusals(404))
        async def calculate(request: Request, quote_id: str, key: Key = None) -> Response:
            principal = require(await self._callers.of(request), EDIT)
            self._pace.take(principal)
            room_of(quote_id)
            author = Author(principal.user_id, principal.username, "http")
            named = None
            if key is not None:
                named = CalculationRequest(principal.user_id, key, hashlib.sha256(await request.body()).hexdigest())
            answer = _answer(await self._calculator.begin(quote_id, author, named), 202)
            answer.headers["Location"] = f"/api/v1/quotes/{quote_id}/calculation"
            return answer

        @router.get("/calculation", summary="What became of the newest calculation")
        async def latest(request: Request, quote_id: str) -> Response:
            require(await self._callers.of(request), VIEW)
            room_of(quote_id)
            return _answer(await self._calculator.latest(quote_id), 200)

        return router


def _answer(record: CalculationRecord, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(document_of(record)), status, headers, media_type="application/json")
