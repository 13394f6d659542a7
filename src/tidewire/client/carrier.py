"""Carries a session over real sockets: dials, reads, writes, keeps time, fetches tokens. One socket at a time.

It must not decide anything: what happened goes into the session, what comes out is carried out in order. The library is
``websockets``: maintained, pure asyncio, and a client's load is one socket.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Origin, Subprotocol

from tidewire.client.event import Action, Close, Connect, FetchToken, Send
from tidewire.client.failure import ClientError
from tidewire.client.session import Session
from tidewire.client.state import CONNECT_TIMEOUT_MS, NO_CLOSE_FRAME
from tidewire.core.background import background
from tidewire.core.clock import Clock

_log = structlog.get_logger(__name__)

# A replay comes in one frame, up to a room's whole memory (1 MiB by default) in each encoding.
MAX_FRAME_BYTES = 16 * 1_048_576
# A peer that does not answer our close frame in this time is gone.
CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where to and as whom.

    Attributes:
        headers: Credentials, e.g. ``Authorization`` or ``Cookie``.
        origin: Needed with a cookie: the server trusts cookies of its own pages only.
        tls: How to judge the server; None for the system's certificates.
    """

    url: str
    headers: Mapping[str, str]
    origin: str | None
    subprotocols: Sequence[str]
    tls: SSLContext | None


@dataclass(slots=True, eq=False)
class _Line:
    """One socket and what is to be written to it. The queue is bounded by the session, which paces what it sends."""

    outbox: deque[Send | Close] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, action: Send | Close) -> None:
        self.outbox.append(action)
        self.filled.set()


