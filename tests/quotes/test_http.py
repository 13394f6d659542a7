"""Quotes over HTTP, with the rules of the socket."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from tests.support.platform import Served
from tests.support.quotes import BASIC, edit, make_quote, open_quote, rate
from tidewire.accounts.throttle import Throttle
from tidewire.core.clock import SystemClock
from tidewire.quotes.editing import QUOTED_LIFE_S
from tidewire.quotes.model import FIELDS

DAY_S = 86_400.0


class _Late(SystemClock):
    """Time that is so many seconds ahead."""

    def __init__(self, by_s: float) -> None:
        self._by_s = by_s

    def time(self) -> float:
        """Return the time in the future."""
        return super().time() + self._by_s


def _soon() -> str:
    return (datetime.now(UTC).date() + timedelta(days=7)).isoformat()


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem document that says what to do; return it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["required_action"]
    assert body["will_not"]
    return body


async def test_a_quote_is_made_and_read(site: Served) -> None:
    """201 with its address and ETag; the same under that address; every field is there."""
    async with site.http("bob") as http:
        made = await http.post("/api/v1/quotes", json={"fields": {**BASIC, "vehicle_value": 25000}})
        assert (made.status_code, made.headers["etag"], made.headers["cache-control"]) == (201, '"4"', "no-store")
        read = await http.get(made.headers["location"])
        assert read.json() == made.json()
        assert read.headers["etag"] == '"4"'
        body = read.json()
        known = {each["name"] for each in (await http.get("/api/v1/quotes/fields")).json()["fields"]}
    assert set(body["fields"]) == known
    assert body["fields"]["vehicle_value"] == {
        "value": "25000.00",
        "revision": 1,
        "by": "bob",
        "at": body["quote"]["created_at"],
    }
    assert body["fields"]["notes"] == {"value": None, "revision": 0, "by": None, "at": None}
    assert (body["quote"]["status"], body["editable"]) == ("draft", True)
    assert "driver_birth_date" in body["missing"]


async def test_a_repeated_request_makes_one_quote(site: Served) -> None:
    """With an Idempotency-Key; another request or another person under that key is told or makes another."""
    key = {"Idempotency-Key": "k-1"}
    body = {"fields": BASIC}
    async with site.http("bob") as bob, site.http("ada") as ada:
        first, second = [await bob.post("/api/v1/quotes", json=body, headers=key) for _ in range(2)]
        assert first.json() == second.json()
        # Something else, more, and less.
        less = {name: value for name, value in BASIC.items() if name != "notes"}
        for other in ({**BASIC, "state": "NY"}, {**BASIC, "vehicle_year": 2020}, less):
            body = {"fields": {**BASIC, "notes": "first"}}
            assert (await bob.post("/api/v1/quotes", json=body, headers={"Idempotency-Key": "k-2"})).status_code == 201
            refused = await bob.post("/api/v1/quotes", json={"fields": other}, headers={"Idempotency-Key": "k-2"})
            problem(refused, 409, "op_id_reused")
        theirs = await ada.post("/api/v1/quotes", json={"fields": BASIC}, headers=key)
        assert theirs.json()["quote_id"] != first.json()["quote_id"]
        assert (await ada.get("/api/v1/quotes")).json()["counts"]["draft"] == 3


async def test_a_repeated_creation_is_known_after_the_quote_has_changed(site: Served) -> None:
    """The same request still finds its quote, as it is now; another request under the key is still refused."""
    key = {"Idempotency-Key": "k-1"}
    async with site.http("bob") as http:
        made = await http.post("/api/v1/quotes", json={"fields": BASIC}, headers=key)
        path = made.headers["location"]
        for number, year in enumerate((2019, 2020)):
            match = {"If-Match": f'"{3 + number}"'}
            assert (await http.patch(path, json={"fields": {"vehicle_year": year}}, headers=match)).status_code == 200
        again = await http.post("/api/v1/quotes", json={"fields": BASIC}, headers=key)
        assert (again.status_code, again.headers["location"], again.json()["version"]) == (201, path, 5)
        other = {"fields": {**BASIC, "vehicle_year": 2019}}
        problem(await http.post("/api/v1/quotes", json=other, headers=key), 409, "op_id_reused")


async def test_a_repeated_patch_is_the_same_request(site: Served) -> None:
    """What had its value already is a part of it; what the first one did not set is another request, and not done."""
    quote_id = await make_quote(site)
    path, key = f"/api/v1/quotes/{quote_id}", {"If-Match": '"3"', "Idempotency-Key": "p-1"}
    async with site.http("bob") as http:
        fields = {"notes": "x", "state": BASIC["state"]}
        for _ in range(2):
            assert (await http.patch(path, json={"fields": fields}, headers=key)).json()["version"] == 4
        for other in ({**fields, "vehicle_year": 2020}, {**fields, "state": "NY"}, {"state": "CA"}, {"notes": "y"}):
            problem(await http.patch(path, json={"fields": other}, headers=key), 409, "op_id_reused")
        assert (await http.get(path)).json()["version"] == 4


async def test_bad_quotes_are_not_made(site: Served) -> None:
    """Each is refused with the fields named; nothing is stored."""
    async with site.http("bob") as http:
        missing = problem(await http.post("/api/v1/quotes", json={"fields": {"state": "CA"}}), 400, "invalid_fields")
        assert {error["field"] for error in missing["errors"]} == {"customer_name", "product"}
        wrong = {"fields": {**BASIC, "vehicle_year": 1, "state": "XX", "color": "red", "premium": "1.00"}}
        refused = problem(await http.post("/api/v1/quotes", json=wrong), 400, "invalid_fields")
        assert {error["field"] for error in refused["errors"]} == {"vehicle_year", "state", "color", "premium"}
        why = {error["field"]: error["reason"] for error in refused["errors"]}
        assert why["state"] == {"code": "no_state"}
        assert (why["vehicle_year"]["code"], why["vehicle_year"]["low"]) == ("range", FIELDS["vehicle_year"].low)
        assert refused["details"]["reasons"] == why
        headers = {"Content-Type": "application/json"}
        for body in (b"", b"{", b"[]", b"{}", b'{"fields":7}', b'{"fields":{"notes":NaN}}', b'{"fields":' + b"[" * 99):
            problem(await http.post("/api/v1/quotes", content=body, headers=headers), 400, "bad_request")
        huge = {"fields": {**BASIC, "notes": "x" * 1_000_000}}
        problem(await http.post("/api/v1/quotes", json=huge), 413, "too_large")
        assert (await http.get("/api/v1/quotes")).json()["quotes"] == []


async def test_a_patch_needs_the_version_and_is_whole(site: Served) -> None:
    """Without If-Match 428, with an old one 412; one wrong field changes none; viewers see each field."""
    quote_id = await make_quote(site)
    path = f"/api/v1/quotes/{quote_id}"
    async with site.http("bob") as http, site.raw("ada") as ada:
        await open_quote(ada, quote_id)
        body = {"fields": {"vehicle_year": 2020, "vehicle_make": "Ford", "notes": None}}
        problem(await http.patch(path, json=body), 428, "precondition_required")
        for tag in ("3", '"x"', "*", '"3", "4"', '"0"'):
            problem(await http.patch(path, json=body, headers={"If-Match": tag}), 400, "bad_request")
        old = problem(await http.patch(path, json=body, headers={"If-Match": '"2"'}), 412, "precondition_failed")
        assert old["details"] == {"version": 3}
        wrong = {"fields": {**body["fields"], "state": "XX"}}
        problem(await http.patch(path, json=wrong, headers={"If-Match": '"3"'}), 400, "invalid_fields")
        assert (await http.get(path)).json()["version"] == 3
        headers = {"If-Match": '"3"', "Idempotency-Key": "p-1"}
        done = await http.patch(path, json=body, headers=headers)
        assert (done.status_code, done.headers["etag"]) == (200, '"5"')
        updates = [await ada.expect("field_update") for _ in range(2)]
        assert [(each["field"], each["version"]) for each in updates] == [("vehicle_year", 4), ("vehicle_make", 5)]
        again = await http.patch(path, json=body, headers=headers)
        assert (again.status_code, again.json()["version"]) == (200, 5)
        changes = (await http.get(f"{path}/changes")).json()["changes"]
        assert [change["version"] for change in changes] == [5, 4, 3, 2, 1]
        assert {change["connection"] for change in changes} == {"http"}


async def test_the_history_is_paged_and_undone(site: Served) -> None:
    """Newest first; undoing is a new change, refused when the field has been changed since, or cannot be undone."""
    quote_id = await make_quote(site)
    path = f"/api/v1/quotes/{quote_id}"
    async with site.http("bob") as http, site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        for n in range(3):
            assert (await edit(bob, quote_id, "notes", f"n{n}", n, f"b-{n}"))["ok"]
        page = (await http.get(f"{path}/changes", params={"limit": 4})).json()
        assert [change["version"] for change in page["changes"]] == [6, 5, 4, 3]
        rest = (await http.get(f"{path}/changes", params={"before": page["next"]})).json()
        assert ([change["version"] for change in rest["changes"]], rest["next"]) == ([2, 1], None)
        problem(await http.post(f"{path}/undo", json={"version": 5}), 409, "conflict")
        problem(await http.post(f"{path}/undo", json={"version": 99}), 404, "not_found")
        problem(await http.post(f"{path}/undo", json={"version": "x"}), 400, "bad_request")
        problem(await http.post(f"{path}/undo", json={"version": 1}), 400, "invalid_fields")
        key = {"Idempotency-Key": "u-1"}
        for _ in range(2):
            undone = await http.post(f"{path}/undo", json={"version": 6}, headers=key)
            assert undone.json()["fields"]["notes"]["value"] == "n1"
            assert undone.json()["version"] == 7
        problem(await http.post(f"{path}/undo", json={"version": 7}, headers=key), 409, "op_id_reused")
        update = await bob.expect("field_update", version=7)
        assert (update["value"], update["revision"]) == ("n1", 4)
        newest = (await http.get(f"{path}/changes", params={"limit": 1})).json()["changes"][0]
        assert (newest["reason"], newest["before"], newest["after"]) == ("undo of version 6", "n2", "n1")


async def test_only_a_quoted_quote_is_bound_and_then_nothing_changes(site: Served) -> None:
    """A draft is not bound; a rated one is, at the version that was seen; then edits are refused with the reason."""
    quote_id = await make_quote(site, effective_date=_soon())
    path = f"/api/v1/quotes/{quote_id}"
    async with site.http("mod") as http, site.raw("mod") as mod:
        await open_quote(mod, quote_id)
        problem(await http.post(f"{path}/bind", headers={"If-Match": '"4"'}), 409, "not_quoted")
        await rate(site, quote_id)
        assert (await mod.expect("quote_update", update_type="status"))["data"]["status"] == "quoted"
        problem(await http.post(f"{path}/bind"), 428, "precondition_required")
        problem(await http.post(f"{path}/bind", headers={"If-Match": '"4"'}), 412, "precondition_failed")
        bound = await http.post(f"{path}/bind", headers={"If-Match": '"6"', "Idempotency-Key": "b-1"})
        assert (bound.status_code, bound.json()["quote"]["status"]) == (200, "bound")
        assert (bound.json()["editable"], bound.json()["quote"]["expires_at"]) == (False, None)
        again = await http.post(f"{path}/bind", headers={"If-Match": '"6"', "Idempotency-Key": "b-1"})
        assert again.json()["version"] == 7
        assert (await mod.expect("quote_update", update_type="status"))["data"]["status"] == "bound"
        refused = await edit(mod, quote_id, "notes", "late", 0, "m-1")
        assert refused["error"]["code"] == "quote_bound"
        body = {"fields": {"notes": "late"}}
        problem(await http.patch(path, json=body, headers={"If-Match": '"7"'}), 409, "quote_bound")
        assert (await http.get(path)).json()["version"] == 7


async def test_an_edit_of_a_fact_makes_a_quoted_quote_a_draft(site: Served) -> None:
    """The premium goes with the facts it was made for; notes change nothing of it."""
    quote_id = await make_quote(site)
    async with site.raw("mod") as mod:
        await open_quote(mod, quote_id)
        await rate(site, quote_id)
        assert (await edit(mod, quote_id, "notes", "x", 0, "m-1"))["data"]["version"] == 6
        state = await open_quote(mod, quote_id)
        assert (state["quote"]["status"], state["quote"]["premium"]["amount"]) == ("quoted", "1204.00")
        assert (await edit(mod, quote_id, "vehicle_year", 2020, 0, "m-2"))["ok"]
        state = await open_quote(mod, quote_id)
        assert (state["version"], state["quote"]["status"], state["quote"]["premium"]) == (9, "draft", None)


async def test_what_is_over_expires(site: Served) -> None:
    """A quoted quote past its time refuses edits at once; the job expires it once, tells those inside, and no other."""
    quote_id, other = await make_quote(site), await make_quote(site)
    await rate(site, quote_id)
    side = site.side.quotes
    async with site.raw("bob") as bob:
        state = await open_quote(bob, quote_id)
        late = _Late(QUOTED_LIFE_S + 60.0)
        side.desk._clock = side.expiry._clock = side.expiry._desk._clock = late
        refused = await edit(bob, quote_id, "notes", "late", 0, "b-1")
        assert refused["error"]["code"] == "quote_expired"
        assert await side.expiry.step() == 1
        assert await side.expiry.step() == 0
        told = await bob.expect("quote_update", update_type="status")
        assert (told["data"]["status"], told["version"]) == ("expired", state["version"] + 1)
        assert (await open_quote(bob, quote_id))["editable"] is False
        assert (await open_quote(bob, other))["quote"]["status"] == "draft"


async def test_the_list_over_http(site: Served) -> None:
    """Pages, search, filters and counts; wrong words are refused."""
    numbers = [await make_quote(site, customer_name=f"Customer {n}", state=("CA", "NY")[n % 2]) for n in range(5)]
    async with site.http("bob") as http:
        seen: list[str] = []
        after = None
        while True:
            given = {"limit": 2} if after is None else {"limit": 2, "after": after}
            page = (await http.get("/api/v1/quotes", params=given)).json()
            assert page["counts"] == {"draft": 5, "quoted": 0, "bound": 0, "expired": 0}
            seen += [quote["id"] for quote in page["quotes"]]
            if (after := page["next"]) is None:
                break
        assert seen == numbers[::-1]
        found = (await http.get("/api/v1/quotes", params={"search": "customer 3", "status": "draft"})).json()
        assert [(row["customer_name"], row["state"]) for row in found["quotes"]] == [("Customer 3", "NY")]
        assert found["counts"]["draft"] == 1
        states = (await http.get("/api/v1/quotes", params={"state": ["CA", "NY"]})).json()
        assert (len(states["quotes"]), states["may_create"]) == (5, True)
        for name, value in [("status", "lost"), ("state", "XX"), ("after", "nonsense"), ("after", "WzEsMl0")]:
            problem(await http.get("/api/v1/quotes", params={name: value}), 400, "bad_request")
        for name, value in [("limit", "0"), ("limit", "201"), ("search", "x" * 121), ("after", "x" * 200)]:
            assert (await http.get("/api/v1/quotes", params={name: value})).status_code == 422


async def test_strangers_and_those_without_permission_get_nothing(site: Served) -> None:
    """No login 401; no Origin 403; without quote:edit one reads and does not write; without quote:view neither."""
    quote_id = await make_quote(site)
    path = f"/api/v1/quotes/{quote_id}"
    cookie = {"Cookie": site.headers("bob")["Cookie"]}
    async with site.http() as http:
        for each in ("", "/fields", f"/{quote_id}", f"/{quote_id}/changes"):
            problem(await http.get(f"/api/v1/quotes{each}"), 401, "unauthorized")
        problem(await http.post("/api/v1/quotes", json={"fields": BASIC}), 401, "unauthorized")
        assert (await http.post("/api/v1/quotes", json={"fields": BASIC}, headers=cookie)).status_code == 403
    await site.accounts.change_user("bob", denials=frozenset({"quote:edit"}))
    async with site.http("bob") as http:
        read = await http.get(path)
        assert (read.status_code, read.json()["editable"]) == (200, False)
        assert (await http.get("/api/v1/quotes")).json()["may_create"] is False
        match = {"If-Match": '"3"'}
        writes = [
            await http.post("/api/v1/quotes", json={"fields": BASIC}),
            await http.patch(path, json={"fields": {"notes": "x"}}, headers=match),
            await http.post(f"{path}/undo", json={"version": 1}),
            await http.post(f"{path}/bind", headers=match),
        ]
        for answer in writes:
            problem(answer, 403, "permission_denied")
    await site.accounts.change_user("bob", denials=frozenset({"quote:view"}))
    async with site.http("bob") as http:
        for each in ("", "/fields", f"/{quote_id}", f"/{quote_id}/changes"):
            problem(await http.get(f"/api/v1/quotes{each}"), 403, "permission_denied")


async def test_what_is_no_quote_is_refused(site: Served) -> None:
    """A wrong number is a bad request, an unknown one is not found."""
    async with site.http("bob") as http:
        problem(await http.get(f"/api/v1/quotes/{uuid.uuid4()}"), 404, "not_found")
        problem(await http.get(f"/api/v1/quotes/{uuid.uuid4()}/changes"), 404, "not_found")
        for wrong in ("x", str(uuid.uuid4()).upper(), "1" * 36):
            problem(await http.get(f"/api/v1/quotes/{wrong}"), 400, "bad_request")


async def test_a_program_with_a_key_may_what_its_user_may(site: Served) -> None:
    """An API key works like a login, without an Origin."""
    made = await site.side.keys.create("bob", "robot", life_s=DAY_S)
    async with site.http(Authorization=f"Bearer {made.key}") as http:
        answer = await http.post("/api/v1/quotes", json={"fields": BASIC})
        assert (answer.status_code, answer.json()["quote"]["created_by"]) == (201, "bob")


async def test_one_user_writes_at_a_pace(site: Served) -> None:
    """Past the burst every kind of write is 429 with Retry-After and does nothing; others write on, and all read on."""
    quote_id = await make_quote(site, "ada")
    path = f"/api/v1/quotes/{quote_id}"
    # A pace so slow that the test cannot last until there is another turn.
    site.side.quotes.pace._rate = Throttle(burst=2, every_s=3_600.0)
    async with site.http("bob") as http, site.http("ada") as ada:
        match = {"If-Match": '"3"'}
        assert (await http.post("/api/v1/quotes", json={"fields": BASIC})).status_code == 201
        assert (await http.patch(path, json={"fields": {"notes": "x"}}, headers=match)).status_code == 200
        match = {"If-Match": '"4"'}
        late = [
            await http.post("/api/v1/quotes", json={"fields": BASIC}),
            await http.patch(path, json={"fields": {"notes": "y"}}, headers=match),
            await http.post(f"{path}/undo", json={"version": 4}),
            await http.post(f"{path}/calculate"),
            await http.post(f"{path}/bind", headers=match),
        ]
        for answer in late:
            refused = problem(answer, 429, "rate_limited")
            assert 3_599_000 < refused["retry_after_ms"] <= 3_600_000
            assert answer.headers["Retry-After"] == "3600"
        assert (await http.get(path)).json()["version"] == 4
        assert (await http.get("/api/v1/quotes")).json()["counts"]["draft"] == 2
        problem(await http.get(f"{path}/calculation"), 404, "not_found")
        assert (await ada.patch(path, json={"fields": {"notes": "z"}}, headers=match)).status_code == 200
    assert site.side.quotes.statistics()["http_writes_refused"] == len(late)


async def test_the_documents_say_what_every_write_may_answer(site: Served) -> None:
    """OpenAPI has the pace's 429 and the Idempotency-Key at each write of quotes."""
    async with site.http("ada") as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    writes = [
        operation
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/api/v1/quotes") and method != "get"
    ]
    assert len(writes) == 5
    for operation in writes:
        assert {"400", "401", "403", "409", "429", "503"} <= set(operation["responses"]), operation
        assert "Idempotency-Key" in {each["name"] for each in operation["parameters"]}, operation["summary"]
