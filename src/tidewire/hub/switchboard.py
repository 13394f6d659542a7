"""The living connections and their clock: admit, push, close, lose, and do what falls due.

It must not know client messages, authentication or features.
Source: contract.md section 5 (heartbeat, closing); reliability.md 4, "Clients".
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog

from tidewire.accounts.model import Principal
from tidewire.accounts.permissions import NoteRefused, lacks_right
from tidewire.core import protocol
from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import TidewireError
from tidewire.core.token_bucket import TokenBucket
from tidewire.hub.command import answer
from tidewire.hub.farewell import Farewells
from tidewire.hub.lifecycle import Due, Lifecycle, Timing
from tidewire.hub.limit import ErrorBudget
from tidewire.hub.links import Links
from tidewire.hub.outbox import HARD_BYTES, Budget, Outbox, Outcome
from tidewire.hub.outflow import Scheduler
from tidewire.hub.registry import ConnectionInfo, Registry, describe
from tidewire.hub.room import RoomRules
from tidewire.hub.room_counts import RoomCounts
from tidewire.hub.rooms import Rooms
from tidewire.hub.session import Peer, Session, Socket
from tidewire.hub.shared_presence import SharedPresence
from tidewire.hub.shared_rooms import SharedRooms
from tidewire.hub.timetable import Timetable
from tidewire.hub.user_limit import UserLimit

_log = structlog.get_logger(__name__)

# Deadlines are kept to within this; a tick over nobody costs microseconds.
TICK_S = 0.25
DEGRADED = (
    "The message broker cannot be reached: new messages are not delivered until it is back. Stay connected; what was "
    "acknowledged comes later or is told as lost. Tidewire will not keep what you publish meanwhile."
)
# A tick that is this late follows a loop that stood still, and what clients sent meanwhile has not been read yet.
LATE_S = 1.0


@dataclass(frozen=True, slots=True)
class HubOptions:
    """What an operator may set.

    Attributes:
        outbox_bytes: Hard mark of one connection.
        budget_bytes: Bound of all outboxes together.
    """

    allow_anonymous: bool = False
    message_bytes: int = 65_536
    first_message_bytes: int = 4_096
    rooms_per_connection: int = 100
    messages_per_second: float = 50.0
    burst: float = 100.0
    connections_per_user: int = 10
    outbox_bytes: int = HARD_BYTES
    budget_bytes: int = 256 * 1_048_576
    timing: Timing = field(default_factory=Timing)


class Switchboard:
    """See the module's text.

    Args:
        rules: Room family -> rules.
        scheduler: The event loop.
        links: What connects this node with others; without them each room lives here alone.
        opened, closed: Told about every connection, for the record; must not block.
    """

    def __init__(
        self,
        rules: Mapping[str, RoomRules],
        options: HubOptions,
        *,
        clock: Clock,
        scheduler: Scheduler,
        links: Links | None = None,
        opened: Callable[[ConnectionInfo], None] | None = None,
        closed: Callable[[ConnectionInfo], None] | None = None,
    ) -> None:
        self.options = options
        self.clock = clock
        self.registry = Registry()
        self.budget = Budget(options.budget_bytes)
        self.rooms = Rooms(
            rules,
            clock=clock,
            scheduler=scheduler,
            epoch=f"e-{os.urandom(4).hex()}",
            close_slow=self._close_slow,
        )
        self.limit = UserLimit(
            options.connections_per_user,
            self.registry.open_of_user,
            self.registry.user_ids,
            links.slots if links is not None else None,
            clock,
            links.instance if links is not None else "",
            self.spawn,
        )
        self.shared: SharedRooms | None = None
        self.presence: SharedPresence | None = None
        self.counts: RoomCounts | None = None
        if links is not None:
            self._link(links)
        self.failures: Counter[str] = Counter()
        self.on_heartbeat: Callable[[Session], None] | None = None
        self.on_refused: NoteRefused = lambda principal, asked, ip: None
        self._opened = opened
        self._closed = closed
        self._farewells = Farewells()
        self._ids = _connection_ids()
        self._timetable: Timetable[Session] = Timetable()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    def _link(self, links: Links) -> None:
        self.shared = SharedRooms(self.rooms, links.log, links.bus, self.clock, self.spawn)
        self.shared.on_health = self._tell_health
        if links.members is not None:
            # Another life of this node must not be taken for this one.
            self.presence = self.shared.presence = SharedPresence(
                self.rooms.attendance, links.members, links.bus, self.clock, self.spawn, links.instance
            )
        links.log.on_connect(lambda _: self.limit.rewrite())
        self.counts = self.shared.posting.counts = RoomCounts(links.bus, links.instance, self.shared.occupied)

    # ---- running

    async def start(self) -> None:
        """Begin to keep time."""
        if self._keeper is not None:
            raise RuntimeError("the hub runs already")
        if self.shared is not None:
            self.shared.start()
        if self.counts is not None:
            self.counts.start()
        self._keeper = background(self._keep_time(), "hub-time")

    async def stop(self) -> None:
        """Cut every connection, cancel what runs, wait for it. Idempotent."""
        for session in self.registry:
            session.socket.abort()
        if self.counts is not None:
            self.counts.stop()
        if self.shared is not None:
            self.shared.stop()
        running = [*self._tasks, *([self._keeper] if self._keeper is not None else [])]
        self._keeper = None
        for task in running:
            task.cancel()
        for task in running:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run a coroutine that handles its own errors; ``stop`` ends it."""
        task = background(work, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def tasks(self) -> int:
        """How many coroutines are under way."""
        return len(self._tasks)

    # ---- connections

    def admit(self, socket: Socket, peer: Peer) -> Session:
        """Take a connection whose handshake is done."""
        now = self.clock.monotonic()
        options = self.options
        session = Session(
            next(self._ids),
            socket,
            peer,
            lifecycle=Lifecycle(now, options.timing),
            outbox=Outbox(self.budget, options.outbox_bytes),
            bucket=TokenBucket(rate=options.messages_per_second, burst=options.burst, now=now),
            errors=ErrorBudget(),
            connected_at=self.clock.time(),
        )
        session.marks = (now, 0, 0)
        self.registry.add(session)
        self.remind(session)
        return session

    def record_open(self, session: Session) -> None:
        """Tell the record that somebody is behind the connection now."""
        if self._opened is not None:
            self._opened(self.describe(session))

    def describe(self, session: Session) -> ConnectionInfo:
        """Return what is known of a session."""
        return describe(session, now=self.clock.monotonic(), wall=self.clock.time())

    def remind(self, session: Session) -> None:
        """Make sure that the session is looked at when it is next due."""
        now, wall = self.clock.monotonic(), self.clock.time()
        self._timetable.add(session, session.lifecycle.next_due(now, wall))

    def push(self, session: Session, encoded: Sequence[bytes]) -> bool:
        """Send messages to one connection; False if it is closing or had to be closed."""
        if session.push(encoded) is Outcome.CLOSE:
            self._close_slow(session)
        return not session.lifecycle.ended

    def close(
        self,
        session: Session,
        code: int,
        *,
        reconnect_after_ms: int | None = None,
        because: TidewireError | None = None,
    ) -> bool:
        """Say goodbye, ``because`` of what the code does not tell, and leave every room; False if done before."""
        now, wall = self.clock.monotonic(), self.clock.time()
        last = None if because is None else answer(None, None, because, b"")
        if not session.close(code, now=now, timestamp=wall, reconnect_after_ms=reconnect_after_ms, last=last):
            return False
        self._leave_all(session)
        self.remind(session)
        if session.principal is not None:
            self.limit.changed(session.principal.user_id)
        return True

    def tell_refused(self, session: Session, principal: Principal | None, asked: str, error: TidewireError) -> None:
        """Tell who listens that somebody known was refused something for a missing permission."""
        if principal is not None and lacks_right(error):
            self.on_refused(principal, asked, session.peer.ip)

    def slow(self, session: Session) -> None:
        """The socket's buffer is over its mark."""
        session.slow(self.clock.monotonic())
        self.remind(session)

    def lost(self, session: Session, code: int | None) -> None:
        """The connection is gone; ``code`` is the peer's, None without a close frame."""
        now, wall = self.clock.monotonic(), self.clock.time()
        self._leave_all(session)
        session.lose(code, now)
        self._timetable.discard(session)
        info = describe(session, now=now, wall=wall, closed_at=wall)
        self.registry.remove(session, info)
        if session.principal is not None:
            self.limit.changed(session.principal.user_id)
        self._farewells.note(session.close_code, connection_id=session.connection_id, now=now)
        if self._closed is not None:
            self._closed(info)

    # ---- time

    def tick(self) -> None:
        """Do what is due now."""
        now, wall = self.clock.monotonic(), self.clock.time()
        for session in self._timetable.take(now):
            for due in session.lifecycle.tick(now, wall):
                self._do(session, due, now, wall)
            when = session.lifecycle.next_due(now, wall)
            # A deadline that rounds to "now" again must not keep this loop busy.
            self._timetable.add(session, max(when, now + TICK_S / 2) if when <= now else when)
        self.rooms.attendance.tick(now)
        if self.shared is not None:
            self.shared.tick(now)
        if self.counts is not None:
            self.counts.tick()
        self.limit.tick(now)
        if self.presence is not None:
            self.presence.tick(now)
        self.rooms.tick(now)

    def _do(self, session: Session, due: Due, now: float, wall: float) -> None:
        if due is Due.HEARTBEAT:
            session.marks = (now, session.messages_in, session.sequence)
            if self.on_heartbeat is not None:
                self.on_heartbeat(session)
            self.push(session, [protocol.encode(protocol.Heartbeat(timestamp=wall))])
            # The protocol-level ping is answered by every WebSocket library, also where timers sleep (hidden tabs).
            if session.fast:
                session.socket.ping(b"%d" % int(now * 1_000_000))
        elif due is Due.WARN_EXPIRY:
            message = protocol.Connection(
                status="token_expiring", timestamp=wall, token_expires_at=session.lifecycle.expires_at
            )
            self.push(session, [protocol.encode(message)])
        elif due is Due.ABORT:
            session.socket.abort()
        else:
            self.close(session, due.value)

    async def _keep_time(self) -> None:
        while True:
            due = self.clock.monotonic() + TICK_S
            await self.clock.sleep(TICK_S)
            if self.clock.monotonic() - due > LATE_S:
                # Hear everybody before judging silence; only once, or a loop that is always late never judges.
                await self.clock.sleep(TICK_S)
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - a root: one bad deadline must not stop all others
                self.failures["tick"] += 1
                _log.exception("hub_tick_failed", will_not="Tidewire will not stop keeping time.")

    # ---- inside

    def _close_slow(self, session: Session) -> None:
        self.close(session, 4003)

    def _tell_health(self, trouble: str) -> None:
        """Tell everybody that rooms are cut off from other nodes, or that they no longer are."""
        status: Literal["degraded", "restored"] = "degraded" if trouble else "restored"
        _log.warning("hub_degraded" if trouble else "hub_restored", reason=trouble, connections=len(self.registry))
        notice = protocol.Connection(
            status=status,
            timestamp=self.clock.time(),
            reason="broker_unavailable" if trouble else None,
            message=DEGRADED if trouble else None,
        )
        self.rooms.push_to(self.registry, [protocol.encode(notice)])

    def _leave_all(self, session: Session) -> None:
        for room_id in list(session.subscriptions):
            self.rooms.leave(session, room_id)


def _connection_ids() -> Iterator[str]:
    """Yield names that nobody can guess or count by; the kernel is asked once for many of them."""
    while True:
        block = os.urandom(6 * 256).hex()
        for start in range(0, len(block), 12):
            yield f"c-{block[start : start + 12]}"
