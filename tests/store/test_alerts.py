"""The contract of the queries over alerts, rules and silences, on SQLite and on Postgres."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from tests.store.test_queries import NOW
from tidewire.core.errors import Conflict, NotFound
from tidewire.store.activity import ActivityLog
from tidewire.store.alert_records import AlertQuery, AlertRecord, RuleRecord, SilenceRecord
from tidewire.store.alerts import Alerts
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry

AUDIT = ActivityEntry(at=NOW, actor="ada", action="alert.test", target="x")


def alert(number: int, **more: Any) -> AlertRecord:
    """Return an alert's record."""
    given: dict[str, Any] = {
        "id": f"a-{number}", "alert_type": "bus_down", "group": "", "severity": "high", "message": f"Message {number}",
        "details": {"value": 1.5}, "opened_at": NOW + number, "updated_at": NOW + number,
    }  # fmt: skip
    return AlertRecord(**{**given, **more})


async def audited(database: Database) -> int:
    """Return how many rows the audit has."""
    return len(await ActivityLog(database).recent(action="alert.test"))


async def test_what_is_written_comes_back_and_twice_is_once(database: Database) -> None:
    """Rows come back as written; written again with other details they are brought up to date."""
    alerts = Alerts(database)
    await alerts.write([alert(1), alert(2)])
    moved = alert(1, message="Now three", details={"members": ["a", "b"]}, updated_at=NOW + 9)
    await alerts.write([moved, alert(2)])
    assert await alerts.unresolved() == [moved, alert(2)]
    assert await alerts.get("a-2") == alert(2)
    with pytest.raises(NotFound):
        await alerts.get("a-3")


async def test_the_evaluator_undoes_nothing_that_a_person_has_done(database: Database) -> None:
    """Acknowledged stays acknowledged, resolved by hand stays resolved by that hand, whatever is written after it."""
    alerts = Alerts(database)
    await alerts.write([alert(1), alert(2)])
    await alerts.acknowledge("a-1", NOW + 5, "ada", "looking", AUDIT)
    by_hand = await alerts.resolve("a-2", NOW + 6, "ada", "was me", AUDIT)
    ended = {"resolved": True, "resolved_at": NOW + 8, "resolved_by": "system", "resolved_why": "good"}
    await alerts.write([alert(1, message="Still"), alert(2, message="Late", **ended)])
    first = await alerts.get("a-1")
    assert (first.message, first.acknowledged_by, first.acknowledged_note) == ("Still", "ada", "looking")
    assert await alerts.get("a-2") == by_hand
    await alerts.write([alert(1, **ended), alert(3, **ended)])
    assert [(await alerts.get(each)).resolved_by for each in ("a-1", "a-3")] == ["system", "system"]
    assert await alerts.unresolved() == []


async def test_acting_twice_is_refused_and_audited_once(database: Database) -> None:
    """The second acknowledgement and resolution say who was first; the audit has one row for each that was done."""
    alerts = Alerts(database)
    await alerts.write([alert(1)])
    done = await alerts.acknowledge("a-1", NOW, "ada", "", AUDIT)
    assert (done.acknowledged_by, done.acknowledged_at) == ("ada", NOW)
    for code, act in (("already_acknowledged", alerts.acknowledge), ("already_resolved", alerts.resolve)):
        if code == "already_resolved":
            await alerts.resolve("a-1", NOW, "bob", "", AUDIT)
        with pytest.raises(Conflict) as refused:
            await act("a-1", NOW, "eve", "", AUDIT)
        assert refused.value.code == code
    with pytest.raises(NotFound):
        await alerts.resolve("a-9", NOW, "ada", "", AUDIT)
    assert await audited(database) == 2


