"""Sends feed status, ticks, metrics and history to the viewers of one process. It must not know cookies or handshakes.

Before each push it looks at how much the viewer has not read yet: over the soft mark ticks are conflated and the
viewer is told, over the hard mark or after ten seconds it is cut. Everything that several viewers get is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from tidewire.core.errors import RequestError, TidewireError, told
from tidewire.monitoring.audience import Audience, Resumed
from tidewire.monitoring.bus_tick import Seen
from tidewire.monitoring.feed_monitor import FeedMonitor
from tidewire.monitoring.feed_report import FeedReport
from tidewire.monitoring.history import Series
from tidewire.monitoring.viewer import HARD_QUEUE, SOFT_QUEUE, Options, Verdict, Viewer

METRICS_EVERY_S = 5
SNAPSHOT_TICKS = 50


class Door(Protocol):
    """What the stream needs of the Socket.IO server."""

    def encode_event(self, event: str, data: object, *, namespace: str) -> object:
        """Return an event ready for ``push``."""
        ...

    def push(self, sid: str, packet: object, *, namespace: str) -> bool:
        """Queue a packet without waiting; False if the socket is gone."""
        ...

    def queue_size(self, sid: str, *, namespace: str) -> int:
        """Return how many packets the peer has not taken yet."""
        ...

    async def cut(self, sid: str, *, namespace: str) -> None:
        """End the socket, even if the peer does not read."""
        ...


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a page needs to draw itself at once."""

    status: object
    history: dict[str, Series]
    ticks: dict[str, list[msgspec.Raw]]
    paused: dict[str, float]
    options: Options


