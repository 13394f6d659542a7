"""What people do with alerts over HTTP: who may, what is refused, what is audited, what everybody is told."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.app.test_rooms_api import problem
from tests.support.alerts import ALERTS, Judge
from tests.support.waiting import until
from tests.support.ws_client import TEXT, RawClient, messages_of
from tidewire.alerts.herald import BOARD_CHANNEL
from tidewire.alerts.pace import PER_MINUTE
from tidewire.alerts.wire import FigureSaid, Said

RULE: dict[str, Any] = {
    "name": "Many connections",
    "figure": {"metric": "tidewire_hub_connections"},
    "compare": ">=",
    "threshold": 2,
    "for_s": 0,
}
RULES = f"{ALERTS}/rules"


async def made(judge: Judge, http: httpx2.AsyncClient, key: str = "crowd", **more: Any) -> None:
    """Make a rule of one's own and let it be read."""
    answer = await http.put(f"{RULES}/{key}", json={"version": 0, "rule": {**RULE, **more}})
    assert (answer.status_code, answer.json()["version"]) == (200, 1), answer.text
    await judge.step()


async def told(client: RawClient) -> list[str]:
    """Return which alerts a client has been told of since it last read, by event."""
    client.say("ping", id=77)
    while not any(each["type"] == "pong" for each in client.messages):
        opcode, payload = await client.read_frame()
        assert opcode == TEXT
        client.messages += messages_of(payload)
    found = [each["event"] for each in client.messages if each["type"] == "admin_alert"]
    client.messages.clear()
    return found


async def trail(judge: Judge) -> list[tuple[str, str]]:
    """Return what the audit says of alerts, oldest first."""
    rows = await judge.site.accounts.activity.recent()
    return [
        (row.entry.action, row.entry.target) for row in reversed(rows) if row.entry.action.startswith("alert")
    ]  # fmt: skip