async def test_pages_are_what_sql_by_hand_says(database: Database) -> None:
    """Every filter, both orders, and pages without a hole at equal times."""
    alerts = Alerts(database)
    rows = [
        alert(
            n, severity=("low", "critical")[n % 2], alert_type=("bus_down", "login_flood")[n // 4 % 2],
            opened_at=NOW + n // 3, message=f"Nr {n}: 100% of {'LINE' if n % 5 == 0 else 'it'}",
        )
        for n in range(1, 21)
    ]  # fmt: skip
    await alerts.write(rows)
    for n in (3, 6, 9):
        await alerts.resolve(f"a-{n}", NOW, "ada", "", AUDIT)
    await alerts.acknowledge("a-4", NOW, "ada", "", AUDIT)
    for query, where in (
        (AlertQuery(), "true"),
        (AlertQuery(resolved=True), "resolved"),
        (AlertQuery(resolved=False, acknowledged=False), "not resolved and acknowledged_at is null"),
        (AlertQuery(acknowledged=True), "acknowledged_at is not null"),
        (AlertQuery(severity="critical", alert_type="login_flood"), "severity='critical' and alert_type='login_flood'"),
        (AlertQuery(text="line"), "message like '%LINE%'"),
        (AlertQuery(text="0% of"), "message like '%0#% of%' escape '#'"),
        (AlertQuery(text="' or 1=1 --"), "false"),
    ):
        for oldest_first, order in ((False, "desc"), (True, "asc")):
            sql = f"select id from system_alerts where {where} order by opened_at {order}, id {order}"  # noqa: S608
            async with database.read() as session:
                truth = [row[0] for row in await session.execute(text(sql))]
            found: list[str] = []
            after = None
            while len(found) < len(truth):
                page, count = await alerts.page(
                    msgspec.structs.replace(query, after=after, limit=7, oldest_first=oldest_first)
                )
                assert count == len(truth)
                assert page
                found += [each.id for each in page]
                after = (page[-1].opened_at, page[-1].id)
            assert found == truth
            assert (await alerts.page(msgspec.structs.replace(query, after=after, oldest_first=oldest_first)))[0] == []


async def test_the_lists_use_their_indexes(database: Database) -> None:
    """Neither what is open nor the newest pages are found by reading every row."""
    alerts = Alerts(database)
    ended = {"resolved": True, "resolved_at": NOW, "resolved_by": "system"}
    for first in range(0, 3_000, 300):
        await alerts.write([alert(n, **(ended if n > 5 else {})) for n in range(first, first + 300)])
    plain = "explain query plan " if database.kind == "sqlite" else "explain "
    false = "0" if database.kind == "sqlite" else "false"
    async with database.write() as session:
        await session.execute(text("analyze"))
    for sql in (
        f"select * from system_alerts where resolved is {false} order by opened_at, id limit 1000",  # noqa: S608
        "select * from system_alerts order by opened_at desc, id desc limit 50",
    ):
        async with database.read() as session:
            told = " ".join(str(row) for row in await session.execute(text(plain + sql)))
        assert "ix_system_alerts" in told, told


async def test_a_rule_is_changed_by_who_has_seen_it(database: Database) -> None:
    """Version by version; a stale one, one too many and deleting what is not there are refused and change nothing."""
    alerts = Alerts(database)
    first = RuleRecord(key="mine", document={"threshold": 1}, version=0, updated_at=NOW, updated_by="ada")
    stored = await alerts.put_rule(first, 2, AUDIT)
    assert stored == msgspec.structs.replace(first, version=1)
    second = await alerts.put_rule(msgspec.structs.replace(stored, document={"threshold": 2}), 2, AUDIT)
    assert await alerts.rules() == [second]
    for record, code in ((first, "rule_changed"), (stored, "rule_changed")):
        with pytest.raises(Conflict) as refused:
            await alerts.put_rule(record, 2, AUDIT)
        assert refused.value.code == code
    await alerts.put_rule(msgspec.structs.replace(first, key="other"), 2, AUDIT)
    with pytest.raises(Conflict) as full:
        await alerts.put_rule(msgspec.structs.replace(first, key="third"), 2, AUDIT)
    assert full.value.code == "too_many_rules"
    with pytest.raises(Conflict):
        await alerts.delete_rule("mine", 1, AUDIT)
    with pytest.raises(NotFound):
        await alerts.delete_rule("nobody", 1, AUDIT)
    await alerts.delete_rule("mine", 2, AUDIT)
    assert [each.key for each in await alerts.rules()] == ["other"]
    assert await audited(database) == 4


async def test_a_silence_covers_its_group_until_it_ends(database: Database) -> None:
    """By rule or by one group, from its beginning to its end; ended by hand it covers nothing, and ends only once."""
    alerts = Alerts(database)
    whole = SilenceRecord(
        id="s-1", alert_type="bus_down", group=None, reason="maintenance", created_at=NOW, created_by="ada",
        until=NOW + 60,
    )  # fmt: skip
    one = msgspec.structs.replace(whole, id="s-2", group="node=a", until=NOW + 30)
    for each in (whole, one):
        await alerts.silence(each, AUDIT)
    assert await alerts.silences(NOW) == [one, whole]
    assert await alerts.silences(NOW + 30) == [whole]
    covered = [
        (whole.covers("bus_down", "node=b", NOW), True), (one.covers("bus_down", "node=b", NOW), False),
        (one.covers("bus_down", "node=a", NOW + 29), True), (one.covers("bus_down", "node=a", NOW + 30), False),
        (whole.covers("login_flood", "", NOW), False), (whole.covers("bus_down", "", NOW - 1), False),
    ]  # fmt: skip
    assert [found for found, _ in covered] == [expected for _, expected in covered]
    ended = await alerts.end_silence("s-1", NOW + 5, "bob", AUDIT)
    assert (ended.ended_by, ended.covers("bus_down", "", NOW + 6)) == ("bob", False)
    with pytest.raises(Conflict):
        await alerts.end_silence("s-1", NOW + 6, "bob", AUDIT)
    with pytest.raises(NotFound):
        await alerts.end_silence("s-9", NOW, "bob", replace(AUDIT))


async def test_only_what_has_long_been_over_is_purged(database: Database) -> None:
    """Resolved before the time goes, resolved later or open stays, however old; the same for silences."""
    alerts = Alerts(database)
    over = {"resolved": True, "resolved_by": "system"}
    rows = [alert(1, **over, resolved_at=NOW + 10), alert(2, **over, resolved_at=NOW + 99), alert(3)]
    await alerts.write(rows)
    for name, until in (("s-1", NOW + 10), ("s-2", NOW + 99)):
        record = SilenceRecord(
            id=name, alert_type="x", group=None, reason="", created_at=NOW, created_by="ada", until=until
        )
        await alerts.silence(record, AUDIT)
    assert await alerts.purge(NOW + 50) == 2
    assert {each.id for each in (await alerts.page(AlertQuery()))[0]} == {"a-2", "a-3"}
    assert [each.id for each in await alerts.silences(NOW)] == ["s-2"]
