"""The contract of the queries, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidewire.core.errors import Conflict, InvalidRequest, NotFound, StoreError
from tidewire.store.activity import ActivityLog
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry, SessionRecord, UserRecord
from tidewire.store.sessions import Sessions
from tidewire.store.universes import Universes
from tidewire.store.users import Users, username_key

NOW = 1_700_000_000.25
ADDED = ActivityEntry(at=NOW, actor="cli", action="user.add", target="ada", details={"role": "admin"})


async def add_user(database: Database, name: str = "Ada") -> UserRecord:
    """Return a new user."""
    return await Users(database).create(name, "$argon2id$hash", "admin", NOW)


def login(user: UserRecord, number: int = 1, **changes: float) -> SessionRecord:
    """Return a session record."""
    record = SessionRecord(
        id=f"s{number}",
        token_hash=bytes([number]) * 32,
        user_id=user.id,
        created_at=NOW,
        last_seen=NOW,
        expires_at=NOW + 100,
        ip="127.0.0.1",
        user_agent="tests",
    )
    return replace(record, **changes)


async def test_a_user_comes_back_as_stored(database: Database) -> None:
    """Create, then find by name in any case, by id, and in the list."""
    users = Users(database)
    user = await add_user(database)
    assert user == await users.by_id(user.id) == await users.by_name("aDA")
    assert await users.page() == [user]
    assert await users.count() == 1
    assert user.created_at == NOW
    assert (await users.by_name("nobody"), await users.by_id(99)) == (None, None)


@pytest.mark.parametrize(("first", "second"), [("Ada", "ada"), ("ÄDA", "äda"), ("straße", "STRASSE"), ("ﬁn", "fin")])
async def test_a_name_is_unique_in_any_spelling(database: Database, first: str, second: str) -> None:
    """Names that differ by case or compatibility form collide, and the first user stays."""
    user = await add_user(database, first)
    with pytest.raises(Conflict) as refused:
        await Users(database).create(second, "other", "super", NOW, audit=ADDED)
    assert refused.value.code == "username_taken"
    assert await Users(database).by_name(second) == user
    assert await ActivityLog(database).recent() == []


async def test_creating_one_name_together_makes_one_user(database: Database) -> None:
    """Of eight who add the same name at once, one wins and seven are told."""
    users = Users(database)
    jobs = (users.create("ada", "hash", "user", NOW) for _ in range(8))
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(result) for result in results].count(Conflict) == 7
    assert await users.count() == 1


async def test_looking_up_logins_leaves_nothing_to_the_collector(database: Database) -> None:
    """It is done for every group of handshakes, and the collector looks so seldom that megabytes would pile up."""
    sessions = Sessions(database)
    record = login(await add_user(database))
    await sessions.add(record)
    await sessions.find(record.token_hash)
    await sessions.by_ids([record.id])
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            assert await sessions.find(record.token_hash) is not None
            assert len(await sessions.by_ids([record.id])) == 1
        assert gc.collect() < 50
    finally:
        gc.enable()


async def test_a_new_password_ends_the_sessions(database: Database) -> None:
    """Password, revocation and audit row are one transaction; another user's session stays."""
    ada, bob = await add_user(database), await add_user(database, "bob")
    sessions = Sessions(database)
    for record in (login(ada, 1), login(ada, 2), login(bob, 3)):
        await sessions.add(record)
    assert sorted(await Users(database).set_password(ada.id, "new", NOW + 1, audit=ADDED)) == ["s1", "s2"]
    found = await sessions.find(b"\x01" * 32)
    assert found is not None
    assert (found[0].revoked_at, found[1].password_hash, found[1].password_changed_at) == (NOW + 1, "new", NOW + 1)
    assert [record.id for record in await sessions.of_user(bob.id, NOW)] == ["s3"]
    assert [record.entry for record in await ActivityLog(database).recent()] == [ADDED]


async def test_rehash_never_undoes_a_new_password(database: Database) -> None:
    """A rehash that started before a password change is dropped."""
    user = await add_user(database)
    users = Users(database)
    assert await users.rehash(user.id, old_hash=user.password_hash, new_hash="stronger")
    assert not await users.rehash(user.id, old_hash=user.password_hash, new_hash="stale")
    found = await users.by_id(user.id)
    assert found is not None
    assert found.password_hash == "stronger"


async def test_disabling_ends_sessions_and_other_changes_do_not(database: Database) -> None:
    """Only what is given changes, and the version rises; disabling returns the sessions that ended."""
    user = await add_user(database)
    await Sessions(database).add(login(user))
    users = Users(database)
    assert await users.change(user.id, NOW, role="user", grants=["feed:control"], denials=["quote:edit"]) == []
    assert await users.change(user.id, NOW, disabled=True) == ["s1"]
    found = await users.by_id(user.id)
    expected = replace(
        user,
        role="user",
        disabled=True,
        grants=frozenset({"feed:control"}),
        denials=frozenset({"quote:edit"}),
        version=3,
    )
    assert found == expected


async def test_a_session_lives_and_ends(database: Database) -> None:
    """Add, find with its user, touch forwards only, revoke once."""
    user = await add_user(database)
    sessions = Sessions(database)
    await sessions.add(login(user), audit=ADDED)
    assert await sessions.find(b"\x01" * 32) == (login(user), user)
    assert await sessions.find(b"\x02" * 32) is None
    await sessions.touch("s1", NOW + 10)
    await sessions.touch("s1", NOW + 5)
    assert [record.last_seen for record in await sessions.of_user(user.id, NOW)] == [NOW + 10]
    assert await sessions.revoke("s1", NOW + 20)
    assert not await sessions.revoke("s1", NOW + 30)
    assert not await sessions.revoke("unknown", NOW)
    assert await sessions.of_user(user.id, NOW) == []
    assert await sessions.revoke_user(user.id, NOW) == []


