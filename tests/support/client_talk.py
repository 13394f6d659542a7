"""Short words for scripted conversations between a client session and the model hub."""

from __future__ import annotations

import json
from typing import Any

from tests.support.client_driver import Recorder
from tests.support.model_hub import Delivery, ModelHub
from tidewire.client import event as ev
from tidewire.core.protocol import BATCH, PLAIN

ROOMS: dict[str, Delivery] = {"app:a": "lossless", "user:1": "lossless", "market:X": "latest"}


def connected(recorder: Recorder, *, batch: bool = True, **more: Any) -> ModelHub:
    """Bring a recorder's session to ready; return the hub it talks to."""
    hub = ModelHub(dict(ROOMS))
    recorder.call("start")
    greet(recorder, hub, batch=batch, **more)
    return hub


def greet(recorder: Recorder, hub: ModelHub, *, batch: bool = True, **more: Any) -> None:
    """Open a socket and say ``connected``."""
    recorder.call("opened", BATCH if batch else PLAIN)
    hub.greet(hub.connect(batch=batch, greet=False), **more)
    say(recorder, hub)


def say(recorder: Recorder, hub: ModelHub) -> list[ev.Action]:
    """Bring everything that the hub has said; then everything that the client answered."""
    actions: list[ev.Action] = []
    while hub.wire is not None and hub.wire.out:
        for text in hub.wire.frames(100):
            actions += recorder.call("received", text)
    return actions


def ask(recorder: Recorder, hub: ModelHub, name: str, *args: Any) -> list[ev.Action]:
    """Call the session, bring what it sends to the hub, and bring the answers back."""
    actions = recorder.call(name, *args)
    for action in actions:
        if isinstance(action, ev.Send):
            hub.receive(action.text)
    return actions + say(recorder, hub)


def kinds(actions: list[ev.Action]) -> list[str]:
    """Return the names of actions, short to assert on."""
    return [type(action).__name__ for action in actions]


def sent(actions: list[ev.Action]) -> list[dict[str, Any]]:
    """Return the messages that actions send."""
    return [json.loads(action.text) for action in actions if isinstance(action, ev.Send)]
