"""What people do with alerts: look, acknowledge, resolve, silence, and make rules. All of it is audited.

What is open is what the judging node says, as long as it says something; then also with the database away. It must not
know HTTP. Source: issue 6, "Alerts"; docs/decisions/0020.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from tidewire.accounts.model import Principal
from tidewire.alerts.book import shown
from tidewire.alerts.evaluator import UNWATCHED_S, Source
from tidewire.alerts.herald import Herald
from tidewire.alerts.readings import Readings
from tidewire.alerts.rule import Rule
from tidewire.alerts.rule_text import read_rule
from tidewire.alerts.rulebook import RULES_MAX, Rulebook, document_of
from tidewire.alerts.wire import AdminAlert, AlertShown, Board, Event
from tidewire.core.clock import Clock
from tidewire.core.errors import InvalidFields, NotFound, Unavailable
from tidewire.store.alert_records import AlertQuery, AlertRecord, RuleRecord, SilenceRecord
from tidewire.store.alerts import Alerts, unknown_alert
from tidewire.store.records import ActivityEntry, JsonValue

# What ids look like; anything else is not asked of the database.
_ID = re.compile(r"[as]-[0-9a-z]{1,32}")

View = Literal["open", "acknowledged", "unresolved", "resolved", "all"]
# A week: whoever wants to hear no more of a rule disables it.
SILENCE_MAX_S = 604_800.0
SILENCE_MIN_S = 60.0


class Actor(msgspec.Struct, frozen=True):
    """Who does something, and from where."""

    principal: Principal
    ip: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are wanted."""

    view: View = "open"
    severity: str = ""
    rule: str = ""
    text: str = ""
    descending: bool = True
    limit: int = 50
    after: tuple[float, str] | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A page of alerts; ``live``: as the judging node says, not as the database does."""

    rows: list[AlertShown]
    matching: int
    after: tuple[float, str] | None
    live: bool


class Desk:
    """See the module's text.

    Args:
        source: Knows which metrics there are.
    """

    def __init__(self, alerts: Alerts, herald: Herald, source: Source, clock: Clock) -> None:
        self._alerts = alerts
        self._herald = herald
        self._source = source
        self._clock = clock

    # ---- looking

    def now(self) -> float:
        """Return the time, Unix seconds."""
        return self._clock.time()

    def board(self) -> Board | None:
        """Return what the judging node says; None if it has not said anything for a while."""
        return self._herald.fresh_board(UNWATCHED_S)

    @property
    def heard_at(self) -> float:
        """When the judging node last said something, or this one began to listen, Unix seconds."""
        return self._herald.heard_at

    async def page(self, question: Question) -> Found:
        """Return a page. Raises StoreError if it is not known without the database."""
        board = self.board()
        unresolved = question.view in ("open", "acknowledged", "unresolved")
        if board is not None and unresolved and board.open_count <= len(board.open):
            return _page_of(board.open, question)
        resolved = None if question.view == "all" else not unresolved
        acknowledged = {"open": False, "acknowledged": True}.get(question.view)
        query = AlertQuery(
            resolved=resolved, acknowledged=acknowledged, severity=question.severity,
            alert_type=plain(question.rule),
            text=plain(question.text), after=question.after, limit=question.limit + 1,
            oldest_first=not question.descending,
        )  # fmt: skip
        records, matching = await self._alerts.page(query)
        rows = [self._live(board, record) for record in records[: question.limit]]
        after = (records[question.limit - 1].opened_at, rows[-1].id) if len(records) > question.limit else None
        return Found(rows=rows, matching=matching, after=after, live=False)

    async def get(self, alert_id: str) -> AlertShown:
        """Return one alert. Raises NotFound or StoreError."""
        _check_id(alert_id)
        board = self.board()
        found = _on(board, alert_id)
        return found if found is not None else self._live(board, await self._alerts.get(alert_id))

    def _live(self, board: Board | None, record: AlertRecord) -> AlertShown:
        found = _on(board, record.id)
        return found if found is not None and not record.resolved else shown(record)

    # ---- acting

    async def acknowledge(self, alert_id: str, note: str, actor: Actor) -> AlertShown:
        """Note that somebody looks after it. Raises NotFound, Conflict, Unavailable or StoreError."""
        _check_id(alert_id)
        now, by, note = self._clock.time(), actor.principal.username, plain(note)
        audit = self._audit(actor, "alert.acknowledge", alert_id, {"note": note})
        return await self._acted("acknowledged", alert_id, self._alerts.acknowledge(alert_id, now, by, note, audit))

    async def resolve(self, alert_id: str, reason: str, actor: Actor) -> AlertShown:
        """End it by hand; if what it tells of goes on, it opens again. Raises as ``acknowledge``."""
        _check_id(alert_id)
        now, by, reason = self._clock.time(), actor.principal.username, plain(reason)
        audit = self._audit(actor, "alert.resolve", alert_id, {"reason": reason})
        return await self._acted("resolved", alert_id, self._alerts.resolve(alert_id, now, by, reason, audit))

    async def _acted(self, event: Event, alert_id: str, work: Any) -> AlertShown:
        try:
            done = shown(await work)
        except NotFound:
            if _on(self.board(), alert_id) is None:
                raise
            raise Unavailable(
                "The alert is not in the database yet.",
                required_action="Try again when the database answers; the page says how many alerts wait for it.",
                will_not="Tidewire will not note who looks after it before it can be kept.",
                code="alert_unwritten",
            ) from None
        self._herald.say_changed()
        board = self.board()
        count = 0 if board is None else max(0, board.open_count - (event == "resolved"))
        self._herald.say(AdminAlert(event=event, timestamp=self._clock.time(), open=count, node=done.node, alert=done))
        return done

    # ---- silences

    async def silences(self) -> list[SilenceRecord]:
        """Return those whose time is not over, and those that ended in the last day. Raises StoreError."""
        return await self._alerts.silences(self._clock.time() - 86_400.0)

    async def silence(self, rule: str, group: str | None, seconds: float, reason: str, actor: Actor) -> SilenceRecord:
        """Send no messages of a rule, or of one of its groups, for a while. Raises InvalidFields, StoreError."""
        problems: dict[str, tuple[str, dict[str, str | int]]] = {}
        if rule not in (await self.rulebook()).rules:
            problems["rule"] = ("There is no rule of this name.", {"code": "unknown_rule"})
        if not SILENCE_MIN_S <= seconds <= SILENCE_MAX_S:
            bounds: dict[str, str | int] = {"code": "out_of_range", "least": 60, "most": 604_800}
            problems["seconds"] = ("It is 60 to 604800 seconds (a week).", bounds)
        reason = plain(reason)
        if not reason or len(reason) > 500:
            problems["reason"] = ("Say why, in 1 to 500 characters.", {"code": "bad_reason", "most": 500})
        if group is not None and (len(group) > 400 or not group.isprintable()):
            problems["group"] = ("It has at most 400 printable characters.", {"code": "too_long", "most": 400})
        if problems:
            raise InvalidFields(
                {name: what for name, (what, _) in problems.items()},
                {name: why for name, (_, why) in problems.items()},
            )
        now = round(self._clock.time(), 6)
        record = SilenceRecord(
            id=f"s-{secrets.token_hex(8)}", alert_type=rule, group=group, reason=reason, created_at=now,
            created_by=actor.principal.username, until=round(now + seconds, 6),
        )  # fmt: skip
        details: dict[str, JsonValue] = {"silence": record.id, "group": group, "seconds": seconds, "reason": reason}
        await self._alerts.silence(record, self._audit(actor, "alert.silence", rule, details))
        self._herald.say_changed()
        return record

    async def end_silence(self, silence_id: str, actor: Actor) -> SilenceRecord:
        """End a silence before its time. Raises NotFound, Conflict, StoreError."""
        _check_id(silence_id)
        audit = self._audit(actor, "alert.unsilence", silence_id, {})
        ended = await self._alerts.end_silence(silence_id, self._clock.time(), actor.principal.username, audit)
        self._herald.say_changed()
        return ended

    # ---- rules

    async def rules(self) -> list[tuple[Rule | None, RuleRecord | None, bool]]:
        """Return every rule with what is stored of it and whether it is shipped; None: what is stored is no rule."""
        records = await self._alerts.rules()
        book, stored = Rulebook(), {record.key: record for record in records}
        book.take(records)
        keys = sorted({*book.rules, *book.broken})
        return [(book.rules.get(key), stored.get(key), book.is_shipped(key)) for key in keys]

    async def rulebook(self) -> Rulebook:
        """Return the rules in force. Raises StoreError."""
        book = Rulebook()
        book.take(await self._alerts.rules())
        return book

    async def metrics(self) -> Mapping[str, Sequence[str]]:
        """Return what a rule may refer to: each metric with its labels. Raises TidewireError."""
        return {name: sorted(labels) for name, labels in sorted((await self._known()).items())}

    async def put_rule(self, key: str, document: bytes, version: int, actor: Actor) -> RuleRecord:
        """Make or change a rule. Raises InvalidRequest, InvalidFields, Conflict, StoreError."""
        rule = read_rule(document, key, await self._known())
        now = self._clock.time()
        record = RuleRecord(
            key=key, document=document_of(rule), version=version, updated_at=now, updated_by=actor.principal.username
        )
        what: dict[str, JsonValue] = {"version": version + 1, "enabled": rule.enabled, "rule": record.document}
        done = await self._alerts.put_rule(record, RULES_MAX, self._audit(actor, "alert_rule.change", key, what))
        self._herald.say_changed()
        return done

    async def delete_rule(self, key: str, version: int, actor: Actor) -> None:
        """Delete a rule of one's own, or restore a shipped one. Raises NotFound, Conflict, StoreError."""
        action = "alert_rule.restore" if Rulebook().is_shipped(key) else "alert_rule.delete"
        await self._alerts.delete_rule(key, version, self._audit(actor, action, key, {"version": version}))
        self._herald.say_changed()

    async def _known(self) -> dict[str, frozenset[str]]:
        gathered = await self._source.latest()
        readings = Readings()
        readings.take(gathered.nodes, (), self._clock.time())
        known = readings.metrics()
        # A shipped rule may be changed while what it watches is not there.
        for rule in Rulebook().rules.values():
            for figure in rule.figures:
                labels = frozenset((*figure.where, *rule.by, "node"))
                known[figure.metric] = known.get(figure.metric, frozenset()) | labels
        return known

    def _audit(self, actor: Actor, action: str, target: str, details: Mapping[str, JsonValue]) -> ActivityEntry:
        who = actor.principal
        return ActivityEntry(
            at=self._clock.time(),
            actor=who.username,
            actor_id=who.user_id,
            action=action,
            target=target,
            details=details,
            ip=actor.ip,
        )


