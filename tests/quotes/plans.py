"""A small rating plan as text and as a plan, and facts that it rates. Tests change what they are about."""

from __future__ import annotations

from decimal import Decimal

from tidewire.quotes.plan import Plan
from tidewire.quotes.plan_shelf import SHIPPED, load_plan
from tidewire.quotes.plan_text import parse_plan
from tidewire.quotes.rating import Facts

SMALL = """\
[plan]
id = "small"
version = "1"
product = "personal_auto"
currency = "USD"
illustrative = true
sources = ["made up"]
term_months = 6
policy_fee = 10.00
minimum_premium = 50.00
states = ["CA", "TX"]

[ranges]
driver_age = "16..100"
vehicle_value = "500..50001"

[coverages.liability]
title = "Liability"
base_rate = 100.00
required = true
choice = "limit"
rated_by = ["driver_age"]

[coverages.liability.options]
"25/50/25" = 1.00
"50/100/50" = 1.50

[coverages.liability.state]
CA = 1.2
TX = 0.9

[coverages.liability.driver_age]
"16..25" = 2.0
"25..100" = 1

[coverages.collision]
title = "Collision"
base_rate = 60.50
required = false
choice = "deductible"
rated_by = ["vehicle_value"]

[coverages.collision.options]
"500" = 1
"1000" = 0.8

[coverages.collision.state]
CA = 1.10
TX = 1.00

[coverages.collision.vehicle_value]
"500..10000" = 0.7
"10000..50001" = 1.3

[discounts.paid_in_full]
title = "Paid in full"
factor = 0.95
coverages = ["liability", "collision"]
"""


def small() -> Plan:
    """The small plan."""
    return parse_plan(SMALL, "small.toml")


def shipped() -> Plan:
    """The plan that Tidewire is shipped with."""
    return load_plan(SHIPPED / "personal_auto.toml")


def line_of(text: str, piece: str) -> int:
    """The line, from 1, of the first place where a piece of text is."""
    return text[: text.index(piece)].count("\n") + 1


def facts(**changed: object) -> Facts:
    """Facts that the small plan rates, some of them changed."""
    given = {
        "state": "CA",
        "measures": {"driver_age": 20, "vehicle_value": Decimal("12000.00")},
        "coverages": {"liability": "50/100/50", "collision": "500"},
        "discounts": frozenset({"paid_in_full"}),
    }
    return Facts(**{**given, **changed})  # type: ignore[arg-type]
