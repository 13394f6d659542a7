"""Calculations, against the whole process: told in stages, ended explicitly, no premium for the wrong eyes."""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.quotes.plans import shipped
from tests.support.clock import HandClock
from tests.support.platform import Served
from tests.support.quotes import RATEABLE, calculate, edit, make_quote, open_quote
from tests.support.tape_socket import messages_of
from tests.support.waiting import until
from tests.support.ws_client import RawClient
from tidewire.core.errors import Conflict
from tidewire.quotes.editing import Author
from tidewire.quotes.ending import Ending
from tidewire.quotes.facts import facts_of
from tidewire.quotes.rating import STAGES, rate
from tidewire.store.calculation_record import CalculationRecord, CalculationState, NewCalculation
from tidewire.store.calculations import Calculations

BOB = Author(2, "bob", "http")


async def ended(client: RawClient, calculation_id: str) -> dict[str, Any]:
    """Read on to the end of a calculation."""
    return await client.expect("calculation_progress", calculation_id=calculation_id, ended=True)


async def fetch(site: Served, path: str, username: str = "ada") -> dict[str, Any]:
    """Read a document of a quote."""
    async with site.http(username) as http:
        answer = await http.get(f"/api/v1/quotes/{path}")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def begun(site: Served, quote_id: str, name: str = "t", life_s: float = 10.0) -> CalculationRecord:
    """Begin a calculation in the database and do no more: what a node does that dies at once."""
    now = time.time()
    new = NewCalculation(name, BOB.user_id, BOB.username, "gone", now, now + life_s)
    record, *_ = await database_of(site).begin(quote_id, new)
    return record


def database_of(site: Served) -> Calculations:
    """The table of calculations."""
    return Calculations(site.side.quotes.desk.quotes._database)


async def test_a_calculation_is_told_in_stages_and_gives_a_premium(site: Served) -> None:
    """Everyone sees each stage once and in order, then the end; the quote has the very premium that rating gives."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("ada") as ada:
        state = await open_quote(ada, quote_id)
        begun = await calculate(site, quote_id)
        assert (begun["state"], begun["serial"], begun["based_on_version"]) == ("running", 1, state["version"])
        told = [await ada.expect("calculation_progress") for _ in range(len(STAGES) + 1)]
        premium = await ada.expect("quote_update", update_type="premium")
        status = await ada.expect("quote_update", update_type="status")
        end = await ended(ada, begun["calculation_id"])
    assert [message["stage"] for message in told] == [STAGES[0], *STAGES]
    assert [message["progress"] for message in told] == [0, 16, 33, 50, 66, 83]
    assert all("offset" not in message for message in told)
    assert (end["stage"], end["progress"], "error" in end, "offset" in end) == ("done", 100, False, True)
    assert {message["calculation_id"] for message in [*told, end]} == {begun["calculation_id"]}
    assert {message["based_on_version"] for message in [*told, end]} == {state["version"]}
    quote = await site.side.quotes.desk.quotes.get(quote_id)
    plan = shipped()
    assert Decimal(premium["data"]["premium"]["amount"]) == rate(plan, facts_of(plan, quote)).total
    assert status["data"]["status"] == "quoted"
    document = await fetch(site, quote_id)
    assert document["quote"]["premium"] == premium["data"]["premium"]
    assert (await fetch(site, f"{quote_id}/calculation"))["state"] == "done"


async def test_how_long_calculations_took_is_counted_by_how_they_ended(site: Served) -> None:
    """Two that gave a premium and one that failed: two and one, in this node's histograms."""
    calculator = site.side.quotes.calculator
    for facts in (RATEABLE, RATEABLE, {**RATEABLE, "vehicle_value": None}):
        quote_id = await make_quote(site, **facts)
        async with site.raw("ada") as ada:
            await open_quote(ada, quote_id)
            await ended(ada, (await calculate(site, quote_id))["calculation_id"])
    # It is told before its task has ended.
    await until(lambda: calculator.statistics()["running"] == 0)
    counts = {outcome: times.count for outcome, times in calculator.times.items()}
    assert counts == {"calculated": 2, "failed": 1, "overdue": 0}
    assert calculator.times["calculated"].sum > 0