def plain(text: str) -> str:
    """Return what people can read of a text in one line; Postgres refuses a NUL, and a log a line end."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _check_id(given: str) -> None:
    if _ID.fullmatch(given) is None:
        raise unknown_alert(given)


def _on(board: Board | None, alert_id: str) -> AlertShown | None:
    return None if board is None else next((each for each in board.open if each.id == alert_id), None)


def _page_of(alerts: Sequence[AlertShown], question: Question) -> Found:
    """Return a page of what is open, as the database would."""
    text = question.text.lower()
    wanted = [
        each
        for each in alerts
        if (question.view == "unresolved" or (each.acknowledged_at is not None) == (question.view == "acknowledged"))
        and question.severity in ("", each.severity)
        and question.rule in ("", each.rule)
        and any(text in part.lower() for part in (each.message, each.rule, each.group))
    ]
    wanted.sort(key=lambda each: (each.opened_at, each.id), reverse=question.descending)
    if question.after is None:
        rest = wanted
    else:
        last = question.after
        rest = [
            each
            for each in wanted
            if ((each.opened_at, each.id) < last if question.descending else (each.opened_at, each.id) > last)
        ]
    rows = rest[: question.limit]
    after = (rows[-1].opened_at, rows[-1].id) if len(rest) > question.limit else None
    return Found(rows=rows, matching=len(wanted), after=after, live=True)
