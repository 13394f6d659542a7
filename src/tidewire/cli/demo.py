"""``tidewire demo``: the whole platform on embedded defaults, to look at. It must not serve beyond this machine.

The simulator runs as a process of its own, so the three connections are real sockets between two programs. The
scripted colleagues who edit the quotes are accounts of their own, and use the public API and sockets like anybody.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from tidewire.accounts.api_keys import ApiKeys
from tidewire.accounts.model import Role
from tidewire.accounts.service import Accounts
from tidewire.app.database import opened_database
from tidewire.app.platform import Platform
from tidewire.cli.demo_colleagues import demo_colleagues
from tidewire.cli.demo_history import pasts, store_pasts
from tidewire.cli.demo_script import COLLEAGUES
from tidewire.cli.output import print_json
from tidewire.cli.running import run_service, wait_for_end
from tidewire.core.clock import SystemClock
from tidewire.core.errors import SettingsError, UpstreamError
from tidewire.core.telemetry import configure_logging
from tidewire.feed.simulator.listing import list_market
from tidewire.quotes.plan_shelf import load_plans
from tidewire.settings import Settings, load_settings
from tidewire.store.universes import Universes
from tidewire.web.footprint import settle

PASSWORD = "tidewire-demo"  # noqa: S105 - printed on purpose; the demo listens on loopback only
# The administrator may everything, so that every page is in the demo.
USERS = {"admin": Role.SUPER, "viewer": Role.USER}
# The five tickers with real bars are spread over the three connections, so that every column shows real prices.
REAL = {"connection_1": ("AAPL", "IBM"), "connection_2": ("MSFT", "FB"), "connection_3": ("GOOG",)}
NAMES = {"connection_1": "primary", "connection_2": "secondary", "connection_3": "tertiary"}
UNIVERSES = {
    "connection_1": "market_leaders:demo",
    "connection_2": "technology:demo",
    "connection_3": "everything_else:demo",
}
NOTICE = "Demo: real daily bars, modelled intraday path; symbols without real bars are synthetic."
START_TIMEOUT_S = 20.0
API_KEY_LIFE_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Market:
    """What is simulated; see the options."""

    rate: int
    tickers: int
    day_seconds: float
    seed: int


def demo(
    port: int = typer.Option(8000, help="Port of the pages; 0 picks a free one."),
    rate: int = typer.Option(600, help="Events per second of the simulated market, 1 to 50000."),
    tickers: int = typer.Option(60, help="Tickers of the simulated market, 5 to 500."),
    day_seconds: float = typer.Option(60.0, help="How long one replayed trading day takes."),
    data: Path = typer.Option(Path("var/demo"), help="Folder of the demo's database; made anew at each start."),
    seed: int = typer.Option(1, help="Decides the market, and what the scripted colleagues do."),
    as_json: bool = typer.Option(False, "--json", help="Announce as one JSON line."),
) -> None:
    """Run the whole platform: simulator, three connections, SQLite, in-process bus, demo users, quotes."""
    if tickers < 5:
        raise SettingsError(
            f"--tickers {tickers} is too few.",
            required_action="Use 5 or more: five tickers have real bars.",
            will_not="The demo will not start without its real tickers.",
        )
    market = Market(rate=rate, tickers=tickers, day_seconds=day_seconds, seed=seed)
    run_service(_demo(market, port=port, data=data, as_json=as_json))


async def _demo(market: Market, *, port: int, data: Path, as_json: bool) -> None:
    key = secrets.token_urlsafe(24)
    async with _simulator(key, market) as simulator:
        database = _fresh_database(data)
        settings = _settings(port, database, simulator["url"], key)
        configure_logging(level="warning", secrets=settings.secrets)
        symbols = [listing.symbol for listing in list_market(market.tickers, market.seed)]
        keys = await _prepare(settings, symbols, market.seed)
        key_file = _write_secret(data / "api-key", keys.pop("admin"))
        platform = Platform(settings, demo=True, data_notice=NOTICE, settle=settle)
        await platform.start()
        try:
            async with demo_colleagues(platform.url, keys, seed=market.seed) as quotes:
                _announce(platform.url, simulator, key_file, quotes, as_json)
                await wait_for_end()
        finally:
            await platform.stop()


def _fresh_database(data: Path) -> Path:
    data.mkdir(parents=True, exist_ok=True)
    path = data / "demo.db"
    for old in data.glob("demo.db*"):
        old.unlink()
    return path


def _settings(port: int, database: Path, feed_url: str, key: str) -> Settings:
    slots: dict[str, Any] = {}
    for line, name in NAMES.items():
        slots |= {f"{line}_enabled": True, f"{line}_name": name, f"{line}_universe_key": UNIVERSES[line]}
        slots |= {f"{line}_symbols": ()}
    return load_settings(
        env_file=None,
        demo=True,
        use_massive_api=True,
        use_synthetic_data=False,
        massive_api_key=key,
        use_multi_connection=True,
        websocket_connections_max=3,
        feed_url=feed_url,
        feed_channels=("T", "A"),
        database_url=f"sqlite+aiosqlite:///{database}",
        redis_url=None,
        redis_cluster=False,
        redis_min_replicas=0,
        secret_key=secrets.token_urlsafe(48),
        host="127.0.0.1",
        port=port,
        public_url=None,
        allowed_origins=(),
        tls_certificate=None,
        tls_private_key=None,
        **slots,
    )


async def _prepare(settings: Settings, symbols: list[str], seed: int) -> dict[str, str]:
    """Make the demo's users, universes and past quotes; return its administrator's and colleagues' API keys."""
    assert settings.secret_key is not None  # noqa: S101 - _settings has just made it
    secret = settings.secret_key.get_secret_value()
    async with opened_database(settings.database_url) as database:
        accounts = Accounts(database, secret_key=secret)
        for username, role in USERS.items():
            await accounts.create_user(username, PASSWORD, role)
        for name in COLLEAGUES:
            # Nobody logs in as one of them.
            await accounts.create_user(name, secrets.token_urlsafe(24), Role.USER)
        real = {symbol for group in REAL.values() for symbol in group}
        synthetic = [symbol for symbol in symbols if symbol not in real]
        for number, line in enumerate(REAL):
            members = [*REAL[line], *synthetic[number :: len(REAL)]]
            await Universes(database).replace(UNIVERSES[line], members, now=0.0, source="demo")
        now = time.time()
        past = pasts(seed, now, datetime.fromtimestamp(now, UTC).date())
        await store_pasts(database, load_plans(settings.rating_plans), past)
        keys = ApiKeys(database, secret_key=secret, clock=SystemClock())
        names = ("admin", *COLLEAGUES)
        return {name: (await keys.create(name, "demo", life_s=API_KEY_LIFE_S)).key for name in names}