async def test_who_may_not_see_premiums_sees_none_in_any_part_of_a_calculation(site: Served) -> None:
    """Bob calculates and follows, and no amount of the premium is in anything that he is sent or can read."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        begun = await calculate(site, quote_id)
        while not any(message.get("ended") for message in bob.messages):
            bob.messages += messages_of((await bob.read_frame())[1])
        said = json.dumps(bob.messages)
    paths = (quote_id, f"{quote_id}/calculation", f"{quote_id}/changes")
    said += json.dumps([begun, *[await fetch(site, path, "bob") for path in paths]])
    premium = (await fetch(site, quote_id))["quote"]["premium"]
    amounts = {premium["amount"], *(line["amount"] for line in premium["breakdown"])}
    assert len(amounts) > 5
    assert "withheld" in said
    assert not [amount for amount in amounts if re.search(rf"(?<![\d.]){re.escape(amount)}(?![\d.])", said)]


async def test_missing_facts_are_listed_by_field_and_nothing_changes(site: Served) -> None:
    """The end says which fields, in the room and over HTTP; the quote stays a draft of its version."""
    quote_id = await make_quote(site, **{**RATEABLE, "vehicle_value": None, "driver_birth_date": None})
    async with site.raw("bob") as bob:
        state = await open_quote(bob, quote_id)
        begun = await calculate(site, quote_id)
        end = await ended(bob, begun["calculation_id"])
    assert end["stage"] == "failed"
    assert end["error"]["code"] == "facts_incomplete"
    assert set(end["error"]["details"]["fields"]) == {"vehicle_value", "driver_birth_date"}
    assert (await fetch(site, f"{quote_id}/calculation"))["error"] == end["error"]
    document = await fetch(site, quote_id)
    assert (document["version"], document["quote"]["status"]) == (state["version"], "draft")


async def test_a_result_for_facts_that_were_changed_is_discarded_and_says_so(site: Served) -> None:
    """A fact is changed between the beginning and the end: no premium, and the end tells both versions."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("bob") as bob:
        state = await open_quote(bob, quote_id)
        record = await begun(site, quote_id)
        assert (await edit(bob, quote_id, "driver_incidents", 2, 1, "b-1"))["ok"]
        await site.side.quotes.calculator.run(record, BOB)
        end = await ended(bob, record.calculation_id)
    assert (end["stage"], end["error"]["code"]) == ("discarded", "superseded")
    versions = {"based_on_version": state["version"], "version": state["version"] + 1}
    assert end["error"]["details"] == versions
    document = await fetch(site, quote_id)
    assert (document["quote"]["premium"], document["quote"]["status"]) == (None, "draft")
    await calculate(site, quote_id)


async def test_a_change_that_does_not_matter_to_the_premium_does_not_discard_it(site: Served) -> None:
    """Somebody who writes a note while the premium is calculated does no harm."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        record = await begun(site, quote_id)
        assert (await edit(bob, quote_id, "notes", "a note", 0, "b-1"))["ok"]
        await site.side.quotes.calculator.run(record, BOB)
        assert (await ended(bob, record.calculation_id))["stage"] == "done"


async def test_a_newer_calculation_supersedes_a_running_one(site: Served) -> None:
    """The older one is told as superseded, and its result is not stored, however late it comes."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        older = await begun(site, quote_id)
        newer = await calculate(site, quote_id)
        assert newer["serial"] == older.serial + 1
        assert (await ended(bob, older.calculation_id))["stage"] == "superseded"
        assert (await ended(bob, newer["calculation_id"]))["stage"] == "done"
    version = (await fetch(site, quote_id))["version"]
    await site.side.quotes.calculator.run(older, BOB)
    document = await fetch(site, quote_id)
    assert (document["version"], document["quote"]["premium"]["calculation_id"]) == (version, newer["calculation_id"])


async def test_an_older_premium_never_takes_the_place_of_a_newer_one(site: Served) -> None:
    """Also if the older calculation was about to store its result when the newer one began."""
    quote_id = await make_quote(site, **RATEABLE)
    side = site.side.quotes
    older = await begun(site, quote_id, "a")
    premium = await side.calculator.premium(older)
    newer = await begun(site, quote_id, "b")
    await side.calculator.run(newer, BOB)
    version = (await fetch(site, quote_id))["version"]
    with pytest.raises(Conflict, match=f"{older.calculation_id} is over, or a newer one has begun"):
        await side.desk.rate(quote_id, premium, BOB, also=database_of(site).done(older, premium.at))
    assert (await fetch(site, quote_id))["version"] == version


