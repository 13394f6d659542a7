"""The door as programs see it: guards, headers, error documents, the access log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import structlog

from tests.web.conftest import ORIGIN, PASSWORD, Visitor, open_socket
from tests.web.test_origin import FOREIGN
from tidewire.web.http import Door
from tidewire.web.security import HttpSecurity, security_headers
from tidewire.web.session import session_token_from_scope

JSON = "application/json"
# HTTP strips spaces around a header's value, and localhost is an own origin of the server under test.
SENDABLE = {origin for origin in FOREIGN if origin and origin.isascii() and origin.strip() == origin}
SENDABLE.remove("http://localhost:8000")


@pytest.fixture
async def program(door: Door) -> AsyncIterator[httpx2.AsyncClient]:
    """A program: no cookies, no Accept: text/html."""
    transport = httpx2.ASGITransport(app=door.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


def assert_problem(response: httpx2.Response, status: int, code: str) -> None:
    """Check that ``response`` is a whole problem document."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    for name in ("type", "title", "detail", "instance", "required_action", "will_not", "correlation_id"):
        assert document[name], name
    assert (document["status"], document["code"]) == (status, code)
    assert document["correlation_id"] == response.headers["x-request-id"]


async def test_every_answer_has_the_headers(program: httpx2.AsyncClient, visitor: Visitor) -> None:
    """Pages, redirects, JSON, errors and refusals by a guard alike."""
    expected = security_headers(HttpSecurity.build(host="127.0.0.1", port=8000))
    answers = [
        await visitor.get("/login"), await visitor.get("/page"), await program.get("/livez"),
        await program.get("/nope"), await program.get("/fault"),
        await program.get("/x", headers={"Host": "evil.example"}),
        await program.post("/echo", content=b"x" * 70_000), await program.post("/x", headers={"Origin": "null"}),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 303, 200, 404, 500, 400, 413, 403]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in expected} == expected
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_the_policy_allows_nothing_foreign() -> None:
    """No foreign host, no inline code, no frames; sockets only to our own origins."""
    rules = HttpSecurity.build(host="h", port=1, allowed_origins=["https://app.example.com", "http://[::1]:8000"])
    policy = security_headers(rules)["Content-Security-Policy"]
    assert dict(part.split(" ", 1) for part in policy.split("; ")) == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
        "font-src": "'self'", "connect-src": "'self' wss://app.example.com", "manifest-src": "'self'",
        "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'", "object-src": "'none'",
    }  # fmt: skip
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "Strict-Transport-Security" not in security_headers(rules)
    secure = HttpSecurity.build(host="h", port=1, allowed_origins=["https://app.example.com"])
    assert "Strict-Transport-Security" in security_headers(secure)


async def test_a_route_may_set_its_own_policy(door: Door, program: httpx2.AsyncClient) -> None:
    """A header that an answer sets is not overwritten."""
    from starlette.responses import PlainTextResponse

    @door.app.get("/own")
    async def own() -> PlainTextResponse:
        return PlainTextResponse(
            "x", headers={"Content-Security-Policy": "default-src 'self'", "Cache-Control": "public"}
        )

    response = await program.get("/own")
    assert response.headers["content-security-policy"] == "default-src 'self'"
    assert response.headers["cache-control"] == "public"


async def test_errors_are_documents(program: httpx2.AsyncClient) -> None:
    """Every kind of failure has status, code, what to do, what not, and an id."""
    assert_problem(await program.get("/api/me"), 401, "unauthorized")
    assert_problem(await program.get("/nope"), 404, "not_found")
    wrong_method = await program.delete("/livez")
    assert_problem(wrong_method, 405, "method_not_allowed")
    assert wrong_method.headers["allow"] == "GET"
    for path, code in (("/api/store", "storage_unavailable"), ("/api/bus", "broker_unavailable")):
        response = await program.get(path)
        assert_problem(response, 503, code)
        assert response.headers["retry-after"] == "2"
    assert_problem(await program.get("/fault"), 500, "internal_error")


async def test_wrong_fields_are_named_without_their_values(program: httpx2.AsyncClient) -> None:
    """A validation error says where and what, never what was sent."""
    response = await program.post("/api/things", json={"password": "hunter22"})
    assert_problem(response, 422, "unprocessable_content")
    assert response.json()["errors"][0]["field"] == "body.password"
    assert "hunter22" not in response.text
    assert (await program.post("/api/things", content=b"{", headers={"Content-Type": JSON})).status_code == 422


async def test_browsers_get_a_page(visitor: Visitor) -> None:
    """The same facts as HTML; the path is not repeated as markup."""
    response = await visitor.get("/nope/<script>")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    assert "There is nothing at this address." in response.text
    assert response.headers["x-request-id"] in response.text
    assert "<script>" not in response.text


