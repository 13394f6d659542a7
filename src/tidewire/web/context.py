"""The outermost layer of a request: its id, its line in the access log, its counter, and the last-resort handler.

Pure ASGI, for http and websocket scopes. It must not know routes or users. The log holds no query string, cookie,
token or body; a peer that went away is no error.
Source: OWASP ASVS 5.0 sections 16.2 and 16.5.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Collection
from http import HTTPStatus

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidewire.web.problem import ErrorAnswers

log = structlog.get_logger(__name__)

QUIET = ("/livez", "/readyz", "/healthz", "/metrics")
# What an open page asks every second; that the page was opened is in the log, and so is what is refused.
POLLED = frozenset({"/api/v1/admin/connections", "/api/v1/admin/connections/closed", "/api/v1/admin/rooms"})


class HttpCounters:
    """What was answered since start, for metrics."""

    def __init__(self) -> None:
        self.by_status: Counter[int] = Counter()
        self.websockets = 0
        self.faults = 0


class RequestContext:
    """Gives each request an id and logs its end.

    Args:
        counters: Where answers are counted.
        quiet: Paths that are asked for all day and are logged only at debug level; static files always are.
    """

    def __init__(self, app: ASGIApp, counters: HttpCounters, quiet: Collection[str] = QUIET) -> None:
        self.app = app
        self._counters = counters
        self._quiet = frozenset(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        # Never taken from the client: an id that others choose can be made to collide, or to forge log lines.
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = time.perf_counter(), 0

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_counted)
            finally:
                self._finish(scope, status, time.perf_counter() - began)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        if scope["type"] == "websocket":
            self._counters.websockets += 1
        else:
            self._counters.by_status[status] += 1
        path: str = scope["path"]
        principal = scope["state"].get("principal")
        client = scope.get("client")
        quiet = path in self._quiet or path.startswith("/static/") or (path in POLLED and status == HTTPStatus.OK)
        write = log.debug if quiet else log.info
        write(
            "request" if scope["type"] == "http" else "websocket",
            method=scope.get("method", "GET"),
            path=path,
            status=status,
            duration_ms=round(seconds * 1000, 2),
            ip=client[0] if client else "",
            user=principal.username if principal is not None else None,
        )


class FaultBarrier:
    """Answers an exception that nothing else handled with a generic text, and logs it with its traceback."""

    def __init__(self, app: ASGIApp, answers: ErrorAnswers, counters: HttpCounters) -> None:
        self.app = app
        self._answers = answers
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        except ClientDisconnect:
            log.debug("client_went_away", path=scope["path"])
        except Exception as exc:
            self._counters.faults += 1
            log.exception("request_fault", path=scope["path"], method=scope["method"])
            if started:
                # Half an answer is out; only the server can cut the connection, so that it is not taken for whole.
                raise
            await self._answers.answer(Request(scope), exc)(scope, receive, send)
