"""Judges the rules every few seconds, on one node of all, and has told what opens and closes.

Who judges holds a lease on the broker. While the broker is away nobody can hold it; then each node judges what it
measures itself and tells its own admins, so that an outage of the broker is an alert, too. A node that does not judge
watches that somebody does. Nothing here waits for the database: that is keeper.py's.
It must not know SQL, HTTP or where figures come from. Source: docs/decisions/0020.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from msgspec.structs import replace

from tidewire.alerts.book import Book, shown
from tidewire.alerts.engine import Change, Engine, Phase, Standing
from tidewire.alerts.herald import Herald
from tidewire.alerts.pace import Pace
from tidewire.alerts.readings import Readings
from tidewire.alerts.rule import SEVERITIES, Rule
from tidewire.alerts.rulebook import Rulebook
from tidewire.alerts.wire import AdminAlert, Board, Event, RuleState
from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.errors import TidewireError
from tidewire.core.sample import NodeSamples
from tidewire.core.throttle import Throttle
from tidewire.store.alert_records import AlertRecord, SilenceRecord

_log = structlog.get_logger(__name__)

# Nodes measure about as often.
JUDGE_EVERY_S = 5.0
# A broker that is away for less is back before anybody has read of it.
ALONE_AFTER_S = 10.0
# Six steps without a word: nobody judges.
UNWATCHED_S = 30.0
BOARD_MAX = 200
BOARD_MEMBERS = 10
# Who begins to judge waits so long for the database to say what was open before: it has been told already.
UNREAD_S = 15.0


class Gathered(Protocol):
    """What the nodes that answered have measured, and who did not answer."""

    @property
    def nodes(self) -> Sequence[NodeSamples]:
        """What each has measured."""
        ...

    @property
    def silent(self) -> Sequence[tuple[str, str]]:
        """(node, instance) of those who live and have not answered."""
        ...


class Source(Protocol):
    """Where figures come from."""

    async def latest(self) -> Gathered:
        """Return the newest figures of all nodes. Raises TidewireError."""
        ...


class Mode(enum.Enum):
    """What this node does."""

    LEADING = "leading"
    ALONE = "alone"
    FOLLOWING = "following"


class Evaluator:
    """See the module's text.

    Args:
        fence: Whether this node holds the lease: a number if it does. Always a number where there is only one node.
        instance: Which of all processes this is.
    """

    def __init__(
        self,
        source: Source,
        herald: Herald,
        bus: Bus,
        clock: Clock,
        book: Book,
        *,
        fence: Callable[[], int | None],
        node: str,
        instance: str,
        rulebook: Rulebook | None = None,
    ) -> None:
        self._source, self._herald, self._bus, self._clock = source, herald, bus, clock
        self._fence, self._node, self._instance = fence, node, instance
        self.book = book
        self.rulebook = rulebook or Rulebook()
        self.silences: list[SilenceRecord] = []
        self.engine = Engine()
        self.readings = Readings()
        self.mode = Mode.FOLLOWING
        # Since when this mode is, as told to keeper.py: what was read before counts for nothing.
        self.term = 0
        # The term in which the database has said what is open.
        self.read_term = -1
        self._since = 0.0
        self._pace = Pace()
        self._untold: dict[str, AlertRecord] = {}
        self._cried_at: float | None = None
        self._unread = Throttle(every_s=300.0)
        self.steps = 0
        self.unread = 0

    async def step(self) -> None:
        """Judge once, if it is this node's turn."""
        now = self._clock.time()
        self._turn(now)
        if self.mode is Mode.FOLLOWING:
            self._watch(now)
            return
        nodes, silent = await self._gather()
        # The lease may have gone while the others answered.
        if self.mode is Mode.LEADING and self._fence() is None:
            return
        now = self._clock.time()
        rules = list(self.rulebook.rules.values())
        self.readings.want(figure for rule in rules for figure in rule.figures)
        self.readings.take(nodes, silent, now)
        changes = self.engine.step(rules, self.readings, now)
        for change in sorted(changes, key=lambda each: -SEVERITIES.index(each.rule.severity)):
            self._noted(change)
        self._tell(now)
        self.steps += 1
        self.show()

    def show(self) -> None:
        """Tell all nodes how it stands."""
        if self.mode is not Mode.FOLLOWING:
            self._herald.show(self._board(self._clock.time()))

    def restored(self, records: Sequence[AlertRecord]) -> None:
        """Take over what the database has open and nobody here knows of; what has no rule any more is ended."""
        now = self._clock.time()
        for record in records:
            rule = self.rulebook.rules.get(record.alert_type)
            if rule is None or not rule.enabled:
                if self.rulebook.source == "stored":
                    self.book.end(record, now, "rule_off")
                continue
            self.book.adopt(record)
            self.engine.adopt(rule, record.group, record.details.get("members", ()), record.opened_at)

    def has_read(self, term: int) -> None:
        """The database has said what was open before ``term``: what goes on since then has been told."""
        self.read_term = term
        living = {record.id for record in self.book.open.values()}
        self._untold = {alert_id: record for alert_id, record in self._untold.items() if alert_id in living}

    def resolved_by_hand(self, record: AlertRecord) -> None:
        """Somebody has ended it: its rule begins anew with this group."""
        self.book.forget(record)
        self._untold.pop(record.id, None)
        self.engine.drop(record.alert_type, record.group)

    def statistics(self) -> dict[str, float]:
        """Return how it stands, for metrics."""
        return {
            "leads": float(self.mode is Mode.LEADING),
            "alone": float(self.mode is Mode.ALONE),
            "open": len(self.book.open),
            "steps": self.steps,
            "unread": self.unread,
            "unwritten": len(self.book.unwritten),
            "lost": self.book.lost,
            "held_back": self._pace.held_in_all,
            "board_age_seconds": self._clock.time() - self._herald.heard_at,
        }

    # ---- whose turn it is

    def _turn(self, now: float) -> None:
        mode = self._present_mode(now)
        if mode is self.mode:
            return
        _log.info("alerts_mode", node=self._node, mode=mode.value, before=self.mode.value)
        if mode is Mode.FOLLOWING:
            self._hand_over(now)
        elif self.mode is Mode.FOLLOWING:
            self.engine, self.readings = Engine(), Readings()
        self.mode = mode
        self.term += 1
        self._since = now

    def _present_mode(self, now: float) -> Mode:
        if self._fence() is not None:
            return Mode.LEADING
        status = self._bus.status()
        if status.state == "down" and now - status.since >= ALONE_AFTER_S:
            return Mode.ALONE
        return Mode.FOLLOWING

    def _hand_over(self, now: float) -> None:
        """Somebody else judges from now on: what only this node saw ends here, what all saw goes on there."""
        if self.mode is Mode.ALONE:
            for record in self.book.open.values():
                self.book.end(record, now, "handed_over")
        self.book.clear()
        self._untold.clear()

    def _watch(self, now: float) -> None:
        """Say that nobody judges, if nobody does: to those on this node, since others may have heard somebody."""
        since = self._herald.heard_at
        if now - since < UNWATCHED_S:
            self._cried_at = None
        elif self._cried_at is None or now - self._cried_at >= 10 * UNWATCHED_S:
            self._cried_at = now
            self._herald.say_here(AdminAlert(event="unwatched", timestamp=now, open=0, node=self._node, since=since))
            _log.error(
                "alerts_unwatched",
                since=since,
                required_action="Look at the broker: a node that holds the lease for alerts judges the rules.",
                will_not="No alert opens or closes until one does.",
            )

    async def _gather(self) -> tuple[Sequence[NodeSamples], Sequence[tuple[str, str]]]:
        try:
            gathered = await self._source.latest()
        except TidewireError as error:
            self.unread += 1
            told = self._unread.admit(self._clock.monotonic())
            if told:
                _log.warning("alerts_figures_unread", times=told, **error.describe())
            return (), ()
        if self.mode is Mode.ALONE:
            # Of the others nothing can be known; that is the broker's alert, not one for each of them.
            return [each for each in gathered.nodes if each.instance == self._instance], ()
        return gathered.nodes, gathered.silent

    # ---- what is told

    def _noted(self, change: Change) -> None:
        told_before = (change.rule.key, change.group) in self.book.open
        record = self.book.apply(change)
        if change.kind == "opened" and not told_before:
            self._untold[record.id] = record
        elif change.kind == "closed" and self._untold.pop(record.id, None) is None:
            self._say("resolved", record, change.at)

    def _tell(self, now: float) -> None:
        """Say what has opened, except what is silenced: that is said when the silence ends and it is still open."""
        if self.read_term != self.term and now - self._since < UNREAD_S:
            return
        for record in list(self._untold.values()):
            if self.silenced_until(record, now) is None:
                del self._untold[record.id]
                self._say("opened", self.book.open.get((record.alert_type, record.group), record), now)
        held = self._pace.tell(now)
        if held:
            self._herald.say(replace(self._message("held_back", now), held_back=held))

    def _say(self, event: Event, record: AlertRecord, now: float) -> None:
        if self.silenced_until(record, now) is None and self._pace.admit(now):
            alert = shown(record, stored=record.id in self.book.stored)
            self._herald.say(replace(self._message(event, now), alert=alert))

    def _message(self, event: Event, now: float) -> AdminAlert:
        return AdminAlert(event=event, timestamp=now, open=len(self.book.open), node=self._node)

    def silenced_until(self, record: AlertRecord, now: float) -> float | None:
        """Return until when nobody is told of an alert; None if they are."""
        ends = [each.until for each in self.silences if each.covers(record.alert_type, record.group, now)]
        return max(ends, default=None)

    def _board(self, now: float) -> Board:
        newest = sorted(self.book.open.values(), key=lambda each: (-each.opened_at, each.id))[:BOARD_MAX]
        return Board(
            node=self._node,
            instance=self._instance,
            at=now,
            mode=self.mode.value,
            rules=rule_states(self.engine, self.rulebook),
            open=[
                replace(made, members=made.members[:BOARD_MEMBERS])
                for each in newest
                for made in [
                    shown(each, stored=each.id in self.book.stored, silenced_until=self.silenced_until(each, now))
                ]
            ],
            open_count=len(self.book.open),
            unwritten=len(self.book.unwritten),
            lost=self.book.lost,
            rules_from=self.rulebook.source,
            unheard=sorted(self.readings.unheard),
            held_back=self._pace.held_in_all,
        )


def rule_states(engine: Engine, rulebook: Rulebook) -> list[RuleState]:
    """Return how every rule is."""
    watched = {rule.key: (state, groups) for rule, state, groups in engine.watched()}
    known = [
        _state(rule, *watched.get(key, ("unknown" if rule.enabled else "disabled", {})))
        for key, rule in sorted(rulebook.rules.items())
    ]
    return known + [RuleState(key=key, state="broken") for key in rulebook.broken]


def _state(rule: Rule, state: str, groups: dict[str, Standing]) -> RuleState:
    of = list(groups.values())
    pending = [each for each in of if each.phase is Phase.PENDING]
    opened = sum(each.is_open for each in of)
    values = [each.value for each in of if each.value is not None]
    if state == "known":
        quiet = bool(of) and all(each.note == "quiet" for each in of)
        state = "open" if opened else "pending" if pending else "quiet" if quiet else "fine"
    return RuleState(
        key=rule.key,
        state=state,
        value=rule.worst(values) if values else None,
        groups=len(of),
        open=opened,
        pending=len(pending),
        since=min((each.since for each in pending), default=None),
    )
