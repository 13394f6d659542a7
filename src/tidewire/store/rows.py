"""Turns rows of the tables into records. It must not know queries."""

from __future__ import annotations

from tidewire.store.models import AdminActivityLog, Session, User
from tidewire.store.records import ActivityEntry, ActivityRecord, SessionRecord, UserRecord


def user_record(row: User) -> UserRecord:
    """Return a row of ``users`` as a record."""
    return UserRecord(
        id=row.id,
        username=row.username,
        password_hash=row.password_hash,
        role=row.role,
        disabled=row.disabled,
        grants=frozenset(row.grants),
        denials=frozenset(row.denials),
        created_at=row.created_at,
        password_changed_at=row.password_changed_at,
    )


def session_record(row: Session) -> SessionRecord:
    """Return a row of ``sessions`` as a record."""
    return SessionRecord(
        id=row.id,
        token_hash=row.token_hash,
        user_id=row.user_id,
        created_at=row.created_at,
        last_seen=row.last_seen,
        expires_at=row.expires_at,
        ip=row.ip,
        user_agent=row.user_agent,
        revoked_at=row.revoked_at,
    )


def activity_record(row: AdminActivityLog) -> ActivityRecord:
    """Return a row of ``admin_activity_logs`` as a record."""
    entry = ActivityEntry(
        at=row.at,
        actor=row.actor,
        action=row.action,
        actor_id=row.actor_id,
        target=row.target,
        details=row.details,
        ip=row.ip,
    )
    return ActivityRecord(id=row.id, entry=entry)
