"""``tidewire serve|feed|migrate``: the platform as services. It must not know how it is wired."""

from __future__ import annotations

import typer

from tidewire.app.platform import Platform
from tidewire.cli.output import print_json
from tidewire.cli.running import run, run_service, wait_for_end
from tidewire.core.errors import SettingsError
from tidewire.core.telemetry import configure_logging
from tidewire.settings import Settings, load_settings
from tidewire.store.migrate import upgrade
from tidewire.web.footprint import settle


def serve(
    workers: int = typer.Option(1, min=1, help="Processes; more than one needs TIDEWIRE_REDIS_URL."),
    with_feed: bool = typer.Option(True, "--feed/--no-feed", help="Run the feed in this process too."),
) -> None:
    """Serve pages, sockets and API, and run the feed."""
    settings = load_settings()
    if workers > 1 and settings.redis_url is None:
        raise SettingsError(
            f"--workers {workers} needs a bus between processes, and TIDEWIRE_REDIS_URL is not set.",
            required_action="Set TIDEWIRE_REDIS_URL to a Redis 7+ or Valkey 8+ server, or run one worker.",
            will_not="Tidewire will not start workers that cannot see each other's messages.",
        )
    if workers > 1:
        raise SettingsError(
            f"--workers {workers}: this release runs one worker for each `serve`.",
            required_action="Run several `tidewire serve --no-feed` behind a proxy, and one `tidewire feed`.",
            will_not="Tidewire will not start fewer workers than you asked for without saying so.",
        )
    _run(settings, with_feed=with_feed, with_web=True)


def feed() -> None:
    """Run the feed alone; web processes learn of it over Redis."""
    settings = load_settings()
    if settings.redis_url is None:
        raise SettingsError(
            "A feed on its own needs a bus between processes, and TIDEWIRE_REDIS_URL is not set.",
            required_action="Set TIDEWIRE_REDIS_URL, or run `tidewire serve`, which has the feed inside.",
            will_not="Tidewire will not run a feed that nobody can hear.",
        )
    _run(settings, with_feed=True, with_web=False)


def migrate(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Bring the database's tables up to date."""
    revision = run(upgrade(load_settings().database_url))
    if as_json:
        print_json({"revision": revision})
    else:
        typer.echo(f"The database is at revision {revision}.")


def _run(settings: Settings, *, with_feed: bool, with_web: bool) -> None:
    configure_logging(level=settings.log_level, style=settings.log_format, secrets=settings.secrets)
    run_service(_serve(Platform(settings, with_feed=with_feed, with_web=with_web)))


async def _serve(platform: Platform) -> None:
    await platform.start()
    settle()
    try:
        await wait_for_end()
    finally:
        await platform.stop()