async def test_an_alert_of_ones_own_from_rule_to_history(judge: Judge) -> None:
    """Made, tripped by two real sockets, told to all who may see it, acknowledged, cleared, in the history; audited."""
    async with judge.site.http("ada") as ada, judge.site.raw("mod") as mod, judge.site.raw("bob") as bob:
        await made(judge, ada)
        await judge.step()
        (alert,) = await judge.listed("mod")
        opened = await mod.expect("admin_alert", event="opened")
        assert (opened["alert"]["id"], opened["open"]) == (alert.id, 1)
        assert (alert.rule, alert.value, alert.threshold, alert.severity) == ("crowd", 2.0, 2.0, "medium")
        assert alert.message == "Many connections: tidewire_hub_connections is 2; >= 2 is bad."
        figure = FigureSaid(metric="tidewire_hub_connections", read="value", window_s=60.0)
        assert alert.said == Said(code="bad", figures=[figure], for_s=0.0)

        done = await ada.post(f"{ALERTS}/{alert.id}/acknowledge", json={"note": "mine\n\u0000"})
        assert (done.status_code, done.json()["acknowledged_by"]) == (200, "ada")
        assert (await mod.expect("admin_alert", event="acknowledged"))["alert"]["acknowledged_note"] == "mine"
        await judge.step()
        assert await judge.listed(view="open") == []
        assert [each.acknowledged_by for each in await judge.listed(view="acknowledged")] == ["ada"]
        problem(await ada.post(f"{ALERTS}/{alert.id}/acknowledge", json={}), 409, "already_acknowledged")

        await bob.expect("connection", status="connected")
        # Bob may not see alerts.
        assert await told(bob) == []
        bob.send(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
        await bob.close_code()
        await judge.step()
        ended = await mod.expect("admin_alert", event="resolved")
        assert (ended["alert"]["resolved_why"], ended["open"]) == ("good", 0)
    (past,) = await judge.listed(view="resolved")
    assert (past.id, past.acknowledged_by, past.resolved_by) == (alert.id, "ada", "system")
    assert await trail(judge) == [("alert_rule.change", "crowd"), ("alert.acknowledge", alert.id)]


async def test_resolved_by_hand_opens_again_while_its_cause_goes_on(judge: Judge) -> None:
    """Resolving needs a reason; the next round finds the cause again, as another alert."""
    async with judge.site.http("ada") as ada, judge.site.raw("mod") as mod, judge.site.raw("bob") as bob:
        for client in (mod, bob):
            await client.expect("connection", status="connected")
        await made(judge, ada)
        await judge.step()
        (first,) = await judge.listed()
        problem(await ada.post(f"{ALERTS}/{first.id}/resolve", json={}), 400, "bad_request")
        done = await ada.post(f"{ALERTS}/{first.id}/resolve", json={"reason": "a drill"})
        assert (done.json()["resolved_by"], done.json()["resolved_why"]) == ("ada", "a drill")
        assert (await mod.expect("admin_alert", event="resolved"))["alert"]["resolved_by"] == "ada"
        await judge.step(2)
        (second,) = await judge.listed()
        assert second.id != first.id
        problem(await ada.post(f"{ALERTS}/{first.id}/resolve", json={"reason": "again"}), 409, "already_resolved")
        problem(await ada.post(f"{ALERTS}/nobody/resolve", json={"reason": "x"}), 404, "not_found")


async def test_a_silence_holds_messages_until_it_ends(judge: Judge) -> None:
    """Opened in silence: listed with its end and told nobody; when the silence is ended it is told, if it is open."""
    async with judge.site.http("ada") as ada, judge.site.raw("mod") as mod, judge.site.raw("bob") as bob:
        for client in (mod, bob):
            await client.expect("connection", status="connected")
        body = {"rule": "crowd", "seconds": 3600, "reason": "moving house"}
        problem(await ada.post(f"{ALERTS}/silences", json=body), 400, "invalid_fields")
        assert (await ada.put(f"{RULES}/crowd", json={"version": 0, "rule": RULE})).status_code == 200
        silence = (await ada.post(f"{ALERTS}/silences", json=body)).json()
        await judge.step(2)
        (alert,) = await judge.listed()
        assert alert.silenced_until == silence["until"] == silence["created_at"] + 3600
        assert await told(mod) == []
        ended = await ada.delete(f"{ALERTS}/silences/{silence['id']}")
        assert (ended.status_code, ended.json()["ended_by"]) == (200, "ada")
        await judge.step(2)
        assert (await mod.expect("admin_alert", event="opened"))["alert"]["id"] == alert.id
        problem(await ada.delete(f"{ALERTS}/silences/{silence['id']}"), 409, "already_over")
        assert (await ada.post(f"{ALERTS}/silences", json={**body, "group": ""})).status_code == 201
        await judge.step()
        bob.send(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
        await until(lambda: judge.site.side.hub.connection_count() == 1)
        await judge.step(3)
        assert (judge.open(), await told(mod)) == ({}, [])
        shown = (await ada.get(f"{ALERTS}/silences")).json()["silences"][:1]
        assert [(each["reason"], each["created_by"], each["ended_by"]) for each in shown] == [
            ("moving house", "ada", "ada")
        ]
    assert [action for action, _ in await trail(judge)] == [
        "alert_rule.change", "alert.silence", "alert.unsilence", "alert.silence",
    ]  # fmt: skip


async def test_a_storm_is_told_in_a_bounded_number_of_messages(judge: Judge) -> None:
    """Forty rules trip at once: twenty messages in a minute, then one that says how many were held back."""
    async with judge.site.http("ada") as ada, judge.site.raw("mod") as mod:
        await mod.expect("connection", status="connected")
        for n in range(40):
            answer = await ada.put(f"{RULES}/storm_{n}", json={"version": 0, "rule": {**RULE, "threshold": 1}})
            assert answer.status_code == 200
        await judge.step(12)
        assert len(await judge.listed(limit=100)) == 40
        await judge.step(2)
        held = await mod.expect("admin_alert", event="held_back")
        assert (held["held_back"], held["open"]) == (40 - PER_MINUTE, 40)
        assert len(judge.side.book.open) == 40


async def test_who_may_look_and_who_may_act(judge: Judge) -> None:
    """Anonymous 401, without analytics:read 403; with it one looks, and acts only with feed:control, too."""
    act = {"rule": "bus_down", "seconds": 60, "reason": "x"}
    for username, look, do in ((None, 401, 401), ("bob", 403, 403), ("mod", 200, 403), ("ada", 200, 201)):
        async with judge.site.http(username) as http:
            for path in ("", "/rules", "/silences", "/judging", "/rules/metrics"):
                assert (await http.get(f"{ALERTS}{path}")).status_code == look, (username, path)
            given = {"Origin": judge.site.origin}
            assert (await http.post(f"{ALERTS}/silences", json=act, headers=given)).status_code == do
            for path, body in (("/x/acknowledge", {}), ("/x/resolve", {"reason": "x"})):
                answer = await http.post(f"{ALERTS}{path}", json=body, headers=given)
                assert answer.status_code == (404 if do == 201 else do)
            put = await http.put(f"{RULES}/mine", json={"version": 0, "rule": RULE}, headers=given)
            assert put.status_code == (200 if do == 201 else do)
            gone = await http.delete(f"{RULES}/mine", params={"version": 1}, headers=given)
            assert gone.status_code == (200 if do == 201 else do)


async def test_a_permission_that_is_taken_ends_messages_and_answers_at_once(judge: Judge) -> None:
    """Whose analytics:read is taken while watching gets no later alert, and is told so when asking."""
    async with judge.site.http("ada") as ada, judge.site.raw("mod") as mod, judge.site.http("mod") as watcher:
        await mod.expect("connection", status="connected")
        assert (await watcher.get(ALERTS)).status_code == 200
        await judge.site.accounts.change_user("mod", denials=frozenset({"analytics:read"}))
        problem(await watcher.get(ALERTS), 403, "permission_denied")
        await made(judge, ada, threshold=1)
        await judge.step()
        assert judge.open()
        assert await told(mod) == []


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("figure.metric", {"figure": {"metric": "tidewire_nobody_has"}}, "unknown_metric"),
    ("figure.where", {"figure": {"metric": "tidewire_hub_closed_total", "where": {"kode": "1"}}}, "unknown_label"),
    ("figure.read", {"figure": {"metric": "tidewire_hub_connections", "read": "rate"}}, "no_counter"),
    ("figure.window_s", {"figure": {"metric": "tidewire_hub_opened_total", "window_s": 0}}, "out_of_range"),
    ("figure.window_s", {"figure": {"metric": "tidewire_hub_opened_total", "window_s": 1e9}}, "out_of_range"),
    ("over.metric", {"over": {"metric": "nobody_has"}}, "unknown_metric"),
    ("unless", {"unless": "nobody_has"}, "unknown_metric"),
    ("by", {"by": ["planet"]}, "unknown_label"),
    ("for_s", {"for_s": -1}, "out_of_range"),
    ("for_s", {"for_s": 1e9}, "out_of_range"),
    ("clear_for_s", {"clear_for_s": 1e9}, "out_of_range"),
    ("threshold", {"threshold": 1e300}, "not_a_number"),
    ("clear", {"clear": 3}, "wrong_side"),
    ("name", {"name": "   "}, "bad_name"),
    ("advice", {"advice": "x" * 501}, "too_long"),
]  # fmt: skip


async def test_a_rule_that_cannot_be_is_refused_field_by_field(judge: Judge) -> None:
    """Unknown metrics and labels, absurd times and numbers: each is named; nothing is stored."""
    async with judge.site.http("ada") as ada:
        for field, wrong, code in BAD:
            answer = await ada.put(f"{RULES}/mine", json={"version": 0, "rule": {**RULE, **wrong}})
            problem(answer, 400, "invalid_fields")
            assert field in answer.text, (field, answer.text)
            assert code in answer.text, (code, answer.text)
        all_wrong = {**RULE, "for_s": 1e9, "threshold": 1e300, "by": ["planet"]}
        answer = await ada.put(f"{RULES}/mine", json={"version": 0, "rule": all_wrong})
        assert all(field in answer.text for field in ("for_s", "threshold", "by"))
        assert (await ada.get(RULES)).text.count('"mine"') == 0
    assert await trail(judge) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"version":0,"rule":{"name":"x","figure":{"metric":"m"},"threshold":NaN}}', 400, "bad_request"),
        (b'{"version":0,"rule":{"name":"x","figure":{"metric":"m"},"threshold":"1"}}', 400, "bad_rule"),
        (b'{"version":0,"rule":{"name":"x","threshold":1}}', 400, "bad_rule"),
        (b'{"version":0,"rule":{"name":"x","figure":{"metric":"m"},"threshold":1,"sql":"1"}}', 400, "bad_rule"),
        (b'{"version":0,"rule":{"name":"x","figure":{"metric":"m"},"threshold":1,"severity":"dire"}}', 400, "bad_rule"),
        (b'{"version":0,"rule":[]}', 400, "bad_rule"),
        (b'{"rule":{}}', 400, "bad_request"),
        (b'{"version":0,"rule":' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400, "bad_request"),
        (b"\xff\xfe", 400, "bad_request"),
        (b"", 400, "bad_request"),
        (b'{"version":0,"rule":{"name":"' + b"x" * 1_000_000 + b'"}}', 413, "too_large"),
    ],
)
async def test_what_is_no_rule_is_refused(judge: Judge, body: bytes, status: int, code: str) -> None:
    """NaN, wrong kinds, missing and unknown fields, a deep document, a megabyte: three sentences, nothing stored."""
    async with judge.site.http("ada", **{"Content-Type": "application/json"}) as ada:
        problem(await ada.put(f"{RULES}/mine", content=body), status, code)
        assert (await ada.get(RULES)).text.count('"mine"') == 0