def _write_secret(path: Path, secret: str) -> Path:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(f"{secret}\n")
    return path


@asynccontextmanager
async def _simulator(key: str, market: Market) -> AsyncIterator[dict[str, Any]]:
    """Run ``tidewire simulate`` as a child; yield what it announced; end it afterwards."""
    command = [sys.executable, "-m", "tidewire", "simulate", "--json", "--stop-on-eof", "--port", "0", "--key", key]
    command += ["--rate", str(market.rate), "--tickers", str(market.tickers), "--seed", str(market.seed)]
    command += ["--day-seconds", str(market.day_seconds)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
        if not line:
            raise UpstreamError(
                "The demo's simulator ended before it served.",
                stage="connect",
                required_action="Read its message above; run `tidewire simulate` alone to see it again.",
                will_not="The demo will not run without a market.",
            )
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _announce(url: str, simulator: dict[str, Any], key_file: Path, quotes: list[str], as_json: bool) -> None:
    hub = f"{url.replace('http', 'ws', 1)}/ws"
    if as_json:
        users = dict.fromkeys(USERS, PASSWORD)
        made = {"users": users, "api_key_file": str(key_file), "quotes": quotes, "colleagues": list(COLLEAGUES)}
        print_json({"url": url, "hub": hub, **made, "simulator": simulator})
        return
    typer.echo(f"\n  Tidewire demo: {url}")
    typer.echo(f"  Log in as  admin / {PASSWORD}   (sees everything)")
    typer.echo(f"         or  viewer / {PASSWORD}  (not an administrator)")
    typer.echo(f"  Edit a quote with {', '.join(COLLEAGUES)} (scripted, not people): {url}/quotes/{quotes[0]}")
    typer.echo(f"  Break a connection: curl -X POST {simulator['control_url']}/faults/drop")
    typer.echo(f"  Watch a room: tidewire watch market:AAPL --url {hub} --token-file {key_file}")
    typer.echo(f"  {NOTICE}\n  Ctrl-C ends it.\n")