@pytest.mark.parametrize("accept", ["text/html", JSON])
async def test_a_fault_shows_nothing_and_logs_everything(door: Door, visitor: Visitor, accept: str) -> None:
    """Outside a generic text and an id, inside the traceback under that id."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        response = await visitor.get("/fault", Accept=accept)
    assert response.status_code == 500
    assert "secret inside" not in response.text
    assert "ZeroDivision" not in response.text
    fault = next(entry for entry in logs if entry["event"] == "request_fault")
    assert fault["exc_info"]
    assert fault["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-request-id"] in response.text
    assert door.counters.faults == 1


async def test_the_access_log_holds_no_secret(visitor: Visitor) -> None:
    """One line per request with path, status and user; no query, cookie, token or password."""
    with structlog.testing.capture_logs() as logs:
        await visitor.log_in(path="/login?next=/page&canary=q1u2e3r4y")
        await visitor.get("/page?token=q1u2e3r4y", Authorization="Bearer q1u2e3r4y")
        await visitor.get("/livez")
    lines = [entry for entry in logs if entry["event"] == "request"]
    assert [(line["method"], line["path"], line["status"], line["user"]) for line in lines] == [
        ("GET", "/login", 200, None), ("POST", "/login", 303, None), ("GET", "/page", 200, "ada"),
        ("GET", "/livez", 200, None),
    ]  # fmt: skip
    assert [line["log_level"] for line in lines] == ["info", "info", "info", "debug"]
    everything = json.dumps(logs, default=str)
    assert visitor.session
    for secret in ("q1u2e3r4y", PASSWORD, visitor.session):
        assert secret not in everything


async def test_request_ids_are_ours(program: httpx2.AsyncClient) -> None:
    """An id sent by the client is not taken over."""
    ids = {(await program.get("/livez", headers={"X-Request-ID": "mine"})).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5
    assert "mine" not in ids


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "127.0.0.1@evil", "", "127.0.0.1/x", "[::]"],
)
async def test_unknown_hosts_are_refused(program: httpx2.AsyncClient, host: str) -> None:
    """Before anything else; probes by address are the exception."""
    assert_problem(await program.get("/page", headers={"Host": host}), 400, "host_refused")
    assert (await program.get("/livez", headers={"Host": host})).status_code == 200


async def test_forwarded_headers_change_nothing(program: httpx2.AsyncClient) -> None:
    """X-Forwarded-Host and -Proto are not believed, for hosts or origins."""
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    response = await program.post("/echo", headers={**forged, "Origin": "https://evil.example"})
    assert_problem(response, 403, "origin_refused")
    assert (await program.get("/livez", headers=forged)).status_code == 200


@pytest.mark.parametrize("origin", sorted(SENDABLE))
async def test_foreign_writes_are_refused(program: httpx2.AsyncClient, origin: str) -> None:
    """The whole matrix, on a real request, for every writing method; with a cookie or without."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for cookie in ({}, {"Cookie": "tidewire_session=x"}):
            response = await program.request(method, "/echo", headers={"Origin": origin, **cookie})
            assert_problem(response, 403, "origin_refused")


async def test_writes_without_origin(program: httpx2.AsyncClient) -> None:
    """A program without cookies passes; a cookie needs Origin, or the browser's word that the page is ours."""
    cookie = {"Cookie": "anything=x"}
    assert (await program.post("/echo")).status_code == 200
    assert_problem(await program.post("/echo", headers=cookie), 403, "origin_refused")
    for site, status in (("same-origin", 200), ("same-site", 403), ("cross-site", 403), ("none", 403)):
        response = await program.post("/echo", headers={**cookie, "Sec-Fetch-Site": site})
        assert response.status_code == status
    assert (await program.post("/echo", headers={**cookie, "Origin": ORIGIN})).status_code == 200
    twice = [("Origin", ORIGIN), ("Origin", "https://evil.example"), ("Cookie", "a=b")]
    assert (await program.post("/echo", headers=twice)).status_code == 403
    assert (await program.get("/livez", headers={**cookie, "Origin": "https://evil.example"})).status_code == 200


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "TEXT/PLAIN;a=b", None],
)
async def test_the_api_reads_no_forms(program: httpx2.AsyncClient, media_type: str | None) -> None:
    """What a foreign form could send is not read as JSON."""
    headers = {} if media_type is None else {"Content-Type": media_type}
    response = await program.post("/api/things", content=b'{"a": 1}', headers={**headers, "Origin": ORIGIN})
    assert_problem(response, 415, "wrong_media_type")
    good = await program.post("/api/things", json={"a": 1})
    assert (good.status_code, good.json()) == (200, {"a": 1})


