"""A real hub behind a proxy that misbehaves, and Python clients of it on a quick clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.fault_proxy import FaultProxy
from tests.support.hub_server import Running, make_hub, running
from tests.support.quick_clock import QuickClock
from tidewire.client import Client


@asynccontextmanager
async def hub_and_proxy(**options: Any) -> AsyncIterator[tuple[Running, FaultProxy, str]]:
    """Run a hub and a proxy before it; yield both and the proxied address."""
    async with running(make_hub(**options), connections_per_ip=1000) as server, FaultProxy(server.port) as proxy:
        yield server, proxy, f"ws://127.0.0.1:{proxy.port}/ws"


def make_client(url: str, who: str = "admin-1", **options: Any) -> Client:
    """Return a client on a quick clock."""
    return Client(url, bearer=who, clock=QuickClock(), **options)
