"""Factors by range: which range a value is in, and whether ranges leave a gap or overlap. Pure.

A range is written ``"16..21"``: from 16, below 21. One number alone, ``"3"``, is ``"3..4"``. So the end of one range
is the beginning of the next, for years as for money, and no value can fall between two. It must not know what is rated.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

_RANGE = re.compile(r"(?P<low>[0-9]{1,9})(?:\.\.(?P<below>[0-9]{1,9}))?")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From ``low``, below ``below``; both whole numbers of the variable's unit."""

    low: int
    below: int

    def __str__(self) -> str:
        return f"{self.low}..{self.below}"

    def __contains__(self, value: Decimal | int) -> bool:
        return self.low <= value < self.below


@dataclass(frozen=True, slots=True)
class Bands:
    """Factors of ranges that follow one another without gap.

    Attributes:
        spans: Ascending.
        factors: One for each.
    """

    spans: tuple[Span, ...]
    factors: tuple[Decimal, ...]

    def find(self, value: Decimal | int) -> tuple[str, Decimal]:
        """Return the range of a value, as the plan writes it, and its factor.

        Raises:
            KeyError: The value is in no range.
        """
        index = bisect_right(self.spans, value, key=lambda span: span.low) - 1
        if index < 0 or value not in self.spans[index]:
            raise KeyError(value)
        return str(self.spans[index]), self.factors[index]


def read_span(text: str) -> Span | None:
    """Return a range, None if the text is none or the range is empty."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    low = int(match["low"])
    span = Span(low, low + 1 if match["below"] is None else int(match["below"]))
    return span if span.low < span.below else None


def faults_of(spans: Iterable[tuple[Span, str]], whole: Span) -> Iterator[tuple[str, str]]:
    """Yield (the key at fault, what is wrong) for whatever keeps ranges from covering ``whole`` exactly once.

    Args:
        spans: Each range with its key in the plan.
    """
    reached, before = whole.low, ""
    for span, key in sorted(spans):
        if span.low < whole.low or span.below > whole.below:
            yield key, f"{span} reaches beyond {whole}, the range of this variable"
        elif span.low > reached:
            yield key, f"nothing covers {reached}..{span.low}, before this range"
        elif span.low < reached:
            yield key, f'{span} overlaps "{before}"'
        if span.below >= reached:
            reached, before = span.below, key
    if reached < whole.below:
        yield before, f"nothing covers {reached}..{whole.below}, after this range"
