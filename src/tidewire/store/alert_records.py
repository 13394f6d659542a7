"""What the store of alerts takes and returns. Pure; it must not know SQL."""

from __future__ import annotations

from typing import Any

import msgspec


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One alert.

    Attributes:
        alert_type: The rule's key.
        group: Which of the rule's groups; empty if it has only one.
        message: One sentence.
        details: Plain JSON: value, threshold, members, ...
        opened_at, updated_at: Unix seconds.
        resolved_by: A username, or ``system``; with ``resolved_why``.
    """

    id: str
    alert_type: str
    group: str
    severity: str
    message: str
    details: dict[str, Any]
    opened_at: float
    updated_at: float
    resolved: bool = False
    resolved_at: float | None = None
    resolved_by: str | None = None
    resolved_why: str | None = None
    acknowledged_at: float | None = None
    acknowledged_by: str | None = None
    acknowledged_note: str | None = None


class RuleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that an admin has made, or a shipped one that was changed; ``document`` is the rule as plain JSON."""

    key: str
    document: dict[str, Any]
    version: int
    updated_at: float
    updated_by: str


class SilenceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whose messages are not sent until when: a rule's, or one group's of it.

    Attributes:
        group: None: all groups of the rule.
        ended_at: When somebody ended it before its time.
    """

    id: str
    alert_type: str
    group: str | None
    reason: str
    created_at: float
    created_by: str
    until: float
    ended_at: float | None = None
    ended_by: str | None = None

    def covers(self, alert_type: str, group: str, now: float) -> bool:
        """Whether it silences a group at a time."""
        matches = self.alert_type == alert_type and self.group in (None, group)
        return matches and self.ended_at is None and self.created_at <= now < self.until


class AlertQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are wanted, newest first.

    Attributes:
        resolved: None: either.
        after: The last alert of the page before: when it opened, and its id.
    """

    resolved: bool | None = None
    acknowledged: bool | None = None
    severity: str = ""
    alert_type: str = ""
    text: str = ""
    after: tuple[float, str] | None = None
    limit: int = 50
    oldest_first: bool = False
