"""What one line wants to hear, what it has asked for, and what the venue answered, topic by topic. Pure.

The wanted set is ours and survives every connection; the rest is about the present connection only, so nothing asked
for is lost in a drop. It must not know sockets. Source: feed-protocol.md 1.2, 1.3 (the venue names no topic when it
refuses one, does not answer unknown topics, and does not answer a duplicate).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from tidewire.feed.massive import Event

_ACK: Final = re.compile(r"\s*(un)?subscribed to:\s*(\S.*)", re.IGNORECASE)
_MAX_NAMED: Final = 10
# A stranger who sends ever new symbols must not fill the memory.
MAX_SYMBOLS: Final = 100_000
_SEPARATOR: Final = re.compile(r"[,\s]+")


class TopicLedger:
    """The topics of one line.

    Attributes:
        wanted: Topics that should flow (``T.AAPL``).
        pending: Asked for on this connection, not answered: topic to when (monotonic seconds).
        acked, refused, unanswered: What became of the others on this connection.
        flowing: Topics whose data was seen on this connection.
    """

    def __init__(self) -> None:
        self.wanted: dict[str, None] = {}
        self.pending: dict[str, float] = {}
        self.acked: set[str] = set()
        self.refused: set[str] = set()
        self.unanswered: set[str] = set()
        self.flowing: set[str] = set()
        self._refusals = 0
        # Symbols seen on this connection by event type: the cheap question before the exact one.
        self._seen: defaultdict[type[Event], set[str]] = defaultdict(set)

    def want(self, topics: Iterable[str]) -> None:
        """Replace the wanted set."""
        self.wanted = dict.fromkeys(topics)

    def disconnect(self) -> None:
        """Forget what the venue knew; keep what is wanted."""
        self.pending.clear()
        self.acked.clear()
        self.refused.clear()
        self.unanswered.clear()
        self.flowing.clear()
        self._seen.clear()
        self._refusals = 0

    def take_changes(self, now: float) -> tuple[list[str], list[str]]:
        """Return the topics to subscribe and to unsubscribe now, and count them as asked for.

        A refused or unanswered topic is not asked for again on the same connection.
        """
        known = self.pending.keys() | self.acked | self.refused | self.unanswered
        add = [topic for topic in self.wanted if topic not in known]
        drop = [topic for topic in known if topic not in self.wanted]
        for topic in drop:
            self._forget(topic)
        for topic in add:
            self.pending[topic] = now
        return add, sorted(drop)

    def acknowledge(self, message: str) -> bool:
        """Apply ``subscribed to: ...`` or ``unsubscribed to: ...``; False if ``message`` is neither."""
        found = _ACK.match(message)
        if found is None:
            return False
        for topic in _SEPARATOR.split(found.group(2).strip()):
            # An answer to an unsubscribe needs nothing: the topic was forgotten when it was sent.
            if found.group(1) is None and topic in self.wanted:
                self._forget(topic)
                self.acked.add(topic)
        self._settle_refusals()
        return True

    def refuse(self, message: str) -> None:
        """Apply ``not authorized``: to the topics it names, else to those left open once all others are answered."""
        named = [topic for topic in re.findall(r"[A-Z]+\.[^\s,]+", message) if topic in self.pending]
        if named:
            for topic in named:
                self._refuse(topic)
        else:
            self._refusals += 1
        self._settle_refusals()

    def expire(self, now: float, timeout_s: float) -> list[str]:
        """Give up waiting for topics asked for more than ``timeout_s`` ago; return them.

        If the venue refused something without a name meanwhile, they are what it refused; else they went unanswered.
        """
        late = [topic for topic, since in self.pending.items() if now - since >= timeout_s]
        for topic in late:
            if self._refusals:
                self._refuse(topic)
            else:
                self._forget(topic)
                self.unanswered.add(topic)
        if late:
            self._refusals = 0
        return late

    def receive_events(self, events: Iterable[Event]) -> None:
        """Data came: its topics flow, whatever the venue answered."""
        seen = self._seen
        for event in events:
            symbols = seen[type(event)]
            if event.sym not in symbols:
                if len(symbols) > MAX_SYMBOLS:
                    symbols.clear()
                symbols.add(event.sym)
                self._flow(f"{event.__struct_config__.tag}.{event.sym}")

    @property
    def not_flowing(self) -> bool:
        """Whether some wanted topic has had no data yet on this connection."""
        return len(self.flowing) < len(self.wanted)

    def warnings(self) -> list[str]:
        """Return what an operator should know about the topics."""
        texts: list[str] = []
        if self.refused:
            texts.append(f"The venue refused {_name(self.refused)}: the plan does not include them.")
        if self.unanswered:
            texts.append(f"The venue did not acknowledge {_name(self.unanswered)}: unknown topics get no answer.")
        return texts

    def _flow(self, topic: str) -> None:
        if topic in self.wanted:
            self._forget(topic)
            self.acked.add(topic)
            self.flowing.add(topic)

    def _settle_refusals(self) -> None:
        if self._refusals and len(self.pending) <= self._refusals:
            for topic in list(self.pending):
                self._refuse(topic)
            self._refusals = 0

    def _refuse(self, topic: str) -> None:
        self._forget(topic)
        self.refused.add(topic)

    def _forget(self, topic: str) -> None:
        self.pending.pop(topic, None)
        self.acked.discard(topic)
        self.refused.discard(topic)
        self.unanswered.discard(topic)
        if topic in self.flowing:
            self.flowing.discard(topic)
            self._seen.clear()


def _name(topics: set[str]) -> str:
    """Name topics, at most ten of them."""
    listed = ", ".join(sorted(topics)[:_MAX_NAMED])
    return listed if len(topics) <= _MAX_NAMED else f"{listed} and {len(topics) - _MAX_NAMED} more"
