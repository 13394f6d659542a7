"""Several workers on one port, as real processes: even, restarted, drained, replaced, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websockets
from structlog.testing import capture_logs

from tests.support.command import Service, children_of, environment, is_running, run_command, wait_until_gone
from tests.support.served import settings
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import until
from tidewire.app.ports import SharedPort
from tidewire.app.supervisor import Supervisor
from tidewire.core.clock import SystemClock
from tidewire.core.errors import SettingsError

__all__ = ["valkey"]

CEILING_S = 60
SOCKETS = 40


@dataclass
class Crew:
    """A running ``tidewire serve --workers 2``.

    Attributes:
        said: What it announced.
    """

    service: Service
    said: dict[str, Any]
    sockets: list[websockets.ClientConnection] = field(default_factory=list)

    @property
    def hub(self) -> str:
        """The hub's address."""
        return f"{self.said['url'].replace('http', 'ws', 1)}/ws"

    @property
    def children(self) -> list[int]:
        """Process ids of two workers and the feed, as announced."""
        return [worker["pid"] for worker in self.said["workers"]]

    async def open(self, count: int) -> list[websockets.ClientConnection]:
        """Open sockets, each welcomed; they are closed with the crew."""
        opened = [await websockets.connect(self.hub, proxy=None) for _ in range(count)]
        self.sockets += opened
        for one in opened:
            welcome = json.loads(await one.recv())
            assert (welcome["type"], welcome["status"]) == ("connection", "connected")
        return opened

    def metric(self, name: str, place: int | None = None) -> dict[str, float]:
        """Return the samples of one metric, of the supervisor or of one of its processes, by labels."""
        url = self.said["metrics_url"] if place is None else self.said["workers"][place]["metrics_url"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        found = [line.rpartition(" ") for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return {labels.removeprefix(name): float(value) for labels, _, value in found}

    def ready_again(self, name: str, times: int) -> int:
        """Return the process id when that worker has become ready for the n-th time."""
        ready: list[int] = []

        def counts(line: dict[str, Any]) -> bool:
            if line.get("event") == "worker_ready" and line["worker"] == name and line["pid"] not in ready:
                ready.append(line["pid"])
            return len(ready) >= times

        self.service.told(counts)
        return ready[times - 1]


@pytest.fixture
async def crew(tmp_path: Path, valkey: ValkeyProcess) -> AsyncIterator[Crew]:
    """Two workers and a feed. A test may end it; what it has started must be gone afterwards."""
    values = settings(
        tmp_path,
        TIDEWIRE_REDIS_URL=valkey.url,
        TIDEWIRE_ALLOW_ANONYMOUS="true",
        TIDEWIRE_METRICS_PORT="0",
        TIDEWIRE_NODE_NAME="node",
    )
    with Service("serve", "--workers", "2", "--json", values=values, cwd=tmp_path) as service:
        made = Crew(service, service.announcement())
        try:
            yield made
        finally:
            for one in made.sockets:
                one.transport.abort()


async def code_of(one: websockets.ClientConnection) -> int | None:
    """Return the close code, once the socket is closed."""
    async with asyncio.timeout(CEILING_S):
        await one.wait_closed()
    return one.close_code


async def wait_for_status(one: websockets.ClientConnection, status: str) -> None:
    """Return when the server has said so."""
    async with asyncio.timeout(CEILING_S):
        while True:
            message = json.loads(await one.recv())
            if message.get("type") == "connection" and message["status"] == status:
                return


async def test_a_killed_worker_comes_back_and_all_are_drained_at_the_end(crew: Crew) -> None:
    """SIGKILL costs one worker's sockets, it is back at once; three in a row are a loop; SIGTERM closes with 4000."""
    assert [worker["name"] for worker in crew.said["workers"]] == ["node-1", "node-2", "node-feed"]
    sockets = await crew.open(SOCKETS)
    shares = [int(crew.metric("tidewire_hub_connections", place)[""]) for place in (0, 1)]
    # Dealt at random: fewer than 6 of 40 on one side happens once in a million runs.
    assert sum(shares) == SOCKETS
    assert min(shares) >= 6
    assert [crew.metric("tidewire_node_info", place) for place in (0, 2)] == [
        {'{node="node-1"}': 1.0},
        {'{node="node-feed"}': 1.0},
    ]
    for times in (1, 2, 3):
        os.kill(await asyncio.to_thread(crew.ready_again, "node-1", times), signal.SIGKILL)
    ended = crew.service.logged("worker_ended")
    assert (ended["worker"], ended["cause"]) == ("node-1", "killed by SIGKILL")
    loop = await asyncio.to_thread(crew.service.logged, "worker_crash_loop")
    assert (loop["worker"], loop["ends"]) == ("node-1", ["killed by SIGKILL"] * 3)
    # Its place is closed until it is back: whoever comes now gets in at once.
    left = await crew.open(10)
    assert crew.metric("tidewire_hub_connections", 1) == {"": shares[1] + 10}
    await asyncio.to_thread(crew.ready_again, "node-1", 4)
    assert crew.metric("tidewire_worker_restarts_total")['{role="web",worker="node-1"}'] == 3.0
    assert crew.metric("tidewire_worker_crash_loop")['{role="web",worker="node-1"}'] == 1.0
    survivors = [one for one in sockets if one.state is websockets.protocol.State.OPEN]
    assert len(survivors) == shares[1]
    left += survivors
    stopping = asyncio.create_task(asyncio.to_thread(crew.service.stop))
    assert Counter([await code_of(one) for one in left]) == {4000: shares[1] + 10}
    assert await stopping == 0
    assert not any(is_running(pid) for pid in crew.children)
    assert not [line for line in crew.service.log() if line["event"] == "worker_killed"]


async def test_a_living_worker_accepts_for_one_that_is_away(crew: Crew) -> None:
    """Who comes while a killed worker's successor starts is let in at once; then the new one gets its share again."""
    before = children_of(crew.service.pid)
    os.kill(await asyncio.to_thread(crew.ready_again, "node-1", 1), signal.SIGKILL)
    await until(lambda: len(set(children_of(crew.service.pid)) - set(before)) == 1, CEILING_S)
    (successor,) = set(children_of(crew.service.pid)) - set(before)
    os.kill(successor, signal.SIGSTOP)
    covered = await asyncio.to_thread(crew.service.logged, "worker_covered")
    assert (covered["worker"], covered["by_pid"]) == ("node-1", crew.said["workers"][1]["pid"])
    # Half of these are dealt to the place without a process. None waits for it.
    async with asyncio.timeout(CEILING_S):
        await crew.open(SOCKETS)
    assert crew.metric("tidewire_hub_connections", 1) == {"": float(SOCKETS)}
    os.kill(successor, signal.SIGCONT)
    assert await asyncio.to_thread(crew.ready_again, "node-1", 2) == successor
    await crew.open(SOCKETS)
    share = int(crew.metric("tidewire_hub_connections", 1)[""]) - SOCKETS
    # The one that covered may have one or two more before it hears that it is to let go.
    assert 6 <= share <= SOCKETS - 6


async def test_a_rolling_restart_refuses_nobody_and_a_second_signal_ends_at_once(crew: Crew) -> None:
    """SIGHUP: each is replaced by one that is ready, clients get 4000 and in again. SIGTERM twice: 143, nobody left."""
    sockets = await crew.open(SOCKETS)
    codes = [asyncio.create_task(code_of(one)) for one in sockets]
    crew.service.process.send_signal(signal.SIGHUP)
    done = asyncio.create_task(asyncio.to_thread(crew.service.logged, "rolling_restart_done"))
    opened = 0
    while not done.done():
        # None of these may be refused or reset, whatever is being replaced.
        async with asyncio.timeout(CEILING_S):
            (newcomer,) = await crew.open(1)
            await newcomer.close()
        opened += 1
    await done
    assert opened > 0
    assert Counter(await asyncio.gather(*codes)) == {4000: SOCKETS}
    assert not any(is_running(pid) for pid in crew.children)
    children = children_of(crew.service.pid)
    assert len(children) == 3
    lines = [line["event"] for line in crew.service.log()]
    assert "worker_ended" not in lines
    assert lines.count("worker_ready") == 6

    sockets = await crew.open(2 * SOCKETS)
    crew.service.process.send_signal(signal.SIGTERM)
    await wait_for_status(sockets[0], "draining")
    # One that is frozen hears nothing any more; it must go too.
    os.kill(children[0], signal.SIGSTOP)
    crew.service.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(crew.service.wait) == 143
    for pid in children:
        await asyncio.to_thread(wait_until_gone, pid)
    # At once means that those whose turn had not come were not sent away.
    assert 1006 in [await code_of(one) for one in sockets]
    assert any("second signal" in line["event"] for line in crew.service.log())


@pytest.mark.long
async def test_a_killed_parent_leaves_nobody(crew: Crew) -> None:
    """SIGKILL of the supervisor: its children drain their clients and end by themselves."""
    sockets = await crew.open(10)
    crew.service.process.kill()
    assert {await code_of(one) for one in sockets} == {4000}
    for pid in crew.children:
        await asyncio.to_thread(wait_until_gone, pid)


@pytest.mark.long
def test_what_cannot_start_ends_with_a_reason(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """A universe that is not there: the feed's own words, those of the parent, exit code 1, nobody left."""
    values = settings(tmp_path, TIDEWIRE_REDIS_URL=valkey.url, WEBSOCKET_CONNECTION_2_SYMBOLS="")
    values["WEBSOCKET_CONNECTION_2_UNIVERSE_KEY"] = "nowhere:none"
    done = run_command("serve", "--workers", "2", values=values, cwd=tmp_path, timeout_s=CEILING_S)
    assert (done.returncode, done.stdout) == (1, "")
    assert "universe import" in done.stderr
    assert "ended (exit code 1) before it was ready" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_taken_metrics_port_names_its_own_key(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Whoever reads it must not change the port of the pages."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        values = settings(tmp_path, TIDEWIRE_REDIS_URL=valkey.url, TIDEWIRE_METRICS_PORT=port)
        done = run_command("serve", "--workers", "2", values=values, cwd=tmp_path, timeout_s=CEILING_S)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "choose another with TIDEWIRE_METRICS_PORT." in done.stderr


@pytest.mark.long
async def test_a_frozen_worker_is_replaced(
    tmp_path: Path, valkey: ValkeyProcess, port: SharedPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is stopped (SIGSTOP) and holds its sockets for nothing is killed, told and started again."""
    for key, value in environment(settings(tmp_path, TIDEWIRE_REDIS_URL=valkey.url)).items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    clock = SystemClock()
    supervisor = Supervisor(node="n", workers=1, with_feed=False, port=port, clock=clock, frozen_s=3.0)
    with capture_logs() as logs:
        try:
            await supervisor.start()
            (frozen,) = supervisor.facts()
            os.kill(frozen["pid"], signal.SIGSTOP)

            def back() -> bool:
                now = supervisor.facts()[0]
                return bool(now["restarts"]) and now["state"] == "ready"

            await until(back, CEILING_S)
            assert supervisor.facts()[0]["ends"] == ["killed by SIGKILL"]
        finally:
            assert await supervisor.stop() == 0
    assert [line["pid"] for line in logs if line["event"] == "worker_frozen"] == [frozen["pid"]]
    assert supervisor.facts()[0]["state"] == "stopped"


@pytest.fixture
def port() -> Iterator[SharedPort]:
    """A shared port."""
    made = SharedPort("127.0.0.1", 0)
    made.claim()
    yield made
    made.close()


def test_a_port_that_is_shared_already_is_refused(port: SharedPort) -> None:
    """A second `serve` on the same port does not join the first in silence."""
    port.socket_of(1).listen()
    other = SharedPort("127.0.0.1", port.port)
    with pytest.raises(SettingsError, match=f"Cannot listen on 127.0.0.1 port {port.port}"):
        other.claim()


def test_connections_outlive_a_worker_and_avoid_a_place_that_was_closed(port: SharedPort) -> None:
    """What waits on a place is taken by its next worker; a place that is closed gets nobody any more."""
    port.socket_of(1).listen()
    port.socket_of(2).listen()
    port.close_of(2)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", port.port), timeout=10))
        # The next worker of place 1 inherits the same socket, and finds all of them.
        with socket.socket(fileno=os.dup(port.socket_of(1).fileno())) as next_worker:
            next_worker.settimeout(10)
            for _ in range(20):
                next_worker.accept()[0].close()
    port.socket_of(2).listen()
    assert port.socket_of(2).getsockname()[1] == port.port
