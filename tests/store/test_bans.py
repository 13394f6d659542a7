"""The contract of the queries over bans, on SQLite and on Postgres."""

from __future__ import annotations

from sqlalchemy import text

from tests.store.test_queries import NOW, add_user
from tidewire.store.activity import ActivityLog
from tidewire.store.ban_records import Ban, NewBan
from tidewire.store.bans import PURGE_STEP, Bans
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry


def entry(action: str, target: str) -> ActivityEntry:
    """Return a line of the audit."""
    return ActivityEntry(at=NOW, actor="ada", action=action, target=target)


async def add(bans: Bans, *wanted: NewBan, expires_at: float | None = None, reason: str = "spam") -> list[Ban]:
    """Store bans."""
    audit = [entry("ban.add", new.network or new.username) for new in wanted]
    return await bans.add(wanted, audit, reason=reason, by="ada", now=NOW, expires_at=expires_at)


async def test_bans_are_stored_with_their_audit_and_end_at_their_second(database: Database) -> None:
    """In force until the second they end, and one without an end for ever; a line of the audit for each."""
    user, bans = await add_user(database), Bans(database)
    made = await add(
        bans, NewBan(user_id=user.id, username=user.username), NewBan(network="10.0.0.0/8"), expires_at=NOW + 5
    )
    made += await add(bans, NewBan(network="2001:db8::/48"))
    assert await bans.in_force(NOW + 4.999) == made
    assert await bans.in_force(NOW + 5) == made[2:]
    assert await bans.get(made[0].id) == made[0]
    assert await bans.get(99) is None
    log = await ActivityLog(database).recent(action="ban.add")
    assert [row.entry.target for row in reversed(log)] == [user.username, "10.0.0.0/8", "2001:db8::/48"]


async def test_a_ban_is_lifted_once(database: Database) -> None:
    """Who lifts it second, or lifts what has ended, is told so, and nothing is written."""
    bans = Bans(database)
    (one,) = await add(bans, NewBan(network="10.0.0.0/8"))
    (over,) = await add(bans, NewBan(network="10.1.0.0/16"), expires_at=NOW + 1)
    lifts = [await bans.lift(one.id, now=NOW + 2, by="bo", audit=entry("ban.lift", "x")) for _ in range(2)]
    assert lifts[0] is not None
    assert (lifts[0].lifted_at, lifts[0].lifted_by, lifts[1]) == (NOW + 2, "bo", None)
    assert await bans.lift(over.id, now=NOW + 2, by="bo", audit=entry("ban.lift", "x")) is None
    assert await bans.in_force(NOW + 2) == []
    assert len(await ActivityLog(database).recent(action="ban.lift")) == 1


async def test_the_list_is_searched_and_paged_either_way_round(database: Database) -> None:
    """Each state has its own; words are looked for in whom, why and by whom; what looks like SQL is a word."""
    bans = Bans(database)
    made = [*await add(bans, *(NewBan(network=f"10.0.{number}.0/24") for number in range(5)))]
    (over,) = await add(bans, NewBan(username="Zoë"), expires_at=NOW + 1, reason="100% abuse")
    await bans.lift(made[0].id, now=NOW, by="ada", audit=entry("ban.lift", "x"))
    at = {"now": NOW + 1, "limit": 3, "before": None}
    first = await bans.page("in_force", "", **at)
    assert ([ban.id for ban in first.bans], first.matching) == ([made[4].id, made[3].id, made[2].id], 4)
    rest = await bans.page("in_force", "", now=NOW + 1, limit=3, before=first.before)
    assert ([ban.id for ban in rest.bans], rest.matching, rest.before) == ([made[1].id], 4, None)
    oldest = await bans.page("in_force", "", **at, oldest_first=True)
    assert [ban.id for ban in oldest.bans] == [made[1].id, made[2].id, made[3].id]
    rest = await bans.page("in_force", "", now=NOW + 1, limit=3, before=oldest.before, oldest_first=True)
    assert ([ban.id for ban in rest.bans], rest.before) == ([made[4].id], None)
    kept = (await bans.page("in_force", "", now=NOW + 1, limit=3, before=None, keep=[ban.id for ban in made])).kept
    assert kept == [made[1]]
    assert [ban.id for ban in (await bans.page("lifted", "", **at)).bans] == [made[0].id]
    assert [ban.id for ban in (await bans.page("expired", "ZOË 100%", **at)).bans] == [over.id]
    assert (await bans.page("all", "", **at)).matching == 6
    assert (await bans.page("all", "' OR 1=1 --", **at)).bans == []
    assert (await bans.page("all", "%", **at)).matching == 1


async def test_what_is_over_for_long_is_deleted_and_its_audit_is_not(database: Database) -> None:
    """Expired and lifted ones go once they are old, in several steps; those in force and those just over stay."""
    bans = Bans(database)
    old = [NewBan(network=f"10.{number >> 8}.{number & 255}.0/24") for number in range(PURGE_STEP + 5)]
    await bans.add(old, [entry("ban.add", "10.0.0.0/24")], reason="old", by="ada", now=NOW, expires_at=NOW + 1)
    (lifted,) = await add(bans, NewBan(network="192.0.2.1/32"))
    (lifted_late,) = await add(bans, NewBan(network="192.0.2.2/32"), expires_at=NOW + 90)
    await bans.lift(lifted.id, now=NOW + 2, by="ada", audit=entry("ban.lift", "x"))
    await bans.lift(lifted_late.id, now=NOW + 50, by="ada", audit=entry("ban.lift", "x"))
    stay = [
        *await add(bans, NewBan(network="192.0.2.3/32"), expires_at=NOW + 50),
        *await add(bans, NewBan(network="192.0.2.4/32")),
    ]
    assert await bans.purge(NOW + 50) == len(old) + 1
    left = await bans.page("all", "", now=NOW + 100, limit=9, before=None)
    assert [ban.id for ban in left.bans] == [ban.id for ban in (*stay[::-1], lifted_late)]
    assert await bans.purge(NOW + 50) == 0
    actions = [row.entry.action for row in await ActivityLog(database).recent()]
    assert (actions.count("ban.add"), actions.count("ban.lift")) == (5, 2)


async def test_the_book_is_read_by_an_index(database: Database) -> None:
    """Ten thousand bans that are over are not looked at to find the ones in force."""
    bans = Bans(database)
    wanted = [NewBan(network=f"10.{number >> 8}.{number & 255}.0/24") for number in range(2_000)]
    await bans.add(wanted, [], reason="old", by="ada", now=NOW - 9, expires_at=NOW - 1)
    await add(bans, NewBan(network="192.0.2.0/24"))
    async with database.read() as session:
        if database.kind == "sqlite":
            plan = "EXPLAIN QUERY PLAN "
        else:
            plan = "EXPLAIN "
            await session.execute(text("ANALYZE bans"))
        query = "SELECT * FROM bans WHERE lifted_at IS NULL AND (expires_at IS NULL OR expires_at > CURRENT_TIMESTAMP)"
        told = " ".join(str(row) for row in await session.execute(text(plan + query)))
    assert "ix_bans_lifted_at_expires_at" in told, told
    assert [ban.network for ban in await bans.in_force(NOW)] == ["192.0.2.0/24"]
