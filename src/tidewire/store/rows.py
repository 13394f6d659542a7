"""Turns rows of the tables into records. It must not know queries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Result
from sqlalchemy.engine import CursorResult

from tidewire.store.models import AdminActivityLog, ApiKey, Session, User, WebsocketConnection
from tidewire.store.records import (
    ActivityEntry,
    ActivityRecord,
    ApiKeyRecord,
    ConnectionRecord,
    SessionRecord,
    UserRecord,
)


def affected(result: Result[Any]) -> int:
    """Return how many rows a statement changed."""
    return result.rowcount if isinstance(result, CursorResult) else 0


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
        version=row.version,
        must_change_password=row.must_change_password,
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


def api_key_record(row: ApiKey) -> ApiKeyRecord:
    """Return a row of ``api_keys`` as a record."""
    return ApiKeyRecord(
        id=row.id,
        key_hash=row.key_hash,
        user_id=row.user_id,
        name=row.name,
        permissions=None if row.permissions is None else frozenset(row.permissions),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def connection_record(row: WebsocketConnection) -> ConnectionRecord:
    """Return a row of ``websocket_connections`` as a record."""
    return ConnectionRecord(
        connection_id=row.connection_id,
        node=row.node,
        user_id=row.user_id,
        session_id=row.session_id,
        ip_address=row.ip_address,
        user_agent=row.user_agent,
        path=row.path,
        protocol=row.protocol,
        connected_at=row.connected_at,
        last_activity=row.last_activity,
        disconnected_at=row.disconnected_at,
        close_code=row.close_code,
        messages_in=row.messages_in,
        messages_out=row.messages_out,
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
    )
