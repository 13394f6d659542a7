"""The venue's conduct: greeting, keys, topics, limits, endings. Pure: it decides, the server acts on its acts.

Everything that a client may see besides data is decided here, in one synchronous call per event.
It must not know sockets, HTTP, or how events are made.
Source: feed-protocol.md 1.2, 1.3, 1.4 and 1.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tidewire.feed.simulator import wire
from tidewire.feed.simulator.chance import Draw
from tidewire.feed.simulator.config import SimulatorConfig
from tidewire.feed.simulator.instrument import Instrument
from tidewire.feed.simulator.session import Session, Stage

POLICY_VIOLATION = 1008
# Twice the largest rate: 50,000 events/s to three clients took 42 % of one core, so more could not be made.
MAX_BURST_RATE = 100_000
# Ten times every listed ticker on every channel; a bound so that made-up tickers cannot fill the memory.
MAX_TOPICS = 20_000


class Push(msgspec.Struct, frozen=True):
    """Send one frame."""

    session: int
    payload: bytes
    binary: bool = False


class Close(msgspec.Struct, frozen=True):
    """Send a close frame; TCP is closed when the peer answers it, or aborted by a later Drop."""

    session: int
    code: int
    reason: str = ""


class Drop(msgspec.Struct, frozen=True):
    """Let go of TCP without a close frame: at once, or (``flush``) after what was sent has left."""

    session: int
    flush: bool = False


Act = Push | Close | Drop


class Counters(msgspec.Struct):
    """What happened since the start."""

    opened: int = 0
    authenticated: int = 0
    auth_failed: int = 0
    auth_timeouts: int = 0
    evicted: int = 0
    slow_consumers: int = 0
    refused_handshakes: int = 0
    bad_messages: int = 0
    dropped: int = 0
    closed: int = 0


class Venue:
    """All sessions and the rules for them. Times are market seconds.

    Args:
        config: Keys, limits, policies.
        instruments: By symbol; their taps are set and removed here.
        draw: Chance for the policy "random".
    """

    def __init__(self, config: SimulatorConfig, instruments: Mapping[str, Instrument], draw: Draw) -> None:
        self.sessions: dict[int, Session] = {}
        self.counters = Counters()
        self.auths_to_fail = 0
        self.handshakes_to_refuse = 0
        self.refusal_status = 503
        self._config = config
        self._instruments = instruments
        self._draw = draw
        self._last_number = 0
        self._burst_factor = 1.0
        self._burst_until_s = 0.0

    # -- life of a session -------------------------------------------------------------------------------------------

    def refuse_handshake(self) -> int | None:
        """Return the HTTP status with which this handshake is to be refused, or None."""
        if not self.handshakes_to_refuse:
            return None
        self.handshakes_to_refuse -= 1
        self.counters.refused_handshakes += 1
        return self.refusal_status

    def open(self, now_s: float) -> tuple[Session, list[Act]]:
        """Take in a connection whose handshake is done; the venue speaks first."""
        self._last_number += 1
        session = Session(self._last_number, now_s, now_s + self._config.auth_timeout_s)
        self.sessions[session.number] = session
        self.counters.opened += 1
        return session, [self._say(session, wire.CONNECTED)]

    def receive(self, number: int, data: bytes, now_s: float) -> list[Act]:
        """Decide on one message of a client."""
        session = self.sessions.get(number)
        if session is None or session.stage is Stage.CLOSING or session.stalled(now_s):
            return []
        message = wire.parse_client_message(data)
        if message is None:
            self.counters.bad_messages += 1
            acts: list[Act] = [self._say(session, wire.BAD_MESSAGE)]
        elif message.action == "auth":
            acts = self._authenticate(session, message.params, now_s)
        elif message.action not in ("subscribe", "unsubscribe"):
            self.counters.bad_messages += 1
            acts = [self._say(session, wire.UNKNOWN_ACTION)]
        elif session.stage is not Stage.AUTHENTICATED:
            acts = [self._say(session, wire.AUTH_REQUIRED)]
        elif message.action == "subscribe":
            acts = self._subscribe(session, message.params, now_s)
        else:
            acts = self._unsubscribe(session, message.params)
        if session.quiet(now_s):
            return [act for act in acts if not isinstance(act, Push)]
        return acts

    def leave(self, number: int) -> None:
        """Forget a connection that has ended."""
        session = self.sessions.pop(number, None)
        if session is not None:
            self._untap(session)
            self.counters.closed += 1

    def expire(self, now_s: float) -> list[Act]:
        """End what has run out of time: unauthenticated connections, and closes that the peer does not answer."""
        acts: list[Act] = []
        for session in self.sessions.values():
            if now_s < session.deadline_s or session.stage is Stage.AUTHENTICATED:
                continue
            if session.stage is Stage.CLOSING:
                acts.append(Drop(session.number))
            else:
                self.counters.auth_timeouts += 1
                acts += self.end(session, now_s, wire.AUTH_TIMEOUT)
        return acts

    def slow_consumer(self, session: Session, now_s: float) -> list[Act]:
        """End a connection that does not read what it is sent."""
        self.counters.slow_consumers += 1
        return self.end(session, now_s, wire.SLOW_CONSUMER)

    def end(
        self, session: Session, now_s: float, status: tuple[str, str] | None, code: int = POLICY_VIOLATION
    ) -> list[Act]:
        """Say why (unless None), close, and give the peer the linger time to answer."""
        self._untap(session)
        session.stage = Stage.CLOSING
        session.deadline_s = now_s + self._config.close_linger_s
        acts: list[Act] = [] if status is None else [self._say(session, status)]
        return [*acts, Close(session.number, code)]

    def drop(self, session: Session, now_s: float, *, flush: bool = False) -> Drop:
        """Cut a connection without a close frame."""
        self._untap(session)
        session.stage = Stage.CLOSING
        # A peer that never takes the last bytes is aborted by ``expire``.
        session.deadline_s = now_s + self._config.close_linger_s
        self.counters.dropped += 1
        return Drop(session.number, flush)

    def evict(self, session: Session, now_s: float) -> list[Act]:
        """End a connection because the key has too many."""
        self.counters.evicted += 1
        return self.end(session, now_s, wire.MAX_CONNECTIONS)

    # -- rate --------------------------------------------------------------------------------------------------------

    def burst(self, factor: float, until_s: float) -> None:
        """Multiply the rate until ``until_s``."""
        self._burst_factor, self._burst_until_s = factor, until_s

    def rate(self, now_s: float) -> int:
        """Return the market's present rate, events per second."""
        factor = self._burst_factor if now_s < self._burst_until_s else 1.0
        return min(MAX_BURST_RATE, round(self._config.rate * factor))

    # -- authentication ----------------------------------------------------------------------------------------------

    def _authenticate(self, session: Session, key: str, now_s: float) -> list[Act]:
        if session.stage is Stage.AUTHENTICATED:
            # UNVERIFIED what the real service does; a second auth changes nothing here.
            return [self._say(session, wire.AUTHENTICATED)]
        failure = None
        if self.auths_to_fail:
            self.auths_to_fail -= 1
            failure = wire.AUTH_FAILED
        elif key in self._config.no_plan_keys:
            failure = wire.NO_PLAN
        elif key not in self._config.keys:
            failure = wire.AUTH_FAILED
        if failure is not None:
            self.counters.auth_failed += 1
            return [self._say(session, failure), self.drop(session, now_s, flush=True)]
        self.counters.authenticated += 1
        session.key = key
        session.stage = Stage.AUTHENTICATED
        return [self._say(session, wire.AUTHENTICATED), *self._admit(session, now_s)]

    def _admit(self, session: Session, now_s: float) -> list[Act]:
        holders = [other for other in self._live() if other.key == session.key]
        if len(holders) <= self._config.max_connections:
            return []
        if self._config.eviction == "newest":
            session.doomed = True
            return []
        victim = holders[0] if self._config.eviction == "oldest" else holders[int(self._draw() * len(holders))]
        return self.evict(victim, now_s)

    def _live(self) -> Iterator[Session]:
        return (session for session in self.sessions.values() if session.stage is Stage.AUTHENTICATED)

    # -- topics ------------------------------------------------------------------------------------------------------

    def _subscribe(self, session: Session, params: str, now_s: float) -> list[Act]:
        statuses: list[tuple[str, str]] = []
        for channel, ticker in wire.split_topics(params):
            if channel in self._config.not_authorized:
                statuses.append(wire.NOT_AUTHORIZED)
            elif channel not in wire.CHANNELS and channel not in wire.DATALESS_CHANNELS:
                continue  # unknown topic: no answer at all
            elif (channel, ticker) in session.topics:
                continue  # duplicate: no answer either
            elif len(session.topics) >= MAX_TOPICS:
                statuses.append(wire.TOO_MANY_TOPICS)
            else:
                session.topics.add((channel, ticker))
                self._retap(session, channel, ticker)
                statuses.append(("success", f"subscribed to: {channel}.{ticker}"))
        acts = self._answer(session, statuses)
        if session.doomed:
            acts += self.evict(session, now_s)
        return acts

    def _unsubscribe(self, session: Session, params: str) -> list[Act]:
        statuses: list[tuple[str, str]] = []
        for channel, ticker in wire.split_topics(params):
            gone = {(channel, ticker)} & session.topics
            if ticker == "*":
                gone |= {topic for topic in session.topics if topic[0] == channel}
            if not gone:
                continue
            session.topics -= gone
            for topic in gone:
                self._retap(session, *topic)
            statuses.append(("success", f"unsubscribed to: {channel}.{ticker}"))
        return self._answer(session, statuses)

    def _answer(self, session: Session, statuses: list[tuple[str, str]]) -> list[Act]:
        if self._config.acks == "single":
            return [self._say(session, status) for status in statuses]
        return [self._say(session, *statuses)] if statuses else []

    def _retap(self, session: Session, channel: str, ticker: str) -> None:
        """Make the taps of one topic what the session's topics say; a wildcard and a ticker deliver once."""
        if channel not in wire.CHANNELS:
            return
        wildcard = (channel, "*") in session.topics
        wanted = self._instruments if ticker == "*" else [ticker] if ticker in self._instruments else []
        for symbol in wanted:
            taps = self._instruments[symbol].taps[channel]
            if wildcard or (channel, symbol) in session.topics:
                taps.setdefault(session.number, session.outbox.append)
            else:
                taps.pop(session.number, None)

    def _untap(self, session: Session) -> None:
        for instrument in self._instruments.values():
            for taps in instrument.taps.values():
                taps.pop(session.number, None)
        session.outbox.clear()

    def _say(self, session: Session, *statuses: tuple[str, str]) -> Push:
        return Push(session.number, wire.status_frame(*statuses))
