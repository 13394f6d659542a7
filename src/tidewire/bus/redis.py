"""The bus over Redis 7+ or Valkey 8+ pub/sub. It must not know what payloads mean.

One connection publishes, one listens. Every connect, write and answer has a deadline here, and a connection that missed
one is thrown away and never used again (bus/redis_wire.py). Every break is counted and told.
Source: reliability.md 1 (finding 5) and 4.

Three tasks per pair of connections: publish and confirm, ask for subscriptions, listen. The first to fail ends all
three; ``_supervise`` then connects anew with full jitter.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence

import structlog
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from tidewire.bus.address import Address, parse_address
from tidewire.bus.base import BusStatus, GapNotice, Receive, StateNotice, Watch
from tidewire.bus.broker_listener import BrokerListener, BrokerSubscription
from tidewire.bus.broker_publisher import BrokerPublisher
from tidewire.bus.fanout import Watches
from tidewire.bus.health import Health
from tidewire.bus.redis_wire import RedisLink, words
from tidewire.bus.wire import PLAIN, BrokerLimits, Dialect, Refusal
from tidewire.core.background import background
from tidewire.core.backoff import Backoff
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.throttle import Throttle


class RedisBus:
    """Implements bus.base.Bus over one Redis or Valkey server.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` (bus/address.py); its password is never shown.
        clock: For stamps, log limits and the waiting between attempts.
        rng: Draws the jitter.
        limits: Deadlines and bounds.
        dialect, moved: For a server that is one shard of a cluster (bus/redis_cluster.py).

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
        dialect: Dialect = PLAIN,
        moved: Callable[[str], None] | None = None,
    ) -> None:
        self._address = parse_address(url) if isinstance(url, str) else url
        self._clock = clock
        self._rng = rng
        self._limits = limits or BrokerLimits()
        self._publisher = BrokerPublisher(
            clock, self._limits, degrade=self._degrade, progress=self._refresh, dialect=dialect, moved=moved
        )
        self._listener = BrokerListener(clock, self._limits, degrade=self._degrade, dialect=dialect, moved=moved)
        self._health = Health(clock.time(), hold_s=self._limits.degraded_s)
        self._backoff = Backoff(base_s=self._limits.retry_base_s, cap_s=self._limits.retry_cap_s)
        self._states: Watches[[BusStatus]] = Watches("state")
        self._attempts = Throttle()
        self._lock = asyncio.Lock()
        self._link: RedisLink | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._refused = 0
        self._reconnects = 0
        self._log = structlog.get_logger(__name__).bind(endpoint=str(self._address))

    # -- life

    async def start(self) -> None:
        """Connect, and keep the connection alive from then on. Starting twice is one start.

        Raises:
            BusError: The server did not answer in time, or refused the login; nothing is left running.
        """
        async with self._lock:
            if self._supervisor is not None:
                return
            try:
                link = await self._open()
            except (RedisError, OSError, Refusal) as error:
                raise self._unreachable(error) from error
            self._attach(link, "")
            self._supervisor = background(self._supervise(link), "redis-bus")

    async def stop(self) -> None:
        """Refuse new messages, write the accepted ones for at most ``flush_timeout_s``, then disconnect. Idempotent."""
        async with self._lock:
            supervisor = self._supervisor
            if supervisor is None:
                return
            link, self._link = self._link, None
            try:
                if link is not None:
                    await self._publisher.drain()
            finally:
                # Also when stop() itself is cancelled. Kept until its end has been seen, so that a stop() that is cut
                # short here can be repeated; wait() instead of gather(), which would cancel it a second time, in the
                # middle of its cleaning up.
                supervisor.cancel()
                await asyncio.wait([supervisor])
                self._supervisor = None
                if link is not None:
                    await link.discard()  # again: a supervisor cancelled before its first step has not done it
                self._listener.detach(discard=True)
                self._end("stopped", by_choice=True)

    async def _supervise(self, link: RedisLink) -> None:
        while True:
            began = await self._serve(link)
            link = await self._reconnect()
            self._reconnects += 1
            down_s = self._clock.monotonic() - began
            self._attach(link, f"reconnected after {down_s:.1f} s; messages sent meanwhile are missing")

    async def _serve(self, link: RedisLink) -> float:
        """Run the three tasks of one link until the first of them fails; return when that was, monotonic seconds."""
        tasks = [
            asyncio.create_task(self._publisher.run(link.publishing), name="redis-bus-publish"),
            asyncio.create_task(self._listener.ask(link.listening), name="redis-bus-ask"),
            asyncio.create_task(self._listener.listen(link.listening), name="redis-bus-listen"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            cause = next(iter(done)).exception()
            if not isinstance(cause, RedisError | OSError):
                self._log.error("bus_task_failed", what_happened=repr(cause), exc_info=cause)
            # Before the next await: from here on publish() refuses, and the status must say why.
            self._link = None
            self._end(words(cause))
            return self._clock.monotonic()
        finally:
            self._link = None
            for task in tasks:
                task.cancel()
            # Before the next wait, which stop() may cut short: discard() itself never suspends.
            await link.discard()
            self._listener.detach()
            await _all_ended(tasks)

    async def _reconnect(self) -> RedisLink:
        while True:
            await self._clock.sleep(self._backoff.fail(self._rng.random()))
            try:
                return await self._open()
            except Exception as error:  # noqa: BLE001 - task root: whatever it is, it is told and tried again
                count = self._attempts.admit(self._clock.monotonic())
                if count:
                    self._log.warning("bus_connect_failed", attempts=count, **self._unreachable(error).describe())

    async def _open(self) -> RedisLink:
        link = RedisLink(self._address, self._limits)
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                await link.connect()
        except BaseException:
            await link.discard()
            raise
        return link

    def _attach(self, link: RedisLink, reason: str) -> None:
        self._listener.attach()
        self._link = link
        self._health.connected(self._clock.time(), self._clock.monotonic(), reason)
        self._log.info("bus_connected", state=self._health.state, reason=reason)
        self._states.tell(self.status())

    def _end(self, cause: str, *, by_choice: bool = False) -> None:
        """Count and tell what a break took with it."""
        unsent, unconfirmed = self._publisher.end(self._down(cause))
        if unsent or unconfirmed:
            cause = (
                f"{cause}; {unsent} accepted messages were not sent and are lost, {unconfirmed} were written but not "
                "confirmed: it is unknown whether they were delivered"
            )
        if unsent or unconfirmed or not by_choice:
            self._log.error(
                "bus_down",
                what_happened=f"The connection to {self._address} ended: {cause}.",
                lost=unsent,
                unconfirmed=unconfirmed,
                required_action="Check the Redis or Valkey server; Tidewire keeps trying to reconnect until stopped.",
                will_not="New messages are refused, not kept; lost messages are not sent again.",
            )
        if self._health.disconnected(self._clock.time(), cause):
            self._states.tell(self.status())

    # -- use

    def publish(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Put ``payloads`` into the outbox; the next round trip carries them.

        Raises:
            BusError: ``broker_unavailable`` when down; ``bus_outbox_full`` when they do not fit.
        """
        if self._link is None:
            self._refused += len(payloads)
            raise self._down(self._health.reason or "stopping")
        self._publisher.publish(channel, payloads)

    def subscribe(self, channel: str, receive: Receive, *, again: bool = False) -> BrokerSubscription:
        """Call ``receive`` for later messages of ``channel``; await ``ready()`` where the very next one matters."""
        return self._listener.subscribe(channel, receive, again=again)

    def reaches(self, channel: str) -> bool:
        """Whether messages of ``channel`` can be sent and heard now."""
        return self._health.state != "down"

    def on_gap(self, notify: GapNotice) -> Watch:
        """Call ``notify`` with a channel each time messages on it may have been missed."""
        return self._listener.gap_watches.add(notify)

    def on_state(self, notify: StateNotice) -> Watch:
        """Call ``notify`` with the status on every change of state."""
        return self._states.add(notify)

    async def ping(self) -> float:
        """Return the round trip through the outbox to the server, milliseconds.

        Raises:
            BusError: Down, or no answer within ``command_timeout_s``.
        """
        if self._link is None:
            raise self._down(self._health.reason or "stopping")
        return await self._publisher.ping()

    def status(self) -> BusStatus:
        """Return the present state and counters."""
        publisher, listener = self._publisher, self._listener
        return BusStatus(
            kind="redis",
            state=self._health.state,
            since=self._health.since,
            reason=self._health.reason,
            published=publisher.published,
            delivered=listener.fanout.delivered,
            refused=self._refused + publisher.refused,
            callback_errors=listener.fanout.callback_errors,
            reconnects=self._reconnects,
            outbox_messages=len(publisher.outbox),
            outbox_bytes=publisher.outbox.bytes,
            lost=publisher.lost,
            unconfirmed=publisher.unconfirmed,
            gaps=listener.gaps,
            rtt_ms=publisher.rtt_ms,
            endpoint=str(self._address),
        )

    # -- state

    def _degrade(self, reason: str) -> None:
        if self._health.degrade(self._clock.time(), self._clock.monotonic(), reason):
            self._log.warning("bus_degraded", what_happened=reason)
            self._states.tell(self.status())

    def _refresh(self) -> None:
        now = self._clock.monotonic()
        self._backoff.succeed(now)
        if self._health.refresh(self._clock.time(), now):
            self._log.info("bus_recovered")
            self._states.tell(self.status())

    def _down(self, reason: str) -> BusError:
        return BusError(
            f"The bus at {self._address} is down: {reason}.",
            required_action="Check that the Redis or Valkey server runs and is reachable, then send again.",
            will_not="The messages are not kept or sent later.",
        )

    def _unreachable(self, error: Exception) -> BusError:
        action = "Start the Redis or Valkey server, or correct TIDEWIRE_REDIS_URL (remove it for the in-process bus)."
        if isinstance(error, AuthenticationError):
            action = "Correct the user and password in TIDEWIRE_REDIS_URL."
        elif isinstance(error, NoPermissionError | Refusal):
            action = (
                "Allow the Redis user +ping +role +select +client|setname +publish +subscribe +unsubscribe "
                "(ACL SETUSER)."
            )
        return BusError(
            f"The Redis server at {self._address} cannot be used: {words(error)}.",
            required_action=action,
            will_not="Tidewire does not fall back to the in-process bus, because other processes would not be reached.",
        )


async def _all_ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait for cancelled tasks, also if cancelled meanwhile: that is passed on when they have ended."""
    cut_short: asyncio.CancelledError | None = None
    while running := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cut_short = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains: the break has been told with its first cause
    if cut_short is not None:
        raise cut_short