class AdminStream:
    """The stream.

    Args:
        namespace: Socket.IO namespace of the viewers.
        monitor: Where everything comes from.
        cut: Called with a viewer's sid and the error that ends it; must not block.
    """

    def __init__(self, namespace: str, monitor: FeedMonitor, cut: Callable[[str, TidewireError], None]) -> None:
        self.door: Door | None = None
        self._namespace = namespace
        self._monitor = monitor
        self._cut = cut
        self._audience = Audience()
        self._seconds = 0
        self._slow_cuts = 0

    def add(self, sid: str) -> None:
        """Let a viewer in and tell it the status."""
        self._sync()
        self._audience.add(sid)
        self._monitor.view.collecting = True
        self.push(sid, "connection_status_update", self._monitor.report().status())

    def remove(self, sid: str) -> None:
        """Let a viewer go. Idempotent."""
        self._sync()
        self._audience.remove(sid)
        self._monitor.view.collecting = len(self._audience) > 0

    def push(self, sid: str, event: str, data: object) -> None:
        """Send one event to one viewer."""
        door = self._open_door()
        door.push(sid, door.encode_event(event, data, namespace=self._namespace), namespace=self._namespace)

    def queue_size(self, sid: str) -> int:
        """Return how many packets the viewer has not taken yet."""
        return self._open_door().queue_size(sid, namespace=self._namespace)

    # What the monitor calls.

    def absorb(self, ticks: Sequence[Seen]) -> None:
        """Take new ticks, oldest first."""
        self._audience.absorb(ticks)

    def flush(self) -> None:
        """Send what has gathered since the last time."""
        self._sync()
        packets: dict[tuple[object, ...], object] = {}
        served = set()
        for delivery in self._audience.flush():
            self._monitor.view.note_shown(delivery.ticks)
            for viewer in delivery.viewers:
                served.add(viewer.key)
                self._deliver(viewer, delivery.ticks, packets)
        for viewer in self._audience:
            if viewer.has_backlog and viewer.key not in served:
                self._deliver(viewer, (), packets)

    def second(self, second: int, points: Mapping[str, msgspec.Raw]) -> None:
        """Send this second's history, what pauses hold back, and every five seconds the metrics."""
        self._seconds += 1
        self._sync()
        if not len(self._audience):
            return
        history = self._encode("history_update", {"t": second, "connections": points})
        report = self._monitor.report() if self._seconds % METRICS_EVERY_S == 0 else None
        for viewer in self._audience:
            if not self._keeps_up(viewer):
                continue
            self._push(viewer, history)
            held = self._audience.held(viewer)
            if held:
                self._push(viewer, self._encode("held_update", held))
            if report is not None:
                self._push_metrics(viewer, report)

    def status_changed(self, report: FeedReport) -> None:
        """Tell everybody, slow viewers too: the hard mark bounds how often."""
        packet = self._encode("connection_status_update", report.status()) if len(self._audience) else None
        for viewer in self._audience:
            self._push(viewer, packet)

    # What viewers ask for.

    def snapshot(self, sid: str) -> Snapshot:
        """Return everything a page needs to draw itself."""
        viewer = self._viewer(sid)
        wanted = self._audience.compiled(viewer)
        ticks = {}
        for lane, recent in self._monitor.view.recent().items():
            chosen = [seen for seen in reversed(recent) if wanted is None or wanted.passes(seen)][:SNAPSHOT_TICKS]
            self._monitor.view.note_shown(chosen)
            ticks[lane] = [seen.wire() for seen in chosen]
        return Snapshot(
            status=self._monitor.report().status(),
            history=self._monitor.history(),
            ticks=ticks,
            paused=self._audience.paused(viewer),
            options=viewer.options,
        )

    def send_metrics(self, sid: str) -> None:
        """Send the metrics now."""
        self._push_metrics(self._viewer(sid), self._monitor.report())

    def options(self, sid: str) -> Options:
        """Return the viewer's options."""
        return self._viewer(sid).options

    def set_options(self, sid: str, options: Options) -> None:
        """Change mode and filter from the next tick on."""
        self._audience.set_options(self._viewer(sid), options)

    def pause(self, sid: str, lane: str | None) -> dict[str, float]:
        """Hold back one lane or all; return since when each paused lane is paused."""
        viewer = self._viewer(sid)
        lanes = self._monitor.view.lanes() if lane is None else [lane]
        self._audience.pause(viewer, lanes, self._monitor.clock.time(), later_too=lane is None)
        return self._audience.paused(viewer)

    def resume(self, sid: str, lane: str | None) -> tuple[dict[str, float], Resumed]:
        """Let one lane or all flow again; return what is still paused and what is handed over."""
        viewer = self._viewer(sid)
        resumed = self._audience.resume(viewer, None if lane is None else [lane])
        for ticks in resumed.ticks.values():
            self._monitor.view.note_shown(ticks)
        return self._audience.paused(viewer), resumed

    def statistics(self) -> dict[str, int]:
        """Return the sizes of everything that is kept, and how many viewers were cut."""
        return {**self._audience.statistics(), "slow_cuts": self._slow_cuts}

    def _sync(self) -> None:
        """Bring the audience up to the last tick, so that what follows happens after it."""
        if self._monitor.view.fresh_count:
            self._audience.absorb(self._monitor.view.take_fresh())

    def _viewer(self, sid: str) -> Viewer:
        self._sync()
        viewer = self._audience.get(sid)
        if viewer is None:
            raise RequestError(
                "This socket has ended.",
                required_action="Connect again.",
                will_not="Tidewire will not answer on it.",
                code="gone",
            )
        return viewer

    def _deliver(self, viewer: Viewer, ticks: Sequence[Seen], packets: dict[tuple[object, ...], object]) -> None:
        verdict = viewer.judge(self.queue_size(viewer.key), self._monitor.clock.monotonic())
        if verdict is Verdict.CUT:
            self._cut_slow(viewer)
            return
        if verdict is not Verdict.SEND:
            viewer.defer(ticks)
            if verdict is Verdict.TELL:
                self._tell_slow(viewer)
            return
        shown, dropped = viewer.take(ticks)
        if viewer.options.batch:
            key: tuple[object, ...] = (id(shown), dropped)
            if key not in packets or shown is not ticks:
                packets[key] = self._encode(
                    "tick_batch", {"ticks": [seen.wire() for seen in shown], "dropped": dropped}
                )
            self._push(viewer, packets[key])
            return
        for seen in shown:
            if (seen.id,) not in packets:
                packets[(seen.id,)] = self._encode("tick_update", seen.wire())
            self._push(viewer, packets[(seen.id,)])

    def _keeps_up(self, viewer: Viewer) -> bool:
        """Judge a viewer outside of a flush: in a quiet market only this notices that it has stopped reading."""
        verdict = viewer.judge(self.queue_size(viewer.key), self._monitor.clock.monotonic())
        if verdict is Verdict.CUT:
            self._cut_slow(viewer)
        elif verdict is Verdict.TELL:
            self._tell_slow(viewer)
        return verdict is Verdict.SEND

    def _push_metrics(self, viewer: Viewer, report: FeedReport) -> None:
        metrics = report.metrics(viewer.dropped, self._audience.held(viewer))
        self._push(viewer, self._encode("metrics_update", metrics))

    def _tell_slow(self, viewer: Viewer) -> None:
        error = RequestError(
            "This page reads more slowly than ticks arrive; it now gets only the newest tick per symbol.",
            required_action="Pause columns or narrow the filter; close other heavy pages.",
            will_not="Tidewire will not queue ticks without bound for it.",
            code="slow_viewer",
        )
        self.push(viewer.key, "error", told(error))

    def _cut_slow(self, viewer: Viewer) -> None:
        self._slow_cuts += 1
        self._audience.remove(viewer.key)
        self._cut(
            viewer.key,
            RequestError(
                f"This page has not read for too long (more than {SOFT_QUEUE} packets for 10 s, or {HARD_QUEUE}).",
                required_action="Reload the page when the network or the browser has recovered.",
                will_not="Tidewire will not keep a connection that nobody reads.",
                code="slow_consumer",
            ),
        )

    def _encode(self, event: str, data: object) -> object:
        return self._open_door().encode_event(event, data, namespace=self._namespace)

    def _push(self, viewer: Viewer, packet: object) -> None:
        self._open_door().push(viewer.key, packet, namespace=self._namespace)

    def _open_door(self) -> Door:
        if self.door is None:
            raise RuntimeError("register the namespace on a server before viewers come")
        return self.door
