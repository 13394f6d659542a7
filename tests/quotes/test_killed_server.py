"""A server that is killed (SIGKILL) while it calculates: nothing waits in vain, and no end is half an end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.command import Service
from tests.support.population import Population, populate
from tests.support.quotes import BASIC, RATEABLE
from tests.support.served import settings

QUOTES = 16
# Deadline of a calculation, a sweep, and a machine that is busy with other things.
ENDED_WITHIN_S = 40.0


def _client(service: Service, people: Population) -> httpx2.AsyncClient:
    url = str(service.logged("serving")["url"])
    port = int(url.rpartition(":")[2])
    return httpx2.AsyncClient(base_url=url, headers=people.headers_of(port, 0), trust_env=False, timeout=30.0)


async def _ask_and_kill(service: Service, people: Population) -> list[dict[str, Any]]:
    """Ask for many calculations at once, kill the server at the first answer, and return what was answered."""
    async with _client(service, people) as http:
        quotes = []
        for _ in range(QUOTES):
            made = await http.post("/api/v1/quotes", json={"fields": {**BASIC, **RATEABLE}})
            assert made.status_code == 201, made.text
            quotes.append(made.json()["quote_id"])
        begun: list[dict[str, Any]] = []

        async def ask(quote_id: str) -> None:
            # Most are cut in the middle, as their server is.
            with contextlib.suppress(httpx2.TransportError):
                answer = await http.post(f"/api/v1/quotes/{quote_id}/calculate")
                assert answer.status_code == 202, answer.text
                begun.append(answer.json())
                service.kill()

        await asyncio.gather(*map(ask, quotes))
    return begun


async def _end_of(http: httpx2.AsyncClient, quote_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a calculation once it has ended, and its quote."""
    until = time.monotonic() + ENDED_WITHIN_S
    while (found := (await http.get(f"/api/v1/quotes/{quote_id}/calculation")).json())["state"] == "running":
        assert time.monotonic() < until, found
    return found, (await http.get(f"/api/v1/quotes/{quote_id}")).json()


@pytest.mark.long
@pytest.mark.timeout(180)
def test_what_a_killed_server_had_begun_ends_and_a_premium_is_there_exactly_if_it_is_done(tmp_path: Path) -> None:
    """Each acknowledged calculation ends soon after the server is back; done with its premium, or not at all."""
    # A moderator may see premiums.
    people = populate(tmp_path, 1, role="moderator")
    with Service("serve", values=settings(tmp_path), cwd=tmp_path) as service:
        begun = asyncio.run(_ask_and_kill(service, people))
    assert begun

    async def look() -> list[tuple[dict[str, Any], dict[str, Any]]]:
        async with _client(again, people) as http:
            return [await _end_of(http, each["quote_id"]) for each in begun]

    with Service("serve", values=settings(tmp_path), cwd=tmp_path) as again:
        ends = asyncio.run(look())
    for calculation, document in ends:
        premium, status = document["quote"]["premium"], document["quote"]["status"]
        if calculation["state"] == "done":
            assert (premium["calculation_id"], status) == (calculation["calculation_id"], "quoted")
        else:
            assert calculation["error"]["code"] == "calculation_timed_out"
            assert (premium, status) == (None, "draft")
