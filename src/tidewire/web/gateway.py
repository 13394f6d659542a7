"""Where WebSockets come in: the hub's paths go to picows, every other one to the fallback, all on uvicorn's port.

uvicorn makes one ``ws`` protocol object per upgrade request and gives it the transport and the request's bytes. For a
path of the hub the handshake is judged, the transport handed to picows, and nothing of uvicorn stays on it. A handshake
that came whole, in plain form, and is acceptable does not even meet uvicorn (``take_whole``): same judge, half the CPU.
It must not know rooms, messages or how credentials are checked.
Source: architecture.md, "One port, two speeds"; uvicorn ``HttpToolsProtocol.handle_websocket_upgrade``.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from tidewire.core.errors import RequestError
from tidewire.hub.hub import Hub
from tidewire.hub.session import Peer, Session
from tidewire.web.conduct import Conduct
from tidewire.web.handover import hand_over
from tidewire.web.handshake import Acceptance, Policy, Refusal, is_plain, judge, path_of, response

# Files that are not client sockets: the database, the bus, listeners, logs, HTTP requests under way.
SPARE_FILES = 200


def connection_cap() -> int:
    """Return how many client connections this process can hold: the limit of open files minus a reserve."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, (1 << 30 if soft == resource.RLIM_INFINITY else soft) - SPARE_FILES)


class HubConnection(Conduct):
    """One client of the hub."""

    __slots__ = ("_accepted", "_gateway", "_hub", "_session")

    def __init__(self, loop: asyncio.AbstractEventLoop, gateway: Gateway, accepted: Acceptance) -> None:
        super().__init__(loop)
        self._gateway = gateway
        self._hub = gateway.hub
        self._accepted: Acceptance | None = accepted
        self._session: Session | None = None

    def on_opened(self) -> None:
        """Bring the connection to the hub."""
        accepted, self._accepted = self._accepted, None
        if accepted is None:
            return
        peer = Peer(
            ip=accepted.ip,
            user_agent=accepted.user_agent,
            path=accepted.path,
            batch=accepted.batch,
            admin_only=accepted.admin_only,
        )
        self._session = self._hub.open(self, peer, accepted.credential if accepted.supported else None)
        if not accepted.supported:
            self._hub.close(self._session, 4506)

    def on_message(self, payload: bytes, text: bool) -> None:
        """Pass a message on."""
        if self._session is not None:
            self._hub.receive(self._session, payload)

    def on_control(self, payload: bytes) -> None:
        """Pass a sign of life on."""
        if self._session is not None:
            self._hub.alive(self._session, payload)

    def on_breach(self) -> None:
        """Count it."""
        self._gateway.protocol_errors += 1

    def on_gone(self) -> None:
        """Tell the hub, and let go of the session, which holds this socket."""
        session, self._session = self._session, None
        if session is not None:
            self._hub.lost(session, self.peer_code)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self.congested = True
        if self._session is not None:
            self._hub.slow(self._session)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.congested = False
        if self._session is not None:
            self._hub.quick(self._session)


