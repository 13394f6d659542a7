"""Health end points tell the truth, quickly, and show reasons and metrics to insiders only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry

from tidewire.core.errors import RequestError, StoreError
from tidewire.web import health
from tidewire.web.health import Check, Insiders, health_router


async def good() -> float:
    """A dependency that answers."""
    return 1.25


async def broken() -> float:
    """A dependency that fails with a reason."""
    raise StoreError("the disk is full", required_action="Free some.")


def client(checks: Mapping[str, Check], *, token: str | None = None, peer: str = "127.0.0.1") -> httpx2.AsyncClient:
    """A client of an application with just the health routes, seen as coming from ``peer``."""
    app = FastAPI()
    app.include_router(health_router(checks, CollectorRegistry(), Insiders(token)))

    @app.exception_handler(RequestError)
    async def refuse(request: Request, exc: RequestError) -> JSONResponse:
        return JSONResponse(exc.describe(), exc.status)

    transport = httpx2.ASGITransport(app=app, client=(peer, 1234))
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


async def test_ready_when_every_check_passes() -> None:
    """200 and every check named."""
    async with client({"database": good, "bus": good}) as http:
        for path in ("/readyz", "/healthz"):
            answer = await http.get(path)
            assert answer.status_code == 200
            assert answer.json() == {"status": "ok", "checks": {"database": {"ok": True}, "bus": {"ok": True}}}


async def test_one_failing_check_makes_it_unready_and_alive() -> None:
    """503 with the culprit; liveness does not look at dependencies."""
    async with client({"database": broken, "bus": good}) as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {"database": {"ok": False}, "bus": {"ok": True}}
        assert (await http.get("/livez")).status_code == 200


async def test_hanging_check_is_told_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency that never answers makes the answer 503, not silence."""
    monkeypatch.setattr(health, "CHECK_DEADLINE_S", 0.01)

    async def hang() -> float:
        await asyncio.get_running_loop().create_future()
        return 0.0

    async with client({"database": hang}) as http:
        answer = await http.get("/readyz?verbose")
    assert answer.status_code == 503
    assert "no answer" in answer.json()["checks"]["database"]["reason"]


@pytest.mark.parametrize(
    ("peer", "headers", "token", "allowed"),
    [
        ("127.0.0.1", {}, None, True),
        ("::1", {}, None, True),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, None, False),
        ("203.0.113.9", {}, None, False),
        ("127.0.0.1", {}, "a-long-token", False),
        ("203.0.113.9", {"authorization": "Bearer a-long-token"}, "a-long-token", True),
        ("203.0.113.9", {"authorization": "Bearer another"}, "a-long-token", False),
        ("203.0.113.9", {"authorization": "Basic a-long-token"}, "a-long-token", False),
    ],
)
async def test_reasons_and_metrics_are_for_insiders(
    peer: str, headers: dict[str, str], token: str | None, allowed: bool
) -> None:
    """Strangers get 403 for metrics and no reasons; a forwarded request is a stranger's."""
    async with client({"database": broken}, token=token, peer=peer) as http:
        metrics = await http.get("/metrics", headers=headers)
        assert metrics.status_code == (200 if allowed else 403)
        check = (await http.get("/readyz?verbose", headers=headers)).json()["checks"]["database"]
        assert (check.get("reason") == "the disk is full") is allowed
