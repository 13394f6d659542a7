"""Two feeds, one lease: real processes against a real Valkey and a venue that allows one feed's connections only."""

from __future__ import annotations

import contextlib
import json
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bus import Inbox
from tests.support.command import Service
from tests.support.platform import Served, served, settings_for
from tests.support.served import settings
from tests.support.valkey import BareClient, ValkeyProcess, valkey
from tests.support.waiting import until
from tidewire.app.platform import Platform
from tidewire.core.errors import TidewireError
from tidewire.core.fence import fence_of, tail_of
from tidewire.core.market import TICK_CHANNEL

__all__ = ["valkey"]

# A takeover waits for the lease to run out, 6 s; a loaded machine may be far slower.
CEILING_S = 40
KEY = "a key for the simulator"


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A market that throws out the oldest connection beyond two, as the real one does."""
    words = ("--json", "--port", "0", "--key", KEY, "--rate", "200", "--tickers", "10", "--max-connections", "2")
    with Service("simulate", *words, cwd=tmp_path) as simulator:
        yield simulator.announcement()


def evictions(venue: dict[str, Any]) -> int:
    """How many connections the market has thrown out."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{venue['control_url']}/state", timeout=60) as answer:
        found: int = json.load(answer)["counters"]["evicted"]
        return found


@contextlib.contextmanager
def feed(
    name: str, folder: Path, redis_url: str, venue: dict[str, Any], *, announced: bool = True
) -> Iterator[Service]:
    """Run ``tidewire feed`` on a machine of that name, with two lines; ``announced``: wait until it runs."""
    home = folder / name
    home.mkdir()
    values = settings(
        home,
        USE_SYNTHETIC_DATA="false",
        USE_MASSIVE_API="true",
        MASSIVE_API_KEY=KEY,
        TIDEWIRE_FEED_URL=venue["url"],
        # One that the market lists; a line with another waits for an acknowledgement that never comes.
        WEBSOCKET_CONNECTION_2_SYMBOLS="IBM",
        TIDEWIRE_REDIS_URL=redis_url,
        TIDEWIRE_NODE_NAME=name,
    )
    with Service("feed", "--json", values=values, cwd=home) as service:
        try:
            assert not announced or service.announcement()["node"] == name
            yield service
        finally:
            # One that a failed test has left frozen would not hear that it is to end.
            if service.process.poll() is None:
                service.process.send_signal(signal.SIGCONT)


@pytest.fixture
async def site(tmp_path: Path, valkey: ValkeyProcess) -> AsyncIterator[Served]:
    """A web process that watches."""
    async with served(tmp_path, redis_url=valkey.url) as made:
        yield made


