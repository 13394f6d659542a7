"""Scenarios of rooms: each asserts what matters, and is recorded as a case for both clients."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.support.client_driver import Recorder
from tests.support.client_talk import ROOMS, ask, connected, kinds, say, sent
from tests.support.model_hub import ModelHub
from tidewire.client import event as ev
from tidewire.core.protocol import BATCH, Since


def plain_and_batch() -> Recorder:
    """A room in the plain subprotocol: entered, live, left; the batch subprotocol is in all the others."""
    recorder = Recorder()
    hub = connected(recorder, batch=False)
    assert kinds(ask(recorder, hub, "subscribe", "app:a", None, False)) == ["Send", "RoomEntered"]
    hub.publish("app:a")
    hub.publish("app:a")
    delivered = say(recorder, hub)
    assert kinds(delivered) == ["Deliver", "Deliver"]
    assert kinds(ask(recorder, hub, "unsubscribe", "app:a")) == ["RoomEnded", "Send"]
    return recorder


def resume_after_cut() -> Recorder:
    """After a cut exactly what was missed comes, once, in order; then live."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, False)
    hub.publish("app:a")
    say(recorder, hub)
    hub.cut()
    assert kinds(recorder.call("lost", 1006, "")) == ["Link"]
    hub.publish("app:a")
    hub.publish("app:a")
    recorder.now_ms += 1_000
    recorder.call("tick")
    recorder.call("opened", BATCH)
    hub.connect(batch=True)
    subscribe = sent(say(recorder, hub))
    assert subscribe[0]["since"] == {"epoch": "e1-app:a", "offset": 1}
    hub.receive(json.dumps(subscribe[0]).encode())
    got = say(recorder, hub)
    assert [action.event.offset for action in got if isinstance(action, ev.Deliver)] == [2, 3]
    return recorder


def lost_history() -> Recorder:
    """A new epoch and a trimmed history are told by a Reset; a first entry is not."""
    recorder = Recorder()
    hub = connected(recorder)
    assert "Deliver" not in kinds(ask(recorder, hub, "subscribe", "app:a", None, False))
    for spoil in (hub.restart, lambda: hub.trim("app:a", 1)):
        hub.publish("app:a")
        hub.publish("app:a")
        say(recorder, hub)
        hub.cut()
        recorder.call("lost", 1006, "")
        for _ in range(3):
            hub.publish("app:a")
        spoil()
        recorder.now_ms += 60_000
        recorder.call("tick")
        recorder.call("opened", BATCH)
        hub.connect(batch=True)
        hub.receive(json.dumps(sent(say(recorder, hub))[0]).encode())
        got = [action.event for action in say(recorder, hub) if isinstance(action, ev.Deliver)]
        assert len(got) == 1
        assert isinstance(got[0], ev.Reset)
    return recorder


def half_a_state() -> Recorder:
    """A state replay that is cut in the middle is never continued from: it is loaded anew."""
    recorder = Recorder()
    hub = connected(recorder)
    for _ in range(5):
        hub.publish("market:X")
    for action in recorder.call("subscribe", "market:X", None, False):
        if isinstance(action, ev.Send):
            hub.receive(action.text)
    assert hub.wire is not None
    for text in hub.wire.frames(2):
        recorder.call("received", text)
    hub.cut()
    recorder.call("lost", 4000, "drain")
    recorder.call("tick")
    recorder.call("opened", BATCH)
    hub.connect(batch=True)
    again = sent(say(recorder, hub))[0]
    assert "since" not in again
    hub.receive(json.dumps(again).encode())
    assert kinds(say(recorder, hub))[:2] == ["RoomEntered", "Deliver"]
    return recorder


def gap_is_healed() -> Recorder:
    """A gap is answered by a subscribe from the last message delivered."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, False)
    hub.publish("app:a")
    say(recorder, hub)
    hub.publish("app:a")
    hub.publish("app:a")
    assert hub.gap("app:a")
    asked = sent(say(recorder, hub))
    assert asked[0]["since"]["offset"] == 1
    hub.receive(json.dumps(asked[0]).encode())
    assert [a.event.offset for a in say(recorder, hub) if isinstance(a, ev.Deliver)] == [2, 3]
    return recorder


def offset_faults() -> Recorder:
    """A repeated place is dropped; a skipped one, or another epoch, is a fault."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, False)
    assert hub.wire is not None
    hub.publish("app:a")
    hub.wire.spoil("app:a", repeat=True)
    assert kinds(say(recorder, hub)) == ["Deliver"]
    hub.publish("app:a")
    hub.publish("app:a")
    hub.wire.spoil("app:a", repeat=False)
    assert kinds(say(recorder, hub))[0] == "Close"
    return recorder


