"""The listening half of a broker bus: subscriptions, messages, gaps. It must not know publishing.

What arrives together is handed over together. A channel that is confirmed anew after a break is reported as a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tidewire.bus.base import Receive
from tidewire.bus.fanout import Fanout, Listener, Watches
from tidewire.bus.ledger import Ledger
from tidewire.bus.wire import PLAIN, BrokerLimits, Dialect, Refusal, Wire, encode_command, wait_at_most
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError


class BrokerListener:
    """Keeps the broker's subscriptions equal to what callbacks want, and feeds the callbacks.

    Args:
        clock: For signs of life and log limits.
        limits: Deadlines and bounds.
        degrade: Called with a reason when messages may be missing.
        dialect: How to say "subscribe".
        moved: Called with the broker's words when a channel is elsewhere; it closes the subscription here.
    """

    def __init__(
        self,
        clock: Clock,
        limits: BrokerLimits,
        *,
        degrade: Callable[[str], None],
        dialect: Dialect = PLAIN,
        moved: Callable[[str], None] | None = None,
    ) -> None:
        self.gaps = 0
        self.fanout = Fanout(clock, on_unused=self._unused)
        self.gap_watches: Watches[[str]] = Watches("gap")
        self._clock = clock
        self._limits = limits
        self._degrade = degrade
        self._dialect = dialect
        self._verbs = {"subscribe": dialect.subscribe, "unsubscribe": dialect.unsubscribe, "ping": b"PING"}
        self._moved = moved
        self._ledger = Ledger()
        self._wake = asyncio.Event()
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._batch: dict[bytes, list[bytes]] = {}
        self._batched = 0
        self._heard_at = 0.0
        self._gap_logged = False
        self._log = structlog.get_logger(__name__)

    def subscribe(self, channel: str, receive: Receive, *, again: bool = False) -> BrokerSubscription:
        """Call ``receive`` for messages of ``channel`` from the broker's confirmation on.

        Args:
            again: It was listened to elsewhere before, so that the first confirmation is a gap.
        """
        if channel not in self.fanout:
            self._ledger.want(channel, again=again)
            self._wake.set()
        return BrokerSubscription(self, self.fanout.add(channel, receive))

    def _unused(self, channel: str) -> None:
        self._ledger.drop(channel)
        self._wake.set()

    def attach(self) -> None:
        """A fresh connection is about to be used: ask for everything again."""
        self._ledger.connect(self.fanout.channels())
        self._gap_logged = False
        self._heard_at = self._clock.monotonic()

    def detach(self, *, discard: bool = False) -> None:
        """The connection has ended; with ``discard``, what was read but not handed over is dropped too."""
        self._ledger.disconnect()
        if discard:
            self._batch, self._batched = {}, 0

    async def confirmed(self, channel: str) -> None:
        """Return once the broker has confirmed ``channel`` on the present connection.

        Raises:
            BusError: It refused, or did not confirm within ``command_timeout_s``.
        """
        if channel in self._ledger.confirmed:
            return
        if channel in self._ledger.refused:
            raise _not_allowed(channel, self._ledger.refused[channel])
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(channel, []).append(waiter)
        try:
            async with asyncio.timeout(self._limits.command_timeout_s):
                await waiter
        except TimeoutError as error:
            raise BusError(
                f"The subscription of {channel} was not confirmed within {self._limits.command_timeout_s} s.",
                required_action="Look at the state of the bus.",
                will_not="Messages of this channel are not received until it is confirmed; it stays asked for.",
            ) from error
        finally:
            self._waiters[channel].remove(waiter)
            if not self._waiters[channel]:
                del self._waiters[channel]

    async def ask(self, wire: Wire) -> None:
        """Write subscriptions and pings until the connection fails or is silent; the caller owns the task."""
        limits = self._limits
        while True:
            idle_s = self._ledger.idle_s(
                self._clock.monotonic(), self._heard_at, limits.ping_interval_s, limits.command_timeout_s
            )
            if idle_s:
                self._wake.clear()
                await wait_at_most(self._wake, idle_s)
            now = self._clock.monotonic()
            if self._ledger.overdue(now, self._heard_at, limits.command_timeout_s):
                raise TimeoutError(f"no sign of life on the listening connection for {limits.command_timeout_s} s")
            asks = self._ledger.take(now, self._heard_at, limits.ping_interval_s)
            if asks:
                data = b"".join(
                    encode_command(self._verbs[ask.kind], *([ask.channel.encode()] if ask.channel else ()))
                    for ask in asks
                )
                async with asyncio.timeout(limits.command_timeout_s):
                    await wire.write(data)

    async def listen(self, wire: Wire) -> None:
        """Read until the connection fails; the caller owns the task."""
        call_soon, kind = asyncio.get_running_loop().call_soon, self._dialect.message
        while True:
            try:
                message = await wire.read()
            except Refusal as refusal:
                self._refuse(str(refusal))
                continue
            if type(message) is list and message[0] == kind:
                # read() does not yield while the buffer holds whole messages, so the hand-over runs when they are
                # used up: what arrived together is handed over together.
                if not self._batched:
                    call_soon(self._hand_over)
                self._batch.setdefault(message[1], []).append(message[2])
                self._batched += 1
                if self._batched >= self._limits.batch_messages:
                    self._hand_over()
            else:
                self._confirm(message)

    def _hand_over(self) -> None:
        if not self._batched:
            return
        self._heard_at = self._clock.monotonic()
        batch, self._batch, self._batched = self._batch, {}, 0
        for channel, payloads in batch.items():
            self.fanout.deliver(channel.decode("utf-8", "replace"), payloads)

    def _confirm(self, message: object) -> None:
        """Take a pong or a confirmation: ``[kind, channel, count]``, or plain ``PONG`` while nothing is subscribed."""
        self._heard_at = self._clock.monotonic()
        if message == b"PONG" or message == [b"pong", b""]:
            self._ledger.confirm("ping", "", wanted=False)
            return
        if not (isinstance(message, list) and len(message) == 3 and isinstance(message[1], bytes)):
            raise _nonsense(message)
        kind, channel = message[0], message[1]
        name = channel.decode("utf-8", "replace")
        if kind == self._dialect.unsubscribed:
            self._ledger.confirm("unsubscribe", name, wanted=False)
            if name in self._ledger.confirmed:
                # Nobody asked for that: its slot has left this server, which says where to when it is asked again.
                self._ledger.want(name, again=True)
                self._wake.set()
        elif kind == self._dialect.subscribed:
            if self._ledger.confirm("subscribe", name, wanted=name in self.fanout):
                self._gap(name)
            if name in self._ledger.confirmed:
                for waiter in self._waiters.get(name, ()):
                    if not waiter.done():
                        waiter.set_result(None)
        else:
            raise _nonsense(message)

    def _gap(self, channel: str) -> None:
        self.gaps += 1
        self._degrade(f"subscribed to {channel} anew: messages sent meanwhile are missing")
        if not self._gap_logged:
            # Thousands of channels of one connection have the same gap; each is counted, and told to who reads it.
            self._gap_logged = True
            self._log.warning(
                "bus_gap",
                channel=channel,
                channels=len(self.fanout.channels()),
                what_happened="Subscriptions were confirmed anew; messages sent meanwhile were not received.",
                required_action="None for live data; whoever needs every message must read it again from its source.",
                will_not="Missed messages are not delivered later.",
            )
        self.gap_watches.tell(channel)

    def _refuse(self, reason: str) -> None:
        self._heard_at = self._clock.monotonic()
        if reason.startswith("CLUSTERDOWN"):
            raise ConnectionResetError(f"the server takes nothing: {reason}")
        ask = self._ledger.refuse(reason)
        elsewhere = self._moved is not None and reason.startswith("MOVED ")
        if ask is not None and ask.kind == "unsubscribe" and elsewhere:
            return  # it has gone by itself
        if ask is None or ask.kind != "subscribe":
            self._degrade(f"the broker refused {ask.kind if ask else 'something that was not asked'}: {reason}")
            return
        if ask.channel not in self._ledger.refused:
            return
        error = _not_allowed(ask.channel, reason)
        for waiter in self._waiters.get(ask.channel, ()):
            if not waiter.done():
                waiter.set_exception(error)
        if elsewhere and self._moved is not None:
            self._moved(reason)
            return
        self._degrade(error.message)
        self._log.error("bus_subscription_refused", channel=ask.channel, **error.describe())


class BrokerSubscription:
    """One callback on one channel of a broker."""

    def __init__(self, half: BrokerListener, listener: Listener) -> None:
        self._half = half
        self._listener = listener

    def close(self) -> None:
        """Stop deliveries at once. Idempotent."""
        self._listener.close()

    async def ready(self) -> None:
        """Return once the broker has confirmed the channel. Raises BusError if it refuses or is silent."""
        if self._listener.open:
            await self._half.confirmed(self._listener.channel)


def _nonsense(message: object) -> ConnectionError:
    return ConnectionResetError(f"the server sent what was not asked for: {message!r:.100}")


def _not_allowed(channel: str, reason: str) -> BusError:
    return BusError(
        f"The broker refused the subscription of {channel}: {reason}",
        required_action="Give the Redis user the permission for this channel (ACL SETUSER ... &channel +subscribe).",
        will_not="Messages of this channel are not received.",
        code="subscription_refused",
    )
