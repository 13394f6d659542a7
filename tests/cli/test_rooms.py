"""``tidewire watch`` and ``tidewire publish`` against a real hub."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.support.hub_server import make_hub, running
from tidewire.cli import rooms
from tidewire.client import ClientError, Since
from tidewire.core.protocol import data_body

CEILING_S = 45.0
ROOM = "app:x"
# The commands without the rest of the command line, which takes seconds to import.
PROGRAM = "import typer; from tidewire.cli import rooms; typer.run(rooms.watch)"

app = typer.Typer(pretty_exceptions_enable=False)
app.command("watch")(rooms.watch)
app.command("publish")(rooms.publish)


@pytest.fixture
def key(tmp_path: Path) -> str:
    """Return a token file of somebody who may publish."""
    path = tmp_path / "key"
    path.write_text("admin-1\n")
    return str(path)


async def run(*arguments: str, stdin: str = "") -> Result:
    """Run a command in a thread with an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), stdin)


async def test_publish(key: str) -> None:
    """A publish prints its place, as a sentence or as JSON; the data may come from stdin."""
    async with running(make_hub()) as server:
        first = await run("publish", ROOM, '{"n": 1}', "--url", server.url, "--token-file", key, "--json")
        assert first.exit_code == 0
        place = json.loads(first.stdout)
        assert (place["room_id"], place["offset"], place["reached"]) == (ROOM, 1, 0)
        again = await run("publish", ROOM, "-", "--url", server.url, "--token-file", key, stdin="[2]")
        assert again.stdout == f"{ROOM}: {place['epoch']}:2, sent to 0 connections.\n"
        volatile = await run(
            "publish", ROOM, "3", "--url", server.url, "--token-file", "-", "--volatile", stdin="admin-1"
        )
        assert volatile.stdout == f"{ROOM}: sent to 0 connections.\n"


async def test_watch_counts_from_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    """A watch prints what came after its place and ends after --count messages; losses do not count."""
    async with running(make_hub()) as server:
        for number in (b"1", b"[2]", b"3"):
            epoch = server.hub.publish(ROOM, data_body(number)).epoch or ""
        async with asyncio.timeout(CEILING_S):
            await rooms._watch(server.url, "user-1", ROOM, Since(epoch, 1), 2, False, True)
            lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            assert [(line["offset"], line["data"]) for line in lines] == [(2, [2]), (3, 3)]
            await rooms._watch(server.url, "user-1", ROOM, Since(epoch, 1), 1, False, False)
            assert capsys.readouterr().out.endswith(f'  {epoch}:2  room_message  {{"data": [2]}}\n')


async def test_watch_ends_on_a_signal_and_tells_losses(key: str) -> None:
    """SIGTERM ends a watch with 0; a place that never was is told on the way."""
    async with running(make_hub()) as server:
        server.hub.publish(ROOM, data_body(b"1"))
        options = ("--url", server.url, "--token-file", key, "--since", "e-old:7", "--presence")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, ROOM, *options, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(CEILING_S):
                lost = (await process.stdout.readline()).decode()
                inside = (await process.stdout.readline()).decode()
                process.terminate()
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert lost.startswith("LOST an unknown number of messages (epoch_changed)")
        assert inside.startswith("presence_state: 1 inside +user-1")


async def test_refusals_say_what_to_do(key: str) -> None:
    """What the server refuses ends the command with the error that the command line prints and exits 1 for."""
    async with running(make_hub()) as server:
        refused = await run("publish", "market:AAPL", "1", "--url", server.url, "--token-file", key)
        assert isinstance(refused.exception, ClientError)
        assert (refused.exit_code, refused.exception.code) == (1, "permission_denied")
        unknown = await run("publish", ROOM, "1", "--url", server.url, "--token-file", "-", stdin="nobody")
        assert isinstance(unknown.exception, ClientError)
        assert unknown.exception.required_action == "Log in."
        with pytest.raises(ClientError, match="name of a room"):
            await rooms._watch(server.url, "admin-1", "market:no good", None, 1, False, False)


async def test_no_server_is_told_in_bounded_time() -> None:
    """A publish that never left says so."""
    late = await run("publish", ROOM, "1", "--url", "ws://127.0.0.1:9/ws", "--timeout", "0.3")
    assert isinstance(late.exception, ClientError)
    assert (late.exit_code, late.exception.code) == (1, "not_sent")
    assert "not connected (" in late.stderr


async def test_wrong_usage_ends_with_two(tmp_path: Path) -> None:
    """Arguments that cannot be meant are refused before anything is sent."""
    empty = tmp_path / "empty"
    empty.touch()
    for wrong in (
        ("publish", ROOM, "{nonsense"),
        ("publish", ROOM, "-", "--token-file", "-"),
        ("watch", ROOM, "--since", "7"),
        ("watch", ROOM, "--count", "0"),
        ("watch", ROOM, "--token-file", str(empty)),
        ("watch", ROOM, "--token-file", str(tmp_path / "none")),
    ):
        assert (await run(*wrong)).exit_code == 2, wrong