async def test_a_session_needs_its_user_and_its_own_digest(database: Database) -> None:
    """Foreign keys and the unique digest hold on both databases."""
    user = await add_user(database)
    sessions = Sessions(database)
    await sessions.add(login(user))
    with pytest.raises(StoreError):
        await sessions.add(login(replace(user, id=user.id + 1), 2))
    with pytest.raises(StoreError):
        await sessions.add(replace(login(user), id="s9"))


async def test_purge_deletes_what_has_ended(database: Database) -> None:
    """Expired, revoked and idle rows go; the live one stays."""
    user = await add_user(database)
    sessions = Sessions(database)
    await sessions.add(login(user, 1, expires_at=NOW - 50))
    await sessions.add(login(user, 2, last_seen=NOW - 90))
    await sessions.add(login(user, 3))
    await sessions.add(login(user, 4))
    await sessions.revoke("s3", NOW - 20)
    assert await sessions.purge(expired_before=NOW - 10, idle_before=NOW - 60) == 3
    assert [record.id for record in await sessions.of_user(user.id, NOW)] == ["s4"]
    assert await sessions.purge(expired_before=NOW - 10, idle_before=NOW - 60) == 0


async def test_the_log_pages_backwards(database: Database) -> None:
    """Newest first, by page and by action; over-long texts are cut, not refused."""
    log = ActivityLog(database)
    for number in range(5):
        await log.write(ActivityEntry(at=NOW + number, actor="x" * 99, action=f"a.{number % 2}", details={"n": number}))
    newest = await log.recent(limit=2)
    assert [record.entry.details["n"] for record in newest] == [4, 3]
    older = await log.recent(before_id=newest[-1].id)
    assert [record.entry.details["n"] for record in older] == [2, 1, 0]
    assert [record.entry.details["n"] for record in await log.recent(action="a.1")] == [3, 1]
    assert newest[0].entry.actor == "x" * 64


async def test_an_import_replaces_all_members(database: Database) -> None:
    """The order of the import is kept, and the change is counted."""
    universes = Universes(database)
    first = await universes.replace("market_leaders:top_3", ["MSFT", "AAPL", "NVDA"], NOW, source="a.csv")
    assert (first.created, first.added, first.removed, first.total) == (True, 3, 0, 3)
    second = await universes.replace("market_leaders:top_3", ["TSLA", "AAPL"], NOW + 1, source="b.csv", audit=ADDED)
    assert (second.created, second.added, second.removed, second.total) == (False, 1, 2, 2)
    assert await universes.members("market_leaders:top_3") == ["TSLA", "AAPL"]
    listed = await universes.list_all()
    assert [(u.key, u.member_count, u.source, u.created_at, u.updated_at) for u in listed] == [
        ("market_leaders:top_3", 2, "b.csv", NOW, NOW + 1)
    ]
    assert len(await ActivityLog(database).recent()) == 1


@pytest.mark.parametrize("symbols", [[], ["AAPL", ""], ["AAPL", "AAPL"], ["X" * 33], ["A\nB"]])
async def test_a_bad_import_changes_nothing(database: Database, symbols: list[str]) -> None:
    """The old members stay, whatever is wrong with the new ones."""
    universes = Universes(database)
    await universes.replace("u", ["AAPL"], NOW)
    with pytest.raises(InvalidRequest):
        await universes.replace("u", symbols, NOW + 1)
    assert await universes.members("u") == ["AAPL"]


async def test_an_unknown_universe_is_named(database: Database) -> None:
    """Members of an unknown key are an error that names the key; removing it is a plain no."""
    universes = Universes(database)
    with pytest.raises(NotFound) as missing:
        await universes.members("nope")
    assert missing.value.code == "unknown_universe"
    assert "nope" in missing.value.message
    assert not await universes.remove("nope")
    await universes.replace("u", ["AAPL"], NOW)
    assert await universes.remove("u")
    assert await universes.list_all() == []


async def test_readers_see_the_old_list_or_the_new(database: Database) -> None:
    """While two lists are imported in turn, a reader never sees a mixture or nothing."""
    universes = Universes(database)
    lists = [[f"A{n}" for n in range(50)], [f"B{n}" for n in range(60)]]
    await universes.replace("u", lists[0], NOW)

    async def write() -> None:
        for number in range(6):
            await universes.replace("u", lists[number % 2], NOW)

    writer = asyncio.create_task(write())
    while not writer.done():
        assert await universes.members("u") in lists
    await writer


async def test_importing_one_key_together_ends_whole(database: Database) -> None:
    """Of several imports at once the result is one whole list; a loser is told."""
    universes = Universes(database)
    lists = [[f"{letter}{n}" for n in range(20)] for letter in "ABCD"]
    results = await asyncio.gather(*(universes.replace("u", each, NOW) for each in lists), return_exceptions=True)
    assert all(not isinstance(result, BaseException) or isinstance(result, Conflict) for result in results)
    assert await universes.members("u") in lists
    changes = await asyncio.gather(*(universes.replace("u", each, NOW) for each in lists * 2))
    assert [(change.created, change.total) for change in changes] == [(False, 20)] * 8
    assert await universes.members("u") in lists


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_key_of_a_name_is_stable(name: str) -> None:
    """Folding a folded name changes nothing, so a stored key is always found again."""
    assert username_key(username_key(name)) == username_key(name)
