"""Tokens, keys and the HTTP side of rooms, against the whole process."""

from __future__ import annotations

import httpx2

from tests.support.platform import Served
from tests.support.ws_client import upgraded
from tidewire.accounts.api_keys import ApiKeys, NewKey
from tidewire.accounts.service import Accounts
from tidewire.core.clock import SystemClock
from tidewire.store.connections import Connections
from tidewire.store.database import Database

DAY_S = 86_400.0
BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b'{"room_id":"app:lobby"}',
    b'{"data":1}',
    b'{"room_id":7,"data":1}',
    b'{"room_id":"","data":1}',
    b'{"room_id":"no room","data":1}',
    b'{"room_id":"nowhere:x","data":1}',
    b'{"room_id":"quote:0","data":1}',
    b'{"room_id":"app:lobby","data":1,"volatile":"yes"}',
    b'{"room_id":"app:lobby","data":NaN}',
    b'{"room_id":"app:lobby","data":"\\ud800"}',
    b'{"room_id":"app:lobby","data":"\xff"}',
    b'{"room_id":"app:lobby","data":1e999}',
    b'{"room_id":"' + b"a" * 200 + b'","data":1}',
    b'{"room_id":"app:lobby","data":' + b"[" * 40 + b"]" * 40 + b"}",
]


async def make_key(site: Served, username: str = "ada", *permissions: str) -> NewKey:
    """Return a new key."""
    return await site.side.keys.create(username, "robot", life_s=DAY_S, permissions=permissions or None)


async def fetch_token(site: Served, username: str = "bob") -> str:
    """Return a connection token of somebody's browser."""
    async with site.http(username) as http:
        answer = await http.post("/api/v1/connection-token")
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


def problem(answer: httpx2.Response, status: int, code: str) -> None:
    """Check that an answer is a problem document that says what to do."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body = answer.json()
    assert body["code"] == code
    assert body["required_action"]
    assert body["will_not"]


async def test_a_token_in_the_query_opens_one_connection(site: Served) -> None:
    """It stands for its login once; the second use is closed with 4200; the logout ends the connection."""
    token = await fetch_token(site)
    async with upgraded(site.port, f"/ws?token={token}") as client:
        assert (await client.expect("connection", status="connected"))["user"]["username"] == "bob"
        async with upgraded(site.port, f"/ws?token={token}") as second:
            assert await second.close_code() == 4200
        await site.accounts.log_out(site.cookies["bob"])
        assert await client.close_code() == 4512


async def test_a_token_in_a_message_authenticates_and_refreshes(site: Served) -> None:
    """authenticate as the first message; auth_refresh with a token of the same user, not of another."""
    async with upgraded(site.port) as client:
        client.say("authenticate", id=1, token=await fetch_token(site))
        await client.expect("connection", status="connected")
        await client.expect("reply", id=1, ok=True)
        client.say("auth_refresh", id=2, token=await fetch_token(site))
        await client.expect("connection", status="refreshed")
        await client.expect("reply", id=2, ok=True)
        client.say("auth_refresh", id=3, token=await fetch_token(site, "ada"))
        await client.expect("reply", id=3, ok=False)


async def test_a_token_of_an_ended_login_is_worthless(site: Served) -> None:
    """Logging out between issue and use closes with 4200."""
    token = await fetch_token(site)
    await site.accounts.log_out(site.cookies["bob"])
    async with upgraded(site.port, f"/ws?token={token}") as client:
        assert await client.close_code() == 4200


async def test_tokens_are_not_for_strangers_or_foreign_pages(site: Served) -> None:
    """No login: 401. A cookie without Origin, or with a foreign one: 403."""
    cookie = {"Cookie": site.headers("bob")["Cookie"]}
    async with site.http() as http:
        problem(await http.post("/api/v1/connection-token"), 401, "unauthorized")
        assert (await http.post("/api/v1/connection-token", headers=cookie)).status_code == 403
        foreign = {**cookie, "Origin": "https://evil.example"}
        assert (await http.post("/api/v1/connection-token", headers=foreign)).status_code == 403


async def test_a_key_opens_a_socket_by_header_only(site: Served) -> None:
    """Authorization works; a key in the query is not taken, because queries are logged."""
    made = await make_key(site, "bob")
    async with upgraded(site.port, Authorization=f"Bearer {made.key}") as client:
        assert (await client.expect("connection"))["session_id"] == f"key-{made.record.id}"
    async with upgraded(site.port, f"/ws?token={made.key}") as client:
        assert await client.close_code() == 4200


async def test_the_command_line_reaches_living_sockets(site: Served) -> None:
    """A key revoked, a user disabled and a permission taken by another process are found by the review."""
    elsewhere = ApiKeys(site.web.storage.requests, secret_key="x" * 40, clock=SystemClock())
    made = await make_key(site, "mod")
    other = Accounts(site.web.storage.requests, secret_key="x" * 40)
    async with (
        upgraded(site.port, Authorization=f"Bearer {made.key}") as robot,
        site.raw("bob") as bob,
        site.raw("ada") as ada,
    ):
        for client in (robot, bob, ada):
            await client.expect("connection", status="connected")
        ada.say("subscribe", id=1, room_id="market:AAPL")
        await ada.expect("reply", id=1, ok=True)
        await elsewhere.revoke(made.record.id)
        await other.change_user("bob", disabled=True)
        await other.change_user("ada", denials=frozenset({"market:view"}))
        await site.side.watch.review()
        assert await robot.close_code() == 4512
        assert await bob.close_code() == 4511
        assert (await ada.expect("unsubscribed"))["reason"] == "permission_revoked"


async def test_publish_reaches_the_room(site: Served) -> None:
    """A program's message arrives; the answer says how many it reached and its place; a repetition is done once."""
    made = await make_key(site, "ada", "rooms:publish")
    headers = {"Authorization": f"Bearer {made.key}", "Idempotency-Key": "order-1"}
    async with site.raw("bob") as client, site.http(**headers) as http:
        client.say("subscribe", id=1, room_id="app:lobby")
        await client.expect("reply", id=1, ok=True)
        body = {"room_id": "app:lobby", "data": {"text": "hello"}}
        answers = [(await http.post("/api/v1/publish", json=body)).json() for _ in range(2)]
        message = await client.expect("room_message")
        assert message["data"] == {"text": "hello"}
        assert answers[0] == answers[1]
        assert (answers[0]["reached"], answers[0]["offset"]) == (1, 1)
        assert (answers[0]["epoch"], answers[0]["offset"]) == (message["epoch"], message["offset"])
        problem(await http.post("/api/v1/publish", json={**body, "data": 1}), 409, "idempotency_key_reused")
        volatile = await http.post(
            "/api/v1/publish", json={**body, "volatile": True}, headers={"Idempotency-Key": "order-2"}
        )
        assert "offset" not in volatile.json() or volatile.json()["offset"] is None
        assert "offset" not in await client.expect("room_message")


