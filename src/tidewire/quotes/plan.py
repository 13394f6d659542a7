"""A rating plan: base rates, and the factors by which facts change them. Pure data.

A plan is loaded whole or not at all. Whatever would let a quote find no factor, or an absurd one, is refused by
``plan_text`` with its line, so that rating cannot fail on facts that ``rating.faults`` lets pass. It must not know
quotes, files or clocks.
Source: docs/rating.md, which cites the method; contract.md "no silent fallback".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tidewire.quotes.bands import Bands, Span

Choice = Literal["limit", "deductible"]

# Every variable that this release knows, and what it counts. A plan may use fewer; it cannot invent others, because
# somebody has to ask for them.
VARIABLES: dict[str, str] = {
    "driver_age": "years",
    "licensed_years": "years",
    "incidents": "at-fault accidents and moving violations in three years",
    "vehicle_value": "whole units of the plan's currency",
    "vehicle_age": "years",
    "annual_mileage": "miles",
}
STATE = "state"


@dataclass(frozen=True, slots=True)
class Coverage:
    """One coverage of a product.

    Attributes:
        code: Its key in the plan and in quotes.
        base_rate: Premium of the term for a risk whose factors are all 1.
        required: Whether every quote has it.
        choice: What the customer chooses.
        options: What can be chosen -> factor, in the plan's order.
        states: State -> factor; every state of the plan.
        bands: Variable -> factors, in the order in which they are shown; every one covers the variable's whole range.
    """

    code: str
    title: str
    base_rate: Decimal
    required: bool
    choice: Choice
    options: Mapping[str, Decimal]
    states: Mapping[str, Decimal]
    bands: Mapping[str, Bands]


@dataclass(frozen=True, slots=True)
class Discount:
    """A factor below 1 for those who have something, on some coverages."""

    code: str
    title: str
    factor: Decimal
    coverages: frozenset[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked rating plan; made by ``plan_text.parse_plan`` alone.

    Attributes:
        plan_id, version: Together they name it; a premium says which plan it is of.
        digest: First 12 hexadecimal digits of the SHA-256 of the text: tells two files of one version apart.
        illustrative: Whether the figures are made up. Said beside every premium.
        sources: Where the method is from.
        ranges: Variable -> the values that the plan rates.
        policy_fee: Added to the sum of the coverages.
        minimum_premium: The total is at least this.
        term_months: What the premium is for.
    """

    plan_id: str
    version: str
    digest: str
    product: str
    currency: str
    illustrative: bool
    sources: tuple[str, ...]
    term_months: int
    policy_fee: Decimal
    minimum_premium: Decimal
    states: frozenset[str]
    ranges: Mapping[str, Span]
    coverages: Mapping[str, Coverage]
    discounts: Mapping[str, Discount]

    @property
    def name(self) -> str:
        """The plan as people and programs refer to it."""
        return f"{self.plan_id}@{self.version}"

    @property
    def required(self) -> tuple[str, ...]:
        """Codes of the coverages that every quote has."""
        return tuple(code for code, coverage in self.coverages.items() if coverage.required)
