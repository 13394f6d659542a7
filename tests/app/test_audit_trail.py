"""Everything that an operator does, and every login, is in the activity log: done for real, then read by SQL."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_activity import by_sql
from tests.app.test_rooms_api import make_key
from tests.app.test_users import BOB, boss, change
from tests.support.platform import PASSWORD, Served, served
from tests.support.raw_viewer import raw_viewer
from tests.support.waiting import eventually
from tidewire.core.errors import Unauthenticated


async def logins(site: Served) -> None:
    """Log in wrongly, rightly, as nobody; log out; make a key and end it."""
    for username, password in (("bob", "wrong words here"), ("nobody at all", PASSWORD)):
        with pytest.raises(Unauthenticated):
            await site.accounts.log_in(username, password, ip="198.51.100.7")
    opened = await site.accounts.log_in("bob", PASSWORD, ip="198.51.100.7")
    await site.accounts.log_out(opened.token, ip="198.51.100.7")
    key = await make_key(site)
    await site.side.keys.revoke(key.record.id)


async def operations(site: Served) -> None:
    """Trace and close connections, export, manage users, command the feed."""
    async with site.raw("bob") as one, site.raw("bob") as two, site.raw("mod") as three, site.http("boss") as http:
        ids = [(await each.expect("connection", status="connected"))["connection_id"] for each in (one, two, three)]
        connections = "/api/v1/admin/connections"
        assert (await http.get(f"{connections}/{ids[0]}/trace", params={"seconds": 1})).status_code == 200
        assert (await http.post(f"{connections}/{ids[0]}/disconnect", json={"reason": "x"})).status_code == 200
        many = {"connection_ids": ids[1:], "count": 2, "reason": "y"}
        assert (await http.post(f"{connections}/disconnect", json=many)).status_code == 200
        assert (await http.get("/api/v1/admin/activity/export", params={"format": "csv"})).status_code == 200
        assert (await http.post("/api/v1/admin/users", json={"username": "new"})).status_code == 201
        assert (await change(http, BOB, role="moderator")).status_code == 200
        (login,) = (await http.get(f"/api/v1/admin/users/{BOB}/sessions")).json()["sessions"]
        assert (await http.post(f"/api/v1/admin/users/{BOB}/sessions/{login['id']}/end")).status_code == 200
        assert (await http.post(f"/api/v1/admin/users/{BOB}/logout")).status_code == 200
        assert (await http.post(f"/api/v1/admin/users/{BOB}/password", json={})).status_code == 200
    url = f"ws://127.0.0.1:{site.port}/socket.io/?EIO=4&transport=websocket"
    cookie = f"-; tidewire_session={site.cookies['ada']}"
    async with raw_viewer(url, cookie=cookie, origin=site.origin) as viewer:
        await viewer.join()
        # No feed runs here: the command is asked for, fails, and both are in the log.
        await viewer.ask("pause_feed", {"reason": "z", "confirm": "pause feed"})
        await viewer.ask("resume_feed")


def told(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Return who, what, to whom, from where, with what outcome."""
    outcome = str(json.loads(row["details"]).get("outcome", ""))
    return row["actor"], row["action"], row["target"], row["ip"], outcome


async def test_each_action_has_its_line(tmp_path: Path) -> None:
    """Who, what, to whom, from where, how it ended: compared line by line."""
    async with asyncio.timeout(60), served(tmp_path) as site:
        await boss(site)
        before = {row["id"] for row in await by_sql(site)}
        await logins(site)
        await operations(site)
        rows = await eventually(lambda: by_sql(site), lambda rows: len(rows) >= len(before) + 23)
        found = [told(row) for row in reversed(rows) if row["id"] not in before]
        here, away = "127.0.0.1", "198.51.100.7"
        key = next(line[2] for line in found if line[1] == "token.create")
        first = next(line[2] for line in found if line[1] == "connection.trace")
        wanted = [
            ("bob", "user.login_failed", "bob", away, ""),
            ("unknown user", "user.login_failed", "", away, ""),
            ("bob", "user.login", "bob", away, ""),
            ("bob", "user.logout", "bob", away, ""),
            ("cli", "token.create", key, "", ""),
            ("cli", "token.revoke", key, "", ""),
            ("boss", "connection.trace", first, here, "requested"),
            ("boss", "connection.trace", first, here, "ended"),
            ("boss", "connection.disconnect", first, here, "requested"),
            ("boss", "connection.disconnect", first, here, "done"),
            ("boss", "connection.disconnect_many", "2 connections", here, "requested"),
            ("boss", "connection.disconnect_many", "2 connections", here, "done"),
            ("boss", "activity.export", "activity", here, "requested"),
            ("boss", "activity.export", "activity", here, "done"),
            ("boss", "user.add", "new", here, ""),
            ("boss", "user.change", "bob", here, ""),
            ("boss", "user.end_session", "bob", here, ""),
            ("boss", "user.logout_everywhere", "bob", here, ""),
            ("boss", "user.passwd", "bob", here, ""),
            ("ada", "feed.pause", "feed", here, "requested"),
            ("ada", "feed.pause", "feed", here, "failed"),
            ("ada", "feed.resume", "feed", here, "requested"),
            ("ada", "feed.resume", "feed", here, "failed"),
        ]
        assert sorted(found) == sorted(wanted)
        whole = json.dumps(rows, default=str)
        assert PASSWORD not in whole
        assert "wrong words here" not in whole
