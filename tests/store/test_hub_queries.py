"""The contract of the queries over API keys and connections, on SQLite and on Postgres."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.store.test_queries import NOW, add_user, login
from tidewire.store import connections as store_connections
from tidewire.store.activity import ActivityLog
from tidewire.store.api_keys import ApiKeys
from tidewire.store.connections import Connections
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry, ApiKeyRecord, ConnectionRecord
from tidewire.store.sessions import Sessions


def key(user_id: int, number: int = 1, permissions: frozenset[str] | None = None) -> ApiKeyRecord:
    """Return a key's record."""
    return ApiKeyRecord(f"k{number}", bytes([number]) * 32, user_id, "robot", permissions, NOW + number, NOW + 100)


def connection(number: int, user_id: int | None = None) -> ConnectionRecord:
    """Return a connection's record."""
    return ConnectionRecord(
        f"c-{number}", "here", user_id, "s1", "192.0.2.1", "tests", "/ws", "tidewire.v1", NOW + number, NOW + number
    )


async def test_a_key_comes_back_as_stored(database: Database) -> None:
    """Found by digest and id with its user; one without a list of permissions stays without."""
    user, keys = await add_user(database), ApiKeys(database)
    whole, narrow = key(user.id), key(user.id, 2, frozenset({"rooms:publish"}))
    await keys.add(whole)
    await keys.add(narrow)
    assert await keys.find(whole.key_hash) == (whole, user)
    assert await keys.find(b"x" * 32) is None
    assert await keys.list_all() == [(narrow, user), (whole, user)]
    assert await keys.by_ids(["k2", "nobody"]) == [(narrow, user)]


async def test_a_key_is_revoked_once_with_its_audit_row(database: Database) -> None:
    """The second revocation says so and writes nothing."""
    user, keys = await add_user(database), ApiKeys(database)
    await keys.add(key(user.id))
    await keys.touch("k1", NOW + 7)
    audit = ActivityEntry(at=NOW, actor="cli", action="token.revoke", target="k1")
    assert [await keys.revoke("k1", NOW + 9, audit) for _ in range(2)] == [True, False]
    found = await keys.find(key(user.id).key_hash)
    assert found is not None
    assert (found[0].last_used_at, found[0].revoked_at) == (NOW + 7, NOW + 9)
    assert len(await ActivityLog(database).recent(action="token.revoke")) == 1


async def test_connections_are_written_and_changed_in_batches(database: Database) -> None:
    """Rows come back as written, then as changed; a user who is gone leaves a row without a user."""
    user, connections = await add_user(database), Connections(database)
    rows = [connection(1, user.id), connection(2, 99_999), connection(3)]
    await connections.write(rows, [])
    ended = replace(rows[0], disconnected_at=NOW + 50, last_activity=NOW + 49, close_code=4000, messages_out=2**40)
    await connections.write([connection(4)], [ended])
    assert await connections.recent() == [connection(4), rows[2], replace(rows[1], user_id=None), ended]
    assert await connections.recent(user_id=user.id) == [ended]
    assert await connections.count() == 4


async def test_what_a_header_may_hold_can_be_stored(database: Database) -> None:
    """NUL, line ends and excess length are cut; the row is there."""
    connections = Connections(database)
    await connections.write([replace(connection(1), user_agent="a\x00b\n" + "x" * 999, path="/" * 99)], [])
    (row,) = await connections.recent()
    assert row.user_agent == "ab" + "x" * 254
    assert row.path == "/" * 64


async def test_a_dead_nodes_connections_are_ended(database: Database) -> None:
    """Rows that this node left open end at their last sign of life; other nodes' stay."""
    connections = Connections(database)
    await connections.write([connection(1), replace(connection(2), node="there")], [])
    assert await connections.end_orphans("here") == 1
    ends = {row.connection_id: row.disconnected_at for row in await connections.recent()}
    assert ends == {"c-1": NOW + 1, "c-2": None}


async def test_old_connections_are_deleted(database: Database) -> None:
    """Only those that ended before the given time."""
    connections = Connections(database)
    rows = [replace(connection(1), disconnected_at=NOW + 5), replace(connection(2), disconnected_at=NOW + 6)]
    await connections.write([*rows, connection(3)], [])
    assert await connections.purge(NOW + 6) == 1
    assert [row.connection_id for row in await connections.recent()] == ["c-3", "c-2"]


async def test_many_sessions_are_asked_for_and_touched_together(database: Database) -> None:
    """One query answers for many sessions; touching never moves back."""
    user, sessions = await add_user(database), Sessions(database)
    for number in (1, 2, 3):
        await sessions.add(login(user, number))
    await sessions.touch_all(["s1", "s2"], NOW + 9)
    await sessions.touch_all(["s1", "s2"], NOW + 1)
    seen = {record.id: (record.last_seen, owner) for record, owner in await sessions.by_ids(["s1", "s3", "s9"])}
    assert seen == {"s1": (NOW + 9, user), "s3": (NOW, user)}


async def test_a_large_deletion_goes_in_steps(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is old, no transaction is longer than a step, and all of it goes."""
    monkeypatch.setattr(store_connections, "PURGE_STEP", 2)
    connections = Connections(database)
    rows = [replace(connection(number), disconnected_at=NOW + 5) for number in range(5)]
    await connections.write([*rows, connection(9)], [])
    before = database.statistics()["taken"]
    assert await connections.purge(NOW + 6) == 5
    assert database.statistics()["taken"] == before + 3
    assert [row.connection_id for row in await connections.recent()] == ["c-9"]
