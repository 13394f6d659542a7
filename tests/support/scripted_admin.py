"""A scripted server for the pages: real templates, real built files, real Socket.IO, told what to say by a test.

It speaks docs/admin-channel.md and nothing more; it must not share code with the real server, or a mistake in it
would be made twice. Headers are as strict as the real ones, so that a page which breaks the policy breaks here.
"""

from __future__ import annotations

import asyncio
import copy
import math
import socket
import time
from typing import Any

import socketio
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from tidewire.accounts.model import Principal, Role
from tidewire.accounts.permissions import PERMISSIONS
from tidewire.web.pages import PageSettings, pages_router, static_mount
from tidewire.web.templating import Templates

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NAMES = {"connection_1": "primary", "connection_2": "secondary", "connection_3": "tertiary"}
SYMBOLS = {
    "connection_1": ["AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META"],
    "connection_2": ["JPM", "BAC", "GS", "MS", "WFC", "C"],
    "connection_3": ["XOM", "CVX", "COP", "SLB", "BRK.B", "OXY"],
}


def principal(role: Role = Role.ADMIN) -> Principal:
    """Somebody who is logged in."""
    return Principal(7, "ada", role, PERMISSIONS, "session-1", time.time() + 3600)


def line(connection_id: str, now: float, **more: Any) -> dict[str, Any]:
    """One healthy slot of the status."""
    tickers = SYMBOLS.get(connection_id, []) + [f"SYN{n:03d}" for n in range(140)]
    return {
        "name": NAMES.get(connection_id, connection_id),
        "status": "connected",
        "state": "live",
        "state_since": now - 3696.0,
        "enabled": True,
        "universe_key": "market_leaders:top_500",
        "assigned_tickers": len(tickers),
        "tickers": tickers,
        "message_count": 93_604,
        "error_count": 0,
        "last_message_time": now,
        "connected_since": now - 3696.0,
        "uptime_seconds": 3696.0,
        "messages_per_second": 25.3,
        "bytes_per_second": 5_120.0,
        "reconnects": 0,
        "last_error": None,
        "next_retry_at": None,
        "latency_ms": {"p50": 3.1, "p99": 12.0},
        "gaps": 0,
        "duplicates": 0,
        "parse_errors": 0,
        "queue_depth": 0,
        "dropped": 0,
        "endings": [],
        "warnings": [],
        **more,
    }


