"""Plays a script of steps, as hypothesis or chance make them, on a client with a bad network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.client_driver import Run


def drive(run: Run, script: list[tuple[str, Any]]) -> None:
    """Play a script of steps."""
    for name, value in script:
        if name in ("gap", "conflate"):
            getattr(run.hub, name)(value)
        elif name in ("pause", "resume"):
            run.do(name, value)
        elif name in ("down", "up", "wait", "cut"):
            getattr(run, name)(value)
        else:
            STEPS[name](run, value)


def _again(run: Run, name: str) -> None:
    run.do("unsubscribe", name)
    run.do("subscribe", name, None, False)


def _go(run: Run, count: int) -> None:
    """The network is fine for a while."""
    run.wait(700)
    run.open()
    run.down(1)
    if count % 3:
        run.up(100)
    run.down(count)


def _restart(run: Run, _: Any) -> None:
    run.cut()
    run.hub.restart()


def _lose(run: Run, _: Any) -> None:
    """A proxy loses a message: the sequence has a hole."""
    if run.hub.wire is not None and run.hub.wire.out:
        run.hub.wire.out.popleft()
        run.hub.wire.sequence += 1


def _spoil(run: Run, name: str, *, repeat: bool) -> None:
    """The server says a message twice, or forgets it without a word."""
    if run.hub.wire is not None:
        run.hub.wire.spoil(name, repeat=repeat)


def _request(run: Run, _: Any) -> None:
    op = sum(entry["call"] == "request" for entry in run.recorder.steps) + 1
    run.do("request", op, {"type": "publish", "room_id": "app:a", "data": 1})


STEPS: dict[str, Callable[[Run, Any], object]] = {
    "publish": lambda run, name: run.hub.publish(name),
    "trim": lambda run, name: run.hub.trim(name, 1),
    "restart": _restart,
    "again": _again,
    "go": _go,
    "lose": _lose,
    "repeat": lambda run, name: _spoil(run, name, repeat=True),
    "skip": lambda run, name: _spoil(run, name, repeat=False),
    "request": _request,
}
