"""The room log on Redis 7+ or Valkey 8+: a stream and a small hash per room, written by scripts. It must not know hubs.

One step on the broker gives a message its place, keeps it, and announces it (bus/redis_script.py). A broker that comes
back is not believed blindly: unless it fsyncs every write before it confirms it, what it confirmed may be gone, so the
rooms of another server process (run_id) begin a new epoch. The same happens when a room turns out to be behind a place
that this node has seen. Source: reliability.md 1, finding 6, and 4, "Redis"; docs/decisions/0012.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Callable, Sequence
from typing import cast

import structlog

from tidewire.bus.address import Address
from tidewire.bus.base import Watch
from tidewire.bus.redis_commands import DEADLINE_S, Ask, RedisCommands
from tidewire.bus.redis_copies import RedisCopies
from tidewire.bus.redis_guard import Server, inspect
from tidewire.bus.redis_script import APPEND, APPEND_SHARDED, READ, Script
from tidewire.bus.room_log import Appended, Bounds, Concerns, Entry, LogStatus, Place, Reading, channel_of, judge
from tidewire.bus.wire import BrokerLimits, Refusal
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.throttle import Throttle

# A room that nobody has written to or looked at for this long is forgotten; whoever comes back later starts anew.
HEAD_LIFE_S = 3_600.0
# As long as a client may take to ask again for the outcome of a publish.
KEY_LIFE_S = 300.0

_APPEND = Script(APPEND)
_APPEND_SHARDED = Script(APPEND_SHARDED)
_READ = Script(READ)


class RedisRoomLog:
    """Implements bus.room_log.RoomLog.

    Args:
        url: As for the bus.
        rng: Draws the jitter of reconnects.
        sharded: Whether the server is one shard of a cluster (bus/redis_cluster_log.py). Then refusals that say where
            else to ask are passed on as ``Refusal``.
        min_replicas: An append counts only once this many replicas have it (bus/redis_copies.py).

    Raises:
        SettingsError: The URL cannot be read.
    """

    def __init__(
        self,
        url: str | Address,
        clock: Clock,
        rng: random.Random,
        *,
        limits: BrokerLimits | None = None,
        deadline_s: float = DEADLINE_S,
        sharded: bool = False,
        min_replicas: int = 0,
    ) -> None:
        self._sharded = sharded
        self._append = _APPEND_SHARDED if sharded else _APPEND
        self.commands = RedisCommands(url, clock, rng, prepare=self._prepare, limits=limits, deadline_s=deadline_s)
        self._copies = RedisCopies(self.commands, min_replicas) if min_replicas else None
        self._server: Server | None = None
        self._state_losses = 0
        self._clock = clock
        self._throttle = Throttle()
        self._log = structlog.get_logger(__name__)

    async def start(self) -> None:
        """Connect and look at the server. Raises BusError or SettingsError; then nothing is left running."""
        await self.commands.start()

    async def stop(self) -> None:
        """Disconnect. Idempotent."""
        await self.commands.stop()
        if self._copies is not None:
            await self._copies.stop()

    async def append(
        self,
        room_id: str,
        payload: bytes,
        *,
        bounds: Bounds,
        key: str | None = None,
        known: Place | None = None,
        asking: bool = False,
    ) -> Appended:
        """Give ``payload`` the room's next place, keep it, and announce it. See bus.room_log.RoomLog."""
        keys = [*_keys(room_id), *([] if key is None else [_idempotency_key(room_id, key)])]
        epoch, offset, repeated, lost = cast(
            tuple[bytes, int, int, int],
            await self._run(
                self._append,
                keys,
                room_id,
                known,
                payload,
                b"%d" % bounds.messages,
                b"%d" % (bounds.age_s * 1000),
                b"%d" % bounds.bytes,
                channel_of(room_id).encode(),
                b"%d" % (KEY_LIFE_S * 1000),
                asking=asking,
            ),
        )
        self._note(lost, room_id)
        return Appended(Place(epoch.decode("ascii"), offset), repeated == 1)

    async def read(self, room_id: str, *, bounds: Bounds, since: Place | None = None, asking: bool = False) -> Reading:
        """Return what came after ``since``, or all that is kept. See bus.room_log.RoomLog."""
        epoch, offset, now_ms, newest_first, lost = cast(
            tuple[bytes, int, bytes, list[tuple[bytes, list[bytes]]], int],
            await self._run(_READ, _keys(room_id), room_id, since, b"%d" % (bounds.age_s * 1000), asking=asking),
        )
        self._note(lost, room_id)
        newest, now = Place(epoch.decode("ascii"), offset), int(now_ms)
        kept = [_entry(newest.epoch, entry_id, fields, now) for entry_id, fields in reversed(newest_first)]
        return judge(newest, kept, since)

    def on_connect(self, notify: Callable[[Concerns], None]) -> Watch:
        """Call ``notify`` after each later connect, which concerns every room."""
        return self.commands.connected.add(lambda: notify(_every))

    def on_state(self, notify: Callable[[], None]) -> Watch:
        """Call ``notify`` whenever the circuit opens or closes."""
        return self.commands.changed.add(notify)

    def status(self) -> LogStatus:
        """Return the present state and counters."""
        commands = self.commands
        return LogStatus(
            state="up" if commands.circuit == "closed" else "down",
            circuit=commands.circuit,
            since=commands.since,
            reason=commands.reason,
            durable=self._server is not None and self._server.durable,
            calls=commands.calls,
            refused=commands.refused,
            unknown=commands.unknown,
            connects=commands.connects,
            state_losses=self._state_losses,
            in_flight=commands.in_flight,
            rtt_ms=commands.rtt_ms,
        )

    # -- inside

    async def _prepare(self, ask: Ask) -> None:
        """Look at the server before it is used, and teach it the scripts. Raises SettingsError."""
        before, server = self._server, await inspect(ask, sharded=self._sharded)
        for script in (self._append, _READ):
            await ask(b"SCRIPT", b"LOAD", script.source)
        self._server = server
        if before is not None and before.run_id != server.run_id:
            self._log.warning(
                "redis_another_process",
                what_happened="The Redis server was restarted, or another one has taken over.",
                durable=server.durable,
                required_action="None." if server.durable else "For rooms that survive this: appendfsync always.",
                will_not="Tidewire does not trust offsets that may have been lost: rooms begin a new epoch.",
            )

    async def _run(
        self,
        script: Script,
        keys: Sequence[bytes],
        room_id: str,
        known: Place | None,
        *rest: bytes,
        asking: bool,
    ) -> object:
        server = self._server
        if server is None:
            raise BusError(
                "The room log has not been started.",
                required_action="Start it first.",
                will_not="Nothing was done.",
            )
        arguments = (
            server.run_id,
            b"1" if server.durable else b"0",
            f"e-{secrets.token_hex(6)}".encode(),
            b"" if known is None else known.epoch.encode(),
            b"%d" % (0 if known is None else known.offset),
            b"%d" % (HEAD_LIFE_S * 1000),
            *rest,
        )
        count = b"%d" % len(keys)
        ask = self._copies.ask if self._copies is not None and script is self._append else self.commands.ask
        try:
            try:
                return await ask(b"EVALSHA", script.digest, count, *keys, *arguments, asking=asking)
            except Refusal as refusal:
                # Refused means not done, so asking again with the source cannot do it twice.
                if not str(refusal).startswith("NOSCRIPT"):
                    raise
                return await ask(b"EVAL", script.source, count, *keys, *arguments, asking=asking)
        except Refusal as refusal:
            if self._sharded and str(refusal).startswith(("MOVED ", "ASK ", "TRYAGAIN")):
                raise
            raise _refused(room_id, str(refusal)) from refusal

    def _note(self, lost: int, room_id: str) -> None:
        if lost:
            self._state_losses += 1
            count = self._throttle.admit(self._clock.monotonic())
            if not count:
                return
            self._log.critical(
                "redis_state_lost",
                room_id=room_id,
                count=count,
                what_happened="The Redis server may have lost messages of rooms that it had confirmed.",
                required_action="Check its persistence (docs/operations.md); clients load these rooms anew.",
                will_not="Tidewire will not serve old offsets.",
            )


def _every(_: str) -> bool:
    return True


def _entry(epoch: str, entry_id: bytes, fields: list[bytes], now_ms: int) -> Entry:
    milliseconds, _, offset = entry_id.partition(b"-")
    age_s = max(0.0, (now_ms - int(milliseconds)) / 1000)
    return Entry(Place(epoch, int(offset)), fields[1], age_s)


def _keys(room_id: str) -> tuple[bytes, bytes]:
    name = room_id.encode()
    return b"tidewire:log:{%b}:head" % name, b"tidewire:log:{%b}:stream" % name


def _idempotency_key(room_id: str, key: str) -> bytes:
    # A digest: the key is a client's text, and as long as it likes.
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return b"tidewire:log:{%b}:id:%b" % (room_id.encode(), digest.encode())


def _refused(room_id: str, reason: str) -> BusError:
    code = (
        "broker_readonly" if reason.startswith(("OOM", "MISCONF", "READONLY", "NOREPLICAS")) else "broker_unavailable"
    )
    return BusError(
        f"The Redis server refused what concerns {room_id}: {reason[:200]}",
        required_action="Tell the operator: its memory, its disk or the permissions of the Redis user need attention.",
        will_not="Nothing was published, and nothing is kept for later.",
        code=code,
    )
