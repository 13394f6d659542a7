"""The hub inside the whole process: cookies, market rooms, revocation, other sockets, the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import websockets

from tests.support.platform import PASSWORD, Served, read_until, served, settings_for
from tests.support.waiting import until
from tests.support.ws_client import connect, upgrade_request, upgraded
from tidewire.app.platform import Platform
from tidewire.core.errors import SettingsError
from tidewire.web.server import new_listener


async def test_a_tick_on_the_bus_reaches_a_subscriber(site: Served) -> None:
    """Cookie, subscribe, tick on the bus: the browser gets it with its place; nobody else's symbol comes."""
    async with asyncio.timeout(45), site.socket("bob") as socket:
        welcome = await read_until(socket, "connection")
        assert welcome["user"]["username"] == "bob"
        await socket.send('{"type":"subscribe","id":1,"room_id":"market:AAPL"}')
        assert (await read_until(socket, "reply"))["ok"] is True
        site.tick("MSFT", 1.0)
        site.tick("AAPL", 178.23, connection_id="connection_1", event="T")
        tick = await read_until(socket, "tick")
    assert (tick["room_id"], tick["offset"]) == ("market:AAPL", 1)
    assert tick["data"] == {
        "symbol": "AAPL",
        "price": 178.23,
        "volume": 10.0,
        "timestamp": 1_700_000_000.0,
        "source": "test",
        "connection_id": "connection_1",
        "event": "T",
    }


async def test_socket_io_and_pages_stay_beside_the_hub(site: Served) -> None:
    """The official Socket.IO path, a page and the hub answer on one port."""
    async with site.raw("ada") as client:
        await client.expect("connection", status="connected")
        url = f"ws://127.0.0.1:{site.port}/socket.io/?EIO=4&transport=websocket"
        async with websockets.connect(url, additional_headers=site.headers("ada")) as other:
            assert str(await other.recv()).startswith("0{")
        async with site.http("ada") as http:
            assert (await http.get("/livez")).status_code == 200


async def test_foreign_origins_and_strangers_stay_outside(site: Served) -> None:
    """A page of another site gets 403 before the upgrade; a wrong cookie is closed with 4500."""
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(site.url, additional_headers={**site.headers("bob"), "Origin": "https://evil.example"})
    assert refused.value.response.status_code == 403
    async with upgraded(site.port, Origin=site.origin, Cookie="tidewire_session=" + "x" * 43) as client:
        assert await client.close_code() == 4500


async def test_logging_out_closes_the_socket(site: Served) -> None:
    """The logout of a login ends its sockets with 4512 and nobody else's."""
    async with site.raw("bob") as gone, site.raw("ada") as stays:
        await gone.expect("connection", status="connected")
        await stays.expect("connection", status="connected")
        await site.accounts.log_out(site.cookies["bob"])
        assert await gone.close_code() == 4512
        stays.say("ping", id=1)
        await stays.expect("pong")


async def test_disabling_a_user_closes_for_that_reason(site: Served) -> None:
    """A disabled user's sockets close with 4511, not as a logout."""
    async with site.raw("bob") as client:
        await client.expect("connection", status="connected")
        await site.accounts.change_user("bob", disabled=True)
        assert await client.close_code() == 4511


async def test_a_lost_permission_ends_the_room_at_once(site: Served) -> None:
    """Taking market:view away puts the user out of the room; giving it back lets them in again."""
    async with site.raw("bob") as client:
        client.say("subscribe", id=1, room_id="market:AAPL")
        await client.expect("reply", id=1, ok=True)
        await site.accounts.change_user("bob", denials=frozenset({"market:view"}))
        left = await client.expect("unsubscribed", room_id="market:AAPL")
        assert left["reason"] == "permission_revoked"
        site.tick("AAPL", 1.0)
        client.say("subscribe", id=2, room_id="market:AAPL")
        await client.expect("reply", id=2, ok=False)
        await site.accounts.change_user("bob", denials=frozenset())
        client.say("subscribe", id=3, room_id="market:AAPL")
        await client.expect("tick", offset=1)
        await client.expect("reply", id=3, ok=True)


