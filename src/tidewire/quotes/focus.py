"""Who has the focus in which field of which quote: what is new, what is over, what must be said again. Pure.

Each node keeps this for its own connections and, from what it hears, for those of other nodes, which end when they
are not said again. Bounded per quote; overflow policy: the newcomer is not shown. It must not know sockets or channels.
Source: contract.md section 5, ``field_focus`` ("soft lock, volatile, debounced").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

# Nobody can look at more people in one form.
MAX_PER_QUOTE = 200
# The client says "typing" again every half second while it lasts.
TYPING_S = 5.0
# A node repeats what it knows of its own connections this often; twice that missing, and they are gone.
REPEAT_S = 10.0
SILENT_S = 25.0


@dataclass(frozen=True, slots=True)
class Focus:
    """One connection's place in one quote; ``field`` None: it has left.

    Attributes:
        own: Whether the connection is this node's.
        heard: When it was last said, monotonic seconds.
        typed: When typing was last said.
    """

    quote_id: str
    connection_id: str
    user_id: int
    username: str
    field: str | None
    typing: bool
    own: bool
    heard: float
    typed: float = 0.0


class FocusTable:
    """See the module's text."""

    def __init__(self) -> None:
        self._quotes: dict[str, dict[str, Focus]] = {}
        # Places whose news have not been told yet; one connection's older news are replaced by newer ones.
        self._news: dict[tuple[str, str], Focus] = {}
        self.refused = 0

    def __len__(self) -> int:
        return sum(map(len, self._quotes.values()))

    def set(self, focus: Focus) -> None:
        """Note what was said; only what differs from before is news."""
        places = self._quotes.setdefault(focus.quote_id, {})
        before = places.get(focus.connection_id)
        if focus.field is None:
            if before is not None:
                self._end(before)
            elif not places:
                del self._quotes[focus.quote_id]
            return
        if before is None and len(places) >= MAX_PER_QUOTE:
            self.refused += 1
            return
        if focus.typing:
            focus = replace(focus, typed=focus.heard)
        places[focus.connection_id] = focus
        if before is None or (before.field, before.typing) != (focus.field, focus.typing):
            self._news[(focus.quote_id, focus.connection_id)] = focus

    def of_quote(self, quote_id: str) -> list[Focus]:
        """Return who is where in a quote."""
        return list(self._quotes.get(quote_id, {}).values())

    def own(self) -> list[Focus]:
        """Return the places of this node's connections."""
        return [focus for focus in self._all() if focus.own]

    def end(self, quote_id: str, connection_id: str) -> None:
        """A connection has left a quote."""
        focus = self._quotes.get(quote_id, {}).get(connection_id)
        if focus is not None:
            self._end(focus)

    def tick(self, now: float) -> None:
        """End what is over."""
        for focus in list(self._all()):
            if not focus.own and now - focus.heard >= SILENT_S:
                self._end(focus)
            elif focus.typing and now - focus.typed >= TYPING_S:
                self.set(replace(focus, typing=False))

    def take_news(self) -> list[Focus]:
        """Return what has changed since the last call, the last state of each place only."""
        news, self._news = self._news, {}
        return list(news.values())

    def _end(self, focus: Focus) -> None:
        places = self._quotes[focus.quote_id]
        del places[focus.connection_id]
        if not places:
            del self._quotes[focus.quote_id]
        self._news[(focus.quote_id, focus.connection_id)] = replace(focus, field=None, typing=False)

    def _all(self) -> Iterator[Focus]:
        for places in self._quotes.values():
            yield from places.values()
