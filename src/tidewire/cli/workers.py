"""``tidewire serve --workers N``: a supervisor as a service. It must not know how it supervises."""

from __future__ import annotations

import asyncio
import os
import signal

import typer

from tidewire.app.notifier import Notifier
from tidewire.app.ports import SharedPort
from tidewire.app.probe import Probe
from tidewire.app.supervisor import Supervisor
from tidewire.cli.output import print_json
from tidewire.cli.running import run_service, wait_for_end
from tidewire.core.clock import SystemClock
from tidewire.core.errors import TidewireError
from tidewire.monitoring.metrics import NodeCollector, PlaceCollector, new_registry
from tidewire.settings import Settings


class DrainFailed(TidewireError):
    """Processes had to be killed at the end."""

    code = "drain_failed"


class _Kill:
    """Ends the children when a second signal comes; before there are any, nothing."""

    supervisor: Supervisor | None = None

    def __call__(self) -> None:
        if self.supervisor is not None:
            self.supervisor.kill()


def serve_with_workers(settings: Settings, *, workers: int, with_feed: bool, as_json: bool) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP replaces the processes one by one. Raises SettingsError or StartFailed."""
    kill = _Kill()
    service = _serve(settings, kill, workers=workers, with_feed=with_feed, as_json=as_json)
    run_service(service, at_once=kill)


async def _serve(settings: Settings, kill: _Kill, *, workers: int, with_feed: bool, as_json: bool) -> None:
    port = SharedPort(settings.host, settings.port)
    port.claim()
    node = settings.node_name
    supervisor = kill.supervisor = Supervisor(
        node=node, workers=workers, with_feed=with_feed, port=port, clock=SystemClock()
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, supervisor.roll)
    probe = _probe(settings, supervisor) if settings.metrics_port is not None else None
    notifier = Notifier()
    try:
        if probe is not None:
            await probe.start()
        await supervisor.start()
        url = settings.base_url if settings.port else f"{settings.base_url.rsplit(':', 1)[0]}:{port.port}"
        _announce(url, probe, supervisor, as_json=as_json)
        notifier.ready(f"{workers} workers serving {url}")
        await wait_for_end()
    finally:
        notifier.stopping()
        killed = await supervisor.stop()
        if probe is not None:
            await probe.stop()
        if killed:
            raise DrainFailed(
                f"{killed} processes did not end in time and were killed.",
                required_action="Look at the log for worker_killed, and report it.",
                will_not="Their clients were not sent away; they connect again by themselves.",
            )


def _probe(settings: Settings, supervisor: Supervisor) -> Probe:
    registry = new_registry(PlaceCollector(supervisor.facts))
    registry.register(NodeCollector(settings.node_name))
    return Probe(settings, 0, {"workers": supervisor.ready}, registry)


def _announce(url: str, probe: Probe | None, supervisor: Supervisor, *, as_json: bool) -> None:
    if as_json:
        metrics_url = probe.url if probe is not None else None
        print_json({"url": url, "pid": os.getpid(), "metrics_url": metrics_url, "workers": supervisor.facts()})
        return
    places = ", ".join(f"{fact['name']} ({fact['pid']})" for fact in supervisor.facts())
    typer.echo(f"Serving {url} with {places}. SIGHUP replaces them one by one.")
