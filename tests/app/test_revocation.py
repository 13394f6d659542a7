"""A right that is taken away is gone at once, also where it had been remembered (reliability.md bar R14)."""

from __future__ import annotations

from tests.support.platform import Served
from tests.support.ws_client import upgraded

DAY_S = 86_400.0


async def test_a_key_ends_with_its_user(site: Served) -> None:
    """The key that was good a moment ago opens no socket and publishes nothing once its user is disabled."""
    key = (await site.side.keys.create("ada", "robot", life_s=DAY_S)).key
    bearer = {"Authorization": f"Bearer {key}"}
    message = {"room_id": "app:x", "data": 1}
    async with upgraded(site.port, **bearer) as client, site.http(**bearer) as http:
        await client.expect("connection", status="connected")
        assert (await http.post("/api/v1/publish", json=message)).status_code == 200
        await site.accounts.change_user("ada", disabled=True)
        assert await client.close_code() == 4511
        assert (await http.post("/api/v1/publish", json=message)).status_code == 401
        async with upgraded(site.port, **bearer) as again:
            assert await again.close_code() == 4500


async def test_a_key_loses_what_its_user_loses(site: Served) -> None:
    """A permission that the user no longer has is not granted to the key from memory."""
    key = (await site.side.keys.create("ada", "robot", life_s=DAY_S)).key
    async with site.http(Authorization=f"Bearer {key}") as http:
        message = {"room_id": "app:x", "data": 1}
        assert (await http.post("/api/v1/publish", json=message)).status_code == 200
        await site.accounts.change_user("ada", denials=frozenset({"rooms:publish"}))
        assert (await http.post("/api/v1/publish", json=message)).status_code == 403
