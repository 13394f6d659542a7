"""What a program uses: a client with one connection, rooms to iterate over, requests to await.

It must not know frames or sockets; it hands wishes to the session and events to whoever waits for them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from ssl import SSLContext
from types import TracebackType
from urllib.parse import urlsplit

import msgspec

from tidewire.client.carrier import Address, Carrier
from tidewire.client.event import (
    Action,
    Deliver,
    Failure,
    Json,
    Link,
    Note,
    RoomEnded,
    RoomEntered,
    RoomEvent,
    Settle,
)
from tidewire.client.failure import ClientEnded, ClientError, ended, error_of
from tidewire.client.session import Session
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.protocol import SUBPROTOCOLS, Member, Since

# A consumer that is this many events behind leaves the room and comes back with `since` when it has caught up.
MAX_INBOX = 1_024
MAX_QUEUE = 100


class Published(msgspec.Struct, frozen=True):
    """What became of a publish; a volatile one has no place.

    Attributes:
        reached: Connections that are in the room, on all nodes.
        not_counted: Nodes that may have more.
    """

    room_id: str
    reached: int
    epoch: str | None = None
    offset: int | None = None
    not_counted: list[str] = []


class Room:
    """One room: iterate over it to get its events, in order. Made by ``Client.subscribe``; for one consumer.

    Each message comes at most once. When something was missed for good, a ``Reset`` comes instead of it. A consumer
    that falls behind by the inbox's size leaves the room and continues where it was, by the room's history. The
    iteration ends when the program leaves, and raises ``ClientError`` when the server does not let it be inside.
    """

    def __init__(self, room_id: str, carrier: Carrier, max_inbox: int) -> None:
        self.room_id = room_id
        self._carrier = carrier
        self._max_inbox = max_inbox
        self._inbox: deque[RoomEvent] = deque()
        self._arrived = asyncio.Event()
        self._entered = asyncio.Event()
        self._paused = False
        self._ended = False
        self._error: ClientError | None = None
        self._waiting = False

    @property
    def position(self) -> Since | None:
        """The last message that has been received; what to give as ``since`` another time."""
        track = self._carrier.session.rooms.get(self.room_id)
        return None if track is None else track.since

    @property
    def members(self) -> Mapping[int, Member]:
        """Who is inside, by user id, as far as the server lists them. Only with ``presence``."""
        track = self._carrier.session.rooms.get(self.room_id)
        return {} if track is None else dict(track.members)

    @property
    def count(self) -> int:
        """How many users are inside. Only with ``presence``."""
        track = self._carrier.session.rooms.get(self.room_id)
        return 0 if track is None else track.count

    async def entered(self) -> None:
        """Return once the server has let us in. Raises ClientError if it does not."""
        await self._entered.wait()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Leave; the iteration ends after what has arrived already."""
        if not self._ended:
            self._carrier.act(self._carrier.session.unsubscribe(self.room_id, self._carrier.now_ms()))

    def __aiter__(self) -> AsyncIterator[RoomEvent]:
        return self

    async def __anext__(self) -> RoomEvent:
        if self._waiting:
            raise RuntimeError(f"the room {self.room_id} has a consumer already")
        self._waiting = True
        try:
            while not self._inbox:
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    raise StopAsyncIteration
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self._waiting = False
        event = self._inbox.popleft()
        if self._paused and len(self._inbox) <= self._max_inbox // 2:
            self._paused = False
            self._carrier.act(self._carrier.session.resume(self.room_id, self._carrier.now_ms()))
        return event

    async def __aenter__(self) -> Room:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def deliver(self, event: RoomEvent) -> None:
        """Take an event from the connection."""
        self._inbox.append(event)
        self._arrived.set()
        if not self._paused and len(self._inbox) >= self._max_inbox:
            self._paused = True
            self._carrier.counters["rooms_paused"] += 1
            self._carrier.act(self._carrier.session.pause(self.room_id, self._carrier.now_ms()))

    def enter(self) -> None:
        """Note that the server has let us in."""
        self._entered.set()

    def end(self, error: ClientError | None) -> None:
        """Note that nothing more will come."""
        self._ended = True
        self._error = error
        self._entered.set()
        self._arrived.set()