async def test_a_new_password_ends_the_sockets(site: Served) -> None:
    """Whoever held the old password is out."""
    async with site.raw("bob") as client:
        await client.expect("connection", status="connected")
        await site.accounts.set_password("bob", PASSWORD + " and one more")
        assert await client.close_code() == 4512


async def test_the_administrators_path_is_theirs_alone(site: Served) -> None:
    """/ws/admin-dashboard speaks the same protocol with admins, and closes anybody else with 4507."""
    async with site.raw("ada", "/ws/admin-dashboard") as admin, site.raw("mod", "/ws/admin-dashboard") as other:
        assert (await admin.expect("connection"))["status"] == "connected"
        assert await other.close_code() == 4507
        await site.accounts.change_user("ada", role="moderator")
        assert await admin.close_code() == 4507


async def test_anonymous_only_where_allowed(site: Served, tmp_path: Path) -> None:
    """Without the setting a stranger must authenticate; with it, public rooms are open and nothing else."""
    async with upgraded(site.port, Origin=site.origin) as client:
        client.say("subscribe", id=1, room_id="public:news")
        reply = await client.expect("reply", id=1, ok=False)
        assert reply["error"]["code"] == "unauthorized"
    (tmp_path / "open").mkdir()
    async with (
        served(tmp_path / "open", allow_anonymous=True) as open_site,
        upgraded(open_site.port, Origin=open_site.origin) as client,
    ):
        assert "user" not in await client.expect("connection", status="connected")
        client.say("subscribe", id=1, room_id="public:news")
        await client.expect("reply", id=1, ok=True)
        client.say("subscribe", id=2, room_id="market:AAPL")
        reply = await client.expect("reply", id=2, ok=False)
        assert reply["error"]["code"] == "permission_denied"


async def test_the_end_is_announced_to_every_client(tmp_path: Path) -> None:
    """Stopping sends ``draining``, closes everybody with 4000, and leaves nothing running."""
    async with served(tmp_path) as site:
        async with site.raw("ada") as first, site.raw("bob") as second:
            for client in (first, second):
                await client.expect("connection", status="connected")
            async with asyncio.timeout(45):
                stopping = asyncio.create_task(site.platform.stop())
                for client in (first, second):
                    hint = await client.expect("connection", status="draining")
                    assert hint["reconnect_after_ms"] >= 0
                    assert await client.close_code() == 4000
                    client.writer.close()
                await stopping
        assert site.side.hub.connection_count() == 0
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("hub", "loop", "web"))]
    assert left == []


async def test_who_was_accepted_on_a_shared_port_is_let_in_before_the_drain(tmp_path: Path) -> None:
    """Nobody else can answer such a client: it gets its welcome and 4000, not a refusal. One that is silent is left."""
    listener = new_listener("127.0.0.1", 0, reuse_port=True)
    async with served(tmp_path, listener) as site, connect(site.port) as slow, connect(site.port):
        await until(lambda: site.side.doorkeeper.unheard == 2)
        async with asyncio.timeout(45):
            stopping = asyncio.create_task(site.platform.stop())
            await asyncio.sleep(0)
            slow.send(upgrade_request(**site.headers("ada")))
            assert (await slow.answer()).status == 101
            await slow.expect("connection", status="connected")
            assert await slow.close_code() == 4000
            slow.writer.close()
            await stopping


async def test_a_taken_port_stops_the_start_and_leaves_nothing(site: Served, tmp_path: Path) -> None:
    """A second process on the same port is refused with what to do, and its hub keeps no time."""
    (tmp_path / "second").mkdir()
    second = Platform(settings_for(tmp_path / "second", port=site.port), with_feed=False)
    with pytest.raises(SettingsError):
        await second.start()
