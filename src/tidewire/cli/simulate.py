"""``tidewire simulate``: the simulator as a program of its own. It must not know how it is built."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, cast

import typer

from tidewire.cli.output import print_json
from tidewire.cli.running import run
from tidewire.core.telemetry import configure_logging
from tidewire.feed.simulator import SimulatorConfig, run_until_stopped
from tidewire.feed.simulator.config import Eviction

_DEFAULTS = SimulatorConfig()


def simulate(
    host: str = typer.Option(_DEFAULTS.host, help="Address of the WebSocket server."),
    port: int = typer.Option(8765, help="Its port; 0 picks a free one."),
    control_port: int = typer.Option(0, help="Port of the HTTP control on 127.0.0.1; 0 picks a free one."),
    key: list[str] = typer.Option(list(_DEFAULTS.keys), help="An API key that may connect; repeatable."),
    tickers: int = typer.Option(_DEFAULTS.tickers, help="Listed tickers, real ones first; at most 500."),
    rate: int = typer.Option(_DEFAULTS.rate, help="Events per second of the whole market, 1 to 50000."),
    seed: int = typer.Option(_DEFAULTS.seed, help="Decides every price, size and choice."),
    day_seconds: float = typer.Option(_DEFAULTS.day_seconds, help="How long one replayed trading day takes."),
    max_connections: int = typer.Option(_DEFAULTS.max_connections, help="Connections per key."),
    eviction: str = typer.Option(_DEFAULTS.eviction, help="Who goes beyond that: oldest, newest or random."),
    as_json: bool = typer.Option(False, "--json", help="Announce as one JSON line."),
    stop_on_eof: bool = typer.Option(False, help="End when standard input closes, so as not to outlive a parent."),
) -> None:
    """Serve the Massive WebSocket protocol: real daily bars with a modelled intraday path, and synthetic tickers."""
    config = SimulatorConfig(
        host=host,
        port=port,
        control_port=control_port,
        keys=tuple(key),
        tickers=tickers,
        rate=rate,
        seed=seed,
        day_seconds=day_seconds,
        max_connections=max_connections,
        eviction=cast(Eviction, eviction),
    )
    configure_logging(secrets=key)
    if stop_on_eof:
        threading.Thread(target=_stop_on_eof, name="stdin", daemon=True).start()

    def announce(facts: dict[str, Any]) -> None:
        if as_json:
            print_json(facts)
            return
        typer.echo(f"The simulator serves {facts['url']} ({facts['label']}).")
        typer.echo(f"{facts['tickers']} tickers, {facts['rate']} events/s, seed {facts['seed']}.")
        typer.echo(f"Faults: curl -X POST {facts['control_url']}/faults/drop; state: {facts['control_url']}/state")

    run(run_until_stopped(config, announce))


def _stop_on_eof() -> None:
    """Wait for the end of standard input, then ask this process to stop as a person would."""
    # Not through sys.stdin: the interpreter aborts if it ends while a thread holds that object's lock.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