def status(now: float, lines: dict[str, dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A whole status of three slots."""
    connections = lines or {name: line(name, now) for name in NAMES}
    enabled = [one for one in connections.values() if one["enabled"]]
    return {
        "timestamp": now,
        "feed_timestamp": now,
        "feed_silent_since": None,
        "source": "massive",
        "total_connections": len(enabled),
        "connected_count": sum(one["status"] == "connected" for one in enabled),
        "total_ticks_received": sum(one["message_count"] for one in connections.values()),
        "total_errors": sum(one["error_count"] for one in connections.values()),
        "paused": None,
        "warnings": [],
        "unassigned": {"message_count": 0, "messages_per_second": 0.0, "last_message_time": None},
        "bus_errors": {"count": 0, "last_sample": None, "last_reason": None, "last_at": None},
        "connections": connections,
        **more,
    }


def point(second: int, seed: int) -> dict[str, Any]:
    """One second of history; a calm wave that depends on ``seed``."""
    wave = math.sin(second / 40 + seed * 2) + 0.4 * math.sin(second / 7 + seed)
    return {
        "messages_per_second": 25 + 6 * wave,
        "bytes_per_second": 5_000 + 900 * wave,
        "latency_p50": 3 + 0.5 * wave,
        "latency_p99": 11 + 2.5 * wave,
        "last_tick_age": 0.1,
        "gaps": 0,
        "duplicates": 0,
        "parse_errors": 0,
        "reconnects": 0,
        "queue_depth": 0,
        "dropped": 0,
    }


class Script:
    """What the server says; a test changes the attributes and calls the methods.

    Attributes:
        status: Sent with the next snapshot.
        refuse: None, or (message, data) with which the namespace is refused.
        asked: Every (event, data) that a client sent, in order.
        logged_in: Whose session the cookie is; None for nobody.
    """

    def __init__(self) -> None:
        self.now = time.time()
        self.status = status(self.now)
        self.history_s = 900
        self.refuse: tuple[str, dict[str, str]] | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.logged_in: Principal | None = principal()
        self.can_control = True
        self.inspection: dict[str, Any] | None = None
        self.errors: dict[str, dict[str, str]] = {}
        self.options: dict[str, Any] = {"batch": False, "filter": None}
        self.paused: dict[str, float] = {}
        self.held = 0
        self.recent: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
        self.data_notice: str | None = "Real daily bars, modelled intraday path."
        self._ids = 0
        self._prices: dict[str, float] = {}

    def tick(self, connection_id: str | None, symbol: str, **more: Any) -> dict[str, Any]:
        """Make the next tick of a symbol; prices walk up, down and stay, in turn."""
        self._ids += 1
        before = self._prices.get(symbol)
        step = (0.07, -0.05, 0.0)[self._ids % 3]
        price = round(more.pop("price", (before or 178.23) + step), 2)
        self._prices[symbol] = price
        now = time.time()
        tick = {
            "type": "market_tick",
            "symbol": symbol,
            "price": price,
            "volume": 100 * (1 + self._ids % 12),
            "timestamp": now - 0.012,
            "source": "massive",
            "connection_id": connection_id,
            "event": "T",
            "received": now - 0.004,
            "published": now - 0.003,
            "frame": self._ids,
            "id": self._ids,
            "change_pct": None if before is None else (price - before) * 100 / before,
            **more,
        }
        self.recent.setdefault(connection_id or "unassigned", []).insert(0, tick)
        del self.recent[connection_id or "unassigned"][500:]
        return tick

    def fill(self, count: int = 50) -> None:
        """Give every connection ``count`` ticks of the past."""
        for name, symbols in SYMBOLS.items():
            for n in range(count):
                self.tick(name, symbols[n % len(symbols)])

    def snapshot(self) -> dict[str, Any]:
        """Return the acknowledgement of request_snapshot."""
        now = int(time.time())
        start = now - self.history_s
        history = {
            name: {"start": start, "step_s": 1, "points": [point(start + s, i) for s in range(self.history_s)]}
            for i, (name, one) in enumerate(self.status["connections"].items())
            if one["enabled"]
        }
        return {
            "ok": True,
            "status": self.status,
            "history": history,
            "ticks": {name: ticks[:50] for name, ticks in self.recent.items() if ticks},
            "paused": self.paused,
            "options": self.options,
            "server_time": time.time(),
            "can": {"feed_control": self.can_control},
        }


class AdminNamespace(socketio.AsyncNamespace):
    """The namespace, answering from the script."""

    def __init__(self, script: Script) -> None:
        super().__init__("/admin-ws")
        self.script = script

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Let in or refuse."""
        if self.script.refuse is not None:
            raise socketio.exceptions.ConnectionRefusedError(*self.script.refuse)

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Answer any request; an event named in ``errors`` is refused with that error."""
        if event in {"connect", "disconnect", "__disconnect_final"}:
            return await super().trigger_event(event, *args)
        data = args[1] if len(args) > 1 else {}
        self.script.asked.append((event, data))
        if event in self.script.errors:
            return {"ok": False, "error": self.script.errors[event]}
        return getattr(self, f"answer_{event}")(data)

    def answer_request_snapshot(self, data: dict[str, Any]) -> dict[str, Any]:
        """Everything."""
        return self.script.snapshot()

    def answer_request_metrics(self, data: dict[str, Any]) -> dict[str, Any]:
        """Nothing but a yes."""
        return {"ok": True}

    def answer_set_options(self, data: dict[str, Any]) -> dict[str, Any]:
        """The options now."""
        self.script.options.update(data)
        return {"ok": True, "options": copy.deepcopy(self.script.options)}

    def answer_pause_stream(self, data: dict[str, Any]) -> dict[str, Any]:
        """Pause one or all."""
        for name in self._names(data):
            self.script.paused.setdefault(name, time.time())
        return {"ok": True, "paused": self.script.paused}

    def answer_resume_stream(self, data: dict[str, Any]) -> dict[str, Any]:
        """Resume one or all, with the newest 50."""
        names = self._names(data)
        for name in names:
            self.script.paused.pop(name, None)
        ticks = {name: self.script.recent.get(name, [])[:50] for name in names}
        return {"ok": True, "paused": self.script.paused, "ticks": ticks, "skipped": dict.fromkeys(names, 1_154)}

    def answer_inspect_tick(self, data: dict[str, Any]) -> dict[str, Any]:
        """The tick and the frame it came in."""
        every = (tick for ticks in self.script.recent.values() for tick in ticks)
        tick = next(one for one in every if one["id"] == data["id"])
        raw = f'[{{"ev":"T","sym":"{tick["symbol"]}","p":{tick["price"]},"s":{tick["volume"]},"x":4,"z":3}}]'
        return {
            "ok": True,
            "tick": tick,
            "raw": raw,
            "raw_bytes": len(raw),
            "truncated": False,
            "event_raw": raw[1:-1],
            "decoded": f'{{"symbol":"{tick["symbol"]}","price":{tick["price"]},"volume":{tick["volume"]}}}',
            "verdict": "valid",
            "timings": {
                "exchange": tick["timestamp"],
                "received": tick["received"],
                "published": tick["published"],
                "seen": tick["published"] + 0.001,
            },
            "origin": "upstream",
            **(self.script.inspection or {}),
        }

    def answer_pause_feed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Stop the lines."""
        self.script.status["paused"] = {"by": "ada", "since": time.time(), "reason": data.get("reason", "")}
        return {"ok": True}

    def answer_resume_feed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Start them again."""
        self.script.status["paused"] = None
        return {"ok": True}

    def _names(self, data: dict[str, Any]) -> list[str]:
        return [data["connection_id"]] if "connection_id" in data else [*self.script.status["connections"]]


class ScriptedAdmin:
    """The server; ``async with ScriptedAdmin() as admin`` runs it on a free port of 127.0.0.1.

    Attributes:
        script: What it says.
        url: Where it is.
    """

    def __init__(self, script: Script | None = None, port: int = 0) -> None:
        self.script = script or Script()
        self.url = ""
        self.port = port
        self.sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], cors_allowed_origins=[])
        self.sio.register_namespace(AdminNamespace(self.script))

    async def __aenter__(self) -> ScriptedAdmin:
        """Start."""
        # Bound and listening before the server starts, so that nobody has to wait for it.
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.sio.eio.cors_allowed_origins = lambda origin, environ: origin is None or origin == self.url
        config = uvicorn.Config(self._app(), log_level="warning", lifespan="off", ws="websockets-sansio")
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop at once; clients lose their sockets."""
        self._server.should_exit = True
        self._server.force_exit = True
        await self._task
        self._socket.close()

    async def emit(self, event: str, data: Any) -> None:
        """Say something to every viewer."""
        await self.sio.emit(event, data, namespace="/admin-ws")

    async def ticks(self, ticks: list[dict[str, Any]], dropped: int = 0) -> None:
        """Send a batch."""
        await self.emit("tick_batch", {"ticks": ticks, "dropped": dropped})

    async def push_status(self, **changes: Any) -> None:
        """Change the status and tell everybody."""
        self.script.status.update(changes)
        await self.emit("connection_status_update", self.script.status)

    async def second(self) -> None:
        """Send what the real server sends every second."""
        now = int(time.time())
        names = [name for name, one in self.script.status["connections"].items() if one["enabled"]]
        await self.emit("history_update", {"t": now, "connections": {n: point(now, i) for i, n in enumerate(names)}})
        if self.script.paused:
            await self.emit("held_update", dict.fromkeys(self.script.paused, self.script.held))

    async def drop_all(self) -> None:
        """Cut every viewer's socket."""
        for sid in [*self.sio.manager.rooms.get("/admin-ws", {}).get(None, {})]:
            await self.sio.disconnect(sid, namespace="/admin-ws")

    def _app(self) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, title="Scripted")
        templates = Templates()
        settings = PageSettings(node="node-a", demo=True, data_notice=self.script.data_notice)
        app.include_router(pages_router(templates, settings, lambda request: "csrf-1"))
        app.routes.append(static_mount(templates))
        app.add_middleware(BaseHTTPMiddleware, dispatch=self._guard)
        app.mount("/socket.io", socketio.ASGIApp(self.sio))

        @app.get("/login", include_in_schema=False)
        def login(request: Request, next: str = "/", failed: bool = False) -> Response:  # noqa: A002 - the query's own name
            error = {"message": "User name or password is wrong.", "required_action": "Try again."} if failed else None
            context = {"csrf_token": "csrf-1", "next": next, "error": error, "username": "ada" if failed else ""}
            return templates.render(request, "login.html", context)

        @app.get("/logout", include_in_schema=False)
        def logout(request: Request) -> Response:
            return templates.render(request, "logout.html", {"csrf_token": "csrf-1"})

        @app.get("/api/admin/websocket-status", tags=["feed"])
        def feed_status() -> dict[str, Any]:
            """The feed's status."""
            return self.script.status

        @app.get("/problem", include_in_schema=False)
        def problem(request: Request) -> Response:
            context = {
                "status": 403,
                "code": "permission_denied",
                "details": {"role": "admin"},
                "detail": "This needs the role admin; you are user.",
                "required_action": "Ask an administrator for the role.",
                "will_not": "Tidewire will not show any part of it.",
                "correlation_id": "4f1c2b",
            }
            return templates.render(request, "error.html", context, status=403)

        return app

    async def _guard(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.principal = self.script.logged_in
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = CSP
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