async def test_many_calculations_at_once_end_once_each_and_the_newest_has_the_premium(site: Served) -> None:
    """Twenty people ask in the same moment: each calculation has one end, and the last one begun is done."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("ada") as ada:
        await open_quote(ada, quote_id)
        begun = await asyncio.gather(*(calculate(site, quote_id) for _ in range(20)))
        newest = max(begun, key=lambda one: one["serial"])
        assert sorted(one["serial"] for one in begun) == list(range(1, 21))
        ends: dict[str, list[str]] = {}
        while newest["calculation_id"] not in ends:
            end = await ada.expect("calculation_progress", ended=True)
            ends.setdefault(end["calculation_id"], []).append(end["stage"])
    assert ends[newest["calculation_id"]] == ["done"]
    assert all(len(stages) == 1 and stages[0] in {"done", "superseded"} for stages in ends.values()), ends
    document = await fetch(site, quote_id)
    assert document["quote"]["premium"]["calculation_id"] == newest["calculation_id"]


@pytest.mark.parametrize("final", ["bound", "expired"])
async def test_a_final_quote_is_not_calculated(site: Served, final: str) -> None:
    """The request itself is refused, with the reason."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("bob") as bob, site.http("bob") as http:
        await open_quote(bob, quote_id)
        await ended(bob, (await calculate(site, quote_id))["calculation_id"])
        tag = f'"{(await fetch(site, quote_id))["version"]}"'
        if final == "bound":
            bound = await http.post(f"/api/v1/quotes/{quote_id}/bind", headers={"If-Match": tag})
            assert bound.status_code == 200, bound.text
        else:
            await site.side.quotes.desk.quotes._database.transact(_expire)
        answer = await http.post(f"/api/v1/quotes/{quote_id}/calculate")
    assert (answer.status_code, answer.json()["code"]) == (409, f"quote_{final}")


async def _expire(session: AsyncSession) -> None:
    await session.execute(text("UPDATE quotes SET expires_at = '2020-01-01 00:00:00'"))


async def test_binding_needs_a_premium_of_the_present_facts(site: Served) -> None:
    """After a calculation and then a change of a fact, the quote is a draft without premium and cannot be bound."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("bob") as bob, site.http("bob") as http:
        await open_quote(bob, quote_id)
        await ended(bob, (await calculate(site, quote_id))["calculation_id"])
        # When the policy begins decides how old driver and vehicle are, so it is a fact, too.
        later = date.fromisoformat(RATEABLE["effective_date"]) + timedelta(days=1)
        reply = await edit(bob, quote_id, "effective_date", later.isoformat(), 1, "b-1")
        assert reply["ok"], reply
        document = await fetch(site, quote_id)
        assert (document["quote"]["status"], document["quote"]["premium"]) == ("draft", None)
        tag = f'"{document["version"]}"'
        refused = await http.post(f"/api/v1/quotes/{quote_id}/bind", headers={"If-Match": tag})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_quoted")


async def test_who_may_not_edit_may_not_calculate_and_who_may_not_view_sees_nothing(site: Served) -> None:
    """The permissions are those of the quote."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.http("bob") as http:
        assert (await http.get(f"/api/v1/quotes/{quote_id}/calculation")).status_code == 404
        await site.accounts.change_user("bob", denials=frozenset({"quote:edit"}))
        assert (await http.post(f"/api/v1/quotes/{quote_id}/calculate")).status_code == 403
        await site.accounts.change_user("bob", denials=frozenset({"quote:view"}))
        assert (await http.get(f"/api/v1/quotes/{quote_id}/calculation")).status_code == 403
    async with site.http("ada") as http:
        for wrong, status in ((quote_id.replace("-", "0"), 400), ("0" * 8 + quote_id[8:], 404)):
            assert (await http.post(f"/api/v1/quotes/{wrong}/calculate")).status_code == status
    async with site.http() as http:
        assert (await http.post(f"/api/v1/quotes/{quote_id}/calculate")).status_code == 401


