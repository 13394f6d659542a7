"""One upstream line: connects, authenticates, subscribes, listens, and comes back after every ending.

It must not know which line carries which ticker, what a tick is worth, or where events go: it hands them to the
callback it was given. The reader never waits: decoding and handing on happen in the socket's callback, so there is no
queue between socket and bus, and nothing that could fill up here. Source: feed-protocol.md 1.2-1.5, reliability.md 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from tidewire.core.background import background
from tidewire.core.backoff import Backoff
from tidewire.core.clock import Clock
from tidewire.core.errors import NotFound, UpstreamError
from tidewire.core.feed_status import Ending, FrameInspection, LineHealth, LineState
from tidewire.feed.account_limit import AccountLimit
from tidewire.feed.conversation import Conversation, VenueSays, at_stage
from tidewire.feed.inspection import FrameRing, inspect_frame
from tidewire.feed.line_metrics import LineMetrics
from tidewire.feed.line_socket import LineSocket
from tidewire.feed.line_state import is_connected, move, status_of
from tidewire.feed.massive import Event, decode_frame
from tidewire.feed.race import finish_within, wait_first
from tidewire.feed.source import LineConfig, LineTiming
from tidewire.feed.topic_ledger import TopicLedger
from tidewire.feed.trouble import Trouble
from tidewire.feed.watch import LineWatch

_log = structlog.get_logger(__name__)

# Enough for a minute of a busy line's frames, small enough for 16 lines.
RING_BYTES: Final = 4 * 1024 * 1024
# Endings that a person asked for; coming back from them is not a reconnect.
_ON_REQUEST: Final = ("stopped", "paused")


@dataclass(frozen=True, repr=False)
class Upstream:
    """Where the venue is, and what one line shares with its siblings. Has no repr: it holds the key.

    Attributes:
        url: ``wss://...``.
        api_key: Secret; never logged, masked in every text that came from the venue.
        channels: Event types to subscribe for each ticker, such as ``("T", "A")``.
        limit: The account's common cooldown.
        timing: Deadlines.
        clock: Time.
        draw: Uniform random numbers in [0, 1).
    """

    url: str
    api_key: str
    channels: tuple[str, ...]
    limit: AccountLimit
    timing: LineTiming
    clock: Clock
    draw: Callable[[], float]

    def mask(self, text: str) -> str:
        """Return ``text`` without the key."""
        return text.replace(self.api_key, "***") if self.api_key else text


class Line:
    """See FeedLine.

    Args:
        config: The slot.
        upstream: Where to connect, and the shared cooldown.
        receive_events: Called with (line id, metrics, events, frame number, when read) for each frame with events.
        changed: Called after each change of state or warnings.
    """

    def __init__(
        self,
        config: LineConfig,
        upstream: Upstream,
        receive_events: Callable[[str, LineMetrics, list[Event], int, float], None],
        changed: Callable[[], None],
    ) -> None:
        self.config = config
        self.metrics = LineMetrics()
        self.ledger = TopicLedger()
        self._up = upstream
        self._receive_events = receive_events
        self._changed = changed
        self._ring = FrameRing(RING_BYTES)
        self._watch = LineWatch(upstream.timing)
        self._trouble = Trouble(config.connection_id)
        timing = upstream.timing
        self._backoff = Backoff(base_s=timing.backoff_base_s, cap_s=timing.backoff_cap_s, stable_s=timing.stable_s)
        self._state: LineState = "disconnected"
        self._state_since = upstream.clock.monotonic()
        self._state_since_wall = upstream.clock.time()
        self._connected_since: float | None = None
        self._connected_mono = 0.0
        self._next_retry_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._first_outcome: asyncio.Future[bool] | None = None
        self._conversation: Conversation | None = None

    # -- what FeedLine promises -------------------------------------------------------------------------------------

    @property
    def state(self) -> LineState:
        """The present state."""
        return self._state

    @property
    def state_since(self) -> float:
        """Monotonic seconds when the state began."""
        return self._state_since

    def start(self) -> None:
        """Begin in the background; a running line stays as it is."""
        if self._task is None:
            self._first_outcome = asyncio.get_running_loop().create_future()
            self._task = background(self._run(), f"feed-{self.config.connection_id}")

    async def stop(self, state: Literal["disconnected", "paused"]) -> None:
        """End, wait until nothing of it runs, and be in ``state``. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            word = _ON_REQUEST[0] if state == "disconnected" else _ON_REQUEST[1]
            ended = UpstreamError(
                f"The line was {word} on request.",
                stage="stream",
                required_action="Start the feed again when it is wanted.",
                will_not="Tidewire will not connect the line by itself.",
                code=word,
            )
            self._record(ended, None)
            self._settle(False)
        self._next_retry_at = None
        self._enter(state)

    async def settle(self) -> bool:
        """Wait until the first attempt since ``start`` has connected (True) or failed (False)."""
        return self._first_outcome is not None and await asyncio.shield(self._first_outcome)

    def set_tickers(self, tickers: Iterable[str]) -> None:
        """Replace the tickers it should carry; takes effect at once where connected."""
        self.ledger.want(f"{channel}.{ticker}" for ticker in sorted(tickers) for channel in self._up.channels)
        if self._conversation is not None:
            self._conversation.request_topics(self._up.clock.monotonic())

    def rate(self) -> float:
        """Return events per second over the sliding window."""
        return self.metrics.rate(self._up.clock.monotonic())

    def health(self, tickers: list[str]) -> LineHealth:
        """Describe the line, which owns ``tickers`` (sorted)."""
        now = self._up.clock.monotonic()
        connected = is_connected(self._state)
        health = LineHealth(
            name=self.config.name,
            status=status_of(self._state),
            enabled=True,
            state=self._state,
            state_since=self._state_since_wall,
            universe_key=self.config.universe_key,
            assigned_tickers=len(tickers),
            tickers=tickers,
            connected_since=self._connected_since if connected else None,
            uptime_seconds=round(now - self._connected_mono, 3) if connected else 0.0,
            next_retry_at=self._next_retry_at,
            refused_topics=sorted(self.ledger.refused),
            warnings=[*self.config.warnings, *self.ledger.warnings()],
        )
        return self.metrics.fill(health, now)

    def inspect(self, frame: int, symbol: str) -> FrameInspection:
        """Return frame number ``frame`` and its event about ``symbol``. Raises NotFound if it is not kept."""
        found = self._ring.find(frame)
        if found is None:
            raise NotFound(
                f"Frame {frame} of {self.config.connection_id} is no longer kept.",
                required_action="Choose a newer tick; pause the view first if it moves too fast.",
                will_not="Raw frames are kept in memory for a short time only and are not read from anywhere else.",
                code="frame_gone",
            )
        received, raw = found
        if self._up.api_key:
            raw = raw.replace(self._up.api_key.encode(), b"***")
        return inspect_frame(received, raw, symbol)

    # -- the life of the line ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            cooldown_s = self._up.limit.remaining_s(self._up.clock.monotonic())
            if cooldown_s > 0:
                await self._rest("cooldown", cooldown_s)
                continue
            if self.metrics.endings and self.metrics.endings[-1].cause not in _ON_REQUEST:
                self.metrics.reconnects += 1
            try:
                await self._attempt()
            except UpstreamError as error:
                state, delay_s = self._plan(error)
            except Exception as error:  # noqa: BLE001  the root of the line's task: nothing may kill it
                _log.exception("feed_line_fault", line=self.config.connection_id)
                fault = UpstreamError(
                    f"A fault in Tidewire: {error!r}.",
                    stage="stream",
                    required_action="Report it with the log line feed_line_fault.",
                    will_not="Tidewire will not give the line up.",
                    code="internal_fault",
                )
                state, delay_s = self._plan(fault)
            await self._rest(state, delay_s)

    async def _attempt(self) -> None:
        """Connect and listen until it ends. Raises UpstreamError, always."""
        up = self._up
        self._next_retry_at = None
        self._enter("connecting")
        socket = LineSocket(self._receive_frame)
        talk = Conversation(socket, self.ledger, up)
        self._conversation = talk
        graceful = False
        try:
            try:
                await finish_within(up.clock, up.timing.connect_s, socket.open(up.url, up.timing.connect_s))
            except TimeoutError as error:
                raise talk.timeout("connect", up.timing.connect_s) from error
            self._enter("greeting")
            await talk.wait_for(talk.greeted, "greeting", up.timing.greeting_s)
            self._enter("authenticating")
            talk.authenticate()
            await talk.wait_for(talk.authenticated, "auth", up.timing.auth_s)
            self._enter("subscribing")
            talk.request_topics(up.clock.monotonic())
            self._watch.begin(up.clock.monotonic(), socket.heard)
            await self._stay(talk, socket)
            ending = socket.ended.result()
            raise at_stage(ending, "acknowledgement") if self._state == "subscribing" else ending
        except UpstreamError as error:
            graceful = error.code not in {"pong_timeout", "tcp_reset"}
            raise
        except asyncio.CancelledError:
            graceful = True
            raise
        finally:
            self._conversation = None
            self._break()
            socket.close(graceful=graceful)
            self.ledger.disconnect()

    async def _stay(self, talk: Conversation, socket: LineSocket) -> None:
        """Look at the line once a second until the connection ends."""
        up = self._up
        self._examine(talk, socket)
        while not socket.ended.done():
            await wait_first(up.clock, 1.0, socket.ended)
            if not socket.ended.done():
                self._examine(talk, socket)

    def _examine(self, talk: Conversation, socket: LineSocket) -> None:
        now = self._up.clock.monotonic()
        if self.ledger.expire(now, self._up.timing.ack_s):
            self._changed()
        if self._state == "subscribing":
            if not self.ledger.pending:
                self._become_connected()
            return
        verdict = self._watch.examine(now, self._up.clock.time(), socket.heard, self.metrics, self.ledger)
        if verdict.steady:
            self._backoff.succeed(now)
        if verdict.ping:
            socket.ping()
        if verdict.end is not None:
            socket.end(verdict.end)
        else:
            self._enter(verdict.state)

    def _become_connected(self) -> None:
        self._connected_since = self._up.clock.time()
        self._connected_mono = self._up.clock.monotonic()
        self._enter("live")
        self._settle(True)

    def _break(self) -> None:
        """The connection is over: whatever flowed has a gap from the last data on."""
        if is_connected(self._state) and self.ledger.wanted:
            start = self.metrics.last_message_time or self._up.clock.time()
            self.metrics.open_gap(start, frozenset(topic.partition(".")[2] for topic in self.ledger.wanted))

    def _plan(self, error: UpstreamError) -> tuple[LineState, float]:
        """Record an ending and decide where to wait and how long."""
        up = self._up
        now = up.clock.monotonic()
        state: LineState = "disconnected"
        if error.code == "auth_failed":
            state, delay_s = "failed", up.timing.auth_retry_s
        elif error.code == "max_connections":
            state, delay_s = "cooldown", up.limit.strike(now, up.draw())
        else:
            delay_s = self._backoff.fail(up.draw())
            if self._backoff.failures >= up.timing.max_failures:
                state, delay_s = "open_circuit", up.timing.backoff_cap_s
            if up.limit.remaining_s(now) > delay_s:
                state, delay_s = "cooldown", up.limit.remaining_s(now)
        self._record(error, up.clock.time() + delay_s)
        action = f" Required: {error.required_action}" if error.required_action else ""
        self.metrics.fail(up.mask(f"{error.message}{action}"))
        _log.warning(
            "feed_line_ended",
            line=self.config.connection_id,
            stage=error.stage,
            cause=error.code,
            message=up.mask(error.message),
            retry_in_s=round(delay_s, 3),
        )
        self._settle(False)
        return state, delay_s

    async def _rest(self, state: LineState, delay_s: float) -> None:
        self._next_retry_at = self._up.clock.time() + delay_s
        self._enter(state)
        await self._up.clock.sleep(delay_s)

    def _record(self, error: UpstreamError, retry_at: float | None) -> None:
        at = self._up.clock.time()
        self.metrics.endings.append(Ending(at, error.stage, error.code, self._up.mask(error.message), retry_at))

    def _enter(self, state: LineState) -> None:
        if state == self._state:
            return
        self._state = move(self._state, state)
        self._state_since = self._up.clock.monotonic()
        self._state_since_wall = self._up.clock.time()
        self._changed()

    def _settle(self, connected: bool) -> None:
        if self._first_outcome is not None and not self._first_outcome.done():
            self._first_outcome.set_result(connected)

    # -- the hot path: from the socket's callback to the next floor without a pause ---------------------------------

    def _receive_frame(self, frame: bytes) -> None:
        try:
            self._take_frame(frame)
        except Exception as error:  # noqa: BLE001  the root of the socket's callback: one frame must not end the line
            _log.exception("feed_frame_fault", line=self.config.connection_id)
            self.metrics.fail(self._up.mask(f"A fault in Tidewire while it read a frame: {error!r}."))

    def _take_frame(self, frame: bytes) -> None:
        clock = self._up.clock
        received = clock.time()
        now = clock.monotonic()
        number = self._ring.add(received, frame)
        decoded = decode_frame(frame)
        events = decoded.events
        metrics = self.metrics
        metrics.count_frame(now, len(frame), len(events))
        if events:
            metrics.last_message_time = received
            self._watch.silence.receive(now)
            if metrics.gap_is_open:
                metrics.close_gap(received)
            self._receive_events(self.config.connection_id, metrics, events, number, received)
            if self.ledger.not_flowing:
                self.ledger.receive_events(events)
            if self._state in {"stale", "market_closed"}:
                self._enter("live")
        if decoded.rejects:
            metrics.count_rejects(now, decoded.rejects, self._up.mask)
            self._trouble.bad_events(now, len(decoded.rejects))
        if decoded.unknown:
            metrics.count_unknown(decoded.unknown)
        if decoded.statuses and self._conversation is not None:
            self._hear(self._conversation.hear(decoded.statuses))

    def _hear(self, says: VenueSays) -> None:
        """Act on what the venue's statuses meant."""
        for text in says.complaints:
            self.metrics.fail(self._up.mask(text))
            self._trouble.complaint(self._up.clock.monotonic(), self._up.mask(text))
        if says.changed:
            self._changed()
        if self._state == "subscribing" and not self.ledger.pending:
            self._become_connected()
