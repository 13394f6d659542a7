"""A client session and a model hub with a bad network between them, driven step by step; and what consumers saw.

Every call into the session is recorded with what it answered, so that a run can be kept as a case for both clients.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.support.model_hub import Delivery, ModelHub
from tidewire.client import event as ev
from tidewire.client.session import Session
from tidewire.core.protocol import BATCH, PLAIN, Since

WORDS: dict[type, str] = {
    ev.Connect: "connect",
    ev.FetchToken: "fetch_token",
    ev.Close: "close",
    ev.RoomEntered: "room_entered",
    ev.RoomEnded: "room_ended",
    ev.Settle: "settle",
    ev.Note: "note",
}


def canonical(action: ev.Action) -> dict[str, Any]:
    """Return an action as both clients write it in a case."""
    plain = msgspec.to_builtins
    if isinstance(action, ev.Link):
        return _canonical_link(action)
    if isinstance(action, ev.Send):
        return {"do": "send", "message": json.loads(action.text)}
    if isinstance(action, ev.Deliver):
        name = type(action.event).__name__.lower()
        return {"do": "deliver", "event": {"event": name, **plain(action.event)}}
    return {"do": WORDS[type(action)], **plain(action)}


def _canonical_link(action: ev.Link) -> dict[str, Any]:
    plain = msgspec.to_builtins
    link: dict[str, Any] = {"state": action.state}
    if action.state == "connected":
        link |= {"connection_id": action.connection_id, "user": plain(action.user)}
    if action.state == "waiting":
        link["retry_in_ms"] = action.retry_in_ms
    if action.state in ("waiting", "ended"):
        link |= {"code": action.code, "reason": action.reason}
    return {"do": "link", "link": link}


@dataclass
class Recorder:
    """A session whose every call is kept as a step of a case."""

    with_token: bool = False
    max_queue: int = 100
    draw: float = 0.5
    now_ms: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = Session(draw=lambda: self.draw, with_token=self.with_token, max_queue=self.max_queue)

    def call(self, name: str, *args: Any) -> list[ev.Action]:
        """Call the session now, and record it."""
        return play(self.session, name, args, self.now_ms, self.steps)

    def case(self, name: str, says: str) -> dict[str, Any]:
        """Return the run as a case."""
        return {
            "name": name,
            "says": says,
            "with_token": self.with_token,
            "max_queue": self.max_queue,
            "draw": self.draw,
            "steps": self.steps,
        }


def play(session: Session, name: str, args: Any, now_ms: int, steps: list[dict[str, Any]]) -> list[ev.Action]:
    """Call ``name`` of a session as a case says it; append what happened to ``steps``."""
    given = list(args)
    if name == "subscribe" and given[1] is not None:
        given[1] = Since(**given[1]) if isinstance(given[1], dict) else given[1]
    actions: list[ev.Action] = []
    if name == "cancel":
        session.cancel(*given)
    else:
        actions = getattr(session, name)(*given, now_ms)
    steps.append(
        {
            "at": now_ms,
            "call": name,
            "args": msgspec.to_builtins(list(args)),
            "expect": [canonical(action) for action in actions],
            "due": session.due_ms(),
        }
    )
    return actions


class Run:
    """See the module's text.

    Attributes:
        seen: Per room, what its consumer was given, in order; in between ``"ended"`` and ``RoomEntered``.
    """

    def __init__(self, rooms: dict[str, Delivery], *, batch: bool, with_token: bool = False) -> None:
        self.hub = ModelHub(rooms)
        self.recorder = Recorder(with_token=with_token)
        self.batch = batch
        self.dialed = False
        self.uplink: deque[bytes] = deque()
        self.seen: dict[str, list[Any]] = {}
        self.settled: dict[int, ev.Settle] = {}
        self.state = "waiting"
        self.tokens = 0

    def do(self, name: str, *args: Any) -> None:
        """Call the session and carry out what it answers, except that sends stay on their way."""
        for action in self.recorder.call(name, *args):
            self._carry(action)

    def _carry(self, action: ev.Action) -> None:
        if isinstance(action, ev.Connect):
            self.dialed = True
        elif isinstance(action, ev.Close):
            self._hang_up()
        elif isinstance(action, ev.Send):
            self.uplink.append(action.text)
        elif isinstance(action, ev.Deliver):
            self.seen.setdefault(action.event.room_id, []).append(action.event)
        elif isinstance(action, ev.RoomEntered):
            self.seen.setdefault(action.room_id, []).append(action)
        elif isinstance(action, ev.RoomEnded):
            self.seen.setdefault(action.room_id, []).append("ended")
        elif isinstance(action, ev.Settle):
            assert action.op not in self.settled, "settled twice"
            self.settled[action.op] = action
        elif isinstance(action, ev.Link):
            self.state = action.state

    # ---- the network

    def open(self) -> None:
        """Let a pending dial or token fetch succeed."""
        if self.recorder.session.state.value == "fetching":
            self.tokens += 1
            self.do("token", f"t-{self.tokens}")
        if self.dialed and self.hub.wire is None:
            self.dialed = False
            self.hub.connect(batch=self.batch, greet=not self.recorder.with_token)
            self.do("opened", BATCH if self.batch else PLAIN)

    def down(self, count: int) -> None:
        """Bring up to ``count`` messages to the client."""
        if self.hub.wire is None:
            return
        for text in self.hub.wire.frames(count):
            self.do("received", text)

    def up(self, count: int) -> None:
        """Bring up to ``count`` messages to the hub."""
        for _ in range(min(count, len(self.uplink))):
            self.hub.receive(self.uplink.popleft())

    def cut(self, code: int = 1006) -> None:
        """The connection breaks; what was on its way is gone."""
        was_open = self.hub.wire is not None
        self._hang_up()
        if was_open:
            self.do("lost", code, "")

    def wait(self, ms: int) -> None:
        """Let time pass, ticking at each due time."""
        until = self.recorder.now_ms + ms
        for _ in range(1000):
            due = self.recorder.session.due_ms()
            if due is None or due > until:
                break
            self.recorder.now_ms = max(self.recorder.now_ms, due)
            self.do("tick")
        else:
            raise AssertionError("the session is never content")
        self.recorder.now_ms = until

    def settle(self) -> None:
        """Heal everything and let both sides finish."""
        for _ in range(50):
            self.open()
            self.up(1000)
            self.down(1000)
            if self.state == "connected" and not self.uplink and not (self.hub.wire and self.hub.wire.out):
                due = self.recorder.session.due_ms()
                if due is None or due > self.recorder.now_ms + 5_000:
                    return
            self.wait(1_000)
        raise AssertionError("the client did not settle")

    def _hang_up(self) -> None:
        self.hub.cut()
        self.uplink.clear()
        self.dialed = False
