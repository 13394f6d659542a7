"""Who may ask which symbols there are, and what the feeder answers."""

from __future__ import annotations

from pathlib import Path

from tests.support.platform import served


async def test_known_symbols_are_for_those_who_may_see_the_market(tmp_path: Path) -> None:
    """Shortest first, by prefix in either case, at most as many as asked for; others are refused."""
    async with served(tmp_path) as server:
        for symbol in ("AAPL", "AMD", "A", "MSFT"):
            server.tick(symbol, 5.0)
        async with server.http("bob") as http:
            # What was published is with the bus's subscribers in the next turn of the loop; a request takes several.
            assert (await http.get("/api/v1/market/symbols?prefix=a")).json() == {"symbols": ["A", "AMD", "AAPL"]}
            assert (await http.get("/api/v1/market/symbols?limit=1")).json() == {"symbols": ["A"]}
            assert (await http.get("/api/v1/market/symbols?limit=0")).status_code == 422
            await server.accounts.change_user("bob", denials=frozenset({"market:view"}))
            assert (await http.get("/api/v1/market/symbols")).status_code == 403
        async with server.http() as stranger:
            assert (await stranger.get("/api/v1/market/symbols")).status_code == 401
