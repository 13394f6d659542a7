"""What a query of an API asks for and cannot be: refused in words on every route, never left out or widened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.app.test_refusals import lines
from tests.support.platform import Served, served

A = "/api/v1/admin"
# By list: what each may not be asked. Names that a list does not take, and names given twice, are tried on every route.
IMPOSSIBLE = {
    f"{A}/connections": [
        "slow=banana", "slow=", "sort=password", "sort=", "descending=sideways", "cursor=banana", "limit=0", "limit=",
        "limit=-1", "limit=1e9", "limit=1.5", f"text={'x' * 201}",
    ],
    f"{A}/connections/closed": ["limit=0", "limit=banana", f"text={'x' * 201}"],
    f"{A}/connections/export": ["format=xml", "format=", "", "format=csv&sort=x", "format=csv&slow=x"],
    f"{A}/rooms": ["sort=%27%3B--", "cursor=banana", "cursor=WyJhIiwieCJd", "limit=0", f"prefix={'x' * 201}"],
    f"{A}/rooms/export": ["format=xml", "format=csv&sort=x", "format=csv&descending=x"],
    f"{A}/activity": [
        "who=%00", "action=USER", "action=%27%3B--", "since=banana", "since=2026-01-01", "since=nan", "since=-1",
        "until=1e400", "since=2000&until=1000", "cursor=banana", "limit=201",
    ],
    f"{A}/activity/export": ["format=xml", "format=csv&since=banana", "format=csv&who=%00"],
    f"{A}/alerts": ["view=banana", "view=", "severity=banana", "sort=x", "cursor=banana", "limit=0"],
    f"{A}/users": [
        "role=banana", "disabled=banana", "disabled=", "sort=password_hash", "cursor=banana", "limit=0", "keep=banana",
        "keep=1,x", f"keep={'9' * 16}",
    ],
    f"{A}/bans": ["sort=reason", "state=banana", "state=", "cursor=banana", "cursor=-1", "keep=x", "limit=0"],
    f"{A}/analytics/history": ["", "name=banana", "name=", "name=tidewire_nodes&seconds=1e9"],
    f"{A}/analytics/performance-history": ["", "metric=banana", "metric="],
    f"{A}/traces/stream": ["", "user=", "user=bob&room=app:x", "user=bob&seconds=0", "user=bob&seconds=x"],
    "/api/v1/quotes": [
        "status=nope", "status=draft&status=nope", "status=", "state=XX", "product=UPPER", "created_from=banana",
        "created_from=nan", "created_from=-1", "created_from=5&created_before=3", "after=banana", "limit=0",
    ],
    "/api/v1/market/symbols": ["limit=0", "limit=101", f"prefix={'x' * 33}"],
    f"{A}/users/nobody": [""],
    "/api/v1/rooms/app:x/history": ["limit=0", "limit=banana"],
}  # fmt: skip
RIGHTS = frozenset({"analytics:read", "audit:read", "users:manage", "quote:view", "market:view"})


def assert_refused(answer: httpx2.Response, asked: str) -> dict[str, Any]:
    """Check that an answer is a refusal in three sentences; return it."""
    assert answer.status_code in (400, 422), (asked, answer.status_code, answer.text[:200])
    body: dict[str, Any] = answer.json()
    assert all(body[sentence] for sentence in ("detail", "required_action", "will_not")), (asked, body)
    return body


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Served]:
    """A process, in which ada may look at everything."""
    async with served(tmp_path) as site:
        await site.accounts.change_user("ada", grants=RIGHTS)
        await site.log_in("ada")
        yield site


async def test_no_api_takes_a_name_that_it_does_not_know_or_one_thing_twice(site: Served) -> None:
    """Every route under /api that reads: an unknown name is refused with those there are, a doubled one as such."""
    async with site.http("ada") as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
        routes = {path: each["get"] for path, each in paths.items() if path.startswith("/api/") and "get" in each}
        assert len(routes) > 30
        for path, route in routes.items():
            query = [each for each in route.get("parameters", []) if each["in"] == "query"]
            address = path.replace("{", "").replace("}", "").replace("user_id", "1")
            body = assert_refused(await http.get(address, params={"colour": "blue"}), address)
            names = sorted(each["name"] for each in query)
            assert body["details"]["fields"].keys() == {"colour"}
            assert all(name in body["detail"] for name in names), body["detail"]
            for each in query:
                if each["schema"].get("type") == "array" or "anyOf" in each["schema"]:
                    continue
                twice = await http.get(address, params=[(each["name"], "a"), (each["name"], "b")])
                assert each["name"] in assert_refused(twice, f"{address} {each['name']}")["details"]["fields"]


async def test_what_a_list_cannot_be_asked_is_refused_in_words(site: Served) -> None:
    """Impossible filters, sorts, pages, cursors, numbers and times, and empty ones where there is no such choice."""
    async with site.http("ada") as http:
        for path, queries in IMPOSSIBLE.items():
            for query in queries:
                assert_refused(await http.get(f"{path}?{query}"), f"{path}?{query}")


async def test_who_may_not_look_is_told_that_first(site: Served) -> None:
    """A stranger is asked to log in, whatever the query; nothing is said of the route."""
    async with site.http() as nobody:
        answer = await nobody.get(f"{A}/users", params={"colour": "blue"})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert "sort" not in answer.text


async def test_who_lacks_the_right_is_told_that_whatever_the_query(site: Served) -> None:
    """Every operators' route answers bob with 403 and nothing of its parameters; the refusals are written down."""
    await site.log_in("bob")
    async with site.http("bob") as http:
        async with site.http("ada") as schema:
            paths = (await schema.get("/openapi.json")).json()["paths"]
        guarded = [path for path, each in paths.items() if path.startswith(A) and "get" in each]
        assert len(guarded) > 20
        for path in guarded:
            answer = await http.get(path.replace("{", "").replace("}", ""), params={"colour": "blue"})
            assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), (path, answer.text[:200])
            assert "colour" not in answer.text
    refused = {target for _, action, target, _, _ in await lines(site) if action == "access.refused"}
    assert refused == {f"GET {path}" for path in guarded}
