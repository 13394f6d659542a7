"""Reads a rating plan from TOML and refuses whatever is wrong with it: each with file, line and reason. Pure.

All problems are told at once. What a key means is in docs/rating.md. It must not know where the text comes from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import get_args

from tidewire.core.errors import SettingsError
from tidewire.quotes.bands import Bands, Span, faults_of, read_span
from tidewire.quotes.plan import STATE, VARIABLES, Choice, Coverage, Discount, Plan
from tidewire.quotes.toml_place import Path
from tidewire.quotes.toml_table import Problem, TomlTables, Unreadable, dotted

# A plan of 50 states, 10 coverages and 6 variables is below 60 KB.
MAX_CHARACTERS = 1_000_000
# More lines than a person mends before looking again.
MAX_TOLD = 20
# Personal lines know relativities from about 0.2 (a high deductible) to about 6 (a new driver); beyond these two a
# figure is a slip of the keyboard. The bounds also bound the digits of a product: rating.py counts on that.
FACTOR_MIN, FACTOR_MAX, FACTOR_PLACES = Decimal("0.05"), Decimal(20), 4
MONEY_MAX, MONEY_PLACES = Decimal(100_000), 2
TERM_MONTHS_MAX = 36
# All discounts together may halve a premium; more is no discount but another base rate.
DISCOUNTS_MIN = Decimal("0.5")
MAX_COVERAGES = 32
MAX_DISCOUNTS = 8

_ID = re.compile(r"[a-z][a-z0-9-]{0,39}")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_OPTION = re.compile(r"[0-9]{1,9}(/[0-9]{1,9}){0,2}")
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")
_STATE = re.compile(r"[A-Z]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_TITLE = re.compile(r"\S.{0,79}")
_SOURCE = re.compile(r"\S.{0,499}")
_TABLES = ("plan", "ranges", "coverages", "discounts")
_HEAD = (
    "id",
    "version",
    "product",
    "currency",
    "illustrative",
    "sources",
    "term_months",
    "policy_fee",
    "minimum_premium",
    "states",
)
_COVERAGE = ("title", "base_rate", "required", "choice", "rated_by", "options", STATE)


def parse_plan(text: str, name: str) -> Plan:
    """Return the plan of a text.

    Args:
        name: What the text is called in errors: the file's name.

    Raises:
        SettingsError: ``rating_plan_invalid``, with every problem on a line of its own as ``name:line: reason``.
    """
    if len(text) > MAX_CHARACTERS:
        raise refusal(name, [(1, f"the text is longer than {MAX_CHARACTERS} characters")])
    try:
        toml = TomlTables(text)
    except Unreadable as exc:
        raise refusal(name, exc.problems) from exc
    plan = _Reader(toml).plan(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12])
    if toml.problems:
        raise refusal(name, toml.problems)
    return plan


def refusal(name: str, problems: Iterable[Problem]) -> SettingsError:
    """Return the error for a plan with these problems."""
    told = sorted(set(problems))
    lines = "\n".join(f"  {name}:{line}: {reason}." for line, reason in told[:MAX_TOLD])
    more = f"\n  ... and {len(told) - MAX_TOLD} more." if len(told) > MAX_TOLD else ""
    return SettingsError(
        f"The rating plan {name} has {len(told)} {'problem' if len(told) == 1 else 'problems'}:\n{lines}{more}",
        required_action="Correct the lines named, then run `tidewire quotes check-plan FILE`.",
        will_not="Tidewire will not rate with a plan that it would have to guess about.",
        code="rating_plan_invalid",
    )


class _Reader:
    """Walks the tables; what it returns is only good if no problem was noted."""

    def __init__(self, toml: TomlTables) -> None:
        self._toml = toml

    def plan(self, digest: str) -> Plan:
        """Return the plan."""
        toml = self._toml
        toml.table((), _TABLES, every=False)
        toml.table(("plan",), _HEAD)
        ranges, states = self._ranges(), self._states()
        coverages = self._coverages(states, ranges)
        return Plan(
            plan_id=toml.text(("plan", "id"), _ID),
            version=toml.text(("plan", "version"), _VERSION),
            digest=digest,
            product=toml.text(("plan", "product"), _CODE),
            currency=toml.text(("plan", "currency"), _CURRENCY),
            illustrative=toml.flag(("plan", "illustrative")),
            sources=toml.texts(("plan", "sources"), _SOURCE),
            term_months=toml.whole(("plan", "term_months"), 1, TERM_MONTHS_MAX),
            policy_fee=self._money(("plan", "policy_fee"), least=Decimal(0)),
            minimum_premium=self._money(("plan", "minimum_premium"), least=Decimal(0)),
            states=states,
            ranges=ranges,
            coverages=coverages,
            discounts=self._discounts(coverages),
        )

    def _states(self) -> frozenset[str]:
        path = ("plan", "states")
        states = self._toml.texts(path, _STATE)
        if len(set(states)) != len(states):
            self._toml.note(path, "plan.states names a state twice")
        return frozenset(states)

    def _ranges(self) -> dict[str, Span]:
        found = {}
        for name, value in self._toml.table(("ranges",), tuple(VARIABLES), every=False).items():
            span = read_span(value) if isinstance(value, str) else None
            if span is None:
                self._toml.note(("ranges", name), f'ranges.{name} must be a range such as "16..100", low end included')
            elif name in VARIABLES:
                found[name] = span
        return found

    def _coverages(self, states: frozenset[str], ranges: Mapping[str, Span]) -> dict[str, Coverage]:
        table = self._toml.table(("coverages",), None)
        if not 1 <= len(table) <= MAX_COVERAGES:
            self._toml.note(("coverages",), f"a plan has 1 to {MAX_COVERAGES} coverages, this one {len(table)}")
        found = {code: self._coverage(code, states, ranges) for code in table}
        used = {name for coverage in found.values() for name in coverage.bands}
        for name in ranges.keys() - used:
            self._toml.note(("ranges", name), f"no coverage is rated by {name}")
        return found

    def _coverage(self, code: str, states: frozenset[str], ranges: Mapping[str, Span]) -> Coverage:
        toml, path = self._toml, ("coverages", code)
        self._code(code, path)
        rated_by = self._rated_by((*path, "rated_by"), ranges)
        toml.table(path, (*_COVERAGE, *rated_by))
        choice = toml.at((*path, "choice"))
        if choice is not None and choice not in get_args(Choice):
            toml.note((*path, "choice"), f'{dotted(path)}.choice must be "limit" or "deductible"')
        return Coverage(
            code=code,
            title=toml.text((*path, "title"), _TITLE),
            base_rate=self._money((*path, "base_rate"), least=Decimal("0.01")),
            required=toml.flag((*path, "required")),
            choice="limit" if choice == "limit" else "deductible",
            options=self._options((*path, "options")),
            states=self._state_factors((*path, STATE), states),
            bands={name: self._bands((*path, name), ranges[name]) for name in rated_by},
        )

    def _rated_by(self, path: Path, ranges: Mapping[str, Span]) -> tuple[str, ...]:
        # An empty list is allowed: a coverage may differ by state and option alone.
        named = self._toml.at(path)
        if named is None:
            return ()
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            self._toml.note(path, f"{dotted(path)} must be a list of variables")
            return ()
        for name in named:
            if name not in ranges:
                self._toml.note(path, f'{dotted(path)} names "{name}", which [ranges] does not have')
        if len(set(named)) != len(named):
            self._toml.note(path, f"{dotted(path)} names a variable twice")
        return tuple(dict.fromkeys(name for name in named if name in ranges))

    def _options(self, path: Path) -> dict[str, Decimal]:
        table = self._toml.table(path, None)
        if not table:
            self._toml.note(path, f"{dotted(path)} has no option")
        for key in table:
            if not _OPTION.fullmatch(key):
                self._toml.note(
                    (*path, key), f'{dotted(path)} has "{key}", which is no amount such as "500" or "25/50"'
                )
        return {key: self._factor((*path, key)) for key in table}

    def _state_factors(self, path: Path, states: frozenset[str]) -> dict[str, Decimal]:
        table = self._toml.table(path, None)
        if missing := sorted(states - table.keys()):
            self._toml.note(path, f"{dotted(path)} has no factor for {', '.join(missing)}")
        for extra in table.keys() - states:
            self._toml.note((*path, extra), f'{dotted(path)} has "{extra}", which plan.states does not have')
        return {key: self._factor((*path, key)) for key in table}

    def _bands(self, path: Path, whole: Span) -> Bands:
        found = []
        for key in self._toml.table(path, None):
            factor, span = self._factor((*path, key)), read_span(key)
            if span is None:
                self._toml.note((*path, key), f'{dotted(path)} has "{key}", which is no range such as "16..21"')
            else:
                found.append((span, key, factor))
        if not found:
            self._toml.note(path, f"{dotted(path)} has no factor; it must cover {whole}")
        for key, reason in faults_of([(span, key) for span, key, _ in found], whole) if found else ():
            self._toml.note((*path, key), f"{dotted(path)}: {reason}")
        found.sort()
        return Bands(tuple(span for span, _, _ in found), tuple(factor for _, _, factor in found))

    def _discounts(self, coverages: Mapping[str, Coverage]) -> dict[str, Discount]:
        table = self._toml.table(("discounts",), None, needed=False)
        if len(table) > MAX_DISCOUNTS:
            self._toml.note(("discounts",), f"a plan has at most {MAX_DISCOUNTS} discounts, this one {len(table)}")
        found = {code: self._discount(code, coverages) for code in table}
        for code in coverages:
            together = Decimal(1)
            for discount in found.values():
                together *= discount.factor if code in discount.coverages else 1
            if together < DISCOUNTS_MIN:
                reason = f"all discounts together leave {together:.4f} of {code}; {DISCOUNTS_MIN} is the least"
                self._toml.note(("discounts",), reason)
        return found

    def _discount(self, code: str, coverages: Mapping[str, Coverage]) -> Discount:
        toml, path = self._toml, ("discounts", code)
        self._code(code, path)
        toml.table(path, ("title", "factor", "coverages"))
        named = toml.texts((*path, "coverages"), _CODE)
        for name in named:
            if name not in coverages:
                toml.note((*path, "coverages"), f'{dotted(path)} names the coverage "{name}", which there is not')
        factor = self._factor((*path, "factor"))
        if toml.at((*path, "factor")) is not None and factor >= 1:
            toml.note((*path, "factor"), f"{dotted(path)}.factor is {factor}; a discount is below 1")
        return Discount(code, toml.text((*path, "title"), _TITLE), factor, frozenset(named))

    def _code(self, code: str, path: Path) -> None:
        if not _CODE.fullmatch(code):
            self._toml.note(path, f'"{code[:60]}" must be lower-case letters, digits and _, a letter first, at most 40')

    def _money(self, path: Path, *, least: Decimal) -> Decimal:
        return self._toml.decimal(path, least, MONEY_MAX, MONEY_PLACES)

    def _factor(self, path: Path) -> Decimal:
        return self._toml.decimal(path, FACTOR_MIN, FACTOR_MAX, FACTOR_PLACES)
