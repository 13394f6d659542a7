"""The whole platform as ``tidewire demo`` runs it, in processes of its own, and hands on its simulator's faults."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Service


@dataclass(frozen=True)
class Demo:
    """A running demo.

    Attributes:
        url: Where people open it.
        users: Name -> password.
        control_url: The simulator's HTTP control.
        quotes: Numbers of its quotes; the first two of ``colleagues`` edit the first.
        colleagues: Who is scripted.
    """

    service: Service
    url: str
    users: dict[str, str]
    control_url: str
    quotes: list[str]
    colleagues: list[str]

    def press(self, fault: str, **fields: object) -> dict[str, Any]:
        """Press a fault of the simulator; return what it did."""
        return _ask(f"{self.control_url}/faults/{fault}", json.dumps(fields).encode())

    def market(self) -> dict[str, Any]:
        """Return the simulator's own view of its connections and market."""
        return _ask(f"{self.control_url}/state")


@contextmanager
def running_demo(data: Path, *, port: int = 0, **options: object) -> Iterator[Demo]:
    """Run a demo until the block ends; it must then end with exit code 0.

    Args:
        data: An empty folder for its database.
        port: 0 lets the kernel choose.
        options: Further options of the command, e.g. ``rate=100``.
    """
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with Service("demo", "--json", "--port", str(port), "--data", str(data), *words, cwd=data) as service:
        said = service.announcement()
        control_url = said["simulator"]["control_url"]
        yield Demo(service, said["url"], said["users"], control_url, said["quotes"], said["colleagues"])
    assert service.process.returncode == 0, service.err[-20:]


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for a folder of tests, gone before the next folder's; a test leaves it as it found it."""
    # Half the market's usual pace: every column still has 50 ticks a second, and the machine has time for the page.
    with running_demo(tmp_path_factory.mktemp("demo"), rate=300) as running:
        yield running


def _ask(url: str, body: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    # No proxy of the machine may come between a test and 127.0.0.1.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found
