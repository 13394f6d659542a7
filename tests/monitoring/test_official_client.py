"""The official socket.io-client from npm as a witness of docs/admin-channel.md."""

from __future__ import annotations

import pytest

from tests.support.admin import principal, running_admin, tick_bytes
from tests.support.official_client import official_client
from tidewire.accounts.model import Role


async def test_a_page_can_live_on_the_channel() -> None:
    """Connect, first event, snapshot, ticks, batch, filter, pause, held, resume, metrics: all as documented."""
    async with running_admin() as admin, official_client() as client:
        admin.publish_status()
        await client.connect(admin.http_url, cookie="ada")
        status = await client.event("connection_status_update")
        assert [happening["kind"] for happening in client.happenings] == ["ready", "connect", "event"]
        assert status["connections"]["connection_1"]["status"] == "connected"

        admin.publish(tick_bytes("AAPL", 178.23))
        await admin.clock.advance(0.1)
        tick = await client.event("tick_update")
        assert (tick["symbol"], tick["connection_id"], tick["change_pct"]) == ("AAPL", "connection_1", None)

        assert (await client.ask("set_options", {"batch": True, "filter": {"symbols": ["A*"]}}))["ok"]
        admin.publish(tick_bytes("TSLA"), tick_bytes("AAPL", 180.0))
        await admin.clock.advance(0.1)
        batch = await client.event("tick_batch")
        assert ([tick["symbol"] for tick in batch["ticks"]], batch["dropped"]) == (["AAPL"], 0)

        assert set((await client.ask("pause_stream", {}))["paused"]) >= {"connection_1", "unassigned"}
        admin.publish(*(tick_bytes("AAPL", 180.0 + i) for i in range(60)))
        await admin.clock.advance(1.0)
        assert (await client.event("held_update"))["connection_1"] == 60
        await client.ask("request_metrics", {})
        assert (await client.event("metrics_update"))["connection_1"]["held"] == 60
        resumed = await client.ask("resume_stream", {"connection_id": "connection_1"})
        assert (len(resumed["ticks"]["connection_1"]), resumed["skipped"]) == (50, {"connection_1": 10})
        assert "connection_1" not in resumed["paused"]

        snapshot = await client.ask("request_snapshot", {})
        assert snapshot["options"] == {"batch": True, "filter": {"symbols": ["A*"]}}
        assert snapshot["ticks"]["connection_1"][0]["price"] == 239.0
        assert (await client.ask("inspect_tick", {"id": 1}))["origin"] == "bus"
        assert (await client.ask("pause_feed", {"confirm": "pause feed"})) == {"ok": True}
        assert (await client.ask("nonsense", {}))["error"]["code"] == "unknown_event"


@pytest.mark.parametrize(
    ("cookie", "message"), [(None, "unauthorized"), ("stale", "unauthorized"), ("bob", "forbidden")]
)
async def test_refusals_reach_the_page(cookie: str | None, message: str) -> None:
    """connect_error carries the word and the error object, and the client knows that it is not connected."""
    async with running_admin() as admin, official_client() as client:
        admin.accounts.cookies["bob"] = principal(username="bob", role=Role.USER)
        await client.connect(admin.http_url, cookie=cookie)
        refused = await client.next("connect_error")
        assert (refused["message"], refused["active"]) == (message, False)
        # What the sentences name is there for those who say them in other words.
        named = refused["data"].pop("details", None)
        assert named == ({"role": "admin"} if message == "forbidden" else None)
        assert set(refused["data"]) == {"code", "message", "required_action", "will_not"}


async def test_binary_ends_the_socket() -> None:
    """The channel is JSON only: a client that sends bytes is disconnected."""
    async with running_admin() as admin, official_client() as client:
        await client.connect(admin.http_url, cookie="ada")
        await client.next("connect")
        await client.tell(op="binary")
        await client.next("disconnect")
        assert admin.guard.counts["violations"] == 1


async def test_polling_is_refused() -> None:
    """Long polling gets an HTTP error instead of a slower channel."""
    async with running_admin() as admin, official_client() as client:
        await client.connect(admin.http_url, cookie="ada", transports=["polling"])
        await client.next("connect_error")
        assert admin.guard.counts["refused_http"] == 1


async def test_logout_reaches_the_page() -> None:
    """The page is told why, then disconnected by the server."""
    async with running_admin() as admin, official_client() as client:
        await client.connect(admin.http_url, cookie="ada")
        await client.event("connection_status_update")
        await admin.namespace.end_session("s-ada")
        assert (await client.event("error"))["code"] == "logged_out"
        assert (await client.next("disconnect"))["reason"] == "io server disconnect"
