"""A viewer that does not read, over real sockets: conflated and told, then cut; nobody else notices."""

from __future__ import annotations

import asyncio
import json

from tests.support.admin import Admin, running_admin, tick_bytes
from tests.support.raw_viewer import RawViewer, raw_viewer
from tests.support.stuck_peer import StuckPeer, client_frame, stuck_peer
from tidewire.monitoring.viewer import BATCH_BUDGET, SOFT_QUEUE
from tidewire.web.socketio_guard import SocketLimits

NAMESPACE = "/admin-ws"
# What one flush can carry: about 45 KB, so that the kernel's buffers are soon full.
BURST = [tick_bytes(f"SYM{i}", 100.0 + i, source="a program with a rather long name") for i in range(BATCH_BUDGET)]


async def flush_once(admin: Admin) -> None:
    """One flush of a full batch, and room for the server to write it."""
    admin.publish(*BURST)
    await admin.clock.advance(0.1)
    for _ in range(20):
        await asyncio.sleep(0)


async def stuck_viewer(admin: Admin, peer: StuckPeer) -> str:
    """Join with a peer that reads nothing from then on, in batch mode; the sid."""
    sid = await peer.join()
    await peer.send(client_frame(1, b'42/admin-ws,["set_options",{"batch":true}]'))
    viewer = admin.namespace._stream._audience.get(sid)
    assert viewer is not None
    await admin.until(lambda: viewer.options.batch)
    return sid


async def read_batches(viewer: RawViewer, counts: list[int]) -> None:
    """Read like a healthy page, noting how many ticks each batch has."""
    while True:
        counts.append(len((await viewer.event("tick_batch"))["ticks"]))


async def test_a_viewer_that_never_reads_is_cut_and_others_are_not() -> None:
    """Its queue stays bounded, it is freed after ten seconds, and the healthy viewer gets every batch in full."""
    async with running_admin(limits=SocketLimits(close_grace_s=0.05)) as admin, raw_viewer(admin.ws_url) as good:
        await good.join()
        await good.ask("set_options", {"batch": True})
        counts: list[int] = []
        async with asyncio.timeout(30), stuck_peer(admin.port) as peer, asyncio.TaskGroup() as group:
            reading = group.create_task(read_batches(good, counts))
            sid = await stuck_viewer(admin, peer)
            longest = flushes = 0
            while admin.namespace.statistics()["slow_cuts"] == 0:
                await flush_once(admin)
                flushes += 1
                longest = max(longest, admin.sio.queue_size(sid, namespace=NAMESPACE))
                assert admin.namespace.statistics()["backlog"] <= BATCH_BUDGET
            # One packet over the soft mark by ticks, one for the telling, and status changes meanwhile.
            assert SOFT_QUEUE < longest <= SOFT_QUEUE + 5
            await admin.until(lambda: admin.guard.open_sessions == 1)
            await admin.until(lambda: len(counts) == flushes)
            assert set(counts) == {BATCH_BUDGET}
            reading.cancel()
        assert (await good.ask("request_metrics"))["ok"]
        assert admin.sio.statistics()["sessions"] == 1


async def test_a_viewer_that_catches_up_learns_what_it_missed() -> None:
    """After a pause in reading it finds the warning, then the newest tick per symbol and the number of dropped ones."""
    async with asyncio.timeout(30), running_admin() as admin, stuck_peer(admin.port) as peer:
        await stuck_viewer(admin, peer)
        flushes = 0
        while admin.namespace.statistics()["backlog"] == 0:
            await flush_once(admin)
            flushes += 1
        await flush_once(admin)
        shown = dropped = 0
        told = False
        while shown + dropped < (flushes + 1) * BATCH_BUDGET:
            await admin.clock.advance(0.1)
            text = await peer.text()
            if text.startswith("42/admin-ws,"):
                event, data = json.loads(text.partition(",")[2])
                told = told or (event == "error" and data["code"] == "slow_viewer")
                shown += len(data["ticks"]) if event == "tick_batch" else 0
                dropped += data["dropped"] if event == "tick_batch" else 0
        assert told
        assert (shown + dropped, dropped) == ((flushes + 1) * BATCH_BUDGET, BATCH_BUDGET)
        assert admin.namespace.statistics()["slow_cuts"] == 0
