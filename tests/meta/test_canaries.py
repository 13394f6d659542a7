"""No secret leaves the process by a log, a page, an error, a metric or a command (reliability.md bar R22).

Twenty secrets that occur nowhere else go in by every door there is while things go wrong at DEBUG level; then
everything that came out is searched for the part of each that no cutting or quoting changes.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.support.command import Service, run_command
from tests.support.served import log_in_over_http, settings
from tests.support.upstream import KEY, Upstream, trade
from tests.support.valkey import ValkeyProcess
from tidewire.core.errors import SettingsError
from tidewire.core.telemetry import configure_logging
from tidewire.settings import describe, load_settings

CEILING_S = 45.0


def core(name: str) -> str:
    """The part of a canary that is searched for: letters and digits, so that no quoting hides it."""
    return hashlib.sha256(name.encode()).hexdigest()[:20]


def canary(name: str) -> str:
    """A secret that occurs nowhere else."""
    return f"kanari-{core(name)}-kanari-of-some-length"


NAMES = (
    "redis-password", "secret-key", "metrics-token", "admin-password", "wrong-password", "login-query",
    "wrong-cookie", "hub-query-token", "socketio-query-token", "admin-query-token", "wrong-bearer", "wrong-api-key",
    "message-token", "huge-token", "broken-frame", "json-field", "form-field", "user-agent-password",
    "idempotency-authorization", "proxy-authorization",
)  # fmt: skip


class Flight:
    """One pass of faults over a running server, and everything that anybody could read afterwards."""

    def __init__(self, service: Service, url: str, venue: Upstream, valkey: ValkeyProcess) -> None:
        self.service, self.url, self.venue, self.valkey = service, url, venue, valkey
        self.seen: list[str] = []
        # Made by the server during the pass; what stands for a login may not be logged either.
        self.issued: dict[str, str] = {}

    async def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Send a request and keep the answer for the search."""
        async with httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=CEILING_S) as http:
            answer = await http.request(method, path, **more)
        self.seen.append(f"{answer.headers} {answer.text}")
        return answer

    async def talk(self, path: str, *frames: str, **headers: str) -> None:
        """Open a socket, send frames, and keep what is said until it ends or falls silent."""
        try:
            async with connect(f"{self.url.replace('http', 'ws')}{path}", additional_headers=headers) as socket:
                for frame in frames:
                    await socket.send(frame)
                async for text in socket:
                    self.seen.append(str(text))
                    if '"connected"' in str(text) or '"error"' in str(text):
                        break
                await socket.close()
                self.seen.append(f"{socket.close_code} {socket.close_reason}")
        except WebSocketException as error:
            self.seen.append(str(error))

    async def logged(self, event: str) -> None:
        """Wait until the server has logged an event, so that the fault has really happened."""
        await asyncio.to_thread(self.service.logged, event)

    def everything(self) -> str:
        """All that came out."""
        return "\n".join([*self.seen, *self.service.out, *self.service.err])


async def log_in_well_and_badly(flight: Flight) -> dict[str, str]:
    """The right password once, a wrong one, and credentials where none belong; return the good login's headers."""
    visit = await asyncio.to_thread(log_in_over_http, flight.url, "admin", canary("admin-password"))
    flight.issued["session"] = visit.cookie
    form = {"username": "admin", "password": canary("wrong-password"), "csrf_token": canary("form-field"), "next": ""}
    headers = {"Origin": flight.url, "Accept": "text/html"}
    await flight.ask("POST", "/login", data=form, headers=headers)
    await flight.ask("GET", f"/login?password={canary('login-query')}", headers={"Accept": "text/html"})
    await flight.ask("GET", "/admin/websockets", headers={"Cookie": f"tidewire_session={canary('wrong-cookie')}"})
    agent = {"User-Agent": f"password={canary('user-agent-password')}", "Cookie": "tidewire_session=\x7f"}
    await flight.ask("GET", "/nowhere", headers=agent)
    await flight.ask("GET", "/readyz", headers={"Proxy-Authorization": f"Basic {canary('proxy-authorization')}"})
    return visit.headers


