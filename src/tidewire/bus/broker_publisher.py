"""The publishing half of a broker bus: outbox, round trips, confirmations, pings. It must not know subscriptions.

Every round trip carries as much as is waiting (bounded) and is confirmed message by message, so that a break can tell
unsent from unconfirmed. An idle connection carries a ping instead: publishing and health are the same path. Now and
then the server is asked for its role: one that has become a replica takes messages, and those at the primary never hear
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from tidewire.bus.outbox import Outbox
from tidewire.bus.wire import (
    PLAIN,
    ROLE,
    BrokerLimits,
    Dialect,
    Refusal,
    Wire,
    encode_command,
    require_primary,
    wait_at_most,
)
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.throttle import Throttle

_PING = encode_command(b"PING")
# Room channels come and go; the cache of encoded heads is simply started anew above this (about 400 KB).
_MAX_HEADS = 4096
# However busy it is: what goes to a server that has just become a replica is heard by few.
_LOOK_EVERY_S = 1.0


class BrokerPublisher:
    """Takes messages without waiting and writes them in order.

    Args:
        clock: For round trips and log limits.
        limits: Deadlines and bounds.
        degrade: Called with a reason when something was refused or slow.
        progress: Called after every round trip.
        dialect: How to say "publish".
        moved: Called with the broker's words when a channel is elsewhere.
    """

    def __init__(
        self,
        clock: Clock,
        limits: BrokerLimits,
        *,
        degrade: Callable[[str], None],
        progress: Callable[[], None],
        dialect: Dialect = PLAIN,
        moved: Callable[[str], None] | None = None,
    ) -> None:
        self.published = 0
        self.refused = 0
        self.lost = 0
        self.unconfirmed = 0
        self.rtt_ms: float | None = None
        self.outbox = Outbox(limits.outbox_messages, limits.outbox_bytes)
        self._clock = clock
        self._limits = limits
        self._degrade = degrade
        self._progress = progress
        self._verb = b"*3\r\n$%d\r\n%b\r\n" % (len(dialect.publish), dialect.publish)
        self._moved = moved
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._pings: list[asyncio.Future[None]] = []
        self._heads: dict[str, bytes] = {}
        self._rejections = Throttle()
        self._look_at = 0.0
        self._unsure = Throttle()
        self._log = structlog.get_logger(__name__)

    def publish(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Queue one PUBLISH per payload.

        Raises:
            BusError: ``bus_outbox_full``; nothing was taken.
        """
        head = self._heads.get(channel) or self._head(channel)
        # Encoded here, not when written: a payload that is not bytes fails at its caller, not in the task of everybody.
        if not self.outbox.offer([b"%b$%d\r\n%b\r\n" % (head, len(payload), payload) for payload in payloads]):
            self.refused += len(payloads)
            raise self._full(len(payloads))
        self.published += len(payloads)
        self._empty.clear()
        self._wake.set()

    async def ping(self) -> float:
        """Return the time through the outbox to the broker and back, milliseconds.

        Raises:
            BusError: No answer within ``command_timeout_s``, or the connection ended meanwhile.
        """
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pings.append(answer)
        self._wake.set()
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._limits.command_timeout_s):
                await answer
        except TimeoutError as error:
            raise BusError(
                f"The broker did not answer a ping within {self._limits.command_timeout_s} s.",
                required_action="Check the load and the reachability of the Redis or Valkey server.",
                will_not="The ping is not repeated.",
            ) from error
        return (self._clock.monotonic() - began) * 1000.0

    async def run(self, wire: Wire) -> None:
        """Write and confirm until the connection fails; the caller owns the task."""
        while True:
            if not self.outbox.queued and not self._pings:
                self._wake.clear()
                await wait_at_most(self._wake, self._limits.ping_interval_s)
            async with asyncio.timeout(self._limits.command_timeout_s):
                await self._round(wire)
            self._progress()

    async def drain(self) -> None:
        """Return when everything taken is confirmed, lost, or ``flush_timeout_s`` has passed."""
        if len(self.outbox):
            await wait_at_most(self._empty, self._limits.flush_timeout_s)

    def end(self, error: BusError) -> tuple[int, int]:
        """Give up what is in the outbox; waiting pings fail with ``error``. Return (unsent, unconfirmed)."""
        unsent, unconfirmed = self.outbox.clear()
        self.lost += unsent
        self.unconfirmed += unconfirmed
        self.rtt_ms = None
        self._empty.set()
        for answer in self._pings:
            if not answer.done():
                answer.set_exception(error)
        self._pings.clear()
        return unsent, unconfirmed

    async def _round(self, wire: Wire) -> None:
        """One round trip: a chunk of the outbox, and a look at the server if that is empty, due or asked for."""
        frames = self.outbox.take(self._limits.chunk_messages, self._limits.chunk_bytes)
        pings = len(self._pings)
        began = self._clock.monotonic()
        looks = bool(pings or not frames or began >= self._look_at)
        await wire.write(b"".join([*frames, _PING, ROLE] if looks else frames))
        for index in range(len(frames)):
            try:
                answer = await wire.read()
            except Refusal as refusal:
                self._reject(refusal)
            else:
                # PUBLISH is answered by a number. Anything else is the answer to another question (CVE-2023-28858).
                if type(answer) is not int:
                    raise _nonsense(answer)
            self.outbox.confirm()
            if index == 0:
                self._measure(began)
        if looks:
            self._look_at = began + _LOOK_EVERY_S
            await self._pong(wire)
            await self._role(wire)
            if not frames:
                self._measure(began)
        for answer in self._pings[:pings]:
            if not answer.done():
                answer.set_result(None)
        del self._pings[:pings]
        if not len(self.outbox):
            self._empty.set()

    async def _pong(self, wire: Wire) -> None:
        try:
            answer = await wire.read()
        except Refusal as refusal:  # an answer is an answer: the broker lives, even if it forbids PING
            self._degrade(f"the broker refused a ping: {refusal}")
        else:
            if answer != b"PONG":
                raise _nonsense(answer)

    async def _role(self, wire: Wire) -> None:
        try:
            answer = await wire.read()
        except Refusal as refusal:
            count = self._unsure.admit(self._clock.monotonic())
            if count:
                self._log.warning(
                    "bus_role_unknown",
                    what_happened=f"The server does not say whether it is a replica: {refusal}",
                    count=count,
                    required_action="Allow the Redis user +role (ACL SETUSER).",
                    will_not="Tidewire will not notice that what it publishes has become unheard.",
                )
            return
        if not isinstance(answer, list):
            raise _nonsense(answer)
        require_primary(answer)

    def _measure(self, began: float) -> None:
        self.rtt_ms = (self._clock.monotonic() - began) * 1000.0
        if self.rtt_ms > self._limits.slow_ms:
            self._degrade(f"slow: a round trip took {self.rtt_ms:.0f} ms")

    def _reject(self, refusal: Refusal) -> None:
        self.lost += 1
        if self._moved is not None and str(refusal).startswith("MOVED "):
            # Not sent after it to its new place: what has been published there meanwhile would be overtaken.
            self._moved(str(refusal))
        self._degrade(f"the broker refused a message: {refusal}")
        count = self._rejections.admit(self._clock.monotonic())
        if count:
            self._log.error(
                "bus_message_rejected",
                what_happened=f"The broker refused to publish: {refusal}",
                count=count,
                required_action="None if the channel was moved (MOVED); else check the permissions of the Redis user.",
                will_not="The messages are not sent again.",
            )

    def _head(self, channel: str) -> bytes:
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        name = channel.encode()
        head = self._heads[channel] = b"%b$%d\r\n%b\r\n" % (self._verb, len(name), name)
        return head

    def _full(self, messages: int) -> BusError:
        return BusError(
            f"The bus outbox is full ({len(self.outbox)} messages, {self.outbox.bytes} bytes wait for the broker); "
            f"{messages} messages were refused.",
            required_action="Publish less, or find out why the broker is slow.",
            will_not="The refused messages are not kept or sent later.",
            code="bus_outbox_full",
        )


def _nonsense(answer: object) -> ConnectionError:
    return ConnectionResetError(f"the server answered something else than was asked: {answer!r:.100}")
