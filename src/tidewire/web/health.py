"""Health end points for orchestrators: alive, ready, and Prometheus metrics. It must not know what is checked.

``/livez`` never looks at dependencies (a database outage must not restart every pod); ``/readyz`` runs every check each
time it is asked, with its own deadline; ``/healthz`` is an alias of it. Reasons and metrics are for insiders only.
Source: Kubernetes manual, "API health endpoints"; reliability.md 3.1 item 14.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tidewire.accounts.model import Principal
from tidewire.core.errors import Forbidden, TidewireError


class Passed(NamedTuple):
    """What a check that passes may say; ``remark`` is for insiders: what works, but not in full."""

    latency_ms: float
    remark: str = ""


# A check returns its latency in milliseconds, alone or with a remark, or raises TidewireError.
Check = Callable[[], Awaitable[float | Passed]]
# Orchestrators give up after about a second by default; a hanging dependency must be told by then.
CHECK_DEADLINE_S = 1.0
_FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Insiders:
    """Who may see reasons and metrics.

    Admins always; holders of ``token`` (``Authorization: Bearer``); and, only while no token is set, direct callers
    from this machine (a forwarded request is somebody else's).
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    def admits(self, request: Request) -> bool:
        """Whether this request comes from an insider."""
        principal: Principal | None = getattr(request.state, "principal", None)
        if principal is not None and principal.is_admin:
            return True
        if self._token is not None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode())
        return not any(name in request.headers for name in _FORWARDING_HEADERS) and _is_local(request)


def _is_local(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def run_check(check: Check) -> dict[str, Any]:
    """Run one check under the deadline; return ``{ok, latency_ms, reason}``."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_DEADLINE_S):
            answer = await check()
    except TimeoutError:
        return {"ok": False, "latency_ms": None, "reason": f"no answer within {CHECK_DEADLINE_S:g} s"}
    except TidewireError as exc:
        elapsed = (time.perf_counter() - started) * 1000
        return {"ok": False, "latency_ms": round(elapsed, 2), "reason": exc.message}
    passed = answer if isinstance(answer, Passed) else Passed(answer)
    return {"ok": True, "latency_ms": round(passed.latency_ms, 2), "reason": passed.remark}


def health_router(checks: Mapping[str, Check], registry: CollectorRegistry, insiders: Insiders) -> APIRouter:
    """Return the routes ``/livez``, ``/readyz``, ``/healthz`` and ``/metrics``."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", summary="The process answers")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    async def readyz(request: Request, verbose: str | None = None) -> Response:
        results = dict(zip(checks, await asyncio.gather(*map(run_check, checks.values())), strict=True))
        ready = all(result["ok"] for result in results.values())
        shown: Mapping[str, Any] = {name: {"ok": result["ok"]} for name, result in results.items()}
        if verbose is not None and insiders.admits(request):
            shown = results
        body = {"status": "ok" if ready else "not ready", "checks": shown}
        return JSONResponse(body, 200 if ready else 503, headers={"Cache-Control": "no-store"})

    for path in ("/readyz", "/healthz"):
        router.get(path, summary="Every dependency answers; ?verbose for reasons (insiders)")(readyz)

    @router.get("/metrics", summary="Prometheus metrics (insiders)")
    async def metrics(request: Request) -> Response:
        if not insiders.admits(request):
            raise Forbidden(
                "Metrics are for insiders.",
                required_action="Send TIDEWIRE_METRICS_TOKEN as a bearer token, or log in as an administrator.",
                will_not="Tidewire will not show its inner figures to strangers.",
            )
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    return router