def own_room() -> Recorder:
    """The server enters ``user:1`` by itself: its answer is not ours, and nothing of it is lost or doubled."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "user:1", None, False)
    hub.publish("user:1")
    say(recorder, hub)
    for missed in (0, 2):
        hub.cut()
        recorder.call("lost", 1006, "")
        for _ in range(missed):
            hub.publish("user:1")
        recorder.now_ms += 30_000
        recorder.call("tick")
        recorder.call("opened", BATCH)
        hub.connect(batch=True)
        asked = sent(say(recorder, hub))[0]
        hub.publish("user:1")
        early = say(recorder, hub)
        assert kinds(early) == (["Deliver"] if missed == 0 else [])
        hub.receive(json.dumps(asked).encode())
        late = [a.event.offset for a in say(recorder, hub) if isinstance(a, ev.Deliver)]
        assert len(late) == (0 if missed == 0 else 3)
    return recorder


def leave_and_return() -> Recorder:
    """A room that is left and entered again is deaf to its earlier stay until the server has confirmed."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, False)
    leave = recorder.call("unsubscribe", "app:a")
    assert kinds(recorder.call("subscribe", "app:a", None, False)) == []
    hub.publish("app:a")
    assert kinds(say(recorder, hub)) == []
    hub.receive(json.dumps(sent(leave)[0]).encode())
    again = sent(say(recorder, hub))
    assert again[0]["type"] == "subscribe"
    hub.receive(json.dumps(again[0]).encode())
    assert kinds(say(recorder, hub)) == ["RoomEntered"]
    assert kinds(recorder.call("subscribe", "app:a", None, False)) == ["RoomEnded"]
    return recorder


def slow_consumer() -> Recorder:
    """A consumer that falls behind leaves the room and continues where it was; not in the middle of a replay."""
    recorder = Recorder()
    hub = connected(recorder)
    hub.publish("app:a")
    since = Since("e1-app:a", 0)
    for action in recorder.call("subscribe", "app:a", since, False):
        if isinstance(action, ev.Send):
            hub.receive(action.text)
    assert kinds(recorder.call("pause", "app:a")) == []
    paused = say(recorder, hub)
    assert kinds(paused) == ["RoomEntered", "Deliver", "Send"]
    hub.publish("app:a")
    hub.receive(json.dumps(sent(paused)[0]).encode())
    assert kinds(say(recorder, hub)) == []
    back = recorder.call("resume", "app:a")
    assert sent(back)[0]["since"]["offset"] == 1
    return recorder


def presence() -> Recorder:
    """Who is inside: the state, single changes, and differences of a large room."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, True)
    ada = {"user_id": 1, "username": "ada", "joined_at": 1.5}
    bob = {"user_id": 2, "username": "bob", "joined_at": 2.5}
    head = {"type": "room_event", "room_id": "app:a", "timestamp": 3.5}
    assert hub.wire is not None
    for change in (
        {"event": "presence_state", "count": 1, "members": [ada], "complete": True},
        {"event": "member_joined", "count": 2, "member": bob},
        {"event": "member_left", "count": 1, "member": ada},
        {"event": "presence_diff", "count": 431, "joined": [ada], "left": [bob]},
        {"event": "presence_state", "count": 431, "members": [bob], "complete": False},
    ):
        hub.wire.say(head | change)
        assert kinds(say(recorder, hub)) == ["Deliver"]
    track = recorder.session.rooms.get("app:a")
    assert track is not None
    assert (list(track.members), track.count, track.complete) == ([2], 431, False)
    return recorder


def pace() -> Recorder:
    """A hundred rooms after a reconnect stay below the server's rate: the rest follows a little later."""
    recorder = Recorder()
    for number in range(95):
        recorder.call("subscribe", f"app:r{number}", None, False)
    recorder.call("request", 1, {"type": "publish", "room_id": "app:r0", "data": 1})
    hub = ModelHub(dict(ROOMS))
    recorder.call("start")
    recorder.call("opened", BATCH)
    hub.connect(batch=True)
    assert len(sent(say(recorder, hub))) == 90
    due = recorder.session.due_ms()
    assert due is not None
    recorder.now_ms = due
    assert len(sent(recorder.call("tick"))) == 1
    recorder.now_ms += 200
    assert [message["type"] for message in sent(recorder.call("tick"))][-1] == "publish"
    return recorder


