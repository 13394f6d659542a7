"""The HTTP API under input that nobody would send: every route answers, and never with a fault of ours."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app.test_rooms_api import make_key
from tests.support.platform import served

# Asked for one by one by everybody: a route that is never entered is not tested. Ada, the administrator, is user 1.
KNOWN = ["app:lobby", "market:AAPL", "user:1", "admin:performance:1", f"quote:{UUID(int=7)}", "analytics:quotes"]
KNOWN += ["*", "..", "%00", "app:" + "x" * 300, "admin:performance:2"]
NAMES = st.one_of(st.sampled_from(KNOWN), st.text(min_size=1, max_size=40))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda name, data: {"room_id": name, "data": data}, NAMES, JSON),
    st.dictionaries(st.sampled_from(["room_id", "data", "volatile", "x"]), JSON, max_size=4),
    st.sampled_from(
        [b"[" * 20_000, b'{"room_id":"app:x","data":%b}' % (b"1" * 5_000), b'{"room_id":"app:x","data":"\\ud8"}']
    ),
)
# What h11 and proxies let through in a header.
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Idempotency-Key", "Content-Type", "Accept", "X-Forwarded-For", "X-Request-Id", "Range", "If-Match"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60),
    max_size=3,
)
QUERY = st.dictionaries(st.sampled_from(["limit", "token", "verbose", "x"]), st.text(max_size=12), max_size=3)


def test_no_request_is_answered_with_a_fault(tmp_path: Path) -> None:
    """Every operation under /api/, as an administrator, as a program and as nobody: below 500, JSON if said so."""
    with asyncio.Runner() as runner:
        site = served(tmp_path)
        made = runner.run(site.__aenter__())
        try:
            key = runner.run(make_key(made, "ada", "rooms:publish")).key
            callers = [made.headers("ada"), {"Authorization": f"Bearer {key}"}, {"Authorization": "Bearer twk_x"}, {}]
            client = httpx2.AsyncClient(base_url=made.origin, timeout=60)
            paths = runner.run(client.get("/openapi.json", headers=made.headers("ada"))).json()["paths"]
            operations = [
                (method.upper(), path)
                for path, methods in paths.items()
                if path.startswith("/api/")
                for method in methods
            ]
            assert len(operations) >= 4

            @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(st.sampled_from(operations), st.sampled_from(callers), NAMES, BODIES, HEADERS, QUERY)
            def attack(
                operation: tuple[str, str], caller: dict[str, str], name: str, body: Any, headers: Any, query: Any
            ) -> None:
                method, path = operation
                url = path.replace("{room_id}", quote(name, safe=":"))
                content = body if isinstance(body, bytes) else _encode(body)
                request = client.build_request(
                    method, url, params=query, headers={**headers, **caller}, content=content
                )
                answer = runner.run(client.send(request))
                assert answer.status_code < 500, answer.text
                if "json" in answer.headers.get("content-type", ""):
                    answer.json()

            for operation in operations:
                for name in KNOWN if "{room_id}" in operation[1] else ():
                    for caller in callers:
                        attack.hypothesis.inner_test(operation, caller, name, b"", {}, {})
            attack()
            runner.run(client.aclose())
        finally:
            runner.run(site.__aexit__(None, None, None))


def _encode(body: Any) -> bytes:
    return json.dumps(body).encode("utf-8", "surrogatepass")