async def knock_with_tokens(flight: Flight, login: dict[str, str], key: str) -> None:
    """Tokens that are good, used twice, invented, too long, in the query, in frames that cannot be read."""
    async with httpx2.AsyncClient(base_url=flight.url, trust_env=False, timeout=60) as http:
        token = (await http.post("/api/v1/connection-token", headers={"Authorization": f"Bearer {key}"})).json()[
            "token"
        ]
    flight.issued["connection-token"] = token
    for given in (token, token, canary("hub-query-token")):
        await flight.talk(f"/ws?token={given}")
    await flight.talk(f"/ws/admin-dashboard?token={canary('admin-query-token')}")
    await flight.talk(f"/socket.io/?EIO=4&transport=websocket&token={canary('socketio-query-token')}")
    await flight.talk("/ws", f'{{"type":"authenticate","id":1,"token":"{canary("message-token")}"}}')
    await flight.talk("/ws", f'{{"type":"authenticate","id":1,"token":["{canary("huge-token") * 50}"]}}')
    await flight.talk("/ws", f'{{"type":"subscribe","token":"{canary("broken-frame")}"', **login)
    await flight.talk("/ws", Authorization=f"Bearer {canary('wrong-bearer')}")
    good, bad = f"Bearer {key}", f"Bearer twk_{canary('wrong-api-key')}"
    replay = {"Authorization": good, "Idempotency-Key": canary("idempotency-authorization")}
    for body in ({"room_id": "public:x", "data": 1}, {"room_id": "public:x", "data": 2}):
        await flight.ask("POST", "/api/v1/publish", json=body, headers=replay)
    await flight.ask("POST", "/api/v1/publish", json={"room_id": "public:x", "data": 1}, headers={"Authorization": bad})
    wrong = {"room_id": 7, "password": canary("json-field"), "data": canary("json-field")}
    await flight.ask("POST", "/api/v1/publish", json=wrong, headers={"Authorization": good})


async def break_the_venue(flight: Flight) -> None:
    """Events that echo the key, a drop, and a refusal of the key that repeats it."""
    peer = await flight.venue.peer(1)
    await peer.send_raw(f'[{{"ev":"T","sym":"AAPL","p":"{KEY}"}},{{"no":"{KEY}"}}]'.encode())
    await peer.send(trade("AAPL", 1), {"ev": "status", "status": "error", "message": f"not authorized: {KEY}"})
    await flight.logged("feed_bad_events")
    await flight.logged("feed_venue_refused")
    await peer.send({"ev": "status", "status": "auth_failed", "message": f"unknown key {KEY}"})
    await flight.logged("feed_line_ended")


async def look_everywhere(flight: Flight, login: dict[str, str]) -> None:
    """Read every page, document and figure that an administrator can read."""
    pages = (
        "/admin/websockets",
        "/streaming",
        "/api/admin/websocket-status",
        "/docs",
        "/openapi.json",
        "/asyncapi.json",
    )
    insider = {**login, "Accept": "text/html, */*", "Authorization": f"Bearer {canary('metrics-token')}"}
    for path in (*pages, "/healthz?verbose", "/metrics"):
        answer = await flight.ask("GET", path, headers=insider)
        assert answer.status_code in (200, 503), path


@asynccontextmanager
async def server(folder: Path, venue: Upstream, valkey: ValkeyProcess) -> AsyncIterator[tuple[Flight, str]]:
    """A server whose every setting that can be secret is a canary; also yield an API key."""
    values = settings(
        folder, USE_SYNTHETIC_DATA="false", USE_MASSIVE_API="true", MASSIVE_API_KEY=KEY, TIDEWIRE_FEED_URL=venue.url,
        WEBSOCKET_CONNECTION_2_ENABLED="false", TIDEWIRE_LOG_LEVEL="debug", TIDEWIRE_SECRET_KEY=canary("secret-key"),
        TIDEWIRE_METRICS_TOKEN=canary("metrics-token"),
        TIDEWIRE_REDIS_URL=f"redis://:{canary('redis-password')}@127.0.0.1:{valkey.port}/0",
    )  # fmt: skip
    given = canary("admin-password")
    add = ("user", "add", "admin", "--role", "admin", "--password-stdin")
    added = await asyncio.to_thread(run_command, *add, values=values, cwd=folder, given=given)
    made = await asyncio.to_thread(
        run_command, "token", "create", "admin", "--name", "programme", values=values, cwd=folder
    )
    shown = await asyncio.to_thread(run_command, "check-config", values=values, cwd=folder)
    assert (added.returncode, made.returncode, shown.returncode) == (0, 0, 0), made.stderr
    with Service("serve", values=values, cwd=folder) as service:
        flight = Flight(service, (await asyncio.to_thread(service.logged, "serving"))["url"], venue, valkey)
        flight.seen += [added.stdout, added.stderr, made.stderr, shown.stdout, shown.stderr]
        flight.issued["api-key"] = made.stdout.strip()
        yield flight, made.stdout.strip()
        # __exit__ waits in this thread; the venue must be able to answer meanwhile.
        await asyncio.to_thread(service.stop)


