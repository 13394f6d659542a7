"""Wrong messages about quotes: each is refused with a reason, nothing is changed, the connection lives on."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.support.platform import Served
from tests.support.quotes import edit, make_quote, open_quote
from tests.support.ws_client import TEXT, frame

GOOD = {"type": "field_edit", "id": 1, "field": "notes", "base_revision": 0, "value": "x", "op_id": "o"}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"field": "nothing"}, "invalid_fields"),
    ({"field": "premium", "value": {"amount": "1.00"}}, "invalid_fields"),
    ({"field": "status", "value": "bound"}, "invalid_fields"),
    ({"field": "", "value": "x"}, "bad_request"),
    ({"field": "x" * 65}, "bad_request"),
    ({"field": None}, "bad_request"),
    ({"value": 7}, "invalid_fields"),
    ({"value": "x" * 50_000}, "invalid_fields"),
    ({"value": {"deep": [[["x"]]]}}, "invalid_fields"),
    ({"field": "vehicle_value", "value": 1e300}, "invalid_fields"),
    ({"field": "vehicle_value", "value": 10**4000}, "invalid_fields"),
    ({"field": "state", "value": "ZZ"}, "invalid_fields"),
    ({"field": "effective_date", "value": "2020-01-01"}, "invalid_fields"),
    ({"base_revision": 1}, "conflict"),
    ({"base_revision": 2**31 - 1}, "conflict"),
    ({"base_revision": -1}, "bad_request"),
    ({"base_revision": "0"}, "bad_request"),
    ({"base_revision": 2**63}, "bad_request"),
    ({"op_id": ""}, "bad_request"),
    ({"op_id": "x" * 65}, "bad_request"),
    ({"op_id": 7}, "bad_request"),
    ({"quote_id": str(uuid.uuid4())}, "not_found"),
    ({"quote_id": "x" * 36}, "bad_request"),
    ({"quote_id": "short"}, "bad_request"),
    ({"quote_id": 7}, "bad_request"),
]


@pytest.mark.parametrize(("change", "code"), WRONG, ids=lambda each: str(each)[:40])
async def test_a_wrong_edit_changes_nothing(site: Served, change: dict[str, Any], code: str) -> None:
    """Refused with its code and three sentences; the quote is as it was, and a right edit works after it."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob:
        message = json.dumps({**GOOD, "quote_id": quote_id, **change}).encode()
        bob.send(frame(TEXT, message))
        error = (await bob.expect("reply", id=1, ok=False))["error"]
        assert error["code"] == code
        assert all(error[name].endswith(".") for name in ("required_action", "will_not")), error
        assert (await open_quote(bob, quote_id))["version"] == 3
        assert (await edit(bob, quote_id, "notes", "x", 0, "o"))["ok"]


@pytest.mark.parametrize("name", ["field", "base_revision", "value", "op_id", "quote_id"])
async def test_every_member_is_needed(site: Served, name: str) -> None:
    """An edit without one of its members is refused; the message names it."""
    message = {**GOOD, "quote_id": await make_quote(site)}
    del message[name]
    async with site.raw("bob") as bob:
        bob.send(frame(TEXT, json.dumps(message).encode()))
        error = (await bob.expect("reply", id=1, ok=False))["error"]
        assert error["code"] == "bad_request"
        assert name in error["message"]


async def test_values_that_are_not_json_are_refused(site: Served) -> None:
    """NaN, Infinity, a lone surrogate never reach a field; a megabyte ends the connection."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob:
        for value in (b"NaN", b"Infinity", b"-Infinity", b'"\\ud800"', b"1e", b"01", b"'x'"):
            text = json.dumps({**GOOD, "quote_id": quote_id, "value": "V"}).encode().replace(b'"V"', value)
            bob.send(frame(TEXT, text))
            assert (await bob.expect("error"))["code"] == "bad_request"
        assert (await open_quote(bob, quote_id))["version"] == 3
        bob.send(frame(TEXT, json.dumps({**GOOD, "quote_id": quote_id, "value": "x" * 1_000_000}).encode()))
        assert await bob.close_code() == 1009


async def test_a_replayed_operation_is_done_once(site: Served) -> None:
    """The same op_id has its first outcome; with other contents it is refused; others have their own names."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob, site.raw("ada") as ada:
        await open_quote(ada, quote_id)
        first = await edit(bob, quote_id, "notes", "x", 0, "o-1")
        assert (await edit(ada, quote_id, "notes", "y", 1, "o-1"))["ok"]
        again = await edit(bob, quote_id, "notes", "x", 0, "o-1")
        assert again["data"] == {**first["data"], "repeated": True}
        other = await edit(bob, quote_id, "notes", "z", 2, "o-1")
        assert other["error"]["code"] == "op_id_reused"
        other = await edit(bob, quote_id, "vehicle_make", "x", 0, "o-1")
        assert other["error"]["code"] == "op_id_reused"
        state = await open_quote(ada, quote_id)
        assert (state["version"], state["fields"]["notes"]["value"]) == (5, "y")
        updates = [message for message in ada.messages if message["type"] == "field_update"]
        assert len(updates) <= 2


async def test_a_conflict_carries_the_present_state(site: Served) -> None:
    """Who comes second gets value, revision, author and version, and can go on with them."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob, site.raw("ada") as ada:
        await edit(ada, quote_id, "notes", "ada's", 0, "a-1")
        refused = await edit(bob, quote_id, "notes", "bob's", 0, "b-1")
        details = refused["error"]["details"]
        at = details.pop("at")
        assert at > 0
        assert details == {
            "quote_id": quote_id,
            "field": "notes",
            "value": "ada's",
            "revision": 1,
            "version": 4,
            "by": "ada",
        }
        assert (await edit(bob, quote_id, "notes", "bob's", details["revision"], "b-2"))["ok"]
        bob.say("field_edit", quote_id=quote_id, field="notes", value="?", base_revision=0, op_id="b-3")
        assert (await bob.expect("error", code="conflict"))["details"]["revision"] == 2


async def test_the_same_value_again_is_no_change(site: Served) -> None:
    """It is answered with the present revision, and nobody is told."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob:
        done = await edit(bob, quote_id, "state", "CA", 1, "b-1")
        assert (done["data"]["revision"], done["data"]["version"]) == (1, 3)
        assert (await open_quote(bob, quote_id))["version"] == 3


async def test_wrong_subscriptions_leave_nobody_inside(site: Served) -> None:
    """A quote that does not exist: not found, and out of the room again."""
    async with site.raw("bob") as bob:
        number = str(uuid.uuid4())
        bob.say("quote_subscribe", id=1, quote_id=number)
        assert (await bob.expect("unsubscribed", room_id=f"quote:{number}"))["reason"] == "state_unavailable"
        assert (await bob.expect("reply", id=1))["error"]["code"] == "not_found"
        for wrong in ("x", "X" * 36, None, 7):
            bob.say("quote_subscribe", id=2, quote_id=wrong)
            assert (await bob.expect("reply", id=2))["error"]["code"] == "bad_request"
        bob.say("field_focus", id=3, quote_id=number, field="notes")
        assert (await bob.expect("reply", id=3))["error"]["code"] == "not_found"