async def test_absurd_questions_are_refused(judge: Judge) -> None:
    """Unknown views, pages of 0 and 1e9, cursors of nobody, SQL for a name; SQL in a search finds nothing."""
    async with judge.site.http("ada") as ada:
        for wrong in (
            {"view": "everything"}, {"limit": 0}, {"limit": 1_000_000_000}, {"cursor": "x"},
            {"cursor": "WzFlOTksICJhIl0="},
            {"severity": "dire"}, {"sort": "message"}, {"text": "x" * 201},
        ):  # fmt: skip
            assert (await ada.get(ALERTS, params=wrong)).status_code in (400, 422), wrong
        for view in ("open", "all"):
            answer = await ada.get(ALERTS, params={"view": view, "text": "' OR 1=1 --", "rule": "x'; drop table users"})
            assert (answer.status_code, answer.json()["alerts"]) == (200, [])
        for key in ("Mine", "a b", "1st", "x" * 49):
            problem(await ada.put(f"{RULES}/{key}", json={"version": 0, "rule": RULE}), 400, "invalid_fields")
        for seconds in (0, 59, 1e9, -5):
            body = {"rule": "bus_down", "seconds": seconds, "reason": "x"}
            problem(await ada.post(f"{ALERTS}/silences", json=body), 400, "invalid_fields")


