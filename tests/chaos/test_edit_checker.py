"""The judge of field edits finds each broken promise, and none where there is none (bars R13, R17)."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import edit_checker
from tests.support.edit_checker import Answer, Copy, Edit, EditHistory, Held, Row, Update, check

# Version 1 is how the quote was made; then Ada edits notes, Bob after her, Ada is told so, and edits another field.
ROWS = [
    Row("q", 1, "state", 1, None, "CA", "maker", 1.0, None),
    Row("q", 2, "notes", 1, None, "a 1", "ada", 2.0, "a-1"),
    Row("q", 3, "notes", 2, "a 1", "b 1", "bob", 3.0, "b-1"),
    Row("q", 4, "driver_name", 1, None, "a 3", "ada", 4.0, "a-3"),
]
CONFLICT = Answer("conflict", 3, Held("b 1", 2, "bob", 3.0))
EDITS = [
    Edit("tab a", "ada", "a-1", "q", "notes", "a 1", 0, [Answer("ok", 2, Held("a 1", 1, None, None))] * 2),
    Edit("tab b", "bob", "b-1", "q", "notes", "b 1", 1, [Answer("ok", 3, Held("b 1", 2, None, None))]),
    Edit("tab a", "ada", "a-2", "q", "notes", "a 2", 1, [CONFLICT]),
    Edit("tab a", "ada", "a-3", "q", "driver_name", "a 3", 0, [Answer("ok", 4, Held("a 3", 1, None, None))]),
    # Its author never knew; it was not stored.
    Edit("tab b", "bob", "b-2", "q", "driver_name", "b 2", 1, []),
]
LIFE = {
    "state": Held("CA", 1, "maker", 1.0),
    "notes": Held("b 1", 2, "bob", 3.0),
    "driver_name": Held("a 3", 1, "ada", 4.0),
}
SECOND = {"state": LIFE["state"], "notes": Held("a 1", 1, "ada", 2.0)}
UPDATE = Update("tab b", "q", 2, "notes", SECOND["notes"], "a-1")
STATE = Copy("tab c", "q", 2, SECOND)
NEWEST = Copy("database", "q", 4, LIFE)
SHOWN = Copy("tab c", "q", 4, LIFE)


def history() -> EditHistory:
    """Return a run in which everything is as it should be."""
    return EditHistory({"q": 1}, [*EDITS], [*ROWS], [NEWEST], [UPDATE], [STATE], [SHOWN])


def row(number: int, **changed: object) -> Callable[[EditHistory], None]:
    """Have another row in the place of one."""

    def spoil(good: EditHistory) -> None:
        rows = list(good.rows)
        rows[number] = replace(rows[number], **changed)  # type: ignore[arg-type]
        good.rows = rows

    return spoil


def more_rows(*rows: Row) -> Callable[[EditHistory], None]:
    """Have further rows."""

    def spoil(good: EditHistory) -> None:
        good.rows = [*good.rows, *rows]

    return spoil


def edit(number: int, **changed: object) -> Callable[[EditHistory], None]:
    """Have another edit in the place of one."""

    def spoil(good: EditHistory) -> None:
        edits = list(good.edits)
        edits[number] = replace(edits[number], **changed)  # type: ignore[arg-type]
        good.edits = edits

    return spoil


def having(**changed: object) -> Callable[[EditHistory], None]:
    """Have other things told."""

    def spoil(good: EditHistory) -> None:
        for name, value in changed.items():
            setattr(good, name, value)

    return spoil


def answered(number: int, **changed: object) -> Callable[[EditHistory], None]:
    """Have another first answer to an edit."""

    def spoil(good: EditHistory) -> None:
        first, *others = good.edits[number].answers
        edit(number, answers=[replace(first, **changed), *others])(good)  # type: ignore[arg-type]

    return spoil


CASES: list[tuple[str, Callable[[EditHistory], None]]] = [
    # Idempotency is gone: the same operation, or the same words, once more.
    ("done twice", more_rows(Row("q", 5, "notes", 3, "b 1", "a 1", "ada", 5.0, "a-1"))),
    ("done twice", more_rows(Row("q", 5, "notes", 3, "b 1", "a 1", "ada", 5.0, "other"))),
    # Answered before the commit, which then failed.
    ("acknowledged and lost", edit(4, answers=[Answer("ok", 5, Held("b 2", 1, None, None))])),
    ("refused, but stored", edit(3, answers=[CONFLICT])),
    ("told two outcomes", edit(0, answers=[EDITS[0].answers[0], CONFLICT])),
    ("told another place than it has", answered(0, version=3)),
    ("told another place than it has", answered(0, held=Held("a 1", 2, None, None))),
    ("stored something else", edit(0, value="a 0")),
    # Last writer wins.
    ("stored over a revision that its author had not seen", edit(1, base=0)),
    ("refused without a reason", answered(2, code="invalid_fields")),
    ("a conflict that is none", edit(2, base=2)),
    ("a conflict that is none", answered(2, held=None)),
    # It was compared with what was rolled back.
    ("a conflict with what was never there", answered(2, held=Held("b 0", 2, "bob", 3.0))),
    ("an edit overtook the one before it", having(edits=[EDITS[3], *EDITS[:3]])),
    ("stored, but nobody asked for it", more_rows(Row("q", 5, "notes", 3, "b 1", "x", "ada", 5.0, "x"))),
    ("stored, but nobody asked for it", more_rows(Row("q", 5, "notes", 3, "b 1", "x", "ada", 5.0, None))),
    ("versions with holes or doubled", row(3, version=5)),
    ("versions with holes or doubled", row(3, version=3)),
    ("revisions with holes or doubled", row(2, revision=3)),
    ("revisions with holes or doubled", row(2, revision=1)),
    ("changed from what was not there", row(2, before=None)),
    ("changes replayed are not the quote", having(stored=[replace(NEWEST, fields=SECOND)])),
    ("changes replayed are not the quote", having(stored=[replace(NEWEST, version=5)])),
    # Published before the commit, which then failed, or was of something else.
    ("told of a change that is not stored", having(updates=[replace(UPDATE, version=5)])),
    ("told of another change than is stored", having(updates=[replace(UPDATE, op_id="a-2")])),
    ("told of another change than is stored", having(updates=[replace(UPDATE, held=LIFE["notes"])])),
    ("a state that is not stored", having(states=[replace(STATE, version=5)])),
    ("a state that never was", having(states=[replace(STATE, fields=LIFE)])),
    ("shows another quote than the database", having(shown=[replace(SHOWN, version=3)])),
    ("shows another quote than the database", having(shown=[replace(SHOWN, fields=SECOND)])),
    ("waits for versions that never came", having(shown=[replace(SHOWN, waiting=[6])])),
]

# Which argument of the judge's methods is the rule.
PLACES = {"_blame": 1, "_newest": 1, "_compare": 2}


@pytest.mark.parametrize(("rule", "spoil"), CASES)
def test_each_broken_promise_is_found(rule: str, spoil: Callable[[EditHistory], None]) -> None:
    """Every rule fires on the smallest change that breaks it."""
    spoiled = history()
    spoil(spoiled)
    assert rule in {violation.rule for violation in check(spoiled)}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    """The run that all cases are made of breaks nothing, nor does one whose last edit was stored unknown."""
    assert check(history()) == []
    stored = history()
    edit(4, base=1)(stored)
    more_rows(Row("q", 5, "driver_name", 2, "a 3", "b 2", "bob", 5.0, "b-2"))(stored)
    life = {**LIFE, "driver_name": Held("b 2", 2, "bob", 5.0)}
    having(stored=[Copy("database", "q", 5, life)], shown=[Copy("tab c", "q", 5, life)])(stored)
    assert check(stored) == []


def test_every_rule_has_a_case() -> None:
    """No rule stands in the judge that nothing shows to fire."""
    tree = ast.parse(Path(edit_checker.__file__).read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    given = {call.args[place] for call in calls if (place := PLACES.get(call.func.attr)) is not None}  # type: ignore[attr-defined]
    rules = {node.value for node in given if isinstance(node, ast.Constant)}
    assert rules == {rule for rule, _ in CASES}
