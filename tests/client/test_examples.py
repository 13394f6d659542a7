"""The examples run as they stand, against a real hub; the Node ones with the package as npm would install it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub_server import make_hub, running
from tests.support.node_client import node_binary
from tests.support.waiting import until
from tidewire.hub.hub import Hub

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "frontend" / "src" / "client"
ROOM = "app:lobby"
CEILING_S = 50.0


@pytest.fixture(scope="module")
def node_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package and put it beside the examples, as an install does."""
    folder = tmp_path_factory.mktemp("node")
    package = folder / "node_modules" / "@tidewire" / "client"
    package.mkdir(parents=True)
    shutil.copy(CLIENT / "package.json", package)
    tsc = ROOT / "frontend" / "node_modules" / ".bin" / "tsc"
    subprocess.run([node_binary(), tsc, "-p", CLIENT, "--outDir", package / "dist"], check=True)
    for example in (ROOT / "examples" / "node").glob("*.mjs"):
        shutil.copy(example, folder)
    return folder


async def _entered(hub: Hub) -> None:
    """Return when somebody is in the room; the hub has no event for it, so it is asked."""
    await until(lambda: any(len(room) for room in hub.each_room() if room.room_id == ROOM), 60)


async def _both(watch: list[str], publish: list[str]) -> None:
    """Watch a room with one program while another publishes to it."""
    async with running(make_hub()) as server:
        target = (server.url, ROOM, "admin-1")
        pipe = asyncio.subprocess.PIPE
        watching = await asyncio.create_subprocess_exec(*watch, *target, stdout=pipe)
        assert watching.stdout is not None
        try:
            async with asyncio.timeout(CEILING_S):
                await _entered(server.hub)
                publishing = await asyncio.create_subprocess_exec(*publish, *target, "hello", stdout=pipe)
                out, _ = await publishing.communicate()
                assert publishing.returncode == 0
                assert out.decode().split()[1] == "1"
                assert b"hello" in await watching.stdout.readline()
        finally:
            watching.kill()
            await watching.wait()


async def test_python_examples() -> None:
    """One prints what the other publishes."""
    folder = ROOT / "examples" / "python"
    await _both([sys.executable, str(folder / "watch.py")], [sys.executable, str(folder / "publish.py")])


async def test_node_examples(node_examples: Path) -> None:
    """One prints what the other publishes."""
    await _both([node_binary(), str(node_examples / "watch.mjs")], [node_binary(), str(node_examples / "publish.mjs")])


def test_examples_are_short() -> None:
    """An example is at most ten lines of code."""
    for path in (ROOT / "examples").glob("*/*"):
        lines = [line.strip() for line in path.read_text().splitlines()]
        code = [line for line in lines if line and not line.startswith(("//", '"""'))]
        assert len(code) <= 10, path