async def test_a_rule_is_changed_by_who_has_seen_it_and_restored(judge: Judge) -> None:
    """A shipped rule: changed with version 0, then only with 1; deleting what is stored restores it."""
    async with judge.site.http("ada") as ada:
        listed = {each["key"]: each for each in (await ada.get(RULES)).json()["rules"]}
        rule = listed["held_back"]["rule"]
        body = {"version": 0, "rule": {**rule, "enabled": False}}
        assert (await ada.put(f"{RULES}/held_back", json=body)).json() == {"key": "held_back", "version": 1}
        problem(await ada.put(f"{RULES}/held_back", json=body), 409, "rule_changed")
        await judge.step(2)
        listed = {each["key"]: each for each in (await ada.get(RULES)).json()["rules"]}
        found = listed["held_back"]
        assert (found["changed"], found["updated_by"], found["state"]["state"]) == (True, "ada", "disabled")
        problem(await ada.delete(f"{RULES}/held_back", params={"version": 7}), 409, "rule_changed")
        assert (await ada.delete(f"{RULES}/held_back", params={"version": 1})).status_code == 200
        problem(await ada.delete(f"{RULES}/held_back", params={"version": 1}), 404, "not_found")
        await judge.step(2)
        assert judge.state("held_back") == "fine"
    assert [action for action, _ in await trail(judge)] == ["alert_rule.change", "alert_rule.restore"]


async def test_open_alerts_survive_the_end_of_who_judged(judge: Judge) -> None:
    """Another evaluator on the same database goes on with the same alert, tells nobody again, and closes it."""
    async with judge.site.http("ada") as ada, judge.site.raw("mod") as mod, judge.site.raw("bob") as bob:
        for client in (mod, bob):
            await client.expect("connection", status="connected")
        await made(judge, ada)
        await judge.step()
        (before,) = await judge.listed()
        await mod.expect("admin_alert", event="opened")
        judge.restart()
        await judge.step(3)
        (after,) = await judge.listed()
        assert (after.id, after.opened_at) == (before.id, before.opened_at)
        assert await told(mod) == []
    await until(lambda: judge.site.side.hub.connection_count() == 0)
    # What is over when somebody takes over is closed, not forgotten.
    judge.restart()
    await judge.step(3)
    assert [each.id for each in await judge.listed(view="resolved")] == [before.id]


async def test_a_board_that_cannot_be_read_changes_nothing(judge: Judge) -> None:
    """Not JSON, not UTF-8, brackets without end: each is counted, and the board before stays."""
    await judge.step()
    herald, bus = judge.side.herald, judge.site.platform.bus
    before, errors = herald.board, bus.status().callback_errors
    assert before is not None
    for nonsense in (b"nonsense", b"\xff\xfe", b'{"more":' + b"[" * 100_000):
        bus.publish(BOARD_CHANNEL, [nonsense])
    assert (herald.board, herald.malformed, bus.status().callback_errors) == (before, 3, errors)
