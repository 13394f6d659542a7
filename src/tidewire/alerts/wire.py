"""Alerts as people and programs see them: on the socket, over HTTP, and between nodes. Pure.

It must not know who is told or how. Source: contract.md section 5 (``admin_alert``); docs/protocol.md, docs/alerts.md.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Event = Literal["opened", "resolved", "acknowledged", "held_back", "unwatched"]
# Which of the sentences that there are an alert's message is.
AlertCode = Literal["bad", "no_data", "unknown"]


class FigureSaid(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of a sentence: its metric with the labels asked for, and how it is read."""

    metric: str
    read: str
    window_s: float


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert's message says, for those who say it in other words.

    Attributes:
        code: ``bad``, ``no_data`` (nobody has measured it for so long) or ``unknown`` (it is not known any more).
        figures: What is judged; of two, the first is divided by the second.
        for_s: How long it has to be so.
    """

    code: AlertCode
    figures: list[FigureSaid]
    for_s: float


class AlertShown(msgspec.Struct, frozen=True, kw_only=True):
    """One alert.

    Attributes:
        rule: The rule's key; ``name`` is what people call it.
        group: Which of the rule's groups; empty if it has only one.
        value: The figure when it opened, or when its members changed last; None if there is none.
        members: The series that are bad (at most 50 of ``member_count``; 10 in a list of what is open).
        note: ``no_data`` or ``quiet``: since then nothing is known of it; empty if something is.
        silenced_until: While this is given, nobody is sent messages of it.
        stored: It is in the database; until then it lives only in the memory of the node that found it.
        node: Who found it.
        said: What ``message`` says; None for an alert of a Tidewire that did not tell it.
    """

    id: str
    rule: str
    name: str
    group: str
    severity: str
    message: str
    advice: str = ""
    value: float | None = None
    threshold: float | None = None
    compare: str = ""
    members: list[str] = []
    member_count: int = 0
    note: str = ""
    opened_at: float
    updated_at: float
    acknowledged_at: float | None = None
    acknowledged_by: str | None = None
    acknowledged_note: str | None = None
    silenced_until: float | None = None
    resolved: bool = False
    resolved_at: float | None = None
    resolved_by: str | None = None
    resolved_why: str | None = None
    stored: bool = True
    node: str = ""
    said: Said | None = None


class AdminAlert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="admin_alert"):
    """An alert has opened, was acknowledged or is resolved; or something has to be said about alerts at all.

    Attributes:
        event: ``held_back``: more happened than is sent in a minute; ``unwatched``: no node judges the rules.
        alert: Absent with the last two.
        held_back: How many messages were not sent since the last one that said so.
        open: How many alerts are open now, whatever was sent.
        since: With ``unwatched``: since when, Unix seconds.
    """

    event: Event
    timestamp: float
    open: int
    node: str
    alert: AlertShown | msgspec.UnsetType = msgspec.UNSET
    held_back: int = 0
    since: float | None = None


class RuleState(msgspec.Struct, frozen=True, kw_only=True):
    """How a rule is now.

    Attributes:
        state: ``fine``, ``pending``, ``open``, ``no_data``, ``quiet`` (too little to compare), ``resting`` (outside the
            session, or paused), ``unknown`` (not judged yet), ``disabled``, ``broken`` (what is stored is no rule of
            this version).
        value: The worst of its groups.
        since: When the first pending group became bad, Unix seconds.
    """

    key: str
    state: str
    value: float | None = None
    groups: int = 0
    open: int = 0
    pending: int = 0
    since: float | None = None


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """What the node that judges says of it after every step, to all nodes.

    Attributes:
        mode: ``leading``, or ``alone``: the broker is away, and each node judges what it measures itself.
        open: The newest unresolved alerts, at most 200 of ``open_count``.
        unwritten: Alerts that the database does not have yet; ``lost``: those that it will never have.
        rules_from: ``stored``, or ``shipped`` while the stored ones could not be read.
        unheard: Nodes that live and of which nothing new is known.
        held_back: Messages that were not sent since start, because there were too many.
    """

    node: str
    instance: str
    at: float
    mode: str
    rules: list[RuleState]
    open: list[AlertShown]
    open_count: int
    unwritten: int
    lost: int
    rules_from: str
    unheard: list[str]
    held_back: int


SERVER_TYPES: tuple[type[msgspec.Struct], ...] = (AdminAlert,)
