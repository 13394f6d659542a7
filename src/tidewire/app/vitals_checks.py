"""What is looked at when somebody asks whether all is well: each check asks the thing itself, now.

It must not know who asks, or how results are shown.
Source: contract.md section 6 (``system-health``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from tidewire.app.database import Storage
from tidewire.bus.base import Bus
from tidewire.bus.room_log import Bounds, RoomLog
from tidewire.core.errors import StoreError, Unavailable
from tidewire.core.feed_status import FeedReply, FeedStatus
from tidewire.core.loop_watch import STALL_S, LoopWatch
from tidewire.hub.hub import Hub
from tidewire.vitals.checks import Check, Finding
from tidewire.vitals.gatherer import Gatherer
from tidewire.vitals.sampler import Sampler

# A room of our own to read; nobody publishes there, so the log keeps nothing of it but its name for a minute.
_ROOM = "app:tidewire.health"
_BOUNDS = Bounds(1, 60.0, 1_024)
# What still answers questions, or some of them.
_PARTLY = frozenset({"storage_read_only", "storage_overloaded", "storage_full", "storage_busy"})
# A tenth is left for what is asked for in the next moment.
_NEARLY = 0.9
_OPEN, _MOST = "process_open_fds", "process_max_fds"
_WILL_NOT_LIMIT = "Tidewire will not raise the limit by itself."


def vitals_checks(
    *,
    storage: Storage,
    bus: Bus,
    log: RoomLog | None,
    hub: Hub,
    watch: LoopWatch,
    sampler: Sampler,
    gatherer: Gatherer,
    ask_feed: Callable[[], Awaitable[FeedReply]],
    feed: Callable[[], FeedStatus | None],
) -> Mapping[str, Check]:
    """Return the checks in the order in which they are shown."""
    checks: dict[str, Check] = {
        "database": lambda: _database(storage),
        "bus": lambda: _bus(bus),
        "feed": lambda: _feed(ask_feed, feed),
        "hub": lambda: _hub(hub),
        "nodes": lambda: _nodes(gatherer),
        "event_loop": lambda: _event_loop(watch),
        "monitor": lambda: _monitor(sampler),
        "files": lambda: _files(sampler),
    }
    if log is not None:
        checks["room_log"] = lambda: _room_log(log)
    return checks


async def _database(storage: Storage) -> Finding:
    """Ask on the connections that requests use, whatever the watch thinks. Raises StoreError."""
    try:
        latency_ms = await storage.requests.probe()
    except StoreError as error:
        if error.code in _PARTLY:
            return Finding(concern=error)
        raise
    pool = storage.requests.statistics()
    used, most = pool["in_use"], pool["connections_max"]
    if most > 1 and used >= most * _NEARLY:
        return Finding(
            latency_ms,
            Unavailable(
                f"{used:g} of {most:g} database connections are in use.",
                required_action="Look for slow statements; tidewire_database_pool_requests_waited_seconds_total tells.",
                will_not=_WILL_NOT_LIMIT,
                code="check_pool_nearly_used",
                details={"used": used, "most": most},
            ),
        )
    return Finding(latency_ms)


async def _bus(bus: Bus) -> Finding:
    """Send something there and back. Raises BusError."""
    latency_ms, status = await bus.ping(), bus.status()
    if status.state != "up":
        return Finding(
            latency_ms,
            Unavailable(
                f"The bus works badly: {status.reason}.",
                required_action="Look at the Redis or Valkey server and at the network in between.",
                will_not="Tidewire will not hide that messages may be late.",
                code="check_bus_bad",
                details={"reason": status.reason},
            ),
        )
    if status.kind == "memory":
        return Finding(latency_ms, remark="in this process alone", code="check_bus_alone")
    return Finding(latency_ms)


async def _room_log(log: RoomLog) -> Finding:
    """Read a room. Raises BusError."""
    await log.read(_ROOM, bounds=_BOUNDS)
    status = log.status()
    if status.state == "up" and not status.reason:
        return Finding()
    return Finding(
        concern=Unavailable(
            f"The room log works badly: {status.reason}.",
            required_action="Look at the Redis or Valkey server.",
            will_not="Tidewire will not take messages for rooms that it cannot log.",
            code="check_log_bad",
            details={"reason": status.reason},
        )
    )


async def _feed(ask: Callable[[], Awaitable[FeedReply]], known: Callable[[], FeedStatus | None]) -> Finding:
    """Ask the feed that leads, and look at what it says of its lines. Raises Unavailable or BusError."""
    began = time.perf_counter()
    reply = await ask()
    latency_ms = (time.perf_counter() - began) * 1000
    if not reply.ok:
        said = reply.error or {}
        raise Unavailable(
            str(said.get("message", "The feed refused to answer.")),
            required_action=str(said.get("required_action", "Look at the feed's log.")),
            will_not=str(said.get("will_not", "Tidewire will not start another feed.")),
            code="check_feed_refused",
            details={"said": str(said.get("message", ""))},
        )
    status = known()
    if status is None:
        return Finding(latency_ms, remark="answers, and has not reported its lines yet", code="check_feed_unreported")
    if status.paused:
        return Finding(
            latency_ms,
            remark=f"paused by {status.paused.by}",
            code="check_feed_paused",
            details={"by": status.paused.by},
        )
    down = [line.name for line in status.connections.values() if line.enabled and line.status != "connected"]
    if not down:
        return Finding(latency_ms)
    return Finding(
        latency_ms,
        Unavailable(
            f"{len(down)} of {status.total_connections} lines are not connected: {', '.join(down)}.",
            required_action="Look at the lines on the feed page: each says what it waits for.",
            will_not="Tidewire will not show old prices as new ones.",
            code="check_lines_down",
            details={"count": len(down), "of": status.total_connections, "lines": ", ".join(down)},
        ),
    )


async def _hub(hub: Hub) -> Finding:
    """Look whether new clients are welcome, and how much is held back for slow ones. Raises Unavailable."""
    if not hub.accepting:
        raise Unavailable(
            "This node is being shut down.",
            required_action="Use another node.",
            will_not="Tidewire will not take new clients here.",
            code="check_ending",
            details={},
        )
    held, most = hub.statistics().outbox_bytes, hub.options.budget_bytes
    if held < most * _NEARLY:
        return Finding()
    return Finding(
        concern=Unavailable(
            f"{held:,} of {most:,} bytes are held back for slow readers.",
            required_action="Look at the slow consumers on the page of connections.",
            will_not="Tidewire will not hold back more; the slowest are closed.",
            code="check_outbox",
            details={"held": held, "most": most},
        )
    )


async def _nodes(gatherer: Gatherer) -> Finding:
    """Ask every node for its figures. Raises Unavailable if none but this can be heard."""
    found = await gatherer.latest()
    if found.cut_off:
        raise Unavailable(
            f"This node hears no other one: {found.cut_off}.",
            required_action="Look at the broker, and at the network between it and this node.",
            will_not="Tidewire will not say how the other nodes are.",
            code="check_cut_off",
            details={"reason": found.cut_off},
        )
    missing = [f"{each.node} ({each.why}, heard {each.heard_s_ago:g} s ago)" for each in found.silent]
    missing += [
        f"{each.node} (its figures are {each.age_s:.0f} s old: {each.trouble})" for each in found.nodes if each.stale
    ]
    if missing:
        return Finding(
            concern=Unavailable(
                f"{len(missing)} of {len(found.nodes) + len(found.silent)} nodes do not tell how they are: "
                + ", ".join(missing)
                + ".",
                required_action="Look at those nodes: they may be frozen, cut off or of another version.",
                will_not="Tidewire will not count their figures as zero, or show old ones as new.",
                code="check_nodes_silent",
                details={
                    "count": len(missing),
                    "of": len(found.nodes) + len(found.silent),
                    "nodes": ", ".join(missing),
                },
            )
        )
    names = ", ".join(node.node for node in found.nodes)
    return Finding(remark=names, code="check_nodes_heard", details={"nodes": names})


async def _event_loop(watch: LoopWatch) -> Finding:
    """Measure how long a turn of the loop takes. Raises Unavailable after a long stall."""
    began = time.perf_counter()
    await asyncio.sleep(0)
    latency_ms = (time.perf_counter() - began) * 1000
    await watch.ready()
    recent_s = watch.recent_s()
    if recent_s < STALL_S:
        return Finding(latency_ms)
    return Finding(
        latency_ms,
        Unavailable(
            f"The event loop was {recent_s * 1000:.0f} ms late in the last ten seconds.",
            required_action="Find the call in the stack of the log line event_loop_stalled.",
            will_not="Tidewire will not interrupt it; every connection of this process waits for it.",
            code="check_loop_late",
            details={"late_ms": round(recent_s * 1000)},
        ),
    )


async def _monitor(sampler: Sampler) -> Finding:
    """Read all figures. Raises Unavailable if that fails, or the loop that remembers them stands still."""
    # Not one of a moment ago, whose reading may have failed since.
    reading = sampler.latest(max_age_s=0.0)
    trouble = reading.trouble or ("the loop that reads them stands still" if sampler.is_late() else "")
    if trouble:
        raise Unavailable(
            f"The figures on the pages are {reading.age_s:.0f} s old or have holes: {trouble}.",
            required_action="Look for vitals_unread or monitoring_loop_failed in the log; restart this process.",
            will_not="Tidewire will not show old figures as new.",
            code="check_figures_old",
            details={"age_s": round(reading.age_s), "reason": trouble},
        )
    return Finding()


async def _files(sampler: Sampler) -> Finding:
    """Look how many file descriptors are left. Raises Unavailable where the system does not tell."""
    found = {sample.name: sample.value for sample in sampler.latest().samples if sample.name in (_OPEN, _MOST)}
    if len(found) < 2:
        raise Unavailable(
            "How many file descriptors are open is not known here.",
            required_action="Look at the process with the tools of the system.",
            will_not="Tidewire will not say that there are enough.",
            code="check_files_unknown",
            details={},
        )
    used, most = found[_OPEN], found[_MOST]
    if used < most * _NEARLY:
        return Finding(
            remark=f"{used:g} of {most:g} open", code="check_files_open", details={"used": used, "most": most}
        )
    return Finding(
        concern=Unavailable(
            f"{used:g} of {most:g} file descriptors are open.",
            required_action="Raise the limit (ulimit -n, LimitNOFILE) and restart; see docs/operations.md, Sizing.",
            will_not=_WILL_NOT_LIMIT,
            code="check_files_nearly_used",
            details={"used": used, "most": most},
        )
    )
