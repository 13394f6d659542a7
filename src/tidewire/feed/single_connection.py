"""The Massive feed over one connection, behind the same interface: MassiveWebSocketClient.

The first enabled slot carries the tickers of all enabled ones; the others are shown as disabled. It must not know
anything that MultiConnectionManager does not.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from tidewire.core.clock import Clock
from tidewire.core.feed_status import FeedStatus
from tidewire.core.market import Tick
from tidewire.feed.multi_connection import MultiConnectionManager
from tidewire.feed.source import LineConfig, LineTiming, clean_tickers


class MassiveWebSocketClient(MultiConnectionManager):
    """One line to Massive. Arguments and methods as MultiConnectionManager; there is nothing to fail over to."""

    def __init__(
        self,
        lines: Sequence[LineConfig],
        url: str,
        api_key: str,
        *,
        receive_ticks: Callable[[list[Tick]], None],
        status_changed: Callable[[FeedStatus], None],
        channels: Sequence[str] = ("T", "A"),
        clock: Clock | None = None,
        rng: random.Random | None = None,
        timing: LineTiming | None = None,
    ) -> None:
        super().__init__(
            merge_lines(lines),
            url,
            api_key,
            receive_ticks=receive_ticks,
            status_changed=status_changed,
            channels=channels,
            clock=clock,
            rng=rng,
            timing=timing,
            failover=False,
        )


def merge_lines(lines: Sequence[LineConfig]) -> list[LineConfig]:
    """Return the slots with all tickers on the first enabled one and the others disabled, each with a warning."""
    enabled = [line for line in lines if line.enabled]
    if not enabled:
        return list(lines)
    first = enabled[0]
    merged: list[LineConfig] = []
    for line in lines:
        if line is first and len(enabled) > 1:
            names = ", ".join(other.name for other in enabled[1:])
            tickers = tuple(clean_tickers(ticker for each in enabled for ticker in each.tickers))
            text = f"Single-connection mode: it also carries the tickers of {names}."
            line = dataclasses.replace(line, tickers=tickers, warnings=(*line.warnings, text))
        elif line.enabled and line is not first:
            text = f"Single-connection mode: {first.name} carries its tickers."
            line = dataclasses.replace(line, enabled=False, tickers=(), warnings=(*line.warnings, text))
        merged.append(line)
    return merged
