"""What was asked of a broker's subscription connection, what it answered, and where a gap may be. Pure.

Answers come in the order of the questions, so a refusal (which names no channel) belongs to the oldest open question.
A confirmation for a channel that had been confirmed before means that messages may have been missed in between: it is
the only trace of a silent reconnect (reliability.md 1, finding 5). It must not know sockets or callbacks.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Literal, NamedTuple

AskKind = Literal["subscribe", "unsubscribe", "ping"]


class Ask(NamedTuple):
    """One question: ``channel`` is empty for a ping; ``at`` is monotonic seconds of the writing."""

    kind: AskKind
    channel: str
    at: float


class Ledger:
    """Bookkeeping of one subscription connection after another."""

    def __init__(self) -> None:
        # Confirmed on the present connection.
        self.confirmed: set[str] = set()
        # Refused on the present connection: channel -> the broker's words.
        self.refused: dict[str, str] = {}
        # Confirmed at any time since somebody wanted it: the next confirmation is a gap.
        self._known: set[str] = set()
        # While there is no connection nothing is noted: connect() asks for everything anyway.
        self._live = False
        # The last wish per channel, not yet written; a newer wish replaces the older, so churn stays bounded.
        self._waiting: dict[str, AskKind] = {}
        self._open: deque[Ask] = deque()
        # Open questions per channel: only the answer to the last one says how things are.
        self._unanswered: Counter[str] = Counter()

    def connect(self, channels: list[str]) -> None:
        """Begin anew on a fresh connection: everything in ``channels`` is to be asked for."""
        self.disconnect()
        self._live = True
        self._waiting.update((channel, "subscribe") for channel in channels)

    def disconnect(self) -> None:
        """The connection has ended: nothing is confirmed, nothing will be answered."""
        self._live = False
        self.confirmed.clear()
        self.refused.clear()
        self._open.clear()
        self._unanswered.clear()
        self._waiting.clear()

    def want(self, channel: str, *, again: bool = False) -> None:
        """Ask for ``channel`` when the connection is next written to; ``again``: its confirmation will be a gap."""
        if again:
            self._known.add(channel)
            self.confirmed.discard(channel)
        if self._live:
            self._waiting[channel] = "subscribe"

    def drop(self, channel: str) -> None:
        """Nobody listens to ``channel`` any more."""
        self._known.discard(channel)
        self.confirmed.discard(channel)
        self.refused.pop(channel, None)
        if self._live:
            self._waiting[channel] = "unsubscribe"

    def take(self, now: float, heard_at: float, ping_after_s: float) -> list[Ask]:
        """Return what is to be written now, in order; a ping if it has been quiet for ``ping_after_s``."""
        asks = [Ask(kind, channel, now) for channel, kind in self._waiting.items()]
        self._waiting.clear()
        if not asks and not self._open and now - heard_at >= ping_after_s:
            asks.append(Ask("ping", "", now))
        self._open.extend(asks)
        self._unanswered.update(ask.channel for ask in asks)
        return asks

    def confirm(self, kind: AskKind, channel: str, wanted: bool) -> bool:
        """Note an answer; return whether messages of ``channel`` may have been missed.

        Args:
            kind: What the broker confirmed.
            channel: For which channel; empty for a ping.
            wanted: Whether anybody still listens to it.
        """
        if self._open and self._open[0].kind == kind and self._open[0].channel == channel:
            self._answered()
        if kind != "subscribe" or not wanted:
            return False
        # Left and entered again meanwhile: this answer is about the time before, a later one will count.
        if channel in self._unanswered or channel in self._waiting:
            return False
        gap = channel in self._known
        self._known.add(channel)
        self.confirmed.add(channel)
        return gap

    def refuse(self, reason: str) -> Ask | None:
        """Note that the oldest open question was refused and return it; None if nothing was asked."""
        if not self._open:
            return None
        ask = self._answered()
        # A refusal that has been overtaken by a newer wish says nothing about that.
        if ask.kind == "subscribe" and ask.channel not in self._unanswered and ask.channel not in self._waiting:
            self.refused[ask.channel] = reason
        return ask

    def overdue(self, now: float, heard_at: float, limit_s: float) -> bool:
        """Return whether the oldest question has had no answer, nor anything else been heard, for ``limit_s``."""
        return bool(self._open) and now - max(self._open[0].at, heard_at) >= limit_s

    def idle_s(self, now: float, heard_at: float, ping_after_s: float, limit_s: float) -> float:
        """Return for how many seconds there is nothing to write and nothing overdue, if nothing happens meanwhile.

        Never above ``ping_after_s``, so that an answer that comes meanwhile does not put off the next ping.
        """
        if self._waiting:
            return 0.0
        due = max(self._open[0].at, heard_at) + limit_s if self._open else heard_at + ping_after_s
        return min(max(0.0, due - now), ping_after_s)

    def _answered(self) -> Ask:
        ask = self._open.popleft()
        self._unanswered[ask.channel] -= 1
        if not self._unanswered[ask.channel]:
            del self._unanswered[ask.channel]
        return ask
