"""Answers commands that come over the bus by calling the feed. It must not know who may send them; the asker does.

A command is a FeedCommand; its reply goes to the asker's channel, which must be a reply channel. Malformed commands
are counted and logged with a sample. Commands run one after the other, each under a deadline; beyond ``MAX_WAITING``
they are refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.core.background import background
from tidewire.core.errors import BusError, RequestError, TidewireError, Unavailable
from tidewire.core.feed_status import FEED_COMMAND_CHANNEL, FEED_REPLY_PREFIX, FeedCommand, FeedReply, FrameInspection
from tidewire.core.unreadable import UNREADABLE

# Pausing waits for three close handshakes at most; past this something hangs, and the asker is told.
DEADLINE_S = 4.0
# Overflow policy: refuse with an explicit reply.
MAX_WAITING = 64

log = structlog.get_logger(__name__)


class CommandedFeed(Protocol):
    """What can be commanded."""

    async def pause(self, by: str, reason: str = "") -> None:
        """Stop all lines."""
        ...

    async def resume(self) -> None:
        """Start them again."""
        ...

    def inspect(self, connection_id: str, frame: int, symbol: str) -> FrameInspection:
        """Return a raw frame. Raises NotFound."""
        ...

    def reconnect(self, connection_id: str) -> None:
        """End a line's connection and begin anew. Raises RequestError."""
        ...

    def move(self, ticker: str, connection_id: str) -> None:
        """Give a ticker to a line. Raises RequestError."""
        ...


class FeedCommands:
    """Listens on FEED_COMMAND_CHANNEL.

    Args:
        bus: Started before ``start``.
        feed: What the commands act on.
        fence: Returns the number with which this feed leads (0 if it needs none), None while it does not lead.
    """

    def __init__(
        self,
        bus: Bus,
        feed: CommandedFeed,
        *,
        deadline_s: float = DEADLINE_S,
        fence: Callable[[], int | None] = lambda: 0,
    ) -> None:
        self._fence = fence
        self._led_as = 0
        self._bus = bus
        self._feed = feed
        self._deadline_s = deadline_s
        self._decoder = msgspec.json.Decoder(FeedCommand)
        self._listening = Listening(bus, {FEED_COMMAND_CHANNEL: self._receive})
        self._waiting: asyncio.Queue[FeedCommand] = asyncio.Queue(MAX_WAITING)
        self._task: asyncio.Task[None] | None = None
        self.done = 0
        self.failed = 0
        self.malformed = 0
        self.not_ours = 0

    def start(self) -> None:
        """Listen and answer. Raises RuntimeError if it does already."""
        self._listening.start()
        self._task = background(self._run(), "feed-commands")

    async def stop(self) -> None:
        """Stop listening; a command under way is cancelled. Idempotent."""
        self._listening.stop()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def statistics(self) -> dict[str, int]:
        """Return the counters since start and how many commands wait."""
        return {
            "done": self.done,
            "failed": self.failed,
            "malformed": self.malformed,
            "not_ours": self.not_ours,
            "waiting": self._waiting.qsize(),
        }

    def _receive(self, _channel: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                command = self._decoder.decode(payload)
            except UNREADABLE as exc:
                self._refuse_malformed(payload, str(exc))
                continue
            if not command.reply_to.startswith(FEED_REPLY_PREFIX):
                self._refuse_malformed(payload, "reply_to is not a reply channel")
                continue
            if not self._is_ours(command):
                continue
            try:
                self._waiting.put_nowait(command)
            except asyncio.QueueFull:
                self._reply(command, error=_busy())

    def _is_ours(self, command: FeedCommand) -> bool:
        """Whether to carry it out; of several feeds exactly one answers, the one that is meant or has replaced it."""
        fence = self._fence()
        if fence is not None:
            self._led_as = fence
            if command.fence == fence:
                return True
        # A leader answers for those it has replaced; one that has lost the lease, while none is known, for itself.
        if command.fence == self._led_as or (fence is not None and command.fence < fence):
            self._reply(command, error=_not_leader(command.op))
        else:
            self.not_ours += 1
        return False

    def _refuse_malformed(self, payload: bytes, why: str) -> None:
        self.malformed += 1
        log.warning(
            "feed_command_malformed",
            why=why,
            sample=repr(payload[:200]),
            required_action="Find the program that sends it.",
            will_not="Tidewire will not carry it out.",
        )

    async def _run(self) -> None:
        while True:
            command = await self._waiting.get()
            if not self._is_ours(command):
                continue
            try:
                inspection = await self._carry_out(command)
            except TidewireError as exc:
                self._reply(command, error=exc)
            except Exception:
                log.exception("feed_command_failed", op=command.op, by=command.by)
                self._reply(command, error=_internal())
            else:
                self._reply(command, inspection=inspection)

    async def _carry_out(self, command: FeedCommand) -> FrameInspection | None:
        try:
            async with asyncio.timeout(self._deadline_s):
                if command.op == "ping":
                    return None
                if command.op == "inspect":
                    return self._feed.inspect(command.connection_id, command.frame, command.symbol)
                log.warning(
                    "feed_command",
                    op=command.op,
                    by=command.by,
                    reason=command.reason,
                    line=command.connection_id,
                    symbol=command.symbol,
                )
                if command.op == "pause":
                    await self._feed.pause(command.by, command.reason)
                elif command.op == "resume":
                    await self._feed.resume()
                elif command.op == "reconnect":
                    self._feed.reconnect(command.connection_id)
                else:
                    self._feed.move(command.symbol, command.connection_id)
        except TimeoutError:
            raise Unavailable(
                f"The feed did not finish {command.op} within {self._deadline_s:g} s.",
                required_action="Look at the feed's state on the page before trying again.",
                will_not="Tidewire will not wait longer; whether it was carried out is unknown.",
                code="outcome_unknown",
            ) from None
        return None

    def _reply(
        self, command: FeedCommand, *, error: TidewireError | None = None, inspection: FrameInspection | None = None
    ) -> None:
        if error is None:
            self.done += 1
        else:
            self.failed += 1
        described = error.describe() if error else None
        reply = FeedReply(id=command.id, ok=error is None, error=described, inspection=inspection)
        try:
            self._bus.publish(command.reply_to, [msgspec.json.encode(reply)])
        except BusError as exc:
            # The asker runs into its own deadline and is told there.
            log.exception("feed_reply_refused", op=command.op, by=command.by, **exc.describe())


def _not_leader(op: str) -> RequestError:
    return Unavailable(
        "Another feed has taken over, or is about to.",
        required_action="Look at the feed's state on the page, then try again.",
        will_not=f"This feed does not carry out {op}.",
        code="not_leader",
    )


def _busy() -> RequestError:
    return Unavailable(
        f"{MAX_WAITING} commands wait for the feed already.",
        required_action="Wait a moment, then try again.",
        will_not="Tidewire will not queue this one.",
        code="too_many_requests",
    )


def _internal() -> RequestError:
    return Unavailable(
        "The feed failed while carrying out the command.",
        required_action="Look at the feed's log, then at its state on the page.",
        will_not="Tidewire will not try again by itself.",
        code="internal_error",
    )