async def test_a_calculation_whose_node_is_gone_times_out_and_can_be_asked_for_again(site: Served) -> None:
    """Whoever waits is told by another node, in the room and over HTTP, and the next calculation is done."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        record = await begun(site, quote_id, life_s=0.0)
        end = await ended(bob, record.calculation_id)
        assert (end["stage"], end["error"]["code"]) == ("timed_out", "calculation_timed_out")
        assert (await fetch(site, f"{quote_id}/calculation"))["state"] == "timed_out"
        # The node was only frozen, and wakes up: its result is not used.
        await site.side.quotes.calculator.run(record, BOB)
        assert (await fetch(site, quote_id))["quote"]["premium"] is None
        again = await calculate(site, quote_id)
        assert (await ended(bob, again["calculation_id"]))["stage"] == "done"


async def test_a_result_that_was_stored_before_its_node_died_is_told_as_done(site: Served) -> None:
    """Between storing and telling, a node dies: the sweep looks at the quote before it says that nothing came."""
    quote_id = await make_quote(site, **RATEABLE)
    side = site.side.quotes
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        record = await begun(site, quote_id)
        calculations = database_of(site)
        premium = await side.calculator.premium(record)
        await side.desk.rate(quote_id, premium, BOB, also=calculations.done(record, premium.at))
        later = HandClock(record.deadline_at)
        await Ending(calculations, site.side.hub, later).sweep()
        assert (await ended(bob, record.calculation_id))["stage"] == "done"
    assert (await fetch(site, f"{quote_id}/calculation"))["state"] == "done"


async def test_an_end_that_could_not_be_told_is_told_once_by_a_sweep(site: Served) -> None:
    """A node dies between noting the end and telling it; later sweeps say nothing more."""
    quote_id = await make_quote(site, **RATEABLE)
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        record = await begun(site, quote_id)
        calculations = database_of(site)
        assert await calculations.end(record, CalculationState.FAILED, 1.0, {"code": "x"})
        sweeper = Ending(calculations, site.side.hub, HandClock(record.deadline_at))
        await sweeper.sweep()
        assert (await ended(bob, record.calculation_id))["error"] == {"code": "x"}
        assert await calculations.unfinished(record.deadline_at, 10) == []


async def test_what_is_not_due_is_left_alone(site: Served) -> None:
    """A sweep a moment before the deadline ends nothing."""
    quote_id = await make_quote(site, **RATEABLE)
    record = await begun(site, quote_id)
    calculations = database_of(site)
    early = HandClock(record.deadline_at - 0.1)
    await Ending(calculations, site.side.hub, early).sweep()
    now = await calculations.get(quote_id)
    assert now is not None
    assert (now.state, now.told) == (CalculationState.RUNNING, False)


async def test_a_repeated_request_begins_one_calculation(site: Served) -> None:
    """The same answer each time, also once it has ended, a newer one has begun and the quote is bound; told once."""
    quote_id = await make_quote(site, **RATEABLE)
    path, key = f"/api/v1/quotes/{quote_id}/calculate", {"Idempotency-Key": "k-1"}
    async with site.raw("bob") as bob, site.http("bob") as http:
        await open_quote(bob, quote_id)
        answers = await asyncio.gather(*(http.post(path, headers=key) for _ in range(4)))
        first = answers[0].json()
        await ended(bob, first["calculation_id"])
        answers.append(await http.post(path, headers=key))
        newer = await calculate(site, quote_id)
        assert newer["serial"] == 2
        assert (await bob.expect("calculation_progress", ended=True))["calculation_id"] == newer["calculation_id"]
        answers.append(await http.post(path, headers=key))
        tag = f'"{(await fetch(site, quote_id))["version"]}"'
        assert (await http.post(path.replace("calculate", "bind"), headers={"If-Match": tag})).status_code == 200
        answers.append(await http.post(path, headers=key))
        assert (await http.post(path)).status_code == 409
    assert {(answer.status_code, answer.text, answer.headers["location"]) for answer in answers} == {
        (202, answers[0].text, f"/api/v1/quotes/{quote_id}/calculation")
    }
    assert site.side.quotes.statistics()["calculations_repeated"] == 6


async def test_a_key_of_another_request_begins_nothing(site: Served) -> None:
    """Another body, and a key that an edit has had, are refused with what to do; another person's key is their own."""
    quote_id = await make_quote(site, **RATEABLE)
    path = f"/api/v1/quotes/{quote_id}"
    async with site.http("bob") as bob, site.http("ada") as ada:
        version = (await bob.get(path)).headers["etag"]
        edited = {"If-Match": version, "Idempotency-Key": "k-2"}
        assert (await bob.patch(path, json={"fields": {"notes": "x"}}, headers=edited)).status_code == 200
        first = await bob.post(f"{path}/calculate", json={}, headers={"Idempotency-Key": "k-1"})
        assert (first.status_code, first.json()["serial"]) == (202, 1)
        for key, body in (("k-1", {"more": True}), ("k-2", {})):
            refused = await bob.post(f"{path}/calculate", json=body, headers={"Idempotency-Key": key})
            assert (refused.status_code, refused.json()["code"]) == (409, "op_id_reused")
            assert refused.json()["required_action"]
            assert refused.json()["will_not"]
        assert (await bob.get(f"{path}/calculation")).json()["serial"] == 1
        theirs = await ada.post(f"{path}/calculate", json={}, headers={"Idempotency-Key": "k-1"})
        assert (theirs.status_code, theirs.json()["serial"]) == (202, 2)
