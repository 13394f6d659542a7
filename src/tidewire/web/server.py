"""Runs the ASGI application on one port with uvicorn. It must not know what the application does, and owns no signals.

uvicorn's own signal handling closes every socket in the same instant (reliability.md 1, finding 4), so ``cli`` owns the
signals and calls ``stop``. Source: uvicorn manual, "Settings", "Running programmatically".
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from tidewire.core.background import background
from tidewire.core.errors import SettingsError
from tidewire.web.websocket_protocol import set_socket_limits, websocket_options

# A browser that is being closed gets this long to read what was written for it.
GRACE_S = 3
# Above the kernel's default of 128 and below its usual cap of 4096; 10,000 reconnecting browsers arrive at once.
BACKLOG = 2048
# Where an operator sets the port of the pages.
CHOSEN_BY = "TIDEWIRE_PORT or --port"


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals alone and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then set ``listening``."""
        await super().startup(sockets)
        self.listening.set()

    def new_protocol(self) -> asyncio.Protocol:
        """Return the protocol of one more connection, as uvicorn's own ``startup`` makes it."""
        make: Any = self.config.http_protocol_class
        made: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
        )
        return made

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do nothing; the process's owner handles signals."""
        yield


class WebServer:
    """One listening port: ``bind`` it, then ``start`` serving an application on it.

    Args:
        host, port: Where to listen; port 0 lets the kernel choose (see ``port`` after ``bind``).
        certificate, private_key: PEM files for TLS, both or neither.
        trusted_proxies: Addresses whose ``X-Forwarded-*`` are believed; none by default.
        websocket_protocol: uvicorn WebSocket protocol class (the gateway's); the hardened one by default.
        http_protocol: uvicorn HTTP protocol class (the bounded one); uvicorn's choice by default.
        listener: A bound socket to use instead of binding one; closed here at the end.
        reuse_port: Whether other processes may listen on the same port (a successor that is started before we end).
        chosen_by: Where an operator sets the port; said when it is taken.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        certificate: Path | None = None,
        private_key: Path | None = None,
        trusted_proxies: Sequence[str] = (),
        websocket_protocol: type[asyncio.Protocol] | None = None,
        http_protocol: type[asyncio.Protocol] | None = None,
        listener: socket.socket | None = None,
        reuse_port: bool = False,
        chosen_by: str = CHOSEN_BY,
    ) -> None:
        self._host, self._wanted_port = host, port
        self._listener = listener
        self._reuse_port = reuse_port
        self._chosen_by = chosen_by
        self._server: _QuietServer | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving = False
        self._covering = asyncio.Lock()
        self._covered: dict[int, asyncio.base_events.Server] = {}
        self._options: dict[str, Any] = {
            "proxy_headers": bool(trusted_proxies),
            "forwarded_allow_ips": list(trusted_proxies),
            "ssl_certfile": certificate,
            "ssl_keyfile": private_key,
            **websocket_options(),
        }
        if websocket_protocol is not None:
            self._options["ws"] = websocket_protocol
        if http_protocol is not None:
            self._options["http"] = http_protocol

    @property
    def port(self) -> int:
        """The bound port."""
        if self._listener is None:
            raise RuntimeError("the server has not been bound")
        port: int = self._listener.getsockname()[1]
        return port

    def bind(self) -> None:
        """Take the address without answering yet. Raises SettingsError if it cannot be had."""
        if self._listener is None:
            self._listener = self._bind()

    async def start(self, app: Callable[..., Any]) -> None:
        """Serve ``app``; returns when connections are accepted."""
        if self._task is not None:
            raise RuntimeError("the server runs already")
        self.bind()
        assert self._listener is not None  # noqa: S101 - bound just now
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
                backlog=BACKLOG,
                **self._options,
            )
        )
        self._task = background(self._server.serve(sockets=[self._listener]), "web-server")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({listening, self._task}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            await self._task

    async def cover(self, place: int, listener: socket.socket) -> None:
        """Accept on another worker's socket too, until ``uncover``; not once we have stopped accepting ourselves."""
        async with self._covering:
            server = self._server
            if server is None or self._leaving or place in self._covered:
                listener.close()
                return
            made = await asyncio.get_running_loop().create_server(
                server.new_protocol, sock=listener, ssl=server.config.ssl, backlog=BACKLOG
            )
            self._covered[place] = made
            server.servers.append(made)

    async def uncover(self, place: int) -> None:
        """Leave another worker's socket alone again; what was accepted there lives on."""
        async with self._covering:
            made = self._covered.pop(place, None)
            if made is not None and self._server is not None:
                self._server.servers.remove(made)
                made.close()

    def stop_accepting(self) -> None:
        """Take no new connections; those that exist live on. For a port that others serve too."""
        self._leaving = True
        for server in self._server.servers if self._server is not None else ():
            server.close()

    async def stop(self) -> None:
        """Stop accepting, close every connection, wait at most ``GRACE_S`` for them. Idempotent."""
        if self._task is not None and self._server is not None:
            self._server.should_exit = True
            await self._task
            self._task = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _bind(self) -> socket.socket:
        try:
            return new_listener(self._host, self._wanted_port, reuse_port=self._reuse_port)
        except OSError as exc:
            raise cannot_listen(self._host, self._wanted_port, exc, chosen_by=self._chosen_by) from exc


def new_listener(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """Return a bound socket that does not listen yet. Raises OSError."""
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setblocking(False)
        set_socket_limits(listener)
        listener.bind(address[4])
    except BaseException:
        listener.close()
        raise
    return listener


def cannot_listen(host: str, port: int, error: OSError, *, chosen_by: str = CHOSEN_BY) -> SettingsError:
    """Return what to tell the operator; ``chosen_by``: where the port is set."""
    return SettingsError(
        f"Cannot listen on {host} port {port}: {error.strerror or error}.",
        required_action=f"Stop the program that holds the port, or choose another with {chosen_by}.",
        will_not="Tidewire will not pick another port by itself.",
    )
