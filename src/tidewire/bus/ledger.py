"""What was asked of a broker's subscription connection, what it answered, and where a gap may be. Pure.

Answers come in the order of the questions, so a refusal (which names no channel) belongs to the oldest open question.
A confirmation for a channel that had been confirmed before means that messages may have been missed in between: it is
the only trace of a silent reconnect (reliability.md 1, finding 5). It must not know sockets or callbacks.
"""

from __future__ import annotations

from collections import deque
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
        # While there is no connection nothing is noted: connect() asks for everything anyway, and churn stays bounded.
        self._live = False
        self._waiting: deque[tuple[AskKind, str]] = deque()
        self._open: deque[Ask] = deque()

    @property
    def waiting(self) -> bool:
        """Whether something is to be asked."""
        return bool(self._waiting)

    def connect(self, channels: list[str]) -> None:
        """Begin anew on a fresh connection: everything in ``channels`` is to be asked for."""
        self.disconnect()
        self._live = True
        self._waiting.extend(("subscribe", channel) for channel in channels)

    def disconnect(self) -> None:
        """The connection has ended: nothing is confirmed, nothing will be answered."""
        self._live = False
        self.confirmed.clear()
        self.refused.clear()
        self._open.clear()
        self._waiting.clear()

    def want(self, channel: str) -> None:
        """Ask for ``channel`` when the connection is next written to."""
        if self._live:
            self._waiting.append(("subscribe", channel))

    def drop(self, channel: str) -> None:
        """Nobody listens to ``channel`` any more."""
        self._known.discard(channel)
        self.confirmed.discard(channel)
        self.refused.pop(channel, None)
        if self._live:
            self._waiting.append(("unsubscribe", channel))

    def take(self, now: float, heard_at: float, ping_after_s: float) -> list[Ask]:
        """Return what is to be written now, in order; a ping if it has been quiet for ``ping_after_s``."""
        asks = [Ask(kind, channel, now) for kind, channel in self._waiting]
        self._waiting.clear()
        if not asks and not self._open and now - heard_at >= ping_after_s:
            asks.append(Ask("ping", "", now))
        self._open.extend(asks)
        return asks

    def confirm(self, kind: AskKind, channel: str, wanted: bool) -> bool:
        """Note an answer; return whether messages of ``channel`` may have been missed.

        Args:
            kind: What the broker confirmed.
            channel: For which channel; empty for a ping.
            wanted: Whether anybody still listens to it.
        """
        if self._open and self._open[0].kind == kind and self._open[0].channel == channel:
            self._open.popleft()
        if kind != "subscribe" or not wanted:
            return False
        gap = channel in self._known
        self._known.add(channel)
        self.confirmed.add(channel)
        return gap

    def refuse(self, reason: str) -> str:
        """Note that the oldest open question was refused; return its channel ("" if there was none)."""
        if not self._open:
            return ""
        ask = self._open.popleft()
        if ask.kind == "subscribe":
            self.refused[ask.channel] = reason
        return ask.channel

    def overdue(self, now: float, heard_at: float, limit_s: float) -> bool:
        """Return whether the oldest question has had no answer, nor anything else been heard, for ``limit_s``."""
        return bool(self._open) and now - max(self._open[0].at, heard_at) > limit_s
