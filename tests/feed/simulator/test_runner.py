"""The body of ``tidewire simulate`` in a process of its own, because signals belong to processes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE

import pytest

from tests.feed.simulator.peer import CEILING_S
from tidewire.core.errors import SettingsError
from tidewire.feed.simulator import SimulatorConfig, run_until_stopped

PROGRAM = """
import asyncio, json, sys
from tidewire.feed.simulator import SimulatorConfig, run_until_stopped
def announce(what): print(json.dumps(what), flush=True)
asyncio.run(run_until_stopped(SimulatorConfig(tickers=7, rate=50), announce))
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_with_exit_code_0(signum: signal.Signals) -> None:
    """It announces where it listens, serves, and ends cleanly and silently on SIGTERM and on Ctrl-C."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(CEILING_S):
            said = json.loads(await process.stdout.readline())
            process.send_signal(signum)
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert said["url"].startswith("ws://127.0.0.1:")
    assert said["url"].endswith("/stocks")
    assert said["control_url"].startswith("http://127.0.0.1:")
    assert (said["tickers"], said["real_tickers"], said["rate"]) == (7, 5, 50)
    assert "real daily bars, modelled intraday path" in said["label"]
    assert (process.returncode, errors) == (0, b"")


async def test_a_start_that_fails_announces_nothing() -> None:
    """The error goes to the caller, who has not been told of a server that is not there."""
    said: list[object] = []
    with pytest.raises(SettingsError):
        await run_until_stopped(SimulatorConfig(host="192.0.2.1", tickers=5), said.append)
    assert said == []
