"""``system-health`` against real servers, frozen, killed and brought back: it says what is, when it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.database_site import DatabaseSite, database_site
from tests.support.platform import Served, served, settings_for
from tests.support.postgres import stopped_processes
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually
from tidewire.app.platform import Platform

PATH = "/api/v1/admin/analytics/system-health"


async def health(site: Served, username: str | None = "ada") -> dict[str, Any]:
    """Ask as somebody; return the answer, the checks by name."""
    async with site.http(username, Accept="application/json") as client:
        return by_name((await client.get(PATH)).json())


def by_name(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with its checks by name."""
    return {**answer, "checks": {each["name"]: each for each in answer["checks"]}}


def state(answer: dict[str, Any], name: str) -> str:
    """Return one check's status; what is not ok must say why, what to do, and what will not be done."""
    found = answer["checks"][name]
    if found["status"] != "ok":
        assert all(found[sentence] for sentence in ("reason", "required_action", "will_not")), found
    return str(found["status"])


async def test_without_the_permission_there_is_no_answer(tmp_path: Path) -> None:
    """Strangers are told to log in, others what they lack; a moderator may read it."""
    async with served(tmp_path) as site:
        for username, status in ((None, 401), ("bob", 403), ("mod", 200)):
            async with site.http(username, Accept="application/json") as client:
                answer = await client.get(PATH)
                assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-store")
                if status == 403:
                    assert answer.json()["required_action"]
                    assert "analytics:read" in answer.json()["detail"]


async def test_every_check_is_carried_out_at_every_asking(tmp_path: Path) -> None:
    """Each has its own latency, and no two answers are the same ones."""
    async with served(tmp_path) as site:
        answers = [await health(site) for _ in range(3)]
        assert site.web.vitals.checks.rounds == 3
        for answer in answers:
            assert all(each["latency_ms"] >= 0 for each in answer["checks"].values())
            assert answer["node"] == site.side.nodes.name
            # This process runs no feed, and there is no other.
            assert (answer["status"], state(answer, "feed")) == ("failed", "failed")
            others = {name for name in answer["checks"] if name != "feed"}
            assert {state(answer, name) for name in others} == {"ok"}
        assert len({answer["checks"]["database"]["latency_ms"] for answer in answers}) > 1


@pytest.mark.long
async def test_a_broker_that_is_frozen_killed_and_back(tmp_path: Path) -> None:
    """Bus and room log fail with a reason while Valkey does not answer, whatever it was a moment ago, and recover."""
    with ValkeyProcess() as valkey:
        async with served(tmp_path, redis_url=valkey.url) as site:

            async def broker() -> list[str]:
                answer = await health(site)
                assert state(answer, "database") == "ok"
                return [state(answer, "bus"), state(answer, "room_log")]

            await eventually(broker, lambda found: found == ["ok", "ok"])
            valkey.freeze()
            assert await broker() == ["failed", "failed"]
            valkey.thaw()
            await eventually(broker, lambda found: found == ["ok", "ok"])
            valkey.kill()
            assert await broker() == ["failed", "failed"]
            valkey.start()
            await eventually(broker, lambda found: found == ["ok", "ok"])


@pytest.fixture
def site_on_postgres(tmp_path: Path) -> Iterator[DatabaseSite]:
    """The platform over a Postgres of its own."""
    with database_site(tmp_path) as site:
        yield site


async def test_a_database_that_is_frozen_and_back(site_on_postgres: DatabaseSite) -> None:
    """The first question after the freeze is answered with it; after it all is well again."""
    site = site_on_postgres

    async def database() -> str:
        answer = await site.get(PATH, **site.headers)
        if answer.status == 200:
            return state(by_name(answer.body), "database")
        # Who asks must be known; while nobody can tell, that is the answer, and not a healthy one.
        assert (answer.status, answer.body["code"]) == (503, "storage_unavailable")
        return "failed"

    assert await database() == "ok"
    with stopped_processes(site.postgres.tree):
        assert await database() == "failed"
    await eventually(database, lambda found: found == "ok")
    site.postgres.stop("immediate")
    assert await database() == "failed"
    site.postgres.start()
    await eventually(database, lambda found: found == "ok")


@pytest.mark.parametrize("fault", ["paused", "stopped"])
async def test_a_feed_that_pauses_or_goes(tmp_path: Path, fault: str) -> None:
    """A paused feed is well and says so; one that is gone does not answer, though its last report is a second old."""
    platform = Platform(settings_for(tmp_path, connection_2_enabled=True, connection_2_symbols=("MSFT",)))
    await platform.start()
    try:
        assert platform.web is not None
        assert platform.feed is not None
        checks = platform.web.vitals.checks

        async def feed() -> Any:
            return next(each for each in (await checks.health()).checks if each.name == "feed")

        found = await eventually(feed, lambda each: each.status == "ok" and not each.reason)
        assert found.latency_ms is not None
        if fault == "paused":
            await platform.feed.source.pause("ada", "lunch")
            found = await eventually(feed, lambda each: each.reason)
            assert (found.status, found.reason) == ("ok", "paused by ada")
        else:
            await platform.feed.stop()
            found = await feed()
            assert (found.status, found.latency_ms) == ("failed", None)
            assert "no answer" in found.reason
    finally:
        await platform.stop()


async def test_it_can_be_read_by_any_http_client(tmp_path: Path) -> None:
    """The document is that of the OpenAPI schema's path, JSON, and is not kept by anybody."""
    async with served(tmp_path) as site, site.http("ada") as client:
        answer: httpx2.Response = await client.get(PATH)
        assert answer.headers["content-type"] == "application/json"
        assert PATH in (await client.get("/openapi.json")).json()["paths"]
