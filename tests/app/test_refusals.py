"""Who was refused for a missing permission is in the activity log, however often; and who read a raw frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import websockets

from tests.app.test_activity import by_sql
from tests.support.platform import Served, served
from tests.support.raw_viewer import RawViewer, raw_viewer

LINES = "action IN ('access.refused', 'message.refused', 'feed.inspect')"


async def lines(site: Served) -> list[tuple[str, str, str, str, Any]]:
    """Return who, what, what of it, from where, how often."""
    await site.side.people.refusals.flush()
    return sorted(
        (row["actor"], row["action"], row["target"], row["ip"], json.loads(row["details"]).get("count"))
        for row in await by_sql(site, LINES)
    )


async def test_each_refusal_has_its_line_and_a_loop_is_a_count(tmp_path: Path) -> None:
    """Pages, API, /ws, the operators' socket and Socket.IO; three hundred of one kind are two lines in two windows."""
    here = "127.0.0.1"
    async with served(tmp_path) as site, site.http("bob") as bob, site.http("ada") as ada:
        for _ in range(3):
            assert (await bob.get("/admin/connections", headers={"Accept": "text/html"})).status_code == 403
        assert (await bob.get("/api/v1/admin/connections/nobody")).status_code == 403
        assert (await ada.post("/api/v1/admin/users", json={"username": "x"})).status_code == 403
        async with site.raw("bob") as socket, site.raw("bob", "/ws/admin-dashboard") as door:
            await socket.expect("connection", status="connected")
            for kind in ("start_user_activity", "start_user_activity", "start_monitoring"):
                socket.say(kind, id=1)
                assert (await socket.expect("reply", id=1))["error"]["code"] == "permission_denied"
            assert await door.close_code() == 4507
        url = f"ws://127.0.0.1:{site.port}/socket.io/?EIO=4&transport=websocket"
        async with websockets.connect(url, additional_headers=site.headers("bob")) as plain:
            assert (await RawViewer(plain).join())["message"] == "forbidden"
        # Nobody who is known, and what is no missing permission, are not in it.
        async with site.http() as nobody:
            assert (await nobody.get("/api/v1/admin/connections")).status_code == 401
        evil = {"Origin": "https://evil.example"}
        assert (await bob.post("/api/v1/admin/users", json={}, headers=evil)).status_code == 403
        wanted = [
            ("ada", "access.refused", "POST /api/v1/admin/users", here, 1),
            ("bob", "access.refused", "GET /admin/connections", here, 3),
            ("bob", "access.refused", "GET /api/v1/admin/connections/{connection_id}", here, 1),
            ("bob", "message.refused", "/admin-ws connect", here, 1),
            ("bob", "message.refused", "/ws/admin-dashboard", here, 1),
            ("bob", "message.refused", "start_monitoring", here, 1),
            ("bob", "message.refused", "start_user_activity", here, 2),
        ]
        assert await lines(site) == wanted
        for number in range(300):
            assert (await bob.get(f"/api/v1/admin/connections/{number}")).status_code == 403
        # The minute is not over.
        assert await lines(site) == wanted
        await site.side.people.refusals.flush(everything=True)
        looped = [line for line in await lines(site) if line[2].endswith("{connection_id}")]
        assert [line[4] for line in looped] == [1, 300]


async def test_reading_a_raw_frame_is_in_the_log(tmp_path: Path) -> None:
    """Who, of which symbol, from where; one line for each reading, before the frame is shown."""
    async with served(tmp_path) as site:
        url = f"ws://127.0.0.1:{site.port}/socket.io/?EIO=4&transport=websocket"
        cookie = f"-; tidewire_session={site.cookies['ada']}"
        async with raw_viewer(url, cookie=cookie, origin=site.origin) as viewer:
            await viewer.join()
            site.tick("TSLA", 7.0)
            await viewer.event("tick_update")
            assert "TSLA" in (await viewer.ask("inspect_tick", {"id": 1}))["raw"]
            assert not (await viewer.ask("inspect_tick", {"id": 999}))["ok"]
        (row,) = await by_sql(site, LINES)
        assert (row["actor"], row["action"], row["target"], row["ip"]) == ("ada", "feed.inspect", "feed", "127.0.0.1")
        assert json.loads(row["details"]) == {"symbol": "TSLA", "connection_id": None, "tick": 1}