async def test_bodies_are_bounded(program: httpx2.AsyncClient) -> None:
    """At the limit it passes; above it is refused, announced or not, on routes that read JSON too."""
    assert (await program.post("/echo", content=b"x" * 65_536)).json() == {"bytes": 65_536}
    assert_problem(await program.post("/echo", content=b"x" * 65_537), 413, "too_large")
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1_000):
            read += 1
            yield b"[" * 1_000

    for path in ("/echo", "/api/things"):
        response = await program.post(path, content=pieces(), headers={"Content-Type": JSON})
        assert_problem(response, 413, "too_large")
    for absurd in ("-1", "1e9", "9" * 30, "0x10", "²"):
        headers = [("Content-Length", absurd.encode())]
        assert (await program.post("/echo", content=b"x", headers=headers)).status_code == 413


def test_limits_by_path() -> None:
    """The longest prefix decides."""
    rules = HttpSecurity(frozenset(), frozenset(), body_max_bytes=10, body_limits={"/api/": 20, "/api/big/": 30})
    assert [rules.body_limit(path) for path in ("/", "/api/x", "/api/big/x", "/api")] == [10, 20, 30, 10]


OURS = ("Origin", ORIGIN)


async def test_websockets_pass_the_same_guards(door: Door) -> None:
    """Foreign, null and missing-with-cookie Origins and foreign hosts are refused before the upgrade."""
    for headers in ([OURS], [], [OURS, ("Cookie", "a=b")]):
        sent = await open_socket(door, *headers)
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
        assert sent[1]["text"] == "nobody"
    refused = [
        [("Origin", "https://evil.example")], [("Origin", "null")], [("Cookie", "a=b")],
        [OURS, ("Host", "evil.example")],
        [("Origin", ORIGIN + ".evil.example")], [("Origin", "https://127.0.0.1:8000")], [OURS, OURS],
        [OURS, ("Host", "127.0.0.1:8000"), ("Host", "127.0.0.1:8000")],
    ]  # fmt: skip
    for headers in refused:
        start, body = await open_socket(door, *headers)
        assert (start["type"], body["type"]) == ("websocket.http.response.start", "websocket.http.response.body")
        expected = (400, "host_refused") if "Host" in dict(headers) else (403, "origin_refused")
        assert (start["status"], json.loads(body["body"])["code"]) == expected
        names = {name for name, _ in start["headers"]}
        assert {b"content-security-policy", b"x-request-id"} <= names
    assert door.counters.websockets == 3 + len(refused)


async def test_a_server_without_denial_answers_closes(door: Door) -> None:
    """Where the server has no denial extension, the socket is closed before it is accepted."""
    sent = await open_socket(door, ("Origin", "null"), denial=False)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "origin_refused"}]


async def test_a_socket_knows_its_user(door: Door, visitor: Visitor) -> None:
    """The handshake carries the principal; after logout the same cookie is nobody."""
    await visitor.log_in()
    cookie = ("Cookie", f"tidewire_session={visitor.session}")
    assert (await open_socket(door, OURS, cookie))[1]["text"] == "ada"
    await visitor.post("/logout", await visitor.form("/logout"))
    assert (await open_socket(door, OURS, cookie))[1]["text"] == "nobody"


@pytest.mark.parametrize(
    ("lines", "token"),
    [
        (["tidewire_session=abc"], "abc"), (["a=b; tidewire_session=abc ; c=d"], "abc"), ([], None), (["a=b"], None),
        (["tidewire_session=a", "tidewire_session=b"], None), (["tidewire_session=a; tidewire_session=a"], None),
        (["a=b", "tidewire_session=abc"], "abc"), (["xtidewire_session=abc"], None), (["tidewire_session"], ""),
    ],
)  # fmt: skip
def test_the_token_in_a_scope(lines: list[str], token: str | None) -> None:
    """The only cookie of that name, from one header or several; two are not believed."""
    assert session_token_from_scope({"headers": [(b"cookie", line.encode()) for line in lines]}) == token


async def test_docs_do_not_load_from_elsewhere(program: httpx2.AsyncClient) -> None:
    """FastAPI's own documentation pages use a foreign host, and its schema is for everybody: all are off."""
    assert (await program.get("/docs")).status_code == 404
    assert (await program.get("/redoc")).status_code == 404
    assert (await program.get("/openapi.json")).status_code == 404


async def test_answers_are_counted(door: Door, program: httpx2.AsyncClient) -> None:
    """By status, for metrics; a websocket is counted by itself."""
    for path in ("/livez", "/livez", "/nope"):
        await program.get(path)
    assert dict(door.counters.by_status) == {200: 2, 404: 1}