def refused_rooms() -> Recorder:
    """A room that is refused for now is asked for again; one that is refused for good, or taken away, ends."""
    recorder = Recorder()
    hub = connected(recorder)
    wire = hub.wire
    assert wire is not None
    asked = sent(recorder.call("subscribe", "app:a", None, False))[0]
    hub.refuse(wire, asked["id"], "rate_limited", temporary=True, retry_after_ms=300)
    say(recorder, hub)
    recorder.now_ms += 300
    asked = sent(recorder.call("tick"))[0]
    hub.refuse(wire, asked["id"], "storage_unavailable", temporary=True)
    say(recorder, hub)
    recorder.now_ms += 1_000
    asked = sent(recorder.call("tick"))[0]
    hub.refuse(wire, asked["id"], "permission_denied")
    assert kinds(say(recorder, hub)) == ["RoomEnded"]
    ask(recorder, hub, "subscribe", "app:a", None, False)
    wire.say({"type": "unsubscribed", "room_id": "app:a", "reason": "permission_revoked", "message": "Out."})
    assert kinds(say(recorder, hub)) == ["RoomEnded"]
    return recorder


def beside_rooms() -> Recorder:
    """Unknown types and fields are let through or ignored; volatile messages have no place."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, False)
    wire = hub.wire
    assert wire is not None
    wire.say({"type": "notification", "title": "hello", "new_field": [1, 2]})
    wire.say({"type": "error", "code": "bad_request", "message": "No.", "required_action": "-", "will_not": "-"})
    wire.say({"type": "field_focus", "room_id": "app:a", "timestamp": 1.5, "field": "premium"})
    wire.say({"type": "field_focus", "room_id": "app:elsewhere", "timestamp": 1.5})
    wire.say({"type": "heartbeat", "timestamp": 1.5, "new_field": 1})
    told = say(recorder, hub)
    assert kinds(told) == ["Note", "Note", "Deliver", "Send"]
    assert sent(told) == [{"type": "ping", "last_sequence": recorder.session.sequence}]
    return recorder


def state_of_a_room() -> Recorder:
    """A quote's state has the offset of the newest message, is delivered and moves nothing; a refusal has details."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, False)
    wire = hub.wire
    assert wire is not None
    hub.publish("app:a")
    state = {"type": "quote_state", "room_id": "app:a", "timestamp": 1.5, "epoch": "e1-app:a", "version": 7}
    wire.say({**state, "offset": 1})
    hub.publish("app:a")
    delivered = [action.event for action in say(recorder, hub) if isinstance(action, ev.Deliver)]
    assert [(event.kind, event.offset) for event in delivered] == [
        ("room_message", 1),
        ("quote_state", None),
        ("room_message", 2),
    ]
    request = sent(recorder.call("request", 1, {"type": "field_edit"}))[0]
    error = {"code": "conflict", "message": "No.", "required_action": "-", "will_not": "-", "details": {"revision": 2}}
    wire.say({"type": "reply", "id": request["id"], "ok": False, "error": error})
    settled = [action for action in say(recorder, hub) if isinstance(action, ev.Settle)]
    assert settled[0].error is not None
    assert settled[0].error.details == {"revision": 2}
    return recorder


SCENARIOS: tuple[Callable[[], Recorder], ...] = (
    plain_and_batch,
    resume_after_cut,
    lost_history,
    half_a_state,
    gap_is_healed,
    offset_faults,
    own_room,
    leave_and_return,
    slow_consumer,
    presence,
    pace,
    refused_rooms,
    beside_rooms,
    state_of_a_room,
)
