"""Turns errors into answers: RFC 9457 problem documents for programs, a page for browsers. It must not know any route.

Outside, an unexpected error is one generic text with a correlation id; what happened is in the log under that id.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from tidewire.accounts.http import caller
from tidewire.accounts.model import Principal
from tidewire.accounts.permissions import NoteRefused, lacks_right
from tidewire.core.errors import (
    BusError,
    InvalidFields,
    InvalidRequest,
    NotFound,
    RequestError,
    StoreError,
    TidewireError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from tidewire.core.throttle import Throttle
from tidewire.web.redirect import login_redirect
from tidewire.web.templating import Templates

log = structlog.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"
# A proposal that no browser acts on; RFC 9110 section 15.5.2 wants the header on every 401.
_CHALLENGE = 'Cookie realm="tidewire", form-action="/login", cookie-name="tidewire_session"'


class FieldProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One wrong field: where it is, as ``body.name``, and what is wrong. Never the value: it may be a secret.

    Attributes:
        reason: The same for programs: a ``code``, and what else the message names.
    """

    field: str
    message: str
    reason: dict[str, str | int] | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The document. ``instance`` is the path of the request without its query."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    required_action: str
    will_not: str
    correlation_id: str
    retry_after_ms: int | None = None
    errors: list[FieldProblem] = []
    details: dict[str, Any] | None = None


# Python 3.13 renamed the phrases of 413 and 422 (RFC 9110); a code stays what it is.
_CODES = {400: InvalidRequest.code, 413: TooLarge.code, 422: "unprocessable_content"}


class ErrorAnswers:
    """Makes the answer to a failed request.

    Args:
        templates: Renders ``error.html``; None answers everybody with the document.
    """

    def __init__(self, templates: Templates | None) -> None:
        self._templates = templates
        self._told: dict[str, Throttle] = {}
        self.on_refused: NoteRefused = lambda principal, asked, ip: None

    def answer(self, request: HTTPConnection, error: Exception) -> Response:
        """Return the answer to ``error``; a browser that is not logged in is sent to the login page."""
        if not wants_html(request):
            return self.document(request, error)
        known = _known(request, error)
        if isinstance(known, Unauthenticated):
            return login_redirect(request)
        if self._templates is None:
            return self.document(request, error)
        problem = _problem(request, known, [])
        response = self._templates.render(Request(request.scope), "error.html", _page(problem), status=problem.status)
        response.headers.update(error_headers(known) | _allow_header(error))
        return response

    def document(self, request: HTTPConnection, error: Exception) -> Response:
        """Return the problem document for ``error``, whoever asks."""
        known = _known(request, error)
        problem = _problem(request, known, _field_problems(error))
        headers = error_headers(known) | _allow_header(error) | {"Cache-Control": "no-store"}
        return Response(msgspec.json.encode(problem), problem.status, headers, PROBLEM_JSON)

    async def handle(self, request: Request, error: Exception) -> Response:
        """Answer as FastAPI's exception handler, logging what infrastructure failed."""
        if isinstance(error, (StoreError, BusError)):
            # In an outage every request fails alike: one line per code and while, with the count.
            told = self._told.setdefault(error.code, Throttle()).admit(time.monotonic())
            if told:
                cause = repr(error.__cause__)
                log.warning("request_failed", code=error.code, message=error.message, cause=cause, failed=told)
        if lacks_right(error):
            self._tell_refused(request)
        return self.answer(request, error)

    def _tell_refused(self, request: Request) -> None:
        principal: Principal | None = getattr(request.state, "principal", None)
        if principal is not None:
            # The route as it is declared: what a caller puts into a path must not make a thousand lines.
            route = getattr(request.scope.get("route"), "path", "?")
            self.on_refused(principal, f"{request.method} {route}", caller(request))


def wants_html(request: HTTPConnection) -> bool:
    """Whether a browser navigates: it accepts HTML, and the path is not an API's."""
    if request.scope["type"] != "http":
        return False
    path: str = request.scope["path"]
    return not path.startswith("/api/") and "text/html" in request.headers.get("accept", "").lower()


def correlation_id(request: HTTPConnection) -> str:
    """Return the id under which the log tells more; empty outside a request that passed web/context.py."""
    state: Mapping[str, Any] = request.scope.get("state") or {}
    return str(state.get("request_id", ""))


