"""Judges a recorded run of field edits: was one lost, done twice, half done, misreported, or shown wrong to anybody?

Editors log what they asked and every answer; viewers log what they were told; the database's rows are the truth that
both are held against. Pure, itself tested, and it shares no code with the product.
Source: reliability.md section 5, bars R13 and R17; docs/quotes.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.history_checker import Violation


class Held(NamedTuple):
    """What a field is."""

    value: Any
    revision: int
    by: str | None
    at: float | None


Fields = Mapping[str, Held]


@dataclass(frozen=True)
class Answer:
    """One final answer to one sending of an edit.

    Attributes:
        code: ``ok``, or why it was refused for good.
        version: The quote's, as the answer says.
        held: What the answer says that the field is; ``ok`` does not say by whom and when. None: it says nothing of it.
    """

    code: str
    version: int = 0
    held: Held | None = None


@dataclass(frozen=True)
class Edit:
    """What an editor wanted: the same ``op_id`` sent as often as it took.

    Attributes:
        editor: Who waited for each of its edits before the next.
        value: Of no other edit.
        answers: In the order in which they came; empty: never known.
    """

    editor: str
    author: str
    op_id: str
    quote_id: str
    field: str
    value: Any
    base: int
    answers: Sequence[Answer] = ()


@dataclass(frozen=True)
class Row:
    """One row of ``quote_changes``."""

    quote_id: str
    version: int
    field: str
    revision: int
    before: Any
    after: Any
    by: str
    at: float
    op_id: str | None

    @property
    def held(self) -> Held:
        """What the field is after it."""
        return Held(self.after, self.revision, self.by, self.at)


@dataclass(frozen=True)
class Update:
    """A ``field_update`` as a viewer was sent it."""

    viewer: str
    quote_id: str
    version: int
    field: str
    held: Held
    op_id: str | None


@dataclass(frozen=True)
class Copy:
    """A whole quote at some place: the database's row, a state that was sent, or what a viewer shows at the end.

    Attributes:
        fields: Those that were ever set.
        waiting: Versions that came too early and were never used.
    """

    where: str
    quote_id: str
    version: int
    fields: Fields
    waiting: Sequence[int] = ()


@dataclass
class EditHistory:
    """All that is known of a run.

    Attributes:
        made: Quote -> its version when it was made, before anybody edited it.
        stored: The rows of ``quotes``.
        states: States that were sent on the way; each must be true for its version.
        shown: What every replica shows at the end; each must be the newest.
    """

    made: Mapping[str, int]
    edits: Sequence[Edit]
    rows: Sequence[Row]
    stored: Sequence[Copy]
    updates: Sequence[Update] = ()
    states: Sequence[Copy] = ()
    shown: Sequence[Copy] = ()


def check(history: EditHistory) -> list[Violation]:
    """Return every violation."""
    return _Judge(history).judge()


@dataclass
class _Judge:
    history: EditHistory
    found: list[Violation] = field(default_factory=list)

    def __post_init__(self) -> None:
        ordered = sorted(self.history.rows, key=lambda row: (row.quote_id, row.version))
        self.rows: dict[str, list[Row]] = {quote_id: [] for quote_id in self.history.made}
        for row in ordered:
            self.rows.setdefault(row.quote_id, []).append(row)
        self.by_place = {(row.quote_id, row.version): row for row in ordered}
        # Quote -> what it was after each version; the first is before all.
        self.lives = {quote_id: _replay(rows) for quote_id, rows in self.rows.items()}

    def judge(self) -> list[Violation]:
        for quote_id, rows in self.rows.items():
            self._changes(quote_id, rows)
        self._operations()
        for edit in self.history.edits:
            self._answers(edit)
        self._orders()
        for copy in self.history.stored:
            self._newest(copy, "changes replayed are not the quote")
        for update in self.history.updates:
            self._update(update)
        for copy in self.history.states:
            self._at_its_version(copy)
        for copy in self.history.shown:
            self._newest(copy, "shows another quote than the database")
        return self.found

    def _changes(self, quote_id: str, rows: Sequence[Row]) -> None:
        """There are no holes, neither in versions nor in the revisions of any field, and each follows the last."""
        if [row.version for row in rows] != list(range(1, len(rows) + 1)):
            self._blame("database", "versions with holes or doubled", f"{quote_id}: {[row.version for row in rows]}")
        fields: dict[str, Row] = {}
        for row in rows:
            last = fields.get(row.field)
            revision, value = (last.revision, last.after) if last else (0, None)
            if row.revision != revision + 1:
                self._blame("database", "revisions with holes or doubled", f"{row} after {revision}")
            if row.before != value:
                self._blame("database", "changed from what was not there", f"{row} after {value!r}")
            fields[row.field] = row

    def _operations(self) -> None:
        """Each operation is stored at most once, and only if somebody asked for it."""
        named = Counter((row.quote_id, row.by, row.op_id) for row in self.history.rows if row.op_id is not None)
        asked = {(edit.quote_id, edit.author, edit.op_id) for edit in self.history.edits}
        for operation, times in named.items():
            if times > 1:
                self._blame("database", "done twice", f"{operation}: {times} times")
            if operation not in asked:
                self._blame("database", "stored, but nobody asked for it", str(operation))
        values = Counter((row.quote_id, row.field, row.after) for row in self.history.rows if row.op_id is not None)
        for what, times in values.items():
            if times > 1:
                self._blame("database", "done twice", f"{what}: {times} times")
        for row in self.history.rows:
            if row.op_id is None and row.version > self.history.made.get(row.quote_id, 0):
                self._blame("database", "stored, but nobody asked for it", str(row))

    def _answers(self, edit: Edit) -> None:
        """What was acknowledged is stored as it was told, what was refused is not, and nobody was told both."""
        mine = [row for row in self.rows.get(edit.quote_id, []) if (row.by, row.op_id) == (edit.author, edit.op_id)]
        accepted = [answer for answer in edit.answers if answer.code == "ok"]
        refused = [answer for answer in edit.answers if answer.code != "ok"]
        if accepted and refused:
            self._blame(edit.editor, "told two outcomes", f"{edit}")
        if accepted and not mine:
            self._blame(edit.editor, "acknowledged and lost", f"{edit}")
        if refused and mine:
            self._blame(edit.editor, "refused, but stored", f"{edit} as {mine}")
        for row in mine:
            if (row.field, row.after) != (edit.field, edit.value):
                self._blame(edit.editor, "stored something else", f"{edit} as {row}")
            if row.revision != edit.base + 1:
                self._blame(edit.editor, "stored over a revision that its author had not seen", f"{edit} as {row}")
            told = (row.version, Held(row.after, row.revision, None, None))
            if any((answer.version, answer.held) != told for answer in accepted):
                self._blame(edit.editor, "told another place than it has", f"{edit} as {row}")
        for answer in refused:
            self._conflict(edit, answer)

    def _conflict(self, edit: Edit, answer: Answer) -> None:
        """A conflict is with something that was there, and that the author had not seen."""
        if answer.code != "conflict":
            self._blame(edit.editor, "refused without a reason", f"{edit}")
        elif answer.held is None or answer.held.revision == edit.base:
            self._blame(edit.editor, "a conflict that is none", f"{edit}")
        elif self._life(edit.quote_id, answer.version).get(edit.field) != answer.held:
            self._blame(edit.editor, "a conflict with what was never there", f"{edit}")

    def _orders(self) -> None:
        """An edit that was acknowledged before the next one was sent has the lower version."""
        last: dict[tuple[str, str], int] = {}
        for edit in self.history.edits:
            versions = [answer.version for answer in edit.answers if answer.code == "ok"]
            if versions and max(versions) <= last.get((edit.editor, edit.quote_id), 0):
                self._blame(edit.editor, "an edit overtook the one before it", f"{edit}")
            for version in versions:
                last[edit.editor, edit.quote_id] = version

    def _update(self, update: Update) -> None:
        row = self.by_place.get((update.quote_id, update.version))
        if row is None:
            self._blame(update.viewer, "told of a change that is not stored", f"{update}")
        elif (row.field, row.held, row.op_id) != (update.field, update.held, update.op_id):
            self._blame(update.viewer, "told of another change than is stored", f"{update}, {row}")

    def _at_its_version(self, copy: Copy) -> None:
        if copy.version > len(self.rows.get(copy.quote_id, [])):
            self._blame(copy.where, "a state that is not stored", f"{copy.quote_id} version {copy.version}")
        else:
            self._compare(copy, self._life(copy.quote_id, copy.version), "a state that never was")

    def _newest(self, copy: Copy, rule: str) -> None:
        newest = len(self.rows.get(copy.quote_id, []))
        if copy.version != newest:
            self._blame(copy.where, rule, f"{copy.quote_id} version {copy.version} instead of {newest}")
        if copy.waiting:
            self._blame(copy.where, "waits for versions that never came", f"{copy.quote_id}: has {copy.waiting}")
        self._compare(copy, self._life(copy.quote_id, newest), rule)

    def _compare(self, copy: Copy, life: Fields, rule: str) -> None:
        for name in sorted(copy.fields.keys() | life.keys()):
            if copy.fields.get(name) != life.get(name):
                detail = f"{copy.quote_id} {name}: {copy.fields.get(name)} instead of {life.get(name)}"
                self._blame(copy.where, rule, detail)

    def _life(self, quote_id: str, version: int) -> Fields:
        lives = self.lives.get(quote_id, [{}])
        return lives[version] if 0 <= version < len(lives) else {}

    def _blame(self, who: str, rule: str, detail: str) -> None:
        self.found.append(Violation(who, rule, detail))


def _replay(rows: Iterable[Row]) -> list[Fields]:
    lives: list[Fields] = [{}]
    for row in rows:
        lives.append({**lives[-1], row.field: row.held})
    return lives
