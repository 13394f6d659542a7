"""What a viewer wants to see: a filter, compiled once, asked once per tick. Pure; it must not know viewers or sockets.

Source: docs/admin-channel.md (filter); dashboard.md M5. Globs are matched by hand, part after part, because a
regular expression made from many ``*`` can take exponential time on purpose-made patterns.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidewire.monitoring.bus_tick import Seen

# Far above what a person types; the answer per symbol is cached up to here, then the cache starts anew.
_CACHED_SYMBOLS = 20_000


class TickFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All given parts must hold; an empty part does not restrict.

    Attributes:
        symbols: Tickers or globs with ``*``, case-insensitive; one match is enough.
        types: Upstream event types (``T``, ``A``, ``AM``); one match is enough.
        text: Part of the symbol, source, event type or connection id, case-insensitive.
        min_change: Smallest absolute change against the symbol's previous tick, percent; 0 does not
            restrict. A first tick has no change and fails any other value.
    """

    symbols: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=32)], ...], Meta(max_length=100)] = ()
    types: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=16)], ...], Meta(max_length=20)] = ()
    text: Annotated[str, Meta(max_length=64)] = ""
    min_change: Annotated[float, Meta(ge=0.0, le=1e9)] | None = None


class Glob:
    """One pattern with ``*`` for any run of characters; matching takes linear time."""

    __slots__ = ("_first", "_last", "_middle", "_whole")

    def __init__(self, pattern: str) -> None:
        parts = pattern.upper().split("*")
        self._whole = parts[0] if len(parts) == 1 else None
        self._first = parts[0]
        self._last = parts[-1]
        self._middle = tuple(part for part in parts[1:-1] if part)

    def matches(self, name: str) -> bool:
        """Whether ``name`` (upper case) fits the whole pattern."""
        if self._whole is not None:
            return name == self._whole
        if not name.startswith(self._first) or not name.endswith(self._last):
            return False
        at, end = len(self._first), len(name) - len(self._last)
        for part in self._middle:
            found = name.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return at <= end


class CompiledFilter:
    """A TickFilter ready to be asked."""

    def __init__(self, wanted: TickFilter) -> None:
        self._globs = tuple(Glob(pattern) for pattern in wanted.symbols)
        self._types = frozenset(wanted.types)
        self._text = wanted.text.upper()
        self._min_change = wanted.min_change
        self._by_symbol: dict[str, bool] = {}

    def passes(self, seen: Seen) -> bool:
        """Whether the tick may be shown."""
        tick = seen.tick
        if self._types and tick.event not in self._types:
            return False
        if self._min_change and (seen.change_pct is None or abs(seen.change_pct) < self._min_change):
            return False
        if self._globs and not self._symbol_passes(tick.symbol):
            return False
        return not self._text or self._text in f"{tick.symbol}\n{tick.source}\n{tick.event}\n{seen.lane}".upper()

    def _symbol_passes(self, symbol: str) -> bool:
        known = self._by_symbol.get(symbol)
        if known is None:
            if len(self._by_symbol) >= _CACHED_SYMBOLS:
                self._by_symbol.clear()
            name = symbol.upper()
            known = self._by_symbol[symbol] = any(glob.matches(name) for glob in self._globs)
        return known
