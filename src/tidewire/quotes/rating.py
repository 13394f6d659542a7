"""The premium of a set of facts by a plan: base rate times factors, exact until it is rounded once. Pure.

    premium of a coverage = base rate x option x state x one factor per variable x discounts, rounded to cents
    total                 = sum of the coverages + policy fee, raised to the minimum premium if that is more

Amounts are ``Decimal`` under a context that refuses to lose a digit, so the order of the factors cannot matter.
Rounding happens once per coverage, half up to the cent; everything after it is addition of cents, so the parts add up
to the total. It must not know quotes, who asks, or how progress is told.
Source: docs/rating.md; Python manual, "decimal", "Context objects" (the Inexact trap).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Literal, get_args

from tidewire.core.errors import InvalidRequest
from tidewire.quotes.plan import STATE, VARIABLES, Coverage, Plan

Stage = Literal["validate", "base", "coverages", "discounts", "total"]
STAGES: tuple[Stage, ...] = get_args(Stage)

CENT = Decimal("0.01")
# plan_text.py's bounds allow 8 digits of base rate, 2 + 6 factors of 6 digits and 8 discounts of 5: 96 digits.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
_ROUND = Context(prec=100, rounding=ROUND_HALF_UP, traps=[InvalidOperation, Overflow, DivisionByZero])


@dataclass(frozen=True, slots=True)
class Facts:
    """What is rated. ``faults`` says whether a plan can rate it.

    Attributes:
        state: Two letters.
        measures: Variable -> value, in the unit that ``plan.VARIABLES`` states; whole numbers but for money.
        coverages: Coverage -> the option chosen.
        discounts: Codes of the discounts that apply.
    """

    state: str
    measures: Mapping[str, int | Decimal]
    coverages: Mapping[str, str]
    discounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fault:
    """A fact that keeps a quote from being rated: ``field`` names it, ``reason`` is a clause."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a breakdown.

    Attributes:
        name: ``base_rate``, ``limit``, ``deductible``, ``state``, a variable, ``discount:CODE`` or ``rounding``.
        value: What the fact is: the state, the option, the range; empty if there is none.
        factor: What the amount before was multiplied by; None for the base rate and the rounding.
        running: The amount after this step, exact.
    """

    name: str
    value: str
    factor: Decimal | None
    running: Decimal


@dataclass(frozen=True, slots=True)
class CoveragePremium:
    """One coverage's premium, in cents, and how it came about."""

    code: str
    title: str
    option: str
    steps: tuple[Step, ...]
    premium: Decimal


@dataclass(frozen=True, slots=True)
class Rated:
    """A premium and all its parts: ``total`` is the sum of the coverages, the fee and the adjustment.

    Attributes:
        plan, digest: Which plan it is of, as ``Plan.name`` and ``Plan.digest``.
        adjustment: What was added to reach the minimum premium; 0.00 mostly.
    """

    plan: str
    digest: str
    illustrative: bool
    currency: str
    term_months: int
    coverages: tuple[CoveragePremium, ...]
    policy_fee: Decimal
    adjustment: Decimal
    total: Decimal


def faults(plan: Plan, facts: Facts) -> tuple[Fault, ...]:
    """Return everything that keeps ``plan`` from rating ``facts``, by field; empty if nothing does."""
    return (*_state_faults(plan, facts), *_measure_faults(plan, facts), *_coverage_faults(plan, facts))


def refusal(found: tuple[Fault, ...]) -> InvalidRequest:
    """Return the error that lists faults by field."""
    listed = "; ".join(f"{fault.field}: {fault.reason}" for fault in found)
    return InvalidRequest(
        f"The quote cannot be rated: {listed}.",
        required_action="Complete or correct the fields named, then calculate again.",
        will_not="Tidewire will not guess a fact or leave out a coverage.",
        code="facts_incomplete",
        details={"fields": {fault.field: fault.reason for fault in found}},
    )


def _state_faults(plan: Plan, facts: Facts) -> Iterator[Fault]:
    if not facts.state:
        yield Fault(STATE, "is missing")
    elif facts.state not in plan.states:
        yield Fault(STATE, f"the plan {plan.name} has no rates for {facts.state[:20]!r}")


def _measure_faults(plan: Plan, facts: Facts) -> Iterator[Fault]:
    wanted = {name for code in facts.coverages if code in plan.coverages for name in plan.coverages[code].bands}
    for name in (name for name in VARIABLES if name in wanted):
        value, span = facts.measures.get(name), plan.ranges[name]
        if value is None:
            yield Fault(name, "is missing")
        # bool is an int and float compares with both, but neither is a measure.
        elif type(value) not in {int, Decimal} or not Decimal(value).is_finite():
            yield Fault(name, "is not a number")
        elif value not in span:
            yield Fault(name, f"must be at least {span.low} and below {span.below} {VARIABLES[name]}")