async def test_bad_publishes_are_refused(site: Served) -> None:
    """Each is answered with 400 and a sentence; nothing is published."""
    made = await make_key(site)
    headers = {"Authorization": f"Bearer {made.key}", "Content-Type": "application/json"}
    async with site.http(**headers) as http:
        for body in BAD_BODIES:
            problem(await http.post("/api/v1/publish", content=body), 400, "bad_request")
    assert site.side.hub.statistics().published == 0


async def test_publishing_needs_the_permission_and_the_room(site: Served) -> None:
    """A key without rooms:publish, a room that takes no client messages, a session cookie: each is refused."""
    plain, whole = await make_key(site, "bob"), await make_key(site)
    body = {"room_id": "app:lobby", "data": 1}
    async with site.http() as http:
        bearer = {"Authorization": f"Bearer {plain.key}"}
        problem(await http.post("/api/v1/publish", json=body, headers=bearer), 403, "permission_denied")
        bearer = {"Authorization": f"Bearer {whole.key}"}
        closed = {**body, "room_id": "market:AAPL"}
        problem(await http.post("/api/v1/publish", json=closed, headers=bearer), 403, "permission_denied")
        for wrong in ("Bearer nonsense", f"Basic {whole.key}", "Bearer", ""):
            given = {"Authorization": wrong} if wrong else {}
            problem(await http.post("/api/v1/publish", json=body, headers=given), 401, "unauthorized")
        long = {"Authorization": f"Bearer {whole.key}", "Idempotency-Key": "x" * 256}
        assert (await http.post("/api/v1/publish", json=body, headers=long)).status_code == 422
        huge = {**body, "data": "x" * 70_000}
        answer = await http.post("/api/v1/publish", json=huge, headers=bearer)
        problem(answer, 413, "too_large")
    async with site.http("ada") as http:
        problem(await http.post("/api/v1/publish", json=body), 401, "unauthorized")


async def test_a_key_that_publishes_too_fast_is_slowed(site: Served) -> None:
    """Beyond the burst the answer is 429 with Retry-After, and the message is not sent."""
    made = await make_key(site)
    refused = 0
    for _ in range(260):
        site.side.api._publish_rate.take(f"key-{made.record.id}", 0.0)
    async with site.http(Authorization=f"Bearer {made.key}") as http:
        site.side.api._clock = _Stopped()
        answer = await http.post("/api/v1/publish", json={"room_id": "app:lobby", "data": 1})
        problem(answer, 429, "rate_limited")
        refused += int(answer.headers["retry-after"])
    assert refused >= 1
    assert site.side.hub.statistics().published == 0


class _Stopped(SystemClock):
    """Time that stands at the beginning."""

    def monotonic(self) -> float:
        """Return zero."""
        return 0.0


