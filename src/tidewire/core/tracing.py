"""Spans: what was done for one request and how long each part took. Nothing is recorded until somebody collects.

``span`` costs a comparison while nobody does. Never use it per message of a room or per tick. It must not know who
collects, or where spans go. Source: OpenTelemetry specification, "Trace API"; W3C Trace Context.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Value = str | int | float | bool


class Span(Protocol):
    """One part of the work, while it is under way. An exception that leaves its block is noted on it."""

    def note(self, attributes: Mapping[str, Value], *, name: str = "") -> None:
        """Say more about it; ``name``: what it is called from now on."""
        ...


class Collector(Protocol):
    """Takes spans; whoever began the outer one is found by the context of the task."""

    def span(
        self, name: str, attributes: Mapping[str, Value], *, carrier: Mapping[str, str] | None
    ) -> AbstractContextManager[Span]:
        """Begin a span.

        Args:
            carrier: Headers of a request that this is the answer to; None for a part of something of our own.
        """
        ...

    def counters(self) -> Mapping[str, float]:
        """Return what became of spans since start, for metrics."""
        ...


class _Nothing:
    __slots__ = ()

    def note(self, attributes: Mapping[str, Value], *, name: str = "") -> None:
        """Nobody collects."""


_NOTHING: AbstractContextManager[Span] = nullcontext(_Nothing())
_collector: Collector | None = None


def collect(collector: Collector | None) -> None:
    """Give spans to ``collector`` from now on; None: to nobody. One for the whole process."""
    global _collector
    _collector = collector


def collecting() -> bool:
    """Whether anybody takes spans."""
    return _collector is not None


def counters() -> Mapping[str, float]:
    """Return what became of spans since start; nothing if nobody takes them."""
    return {} if _collector is None else _collector.counters()


def span(name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[Span]:
    """Begin a part of the work; use with ``with``. Names of attributes are OpenTelemetry's semantic conventions."""
    return _NOTHING if _collector is None else _collector.span(name, attributes, carrier=None)


def request_span(
    name: str, attributes: Mapping[str, Value], carrier: Mapping[str, str]
) -> AbstractContextManager[Span]:
    """Begin the answer to a request that may itself be a part of somebody else's trace."""
    return _NOTHING if _collector is None else _collector.span(name, attributes, carrier=carrier)
