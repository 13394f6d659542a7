"""Which line carries which ticker. Pure; it must not know sockets, and learns the lines' loads as arguments.

A ticker has a home (where it was configured or first placed) and an owner (the line that carries it now); they differ
only while the home line is down. A ticker nobody owns has no owner: it is never filed under the first line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class Assignment:
    """Tickers on enabled lines.

    Args:
        lines: Ids of the enabled lines, in order of preference when equally loaded.

    Attributes:
        lines: The enabled lines.
        owners: Ticker to the line that carries it now. Read only outside; the hot path looks up here.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        self.owners: dict[str, str] = {}
        self._homes: dict[str, str] = {}
        self._tickers: dict[str, set[str]] = {line: set() for line in lines}

    def pin(self, ticker: str, line: str) -> str:
        """Place a configured ticker on ``line`` unless it has an owner already; return the owner."""
        owner = self.owners.get(ticker)
        if owner is None:
            self._homes[ticker] = line
            self._set_owner(ticker, line)
            return line
        return owner

    def place(
        self, tickers: Iterable[str], rates: Mapping[str, float], lines: Sequence[str] | None = None
    ) -> dict[str, str]:
        """Give every ticker without an owner to the least loaded line: by rate, then by count, then in order.

        Within one call each placed ticker is expected to bring the mean rate of those already there, so that a long
        list does not land on one line.

        Args:
            tickers: New tickers; those with an owner are left alone.
            rates: Measured messages per second by line; a missing line counts 0.
            lines: Lines that may take them; all enabled ones by default.

        Returns:
            Ticker to line, for those that were placed. Empty if there is no line.
        """
        placed = self._spread([ticker for ticker in tickers if ticker not in self.owners], rates, lines)
        for ticker, line in placed.items():
            self._homes[ticker] = line
            self._set_owner(ticker, line)
        return placed

    def evacuate(self, line: str, rates: Mapping[str, float], survivors: Sequence[str]) -> dict[str, str]:
        """Move every ticker of ``line`` to the least loaded survivors; return ticker to new owner. Homes stay."""
        moved = self._spread(sorted(self._tickers[line]), rates, [s for s in survivors if s != line])
        for ticker, target in moved.items():
            self._set_owner(ticker, target)
        return moved

    def repatriate(self, line: str) -> dict[str, str]:
        """Give ``line`` back every ticker whose home it is; return ticker to the owner it had meanwhile."""
        returned = {t: self.owners[t] for t, home in self._homes.items() if home == line and self.owners[t] != line}
        for ticker in returned:
            self._set_owner(ticker, line)
        return returned

    def move(self, ticker: str, line: str) -> str | None:
        """Make ``line`` home and owner of ``ticker``; return the line that carried it, None if nobody did."""
        before = self.owners.get(ticker)
        if before is not None:
            self._homes[ticker] = line
            self._set_owner(ticker, line)
        return before

    def release(self, tickers: Iterable[str]) -> dict[str, set[str]]:
        """Forget tickers; return those that were owned, by line. Unknown ones are ignored."""
        released: dict[str, set[str]] = {}
        for ticker in tickers:
            line = self.owners.pop(ticker, None)
            if line is not None:
                self._homes.pop(ticker)
                self._tickers[line].discard(ticker)
                released.setdefault(line, set()).add(ticker)
        return released

    def owner(self, ticker: str) -> str | None:
        """Return the line that carries ``ticker`` now; None if nobody does."""
        return self.owners.get(ticker)

    def tickers(self, line: str) -> set[str]:
        """Return a copy of what ``line`` carries; empty for an unknown or disabled line."""
        return set(self._tickers.get(line, ()))

    def away(self, line: str) -> int:
        """Return how many tickers at home on ``line`` are carried by others."""
        return sum(1 for ticker, home in self._homes.items() if home == line and self.owners[ticker] != line)

    def _spread(
        self, tickers: Sequence[str], rates: Mapping[str, float], lines: Sequence[str] | None
    ) -> dict[str, str]:
        candidates = self.lines if lines is None else [line for line in self.lines if line in lines]
        if not candidates:
            return {}
        counts = {line: len(self._tickers[line]) for line in candidates}
        expected = {line: rates.get(line, 0.0) for line in candidates}
        known = sum(counts.values())
        each = sum(expected.values()) / known if known else 0.0
        placed: dict[str, str] = {}
        for ticker in dict.fromkeys(tickers):
            line = min(candidates, key=lambda name: (expected[name], counts[name]))
            placed[ticker] = line
            expected[line] += each
            counts[line] += 1
        return placed

    def _set_owner(self, ticker: str, line: str) -> None:
        before = self.owners.get(ticker)
        if before is not None:
            self._tickers[before].discard(ticker)
        self.owners[ticker] = line
        self._tickers[line].add(ticker)
