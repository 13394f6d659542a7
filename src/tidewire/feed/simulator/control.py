"""The small HTTP control of the simulator: look at it, press faults. It must not know what a fault does.

Listens on 127.0.0.1 only and sends no CORS headers. A request from a web page (it carries an Origin) may not press
anything, so that no site that a developer happens to visit can.
Source: RFC 9457 for the errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Protocol

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidewire.core.background import background
from tidewire.core.errors import Forbidden, InvalidRequest, RequestError, SettingsError
from tidewire.core.unreadable import UNREADABLE
from tidewire.feed.simulator.press import Pressed
from tidewire.feed.simulator.state import SimulatorState

HOST = "127.0.0.1"
# A press is a handful of short fields.
MAX_BODY_BYTES = 16 * 1024


class Board(Protocol):
    """What the control controls."""

    def press(self, fault: str, request: object) -> Pressed:
        """Press a fault. Raises RequestError."""
        ...

    def state(self) -> SimulatorState:
        """Return what may be shown."""
        ...


def build_app(board: Board) -> Starlette:
    """Return the two routes, ``GET /state`` and ``POST /faults/{fault}``."""

    async def state(request: Request) -> Response:
        return _json(board.state())

    async def press(request: Request) -> Response:
        if "origin" in request.headers:
            raise Forbidden(
                "A web page may not press faults.",
                required_action="Press from a program on this machine (curl, a test), without an Origin header.",
                will_not="The simulator will not let a page of any origin control it.",
                code="origin_refused",
            )
        return _json(board.press(request.path_params["fault"], await _read_object(request)))

    return Starlette(
        routes=[Route("/state", state), Route("/faults/{fault}", press, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
        exception_handlers={RequestError: _refuse, HTTPException: _no_route},
    )


class Control:
    """The control's server, in the running loop.

    Args:
        board: What it controls.
    """

    def __init__(self, board: Board) -> None:
        self.port = 0
        self._server = _Server(
            uvicorn.Config(
                build_app(board),
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self, port: int) -> None:
        """Listen on ``port`` (0 picks a free one). Raises SettingsError if it is taken."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as exc:
            listener.close()
            raise SettingsError(
                f"The simulator's control cannot listen on {HOST}:{port} ({exc.strerror}).",
                required_action="Choose another control port, or 0 for a free one.",
                will_not="The simulator will not take another port by itself, nor start without its control.",
                code="simulator_port_taken",
            ) from exc
        self.port = listener.getsockname()[1]
        self._task = background(self._server.serve([listener]), "simulator-control")
        await self._server.listening.wait()

    async def stop(self) -> None:
        """Stop listening; requests that run may finish."""
        if self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None


class _Server(uvicorn.Server):
    """Leaves signals to the program that owns the loop, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _read_object(request: Request) -> object:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _bad_body(f"is longer than {MAX_BODY_BYTES} bytes")
    try:
        found: object = msgspec.json.decode(body) if body.strip() else {}
    except UNREADABLE as exc:
        raise _bad_body(f"is no JSON ({exc})") from exc
    if not isinstance(found, dict):
        raise _bad_body("is JSON, but not an object")
    return found


def _bad_body(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The request's body {why}.",
        required_action='Send one JSON object such as {"connection": 1, "seconds": 5}, or nothing at all.',
        will_not="The simulator will not press anything.",
    )


def _json(found: object) -> Response:
    return Response(msgspec.json.encode(found), media_type="application/json")


def _problem(status: int, described: dict[str, str]) -> Response:
    body = {"type": "about:blank", "status": status, "title": described["message"], **described}
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")


async def _refuse(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestError)  # noqa: S101 - Starlette's type of a handler is wider than its promise
    return _problem(exc.status, exc.describe())


async def _no_route(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - see _refuse
    return _problem(
        exc.status_code,
        {
            "code": "no_such_route",
            "message": f"{request.method} {request.url.path}: {exc.detail}.",
            "required_action": "Use GET /state or POST /faults/{fault}.",
            "will_not": "The simulator will not guess what was meant.",
        },
    )
