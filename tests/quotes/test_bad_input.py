"""Every field wrong in every way, over the socket and over HTTP: refused by name and reason, and nothing is changed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.quotes.test_http import problem
from tests.support.platform import Served
from tests.support.quotes import BASIC, edit, make_quote, open_quote
from tests.support.ws_client import TEXT, RawClient, frame
from tidewire.quotes.model import FIELDS

TEXTS = ['""', '"   "', "7", "true", "[]", "{}", '"a\\u0000b"', f'"{"x" * 2_001}"']
NUMBERS = ['"7"', "true", "[1]", "-1", "1.5", "1e300", "1e-300", "1" + "0" * 400, "9" * 19]
AMOUNTS = ['"x"', "true", "[1]", "-1", "1e300", "1e999999999", "1" + "0" * 4_000, "1000.001", '"NaN"', '"1e3"', '"-0"']
DATES = ['"yesterday"', "20260301", "true", '"2026-02-30"', '"20260301"', '"0000-00-00"', '"9999-12-31"']
WAYS: dict[str, list[str]] = {
    "text": TEXTS,
    "long_text": TEXTS,
    "email": [*TEXTS, '"ada"', '"a b@example.org"', '"@"'],
    "choice": ['"ZZ"', '"ca"', '""', "7", "true", "[]", '["CA"]', '{"CA": 1}', f'"{"x" * 10_000}"'],
    "integer": NUMBERS,
    "money": AMOUNTS,
    "date": DATES,
    "boolean": ['"yes"', "1", "0", "[]", '"true"'],
}
# Only these fields: days that are over, or to come.
MORE = {"effective_date": ['"2020-01-01"', '"1900-01-01"'], "driver_birth_date": ['"2999-01-01"', '"1800-01-01"']}
NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "nan", "1e", "01", "+1", ".5", "0x10")
MEGABYTE = '"' + "x" * 1_000_000 + '"'


def ways(name: str) -> list[str]:
    """Values, as JSON, that a field cannot have."""
    spec = FIELDS[name]
    return [*WAYS[spec.kind], *MORE.get(name, ()), *(["null"] if spec.required else ())]


def body(fields: dict[str, str]) -> bytes:
    """A body whose values are sent as they are written."""
    return b'{"fields":{%s}}' % ",".join(f'"{name}":{value}' for name, value in fields.items()).encode()


async def send(client: RawClient, quote_id: str, name: str, value: str) -> dict[str, Any]:
    """Send an edit whose value is sent as it is written; return the error."""
    said = {"type": "field_edit", "id": 1, "quote_id": quote_id, "field": name, "base_revision": 0, "op_id": "o"}
    client.send(frame(TEXT, json.dumps({**said, "value": "V"}).encode().replace(b'"V"', value.encode())))
    error: dict[str, Any] = (await client.expect("reply", id=1))["error"]
    return error


@pytest.mark.parametrize("name", FIELDS)
async def test_each_field_refuses_what_it_cannot_be_on_every_way_in(site: Served, name: str) -> None:
    """Named, with a sentence and a code, on the socket, in a patch and in making a quote; the quote is as it was."""
    quote_id = await make_quote(site)
    path, match = f"/api/v1/quotes/{quote_id}", {"If-Match": '"3"', "Content-Type": "application/json"}
    right = {"vehicle_make" if name == "notes" else "notes": '"right"'}
    async with site.raw("bob") as bob, site.http("bob") as http:
        for number, value in enumerate(ways(name)):
            error = await send(bob, quote_id, name, value)
            assert error["code"] == "invalid_fields", value
            assert set(error["details"]["fields"]) == {name}, value
            assert error["details"]["reasons"][name]["code"], value
            patched = await http.patch(path, content=body({name: value, **right}), headers=match)
            said = problem(patched, 400, "invalid_fields")["errors"]
            assert [(one["field"], one["message"]) for one in said] == [(name, error["details"]["fields"][name])]
            # Ten wrong messages in a row end a connection.
            if number % 5 == 4:
                assert (await edit(bob, quote_id, "state", "CA", 1, "again"))["ok"]
        wrong = {**{each: json.dumps(value) for each, value in BASIC.items()}, name: ways(name)[0]}
        made = await http.post("/api/v1/quotes", content=body(wrong), headers=match)
        assert [one["field"] for one in problem(made, 400, "invalid_fields")["errors"]] == [name]
        assert (await open_quote(bob, quote_id))["version"] == 3
        assert sum((await http.get("/api/v1/quotes")).json()["counts"].values()) == 1


async def test_every_field_wrong_at_once_is_told_at_once(site: Served) -> None:
    """All of them are named in one answer."""
    async with site.http("bob") as http:
        wrong = body({name: ways(name)[0] for name in FIELDS})
        made = await http.post("/api/v1/quotes", content=wrong, headers={"Content-Type": "application/json"})
        assert {one["field"] for one in problem(made, 400, "invalid_fields")["errors"]} == set(FIELDS)


@pytest.mark.parametrize("value", NO_NUMBERS)
async def test_what_is_no_number_is_no_json(site: Served, value: str) -> None:
    """NaN and its like never reach a field: the whole message is refused, on the socket and over HTTP."""
    quote_id = await make_quote(site)
    match = {"If-Match": '"3"', "Content-Type": "application/json"}
    async with site.raw("bob") as bob, site.http("bob") as http:
        said = {"type": "field_edit", "quote_id": quote_id, "field": "vehicle_value", "base_revision": 0, "op_id": "o"}
        bob.send(frame(TEXT, json.dumps({**said, "value": "V"}).encode().replace(b'"V"', value.encode())))
        assert (await bob.expect("error"))["code"] == "bad_request"
        wrong = body({"vehicle_value": value})
        problem(await http.patch(f"/api/v1/quotes/{quote_id}", content=wrong, headers=match), 400, "bad_request")
        problem(await http.post("/api/v1/quotes", content=wrong, headers=match), 400, "bad_request")
        assert (await open_quote(bob, quote_id))["version"] == 3


async def test_a_megabyte_is_refused_on_every_way_in(site: Served) -> None:
    """413 for every request that writes, 1009 on the socket; nothing of it is stored, and all go on."""
    quote_id = await make_quote(site)
    path, match = f"/api/v1/quotes/{quote_id}", {"If-Match": '"3"', "Content-Type": "application/json"}
    async with site.http("bob") as http:
        for way in ("/api/v1/quotes", f"{path}/undo", f"{path}/calculate", f"{path}/bind"):
            problem(await http.post(way, content=body({"notes": MEGABYTE}), headers=match), 413, "too_large")
        problem(await http.patch(path, content=body({"notes": MEGABYTE}), headers=match), 413, "too_large")
        problem(await http.get(f"{path}/calculation"), 404, "not_found")
        async with site.raw("bob") as bob:
            said = {"type": "field_edit", "quote_id": quote_id, "field": "notes", "base_revision": 0, "op_id": "o"}
            bob.send(frame(TEXT, json.dumps({**said, "value": "x" * 1_000_000}).encode()))
            assert await bob.close_code() == 1009
        document = (await http.get(path)).json()
    assert (document["version"], document["fields"]["notes"]["value"]) == (3, None)


async def test_a_key_and_an_op_id_are_one_name(site: Served) -> None:
    """What was done over HTTP is not done again over the socket, nor the other way; something else is refused."""
    quote_id = await make_quote(site)
    path = f"/api/v1/quotes/{quote_id}"
    async with site.raw("bob") as bob, site.http("bob") as http:
        key = {"If-Match": '"3"', "Idempotency-Key": "n-1"}
        assert (await http.patch(path, json={"fields": {"notes": "x"}}, headers=key)).json()["version"] == 4
        assert (await edit(bob, quote_id, "notes", "x", 0, "n-1"))["data"]["repeated"] is True
        assert (await edit(bob, quote_id, "notes", "y", 1, "n-1"))["error"]["code"] == "op_id_reused"
        assert (await edit(bob, quote_id, "vehicle_make", "Saab", 0, "n-2"))["ok"]
        key = {"If-Match": '"5"', "Idempotency-Key": "n-2"}
        again = await http.patch(path, json={"fields": {"vehicle_make": "Saab"}}, headers=key)
        assert again.json()["version"] == 5
        problem(await http.patch(path, json={"fields": {"notes": "z"}}, headers=key), 409, "op_id_reused")
        problem(await http.post(f"{path}/undo", json={"version": 5}, headers=key), 409, "op_id_reused")
        for long in ("x" * 65, ""):
            refused = await http.patch(path, json={"fields": {"notes": "z"}}, headers={**key, "Idempotency-Key": long})
            problem(refused, 422, "unprocessable_content")
        assert (await http.get(path)).json()["version"] == 5


async def test_stale_revisions_and_versions_are_refused_on_every_way_in(site: Served) -> None:
    """Older, newer and absurd ones; the answer carries what is there now."""
    quote_id = await make_quote(site)
    path = f"/api/v1/quotes/{quote_id}"
    async with site.raw("bob") as bob, site.http("bob") as http:
        assert (await edit(bob, quote_id, "notes", "one", 0, "s-1"))["ok"]
        for base in (0, 2, 2**31 - 1):
            error = (await edit(bob, quote_id, "notes", "two", base, f"s-{base}"))["error"]
            assert (error["code"], error["details"]["revision"]) == ("conflict", 1)
        for version in (3, 5, 2**31 - 1):
            match = {"If-Match": f'"{version}"'}
            for refused in (
                await http.patch(path, json={"fields": {"notes": "two"}}, headers=match),
                await http.post(f"{path}/bind", headers=match),
            ):
                assert problem(refused, 412, "precondition_failed")["details"] == {"version": 4}
        problem(await http.patch(path, json={"fields": {}}, headers={"If-Match": f'"{10**40}"'}), 400, "bad_request")
        problem(await http.post(f"{path}/undo", json={"version": 2**31}), 400, "bad_request")
        assert (await open_quote(bob, quote_id))["version"] == 4


async def test_without_the_right_nothing_is_written_on_any_way_in(site: Served) -> None:
    """An open connection and a new one, right and wrong contents alike: refused before anything is looked at."""
    quote_id = await make_quote(site)
    path, match = f"/api/v1/quotes/{quote_id}", {"If-Match": '"3"', "Content-Type": "application/json"}
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        await site.accounts.change_user("bob", denials=frozenset({"quote:edit"}))
        await bob.expect("quote_state", editable=False)
        assert (await edit(bob, quote_id, "notes", "x", 0, "g-1"))["error"]["code"] == "permission_denied"
        assert (await send(bob, quote_id, "state", '"ZZ"'))["code"] == "permission_denied"
        bob.say("field_focus", id=2, quote_id=quote_id, field="notes")
        assert (await bob.expect("reply", id=2))["error"]["code"] == "permission_denied"
    async with site.http("bob") as http:
        problem(await http.patch(path, content=b"{", headers=match), 403, "permission_denied")
        problem(await http.post(f"{path}/calculate"), 403, "permission_denied")
        assert (await http.get(path)).json()["version"] == 3


async def test_unknown_states_find_nothing_and_say_so(site: Served) -> None:
    """In the list's filter, whatever is sent for one."""
    async with site.http("bob") as http:
        for state in ("ZZ", "ca", "", "California", "C\u0410", "'; DROP TABLE quotes; --"):
            problem(await http.get("/api/v1/quotes", params={"state": state}), 400, "bad_request")
        for status in ("DRAFT", "", "lost"):
            problem(await http.get("/api/v1/quotes", params={"status": status}), 400, "bad_request")


def test_the_ways_are_json_or_said_to_be_none() -> None:
    """So that a value is refused for what it is, and not because the test misspelt it."""
    for name in FIELDS:
        for value in ways(name):
            msgspec.json.decode(value.encode(), type=msgspec.Raw)