class Carrier:
    """See the module's text.

    Args:
        tell: Called with every action that is not about the socket.
        fetch_token: Makes a token for one connection; raises ``ClientError`` if there will never be one.
    """

    def __init__(
        self,
        session: Session,
        address: Address,
        *,
        clock: Clock,
        tell: Callable[[Action], None],
        fetch_token: Callable[[], Awaitable[str]] | None,
    ) -> None:
        self.session = session
        self.counters: Counter[str] = Counter()
        self._address = address
        self._clock = clock
        self._tell = tell
        self._fetch_token = fetch_token
        self._line: _Line | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._todo: deque[Action] = deque()
        self._acting = False
        self._armed_ms: int | None = None
        self._sooner = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None

    def now_ms(self) -> int:
        """Return the session's time."""
        return int(self._clock.monotonic() * 1000)

    def start(self) -> None:
        """Begin to connect and to keep time."""
        if self._timer is not None:
            raise RuntimeError("the client runs already")
        self._timer = self._spawn(self._keep_time(), "client-time")
        self.act(self.session.start(self.now_ms()))

    async def stop(self) -> None:
        """Close the socket and end every task. Idempotent."""
        self.act(self.session.stop(self.now_ms()))
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        # Lines that say goodbye end by themselves, in bounded time; the rest is cancelled.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def act(self, actions: Sequence[Action]) -> None:
        """Carry out actions in order, also those that come up meanwhile."""
        self._todo.extend(actions)
        if self._acting:
            return
        self._acting = True
        try:
            while self._todo:
                self._do(self._todo.popleft())
        finally:
            self._acting = False
        due_ms = self.session.due_ms()
        if due_ms is not None and (self._armed_ms is None or due_ms < self._armed_ms):
            self._sooner.set()

    def _do(self, action: Action) -> None:
        if isinstance(action, Connect):
            self._line = _Line()
            self._spawn(self._converse(self._line), "client-line")
        elif isinstance(action, FetchToken):
            self._spawn(self._token(), "client-token")
        elif isinstance(action, Send):
            if self._line is not None:
                self._line.put(action)
        elif isinstance(action, Close):
            given_up, self._line = self._line, None
            if given_up is not None:
                given_up.put(action)
        else:
            self._tell(action)

    # ---- tasks

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = background(self._root(work, name), name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _root(self, work: Coroutine[None, None, None], name: str) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - a task's root: it logs and counts, and the session goes on
            self.counters["task_failures"] += 1
            _log.exception("client_task_failed", task=name, will_not="The client will not stop because of it.")

    async def _keep_time(self) -> None:
        while True:
            self._sooner.clear()
            due_ms = self._armed_ms = self.session.due_ms()
            if due_ms is None:
                await self._sooner.wait()
                continue
            delay_ms = due_ms - self.now_ms()
            if delay_ms <= 0:
                self.act(self.session.tick(self.now_ms()))
                await asyncio.sleep(0)
                continue
            sleeper = asyncio.ensure_future(self._clock.sleep(delay_ms / 1000))
            hurry = asyncio.ensure_future(self._sooner.wait())
            try:
                await asyncio.wait((sleeper, hurry), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeper.cancel()
                hurry.cancel()

    async def _token(self) -> None:
        if self._fetch_token is None:
            return
        try:
            value = await self._fetch_token()
        except ClientError as exc:
            self.act(self.session.token_failed(exc.code, not exc.temporary, self.now_ms()))
        except Exception as exc:  # noqa: BLE001 - the program's own function: whatever it raises, a later try may succeed
            self.counters["token_failures"] += 1
            _log.warning("token_fetch_failed", error=repr(exc), will_not="The client will not connect without a token.")
            self.act(self.session.token_failed("token_unavailable", False, self.now_ms()))
        else:
            self.act(self.session.token(value, self.now_ms()))

    # ---- one socket

    async def _converse(self, line: _Line) -> None:
        dialing = asyncio.ensure_future(self._dial())
        given_up = asyncio.ensure_future(line.filled.wait())
        # Before the handshake is done only a Close can be in the outbox.
        await asyncio.wait((dialing, given_up), return_when=asyncio.FIRST_COMPLETED)
        given_up.cancel()
        if not dialing.done():
            dialing.cancel()
            return
        try:
            socket = dialing.result()
        except InvalidStatus as exc:
            status = exc.response.status_code
            retry_after = exc.response.headers.get("Retry-After", "")
            hint_ms = int(retry_after) * 1000 if retry_after.isdigit() else None
            self._report(line, self.session.refused, status, hint_ms)
        except InvalidURI:
            self._report(line, self.session.refused, 400, None)
        except (OSError, InvalidHandshake, TimeoutError, EOFError) as exc:
            self.counters["dial_failures"] += 1
            self._report(line, self.session.lost, NO_CLOSE_FRAME, type(exc).__name__)
        else:
            await self._talk(line, socket)

    async def _dial(self) -> ClientConnection:
        address = self._address
        self.counters["dialed"] += 1
        return await connect(
            address.url,
            origin=Origin(address.origin) if address.origin is not None else None,
            subprotocols=[Subprotocol(name) for name in address.subprotocols],
            additional_headers=dict(address.headers),
            user_agent_header="tidewire-client",
            compression=None,
            # The server asks for signs of life, and the session judges its silence.
            ping_interval=None,
            open_timeout=CONNECT_TIMEOUT_MS / 1000,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_FRAME_BYTES,
            proxy=None,
            ssl=address.tls or (True if address.url.startswith("wss:") else None),
        )

    async def _talk(self, line: _Line, socket: ClientConnection) -> None:
        writer = asyncio.create_task(self._write(line, socket), name="client-write")
        code, reason = NO_CLOSE_FRAME, "connection_lost"
        try:
            self._report(line, self.session.opened, socket.subprotocol)
            async for text in socket:
                if line is not self._line:
                    break
                self._report(line, self.session.received, text)
        except ConnectionClosed as exc:
            if exc.rcvd is not None:
                code, reason = exc.rcvd.code, exc.rcvd.reason
        else:
            code, reason = socket.close_code or NO_CLOSE_FRAME, socket.close_reason or ""
        finally:
            if line is not self._line:
                # Given up by the session: the writer says goodbye.
                line.filled.set()
                await writer
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await socket.close()
        self._report(line, self.session.lost, code, reason)

    async def _write(self, line: _Line, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await line.filled.wait()
                line.filled.clear()
                while line.outbox:
                    action = line.outbox.popleft()
                    if isinstance(action, Close):
                        await socket.close(action.code, action.reason)
                        return
                    await socket.send(action.text, text=True)

    def _report(self, line: _Line, happened: Callable[..., list[Action]], *values: object) -> None:
        """Tell the session, unless it has given this socket up."""
        if line is self._line:
            self.act(happened(*values, self.now_ms()))