def _known(request: HTTPConnection, error: Exception) -> RequestError:
    """Return ``error`` as one that may be shown."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, (StoreError, BusError)):
        return Unavailable(
            error.message,
            required_action=error.required_action or "Try again in a moment.",
            will_not=error.will_not,
            code=error.code,
            retry_after_ms=2_000,
        )
    if isinstance(error, RequestValidationError):
        return _wrong_fields(_field_problems(error))
    if isinstance(error, HTTPException):
        return _from_http(request, error)
    return _with_status(
        500,
        "Tidewire failed to answer this request.",
        "Try again; if it fails again, give the correlation id to the operator.",
        code=TidewireError.code,
        will_not="Tidewire will not show the details here; they are in its log under the correlation id.",
    )


def _from_http(request: HTTPConnection, error: HTTPException) -> RequestError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound(
            "There is nothing at this address.",
            required_action="Check the address.",
            will_not="Tidewire will not guess which page was meant.",
        )
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _with_status(
            405, f"This address does not answer {request.scope['method']}.", "Use a method from the Allow header."
        )
    return _with_status(error.status_code, str(error.detail), "Correct the request, then try again.")


def _wrong_fields(problems: Sequence[FieldProblem]) -> RequestError:
    """Return the refusal. What is wrong in an address is named in words: whoever opened it sees no list of fields."""
    inside = [each for each in problems if each.field.startswith(("query.", "path."))]
    named = {each.field.partition(".")[2]: each.message.rstrip(".") for each in inside}
    if not named:
        return _with_status(422, "The request has fields that are missing or wrong.", "Correct the fields named.")
    words = " ".join(f"{name}: {text}." for name, text in named.items())
    error = _with_status(
        422,
        f"The address asks for what cannot be: {words}"[:1_000],
        "Correct what is named, or leave it out.",
        will_not="Tidewire will not leave it out by itself, and show more or other things than were asked for.",
    )
    error.details = {"fields": {**named}}
    return error


def _with_status(
    status: int, message: str, action: str, *, code: str | None = None, will_not: str | None = None
) -> RequestError:
    refusal = will_not if will_not is not None else "Tidewire will not do any part of it."
    error = RequestError(message, required_action=action, will_not=refusal, code=code or _code(status))
    error.status = status
    return error


def _code(status: int) -> str:
    return _CODES.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "_")


def _problem(request: HTTPConnection, error: RequestError, fields: Sequence[FieldProblem]) -> Problem:
    return Problem(
        # The code tells programs apart; with about:blank the title is the status's own phrase (RFC 9457 section 4.2.1).
        type="about:blank",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.message,
        instance=quote(request.scope["path"]),
        code=error.code,
        required_action=error.required_action,
        will_not=error.will_not,
        correlation_id=correlation_id(request),
        retry_after_ms=error.retry_after_ms,
        errors=list(fields),
        details=None if error.details is None else dict(error.details),
    )


def _page(problem: Problem) -> dict[str, Any]:
    names = ("status", "code", "title", "details", "detail", "required_action", "will_not", "correlation_id")
    return {name: getattr(problem, name) for name in names}


def error_headers(error: RequestError) -> dict[str, str]:
    """Return the headers that belong to ``error``: when to try again, and how to log in."""
    headers: dict[str, str] = {}
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_ms / 1000)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _CHALLENGE
    return headers


def _allow_header(error: Exception) -> dict[str, str]:
    if not isinstance(error, HTTPException) or not error.headers:
        return {}
    return {key: value for key, value in error.headers.items() if key.lower() == "allow"}


def _reason(error: InvalidFields, name: str) -> dict[str, str | int] | None:
    known = error.reasons.get(name)
    return None if known is None else dict(known)


def _field_problems(error: Exception) -> list[FieldProblem]:
    if isinstance(error, InvalidFields):
        return [FieldProblem(name, text, _reason(error, name)) for name, text in error.problems.items()]
    if not isinstance(error, RequestValidationError):
        return []
    # Capped: a list with a thousand wrong items needs no thousand lines.
    return [FieldProblem(".".join(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()[:20]]