async def test_history_is_what_the_room_remembers(site: Served) -> None:
    """The newest messages with their place, for whoever may enter; an empty room has none."""
    made = await make_key(site)
    async with site.http(Authorization=f"Bearer {made.key}") as http:
        empty = (await http.get("/api/v1/rooms/app:lobby/history")).json()
        assert empty == {"room_id": "app:lobby", "epoch": None, "offset": None, "messages": []}
        for n in range(5):
            await http.post("/api/v1/publish", json={"room_id": "app:lobby", "data": n})
    async with site.http("bob") as http:
        told = (await http.get("/api/v1/rooms/app:lobby/history", params={"limit": 2})).json()
        assert told["offset"] == 5
        assert [(message["offset"], message["data"]) for message in told["messages"]] == [(4, 3), (5, 4)]
        site.tick("AAPL", 5.0)
        problem(await http.get("/api/v1/rooms/admin:performance:1/history"), 403, "permission_denied")
        problem(await http.get("/api/v1/rooms/user:1/history"), 403, "permission_denied")
        problem(await http.get("/api/v1/rooms/nonsense/history"), 400, "bad_request")
        for limit in ("0", "1001", "x", "-1", "1e3"):
            wrong = await http.get("/api/v1/rooms/app:lobby/history", params={"limit": limit})
            assert wrong.status_code == 422
    async with site.http() as http:
        problem(await http.get("/api/v1/rooms/app:lobby/history"), 401, "unauthorized")


async def test_presence_is_who_is_inside(site: Served) -> None:
    """Users by name, however many connections; rooms that keep nobody say so."""
    async with site.raw("bob") as one, site.raw("bob") as two, site.http("ada") as http:
        for client in (one, two):
            client.say("subscribe", id=1, room_id="app:lobby")
            await client.expect("reply", id=1, ok=True)
        told = (await http.get("/api/v1/rooms/app:lobby/presence")).json()
        assert (told["count"], told["complete"]) == (1, True)
        assert [member["username"] for member in told["members"]] == ["bob"]
        problem(await http.get("/api/v1/rooms/market:AAPL/presence"), 400, "bad_request")
        nobody = (await http.get("/api/v1/rooms/app:empty/presence")).json()
        assert (nobody["count"], nobody["members"]) == (0, [])


async def test_connections_are_recorded(site: Served) -> None:
    """A row with user, address and path while it lives; its end and code afterwards."""
    connections = Connections(site.web.storage.requests)
    async with site.raw("bob", User_Agent="tests/1") as client:
        welcome = await client.expect("connection", status="connected")
        await site.side.log.flush()
        (row,) = await connections.recent()
        assert (row.connection_id, row.user_agent, row.path) == (welcome["connection_id"], "tests/1", "/ws")
        assert (row.ip_address, row.disconnected_at) == ("127.0.0.1", None)
        await site.accounts.log_out(site.cookies["bob"])
        assert await client.close_code() == 4512
    await site.platform.stop()
    database = Database(site.web.storage.requests.url.render_as_string(hide_password=False))
    (row,) = await Connections(database).recent()
    await database.stop()
    assert row.close_code == 4512
    assert row.disconnected_at is not None


async def test_metrics_show_the_hub(site: Served) -> None:
    """Connections, ends by code, refusals and the feeder are in /metrics."""
    async with upgraded(site.port, Origin=site.origin, Cookie="tidewire_session=" + "x" * 43) as client:
        assert await client.close_code() == 4500
        client.writer.close()
    async with site.raw("bob") as client, site.http("ada") as http:
        await client.expect("connection", status="connected")
        text = (await http.get("/metrics")).text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures["tidewire_hub_connections"]) >= 1
    assert float(figures["tidewire_hub_opened_total"]) == 2
    for name in ("hub_delivered_total", "market_rooms_fed", "connection_log_waiting", "connection_tokens_issued"):
        assert f"tidewire_{name}" in figures


async def test_the_asyncapi_document_is_for_those_who_are_logged_in(site: Served) -> None:
    """Served as built, and not to strangers."""
    async with site.http("bob") as http:
        document = (await http.get("/asyncapi.json")).json()
    assert document["channels"]["ws"]["address"] == "/ws"
    async with site.http() as http:
        problem(await http.get("/asyncapi.json"), 401, "unauthorized")


async def test_a_node_that_ends_is_not_ready(site: Served) -> None:
    """Load balancers stop sending while the hub says goodbye."""
    async with site.http() as http:
        assert (await http.get("/readyz")).status_code == 200
        await site.side.hub.drain(0.0)
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["hub"]["ok"]) == (503, False)


async def test_the_schema_names_the_routes(site: Served) -> None:
    """OpenAPI describes the routes and the body of publish, so that a program can be written from it."""
    async with site.http("bob") as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    schema = paths["/api/v1/publish"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == {"room_id", "data"}
    assert "get" in paths["/api/v1/rooms/{room_id}/history"]