class Client:
    """A connection to a hub that is kept up; ``async with Client(url) as client: ...``.

    Args:
        url: ``ws://`` or ``wss://`` address of the hub, e.g. ``wss://desk.example/ws``.
        bearer: Long-lived secret for the ``Authorization`` header.
        cookie: Session cookie as ``name=value``; the ``Origin`` is then the address itself.
        fetch_token: Makes a token for each connection and for each extension; sent as a message, never in the URL.
            Raise ``Refused`` if there will never be one; any other exception is tried again.
        origin: Overrides the ``Origin`` header.
        max_queue: Requests that may wait while there is no connection; one more fails with ``queue_full``.
        max_inbox: Events that a room may hold for its consumer.
        on_link: Called whenever the connection's state changes.
        on_note: Called with messages that belong to no room.
    """

    def __init__(
        self,
        url: str,
        *,
        bearer: str | None = None,
        cookie: str | None = None,
        fetch_token: Callable[[], Awaitable[str]] | None = None,
        origin: str | None = None,
        subprotocols: tuple[str, ...] = SUBPROTOCOLS,
        tls: SSLContext | None = None,
        max_queue: int = MAX_QUEUE,
        max_inbox: int = MAX_INBOX,
        on_link: Callable[[Link], None] | None = None,
        on_note: Callable[[Note], None] | None = None,
        clock: Clock | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        headers = {}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if cookie is not None:
            headers["Cookie"] = cookie
            origin = origin or _origin_of(url)
        self._carrier = Carrier(
            Session(draw=draw, with_token=fetch_token is not None, max_queue=max_queue),
            Address(url, headers, origin, subprotocols, tls),
            clock=clock or SystemClock(),
            tell=self._hear,
            fetch_token=fetch_token,
        )
        self._max_inbox = max_inbox
        self._on_link = on_link
        self._on_note = on_note
        self._rooms: dict[str, Room] = {}
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._ops = itertools.count(1)
        self._changed = asyncio.Event()
        self.link = Link("waiting")

    async def __aenter__(self) -> Client:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to connect; returns at once. Once per client."""
        self._carrier.start()

    async def close(self) -> None:
        """Leave every room, fail what waits, close the socket. Idempotent."""
        await self._carrier.stop()

    async def connected(self) -> Link:
        """Return once there is a connection. Raises ClientEnded if there will be none."""
        while self.link.state != "connected":
            if self.link.state == "ended":
                raise ended(self.link.code, self.link.reason)
            self._changed.clear()
            await self._changed.wait()
        return self.link

    def retry_now(self) -> None:
        """Do not wait for the next attempt, e.g. because the network is back."""
        self._carrier.act(self._carrier.session.nudge(self._carrier.now_ms()))

    def subscribe(self, room_id: str, *, since: Since | None = None, presence: bool = False) -> Room:
        """Enter a room and stay in it across reconnects; returns at once.

        Args:
            since: The last message you have from before; what came after it is delivered first.
            presence: Also deliver who is inside.

        Raises:
            ClientError: This client is in that room already, or has ended.
        """
        if room_id in self._rooms:
            raise error_of(Failure("already_subscribed"))
        if self.link.state == "ended":
            raise ended(self.link.code, self.link.reason)
        room = self._rooms[room_id] = Room(room_id, self._carrier, self._max_inbox)
        self._carrier.act(self._carrier.session.subscribe(room_id, since, presence, self._carrier.now_ms()))
        return room

    async def publish(self, room_id: str, data: Json, *, volatile: bool = False, op_id: str | None = None) -> Published:
        """Send ``data`` to a room and return its place; waits for the connection if there is none.

        Args:
            op_id: Your own name for it, never used for another one. With it, a connection that ends before the answer
                is no error: the client sends it again on the next one, and the server publishes it once.

        Raises:
            Refused: The server said no.
            Unsent: It never left this process (queue full, too large): safe to repeat.
            OutcomeUnknown: It was sent, and the connection ended before the answer: it may be published or not. With an
                ``op_id`` only if that was four minutes ago, or the client has ended.
            ClientEnded: There will be no connection any more.
        """
        message: dict[str, Json] = {"type": "publish", "room_id": room_id, "data": data}
        if volatile:
            message["volatile"] = True
        if op_id is not None:
            message["op_id"] = op_id
        return msgspec.convert(await self.request(message), Published)

    async def request(self, message: Mapping[str, Json]) -> Json:
        """Send a client message of any type and return its reply's ``data``; ``op_id`` and errors as ``publish``."""
        op = next(self._ops)
        answer = self._answers[op] = asyncio.get_running_loop().create_future()
        self._carrier.act(self._carrier.session.request(op, message, self._carrier.now_ms()))
        try:
            data: Json = await answer
        except asyncio.CancelledError:
            self._carrier.session.cancel(op)
            raise
        finally:
            self._answers.pop(op, None)
        return data

    def statistics(self) -> dict[str, int]:
        """Return counters since the start, and what is now."""
        return dict(self._carrier.counters) | self._carrier.session.statistics()

    # ---- inside

    def _hear(self, action: Action) -> None:
        if isinstance(action, Deliver):
            room = self._rooms.get(action.event.room_id)
            if room is not None:
                room.deliver(action.event)
        elif isinstance(action, RoomEntered):
            self._rooms[action.room_id].enter()
        elif isinstance(action, RoomEnded):
            room = self._rooms.pop(action.room_id, None)
            if room is not None:
                room.end(self._reason(action.error))
        elif isinstance(action, Settle):
            self._settle(action)
        elif isinstance(action, Link):
            self.link = action
            self._changed.set()
            if self._on_link is not None:
                self._on_link(action)
        elif isinstance(action, Note) and self._on_note is not None:
            self._on_note(action)

    def _settle(self, action: Settle) -> None:
        answer = self._answers.get(action.op)
        if answer is None or answer.done():
            return
        error = self._reason(action.error)
        if error is None:
            answer.set_result(action.data)
        else:
            answer.set_exception(error)

    def _reason(self, failure: Failure | None) -> ClientError | None:
        return None if failure is None else error_of(failure)


def _origin_of(url: str) -> str:
    """Return the origin of the pages that live beside a hub."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"


__all__ = ["Client", "ClientEnded", "Published", "Room"]
