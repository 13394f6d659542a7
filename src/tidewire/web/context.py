"""The outermost layer of a request: its id, its line in the access log, its counter, and the last-resort handler.

Pure ASGI, for http and websocket scopes. It must not know routes or users. The log holds no query string, cookie,
token or body; a peer that went away is no error.
Source: OWASP ASVS 5.0 sections 16.2 and 16.5.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection
from http import HTTPMethod, HTTPStatus
from typing import Any

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidewire.core.histogram import Histogram
from tidewire.core.tracing import collecting, request_span
from tidewire.web.problem import ErrorAnswers

log = structlog.get_logger(__name__)

QUIET = ("/livez", "/readyz", "/healthz", "/metrics")
# What an open page asks every few seconds; that the page was opened is in the log, and so is what is refused.
_ADMIN = "/api/v1/admin"
_ASKED = (
    "alerts",
    "alerts/rules",
    "alerts/silences",
    "connections",
    "connections/closed",
    "rooms",
    "bans",
    "traces",
    "nodes/states",
    "users",
    "figures",
    "analytics/system-health",
    "analytics/performance-history",
)
POLLED = frozenset(f"{_ADMIN}/{each}" for each in _ASKED)
# What is asked for is too long for an address.
READ_BY_POST = f"{_ADMIN}/figures"
# One connection, by its id; one user with logins and sockets.
POLLED_ONE = re.compile(rf"{_ADMIN}/(connections/[^/]+|users/.+)")

_METHODS = frozenset(HTTPMethod)


class HttpCounters:
    """What was answered since start, for metrics."""

    def __init__(self) -> None:
        self.by_status: Counter[int] = Counter()
        self.websockets = 0
        self.faults = 0
        # Called with each request that has ended, its status and how long it took; must not block.
        self.answered: Callable[[Scope, int, float], None] = lambda *_: None
        # Method and route as it is written in the code; what strangers make up is one of each.
        self.by_route: dict[tuple[str, ...], Histogram] = {}

    def observe(self, scope: Scope, seconds: float) -> None:
        """Note how long an HTTP request waited for the start of its answer."""
        key = (scope["method"] if scope["method"] in _METHODS else "other", route_of(scope))
        times = self.by_route.get(key)
        if times is None:
            times = self.by_route[key] = Histogram()
        times.observe(seconds)


def route_of(scope: Scope) -> str:
    """Return a request's route or mount as the code has it, ``none`` if it met none; never a path that is sent."""
    route: Any = scope.get("route")
    path: object = getattr(route, "path", None)
    return path if isinstance(path, str) and path else scope.get("root_path") or "none"


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
        began, status, waited_s = time.perf_counter(), 0, 0.0

        async def send_counted(message: Message) -> None:
            nonlocal status, waited_s
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status, waited_s = message["status"], time.perf_counter() - began
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                if scope["type"] == "http" and collecting():
                    await self._traced(scope, receive, send_counted, lambda: status)
                else:
                    await self.app(scope, receive, send_counted)
            finally:
                self._finish(scope, status, time.perf_counter() - began)
                if scope["type"] == "http" and status:
                    self._counters.observe(scope, waited_s)

    async def _traced(self, scope: Scope, receive: Receive, send: Send, status: Callable[[], int]) -> None:
        """Run the request as a span named after its route: a path holds ids, too many names for a trace."""
        method = scope["method"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        carrier = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        known = {"http.request.method": method, "tidewire.request_id": scope["state"]["request_id"]}
        with request_span(method, known, carrier) as answer:
            await self.app(scope, receive, send)
            route = str(getattr(scope.get("route"), "path", ""))
            answer.note({"http.route": route, "http.response.status_code": status()}, name=f"{method} {route}".rstrip())

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        if scope["type"] == "websocket":
            self._counters.websockets += 1
        else:
            self._counters.by_status[status] += 1
            self._counters.answered(scope, status, seconds)
        path: str = scope["path"]
        principal = scope["state"].get("principal")
        client = scope.get("client")
        asked = path in POLLED or POLLED_ONE.fullmatch(path) is not None
        reads = scope.get("method") == "GET" or path == READ_BY_POST
        polled = asked and reads and status == HTTPStatus.OK
        quiet = path in self._quiet or path.startswith("/static/") or polled
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
