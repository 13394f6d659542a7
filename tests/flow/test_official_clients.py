"""Independent witnesses: the vendor's Python client and the official Socket.IO client, against running commands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from massive import WebSocketClient
from massive.websocket.models import EquityTrade, WebSocketMessage

from tests.support.command import Service
from tests.support.demo import Demo
from tests.support.official_client import official_client
from tests.support.served import log_in_over_http

CEILING_S = 45.0


async def test_the_massive_client_gets_real_tickers_from_the_command_simulate(tmp_path: Path) -> None:
    """Unmodified, with the key it was given: it parses trades of tickers that have real bars."""
    with Service("simulate", "--json", "--port", "0", "--key", "a-key", "--rate", "500", cwd=tmp_path) as simulator:
        url = urlsplit((await asyncio.to_thread(simulator.announcement))["url"])
        client = WebSocketClient(
            api_key="a-key", feed=url.netloc, market="stocks", secure=False, subscriptions=["T.AAPL", "T.MSFT"]
        )
        seen: list[WebSocketMessage] = []
        enough = asyncio.Event()

        async def take(messages: list[WebSocketMessage]) -> None:
            seen.extend(messages)
            if {one.symbol for one in seen} == {"AAPL", "MSFT"}:
                enough.set()

        running = asyncio.create_task(client.connect(take, proxy=None))
        async with asyncio.timeout(CEILING_S):
            await enough.wait()
        await client.close()
        await asyncio.gather(running, return_exceptions=True)
        assert await asyncio.to_thread(simulator.stop) == 0
    assert all(isinstance(one, EquityTrade) and one.price > 0 for one in seen)


async def test_the_socketio_client_watches_the_demo_with_a_real_login(demo: Demo) -> None:
    """The session cookie of the login form opens the namespace, and three lines' ticks arrive."""
    visit = await asyncio.to_thread(log_in_over_http, demo.url, "admin", demo.users["admin"])
    async with asyncio.timeout(CEILING_S), official_client() as client:
        await client.connect(demo.url, headers=visit.headers)
        await client.next("connect")
        status = await client.event("connection_status_update")
        assert set(status["connections"]) == {"connection_1", "connection_2", "connection_3"}
        assert (await client.ask("set_options", {"batch": True}))["ok"] is True
        owners: set[str] = set()
        while owners != set(status["connections"]):
            owners |= {tick["connection_id"] for tick in (await client.event("tick_batch"))["ticks"]}
        assert (await client.ask("pause_feed", {"confirm": "no"}))["ok"] is False


async def test_the_socketio_client_is_refused_without_a_session_and_without_the_role(demo: Demo) -> None:
    """``connect_error`` with the reason in words: unauthorized for nobody, forbidden for who is no administrator."""
    visit = await asyncio.to_thread(log_in_over_http, demo.url, "viewer", demo.users["viewer"])
    forged = {**visit.headers, "Cookie": "tidewire_session=forged"}
    nobody = {"Origin": demo.url}
    for headers, message in ((nobody, "unauthorized"), (forged, "unauthorized"), (visit.headers, "forbidden")):
        async with asyncio.timeout(CEILING_S), official_client() as client:
            await client.connect(demo.url, headers=headers)
            refusal = await client.next("connect_error")
            assert refusal["message"] == message
            assert refusal["data"]["required_action"]
            assert refusal["active"] is False


async def test_a_session_is_not_borrowed_from_another_site(demo: Demo) -> None:
    """With a foreign Origin, or a cookie and no Origin at all, the handshake itself is refused."""
    visit = await asyncio.to_thread(log_in_over_http, demo.url, "admin", demo.users["admin"])
    for headers in ({**visit.headers, "Origin": "https://evil.example"}, {"Cookie": visit.headers["Cookie"]}):
        async with asyncio.timeout(CEILING_S), official_client() as client:
            await client.connect(demo.url, headers=headers)
            assert (await client.next("connect_error"))["message"] == "websocket error"