async def until_status(site: Served, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the status as soon as ``holds`` is true of it; the monitor is told each second at the latest."""
    await until(lambda: holds(site.web.monitor.status()), CEILING_S)
    return site.web.monitor.status()


def led_by(name: str, *waiting: str) -> Callable[[dict[str, Any]], bool]:
    """Whether that feed leads, is connected, and those others wait."""
    return lambda status: (
        status["leader"] is not None
        and status["leader"]["node"] == name
        and status["connected_count"] == 2
        and [standby["node"] for standby in status["standby"]] == list(waiting)
    )


async def code_of(site: Served, op: Any, **arguments: Any) -> str:
    """Return how a command ended: ``ok`` or the error's code."""
    try:
        reply = await site.web.ask_feed(op, by="ann", **arguments)
    except TidewireError as error:
        return error.code
    return "ok" if reply.ok else (reply.error or {})["code"]


async def test_a_frozen_leader_is_replaced_and_is_not_heard_again(
    tmp_path: Path, valkey: ValkeyProcess, venue: dict[str, Any], site: Served
) -> None:
    """SIGSTOP, takeover, SIGCONT: no tick of the old feed is taken, it stops by itself, nobody fights for the venue."""
    taken, raw = Inbox(), Inbox()
    site.platform.bus.subscribe(TICK_CHANNEL, taken.receive)
    assert await code_of(site, "pause") == "feed_absent"
    with feed("first", tmp_path, valkey.url, venue) as first:
        await until_status(site, led_by("first"))
        with feed("second", tmp_path, valkey.url, venue) as second:
            before = await until_status(site, led_by("first", "second"))
            await until_status(site, lambda status: status["standby"][0]["reason"].startswith("first"))
            assert await code_of(site, "reconnect", connection_id="connection_1") == "ok"
            assert await code_of(site, "move", symbol="IBM", connection_id="connection_1") == "ok"
            assert await code_of(site, "reconnect", connection_id="connection_7") == "not_found"
            await until_status(site, led_by("first", "second"))

            first.process.send_signal(signal.SIGSTOP)
            old = before["leader"]["fence"]
            after = await until_status(site, led_by("second"))
            new = after["leader"]["fence"]
            assert new > old
            # What the frozen one may still have had on its way, sent by hand.
            stale = b'{"type":"market_tick","symbol":"AAPL","price":1,"volume":1,"timestamp":1.7e9,"source":"massive"'
            await BareClient(valkey.port).command("PUBLISH", TICK_CHANNEL, stale + tail_of(old))
            await until(lambda: site.platform.bus.gate.refused == 1, CEILING_S)
            # Past the gate: what the old feed itself sends from here on, taken or not.
            site.platform.bus._bus.subscribe(TICK_CHANNEL, raw.receive)

            first.process.send_signal(signal.SIGCONT)
            first.logged("feed_waits")
            assert first.logged("feed_lease_lost")["will_not"]
            await until_status(site, led_by("second", "first"))
            count = len(raw.payloads)
            await raw.wait(count + 50)
            assert {fence_of(payload) for payload in raw.payloads} == {new}
            # Its two connections were thrown out when the second came; it has not come back for them.
            assert evictions(venue) == 2
            assert second.process.poll() is None
    fences = [fence_of(payload) for payload in taken.payloads]
    assert fences == sorted(fences)
    assert set(fences) == {old, new}
    assert stale + tail_of(old) not in taken.payloads


async def test_of_two_that_start_at_once_one_is_ever_heard(
    tmp_path: Path, valkey: ValkeyProcess, venue: dict[str, Any], site: Served
) -> None:
    """One leads from the first tick; it is stopped and continued: not one tick of a fenced feed is even published."""
    raw = Inbox()
    # Past the gate: what is published, taken or not.
    site.platform.bus._bus.subscribe(TICK_CHANNEL, raw.receive)
    names = ("first", "second")
    with contextlib.ExitStack() as stack:
        pair = {name: stack.enter_context(feed(name, tmp_path, valkey.url, venue, announced=False)) for name in names}
        started = await until_status(site, lambda status: any(led_by(*order)(status) for order in (names, names[::-1])))
        leader, waiting = started["leader"]["node"], started["standby"][0]["node"]
        old = started["leader"]["fence"]
        await raw.wait(100)
        assert {fence_of(payload) for payload in raw.payloads} == {old}
        # Neither has thrown out the other's connections.
        assert evictions(venue) == 0

        pair[leader].process.send_signal(signal.SIGSTOP)
        new = (await until_status(site, led_by(waiting)))["leader"]["fence"]
        assert new > old
        pair[leader].process.send_signal(signal.SIGCONT)
        pair[leader].logged("feed_waits")
        await until_status(site, led_by(waiting, leader))
        await raw.wait(len(raw.payloads) + 50)
        fences = [fence_of(payload) for payload in raw.payloads]
        # The old number never comes after the new one, in all that was ever published.
        assert fences == sorted(fences)
        assert set(fences) == {old, new}
        assert site.platform.bus.gate.refused == 0


@pytest.mark.long
async def test_a_killed_leader_is_replaced_and_a_pause_outlives_it(
    tmp_path: Path, valkey: ValkeyProcess, venue: dict[str, Any], site: Served
) -> None:
    """SIGKILL: the second takes over, still paused as an operator wanted; a clean end hands over without waiting."""
    with feed("second", tmp_path, valkey.url, venue) as second:
        await until_status(site, led_by("second"))
        with feed("first", tmp_path, valkey.url, venue) as first:
            await until_status(site, led_by("second", "first"))
            assert await code_of(site, "pause", reason="storm") == "ok"
            await until_status(site, lambda status: status["paused"] is not None)
            await until_heard_pause(site)
            second.kill()
            status = await until_status(site, lambda status: status["leader"]["node"] == "first")
            assert status["paused"]["reason"] == "storm"
            assert status["connected_count"] == 0
            assert await code_of(site, "resume") == "ok"
            await until_status(site, led_by("first"))
            assert evictions(venue) == 0
            assert first.stop() == 0
            assert (await BareClient(valkey.port).command("EXISTS", "tidewire:{feed}:lease")) == b":0"


async def test_who_loses_the_lease_ends_every_line(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Another's name on the lease: the lines are disconnected, not only muted; when it is free again they come back."""
    bare = BareClient(valkey.port)
    platform = Platform(settings_for(tmp_path, redis_url=valkey.url), with_web=False)
    await platform.start()
    try:
        assert platform.feed is not None
        source = platform.feed.source
        await until(lambda: source.health().connected_count == 1, CEILING_S)
        await bare.command("SET", "tidewire:{feed}:lease", "9999999999999 another")
        await until(lambda: source.health().connected_count == 0, CEILING_S)
        assert platform.feed.fence() is None
        await bare.command("DEL", "tidewire:{feed}:lease")
        await until(lambda: source.health().connected_count == 1, CEILING_S)
        assert platform.feed.statistics()["changes"] == 2
    finally:
        await platform.stop()


async def test_a_process_that_begins_late_knows_the_newest_leader(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """It reads the last number at its start: a replaced feed is not believed even if it is the first to be heard."""
    bare = BareClient(valkey.port)
    await bare.command("SET", "tidewire:{feed}:fence", "9")
    async with served(tmp_path, redis_url=valkey.url) as site:
        taken = Inbox()
        await site.platform.bus.subscribe(TICK_CHANNEL, taken.receive).ready()
        tick = b'{"type":"market_tick","symbol":"AAPL","price":1,"volume":1,"timestamp":1.7e9,"source":"massive"'
        for fence in (8, 9, 0):
            await bare.command("PUBLISH", TICK_CHANNEL, tick + tail_of(fence))
        assert await taken.wait(2) == [tick + tail_of(9), tick + tail_of(0)]


async def until_heard_pause(site: Served) -> None:
    """Return after two more status reports of the paused feed, so that whoever waits has heard of it too."""
    inbox = Inbox()
    subscription = site.platform.bus.subscribe("tidewire:feed:status", inbox.receive)
    await inbox.wait(2)
    subscription.close()