# Four processes are started, one after the other; on a crowded machine each takes its time.
@pytest.mark.timeout(180)
async def test_no_secret_leaves_a_process_in_trouble(tmp_path: Path) -> None:
    """Logins, tokens, a venue and a broker go wrong at DEBUG: not one secret is in what came out."""
    with ValkeyProcess(requirepass=canary("redis-password")) as valkey:
        async with Upstream() as venue, server(tmp_path, venue, valkey) as (flight, key):
            login = await log_in_well_and_badly(flight)
            await knock_with_tokens(flight, login, key)
            await break_the_venue(flight)
            valkey.kill()
            await flight.logged("bus_down")
            await look_everywhere(flight, login)
    text = flight.everything()
    assert len(text) > 20_000
    assert "connections_closed" in text
    assert [name for name in NAMES if core(name) in text] == []
    assert KEY not in text
    assert [name for name, value in flight.issued.items() if value[4:24] in text] == []


def test_the_search_finds_a_canary_in_any_dress() -> None:
    """Cut off, quoted for a URL, a header or Python: the core is the same."""
    for dress in (canary("x")[:30], repr(canary("x")), canary("x").replace("-", "%2D"), f'"{canary("x")}"'):
        assert core("x") in dress
    assert len({core(name) for name in NAMES}) == len(NAMES) == 20


TYPO = canary("typo")
SETTINGS = {
    "a typing error in a key": {"TIDEWIRE_SECRET_KEYS": TYPO},
    "a short secret": {"TIDEWIRE_SECRET_KEY": core("typo")},
    "a database URL with a space": {"TIDEWIRE_DATABASE_URL": f"postgresql+asyncpg://u:{TYPO} @h:port/x"},
    "an unknown database": {"TIDEWIRE_DATABASE_URL": f"mysql://u:{TYPO}@h/x"},
    "a broken Redis URL": {"TIDEWIRE_REDIS_URL": f"redis://u:{TYPO}@h:port/x"},
    "an unknown bus": {"TIDEWIRE_REDIS_URL": f"amqp://u:{TYPO}@h/x"},
    "a login in the feed's URL": {"TIDEWIRE_FEED_URL": f"http://u:{TYPO}@h/stocks"},
    "a good feed's URL with both": {"TIDEWIRE_FEED_URL": f"wss://u:{TYPO}@h/stocks?apiKey={TYPO}"},
    "a key in the feed's query": {"TIDEWIRE_FEED_URL": f"ws://h/stocks?apiKey={TYPO}"},
    "a login in the public URL": {"TIDEWIRE_PUBLIC_URL": f"https://u:{TYPO}@h/x"},
    "a login in a second origin": {"TIDEWIRE_ALLOWED_ORIGINS": f"https://h,https://u:{TYPO}@h"},
    "a file that is not there": {"TIDEWIRE_METRICS_TOKEN": TYPO, "TIDEWIRE_METRICS_TOKEN_FILE": "/nowhere"},
}


@pytest.mark.parametrize("values", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_setting_is_shown_without_its_secret(
    values: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused at the start, or shown by check-config, never repeats what can hold a password."""
    for key, value in settings(tmp_path, **values).items():
        monkeypatch.setenv(key, value)
    try:
        shown = str(describe(load_settings(env_file=None)))
    except SettingsError as error:
        shown = f"{error} {error.describe()}"
    assert len(shown) > 100
    assert core("typo") not in shown


DOWN = {
    "postgres": {"TIDEWIRE_DATABASE_URL": f"postgresql+asyncpg://u:{TYPO}@127.0.0.1:9/x"},
    "redis": {"TIDEWIRE_REDIS_URL": f"redis://u:{TYPO}@127.0.0.1:9/0"},
    "redis-url": {"TIDEWIRE_REDIS_URL": f"redis://u:{TYPO}@h:port/0"},
}


@pytest.mark.parametrize("values", DOWN.values(), ids=DOWN.keys())
def test_a_server_that_is_down_is_told_without_its_password(values: dict[str, str], tmp_path: Path) -> None:
    """The start fails with the address, not with the login."""
    done = run_command("serve", values=settings(tmp_path, TIDEWIRE_LOG_LEVEL="debug", **values), cwd=tmp_path)
    assert done.returncode != 0
    assert len(done.stderr) > 100
    assert core("typo") not in done.stdout + done.stderr


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log of a process at DEBUG, as it is set up in production."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    configure_logging(level="debug", style="json", secrets=[canary("registered")], stream=stream)
    yield stream
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    structlog.reset_defaults()


def test_a_traceback_shows_neither_locals_nor_known_secrets(log: io.StringIO) -> None:
    """A fault of ours while a password is in a variable is logged without the variable."""

    def check(password: str) -> None:
        raise ZeroDivisionError(canary("registered"))

    try:
        check(canary("local"))
    except ZeroDivisionError:
        structlog.get_logger("test").exception("request_fault", password=canary("field"), path="/x")
    text = log.getvalue()
    assert "ZeroDivisionError" in text
    assert [name for name in ("registered", "local", "field") if core(name) in text] == []
