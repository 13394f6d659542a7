"""``tidewire serve|feed|migrate``: the platform as services. It must not know how it is wired."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

import structlog
import typer

from tidewire.app.child import ParentLine
from tidewire.app.notifier import Notifier
from tidewire.app.platform import Platform
from tidewire.cli.output import print_json
from tidewire.cli.running import run, run_service, wait_for_end
from tidewire.cli.workers import serve_with_workers
from tidewire.core.errors import SettingsError
from tidewire.core.telemetry import configure_logging
from tidewire.settings import Settings, load_settings
from tidewire.store.migrate import upgrade
from tidewire.web.footprint import settle


def serve(
    workers: int = typer.Option(
        1, min=1, max=64, help="Web processes on one port, and the feed in one more; above 1 needs TIDEWIRE_REDIS_URL."
    ),
    with_feed: bool = typer.Option(True, "--feed/--no-feed", help="Run the feed too."),
    as_json: bool = typer.Option(False, "--json", help="Announce as one JSON line."),
) -> None:
    """Serve pages, sockets and API, and run the feed."""
    settings = load_settings()
    if workers == 1:
        _run(settings, with_feed=with_feed, with_web=True, as_json=as_json)
        return
    if settings.redis_url is None:
        raise SettingsError(
            f"--workers {workers} needs a bus between processes, and TIDEWIRE_REDIS_URL is not set.",
            required_action="Set TIDEWIRE_REDIS_URL to a Redis 7+ or Valkey 8+ server, or run one worker.",
            will_not="Tidewire will not start workers that cannot see each other's messages.",
        )
    configure_logging(level=settings.log_level, style=settings.log_format, secrets=settings.secrets)
    serve_with_workers(settings, workers=workers, with_feed=with_feed, as_json=as_json)


def feed(as_json: bool = typer.Option(False, "--json", help="Announce as one JSON line.")) -> None:
    """Run the feed alone; web processes learn of it over Redis. A second one waits until the first is gone."""
    settings = load_settings()
    if settings.redis_url is None:
        raise SettingsError(
            "A feed on its own needs a bus between processes, and TIDEWIRE_REDIS_URL is not set.",
            required_action="Set TIDEWIRE_REDIS_URL, or run `tidewire serve`, which has the feed inside.",
            will_not="Tidewire will not run a feed that nobody can hear.",
        )
    _run(settings, with_feed=True, with_web=False, as_json=as_json)


def worker(
    role: str = typer.Option(..., help="web or feed."),
    name: str = typer.Option(..., help="Name of this process, on pages and in logs."),
    number: int = typer.Option(..., help="Its place; added to TIDEWIRE_METRICS_PORT."),
    control_fd: int = typer.Option(..., help="Descriptor of the line to the parent."),
    listen_fd: int | None = typer.Option(None, help="Descriptor of the shared port's socket (web)."),
) -> None:
    """Be one of the processes of `serve --workers`; started by it alone."""
    settings = load_settings(node_name=name)
    configure_logging(level=settings.log_level, style=settings.log_format, secrets=settings.secrets)
    listener = None if listen_fd is None else socket.socket(fileno=listen_fd)
    platform = Platform(
        settings, with_feed=role == "feed", with_web=role == "web", listener=listener, number=number, settle=settle
    )
    run_service(_work(platform, control_fd))


def migrate(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Bring the database's tables up to date."""
    revision = run(upgrade(load_settings().database_url))
    if as_json:
        print_json({"revision": revision})
    else:
        typer.echo(f"The database is at revision {revision}.")


def _run(settings: Settings, *, with_feed: bool, with_web: bool, as_json: bool) -> None:
    configure_logging(level=settings.log_level, style=settings.log_format, secrets=settings.secrets)
    platform = Platform(settings, with_feed=with_feed, with_web=with_web, settle=settle)
    run_service(_serve(platform, settings, with_web=with_web, as_json=as_json))


async def _serve(platform: Platform, settings: Settings, *, with_web: bool, as_json: bool) -> None:
    notifier = Notifier()
    await platform.start()
    try:
        if as_json:
            facts: dict[str, Any] = {
                "node": settings.node_name,
                "pid": os.getpid(),
                "metrics_url": platform.metrics_url,
            }
            print_json({**({"url": platform.url} if with_web else {}), **facts})
        notifier.ready(f"serving {platform.url}" if with_web else "feed running")
        await wait_for_end()
    finally:
        notifier.stopping()
        await platform.stop()


async def _work(platform: Platform, control_fd: int) -> None:
    line = ParentLine(control_fd, _end_like_a_signal, platform.heed)
    await platform.start()
    try:
        line.ready({"metrics_url": platform.metrics_url})
        await wait_for_end()
    finally:
        await platform.stop()
        line.close()


def _end_like_a_signal() -> None:
    """The parent is gone, so nobody will ever end or restart this process: it drains and ends by itself."""
    structlog.get_logger(__name__).warning(
        "parent_gone",
        what_happened="The process that started this one has ended.",
        required_action="Start the service again.",
        will_not="This worker does not go on alone; it sends its clients away and ends.",
    )
    os.kill(os.getpid(), signal.SIGTERM)