def _coverage_faults(plan: Plan, facts: Facts) -> Iterator[Fault]:
    for code in plan.required:
        if code not in facts.coverages:
            yield Fault(f"coverages.{code}", "is missing; every quote of this product has it")
    for code, option in facts.coverages.items():
        coverage = plan.coverages.get(code)
        if coverage is None:
            yield Fault(f"coverages.{code[:40]}", f"the plan {plan.name} has no such coverage")
        elif option not in coverage.options:
            yield Fault(f"coverages.{code}", f"{coverage.choice} must be one of {', '.join(coverage.options)}")
    for code in sorted(facts.discounts - plan.discounts.keys()):
        yield Fault(f"discounts.{code[:40]}", f"the plan {plan.name} has no such discount")


class Rating:
    """One calculation, a stage at a time, for whoever wants to tell how far it is; ``rate`` does all at once.

    Raises:
        InvalidRequest: From the first ``advance``: ``facts_incomplete``, with every fault by field.
    """

    def __init__(self, plan: Plan, facts: Facts) -> None:
        self._plan = plan
        self._facts = facts
        self._todo = list(STAGES)
        self._steps: dict[str, list[Step]] = {}
        self.result: Rated | None = None

    def advance(self) -> Stage | None:
        """Do the next stage and return its name; None when all are done, and ``result`` is there."""
        if not self._todo:
            return None
        stage = self._todo.pop(0)
        {
            "validate": self._validate,
            "base": self._base,
            "coverages": self._coverages,
            "discounts": self._discounts,
            "total": self._total,
        }[stage]()
        return stage

    def _validate(self) -> None:
        if found := faults(self._plan, self._facts):
            raise refusal(found)

    def _chosen(self) -> Iterator[Coverage]:
        return (coverage for code, coverage in self._plan.coverages.items() if code in self._facts.coverages)

    def _base(self) -> None:
        for coverage in self._chosen():
            self._steps[coverage.code] = [Step("base_rate", "", None, coverage.base_rate)]

    def _coverages(self) -> None:
        facts = self._facts
        for coverage in self._chosen():
            steps, option = self._steps[coverage.code], facts.coverages[coverage.code]
            _multiply(steps, coverage.choice, option, coverage.options[option])
            _multiply(steps, STATE, facts.state, coverage.states[facts.state])
            for name, bands in coverage.bands.items():
                value, factor = bands.find(facts.measures[name])
                _multiply(steps, name, value, factor)

    def _discounts(self) -> None:
        for code, discount in self._plan.discounts.items():
            for coverage in self._steps if code in self._facts.discounts else ():
                if coverage in discount.coverages:
                    _multiply(self._steps[coverage], f"discount:{code}", "", discount.factor)

    def _total(self) -> None:
        plan = self._plan
        premiums = tuple(self._rounded(coverage) for coverage in self._chosen())
        before = plan.policy_fee
        for premium in premiums:
            before = _EXACT.add(before, premium.premium)
        total = max(_cents(before), _cents(plan.minimum_premium))
        self.result = Rated(
            plan=plan.name,
            digest=plan.digest,
            illustrative=plan.illustrative,
            currency=plan.currency,
            term_months=plan.term_months,
            coverages=premiums,
            policy_fee=_cents(plan.policy_fee),
            adjustment=_EXACT.subtract(total, _cents(before)),
            total=total,
        )

    def _rounded(self, coverage: Coverage) -> CoveragePremium:
        steps = self._steps[coverage.code]
        premium = _cents(steps[-1].running)
        option = self._facts.coverages[coverage.code]
        steps.append(Step("rounding", "", None, premium))
        return CoveragePremium(coverage.code, coverage.title, option, tuple(steps), premium)


def rate(plan: Plan, facts: Facts) -> Rated:
    """Return the premium of ``facts`` by ``plan``. Raises InvalidRequest (``facts_incomplete``)."""
    rating = Rating(plan, facts)
    while rating.advance():
        pass
    assert rating.result is not None  # noqa: S101 - the last stage sets it or raises
    return rating.result


def plain(rated: Rated) -> dict[str, object]:
    """Return a premium for JSON. Amounts are texts: a JSON number becomes a float in most languages."""
    return {
        "plan": rated.plan,
        "digest": rated.digest,
        "illustrative": rated.illustrative,
        "currency": rated.currency,
        "term_months": rated.term_months,
        "coverages": [
            {
                "code": part.code,
                "title": part.title,
                "option": part.option,
                "premium": str(part.premium),
                "steps": [
                    {
                        "name": step.name,
                        "value": step.value,
                        "factor": None if step.factor is None else shown(step.factor),
                        "running": shown(step.running),
                    }
                    for step in part.steps
                ],
            }
            for part in rated.coverages
        ],
        "policy_fee": str(rated.policy_fee),
        "adjustment": str(rated.adjustment),
        "total": str(rated.total),
    }


def shown(number: Decimal) -> str:
    """Return a number with every digit that says something, and at least two decimal places."""
    text = f"{number:f}"
    whole, _, places = text.partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _multiply(steps: list[Step], name: str, value: str, factor: Decimal) -> None:
    steps.append(Step(name, value, factor, _EXACT.multiply(steps[-1].running, factor)))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, context=_ROUND)