class Gateway:
    """Judges handshakes and hands sockets over.

    Args:
        fallback: uvicorn WebSocket protocol class for every path that is not the hub's.
        connections_per_ip: Connections of one address that may be open without having said who they are.
        max_connections: Bound of the process; ``connection_cap()`` by default.
        barred: Why an address may not come in, None if it may; in memory, asked at every handshake.
    """

    def __init__(
        self,
        hub: Hub,
        policy: Policy,
        fallback: Callable[..., asyncio.Protocol],
        *,
        connections_per_ip: int = 20,
        max_connections: int | None = None,
        barred: Callable[[str], RequestError | None] = lambda ip: None,
    ) -> None:
        self.hub = hub
        self.policy = policy
        self.fallback = fallback
        self.refused: Counter[int] = Counter()
        self.protocol_errors = 0
        self._per_ip = connections_per_ip
        self._barred = barred
        self._max = max_connections if max_connections is not None else connection_cap()

    def protocol_class(self) -> type[asyncio.Protocol]:
        """Return what uvicorn's ``ws=`` takes."""
        return cast("type[asyncio.Protocol]", type("GatewayProtocol", (_Entrance,), {"gateway": self}))

    def judge(self, head: bytes, peer_ip: str) -> Acceptance | Refusal:
        """Decide about one request, the state of the process included."""
        verdict = judge(head, self.policy, peer_ip)
        if isinstance(verdict, Acceptance):
            verdict = self._full(verdict) or verdict
        if isinstance(verdict, Refusal):
            self.refused[verdict.status.value] += 1
        return verdict

    def take_whole(self, transport: asyncio.Transport, data: bytes) -> bool:
        """Take a connection whose first bytes are a whole, plain handshake that is accepted; False if they are not.

        Nobody is refused here: what is not taken goes the long way, which refuses it. Use as the ``shortcut`` of a
        ``Doorkeeper``.
        """
        if not is_plain(data, self.policy):
            return False
        verdict = judge(data, self.policy, _peer_ip(transport))
        if isinstance(verdict, Refusal) or self._full(verdict) is not None:
            return False
        transport.pause_reading()
        self.take(transport, verdict, asyncio.get_running_loop())
        return True

    def take(self, transport: asyncio.Transport, accepted: Acceptance, loop: asyncio.AbstractEventLoop) -> None:
        """Make picows the transport's protocol, as if the client had just sent its request to it."""
        listener = HubConnection(loop, self, accepted)
        hand_over(transport, accepted.key, accepted.subprotocol, listener)

    def _full(self, accepted: Acceptance) -> Refusal | None:
        retry = (("retry-after", "5"),)
        if (error := self._barred(accepted.ip)) is not None:
            return Refusal(HTTPStatus.FORBIDDEN, error.message, error=error)
        if not self.hub.accepting:
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "This node takes no new clients just now.", retry)
        if self.hub.connection_count() >= self._max:
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "This node has no room for another connection.", retry)
        if accepted.credential is None and self.hub.unknown_from(accepted.ip) >= self._per_ip:
            message = "Too many connections from this address have not said who they are."
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, message, retry)
        return None


def _peer_ip(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


class _Entrance(asyncio.Protocol):
    """What uvicorn talks to until the request's path is known; it passes everything on to who is behind it."""

    gateway: Gateway

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self._made_of = {"config": config, "server_state": server_state, "app_state": app_state}
        self._transport: asyncio.Transport | None = None
        self._inner: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; nothing is known yet."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take the request; later bytes belong to who is behind."""
        transport = self._transport
        if self._inner is not None:
            self._inner.data_received(data)
            return
        if transport is None or transport.is_closing():
            return
        loop = asyncio.get_running_loop()
        if path_of(data) not in self.gateway.policy.paths:
            self._pass_on(transport, data, loop)
            return
        verdict = self.gateway.judge(data, _peer_ip(transport))
        if isinstance(verdict, Refusal):
            transport.write(response(verdict))
            transport.close()
            return
        transport.pause_reading()
        # uvicorn sets this object as the protocol right after this call; picows must come after that.
        loop.call_soon(self._hand_over, transport, verdict, loop)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on."""
        self._transport = None
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        """Pass on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def _pass_on(self, transport: asyncio.Transport, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
        inner = self._inner = self.gateway.fallback(**self._made_of)
        inner.connection_made(transport)
        inner.data_received(data)
        loop.call_soon(self._step_aside, transport, inner)

    def _step_aside(self, transport: asyncio.Transport, inner: asyncio.Protocol) -> None:
        if self._transport is not None and not transport.is_closing():
            transport.set_protocol(inner)

    def _hand_over(self, transport: asyncio.Transport, accepted: Acceptance, loop: asyncio.AbstractEventLoop) -> None:
        if self._transport is not None and not transport.is_closing():
            self.gateway.take(transport, accepted, loop)
