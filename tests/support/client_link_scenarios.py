"""Scenarios of the connection: each asserts what matters, and is recorded as a case for both clients."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.client_driver import Recorder
from tests.support.client_talk import ROOMS, ask, connected, greet, kinds, say, sent
from tests.support.model_hub import ModelHub
from tidewire.client import event as ev
from tidewire.core.protocol import BATCH, PLAIN


def faults() -> Recorder:
    """Holes, broken JSON and wrong members end the connection with code 3000; each time it comes back."""
    recorder = Recorder()
    hub = ModelHub(dict(ROOMS))
    recorder.call("start")
    for frame in (
        '9\n{"type":"heartbeat","timestamp":1.0}',
        "2\n{nonsense",
        "2\n[1]",
        "2",
        '{"sequence":2,"type":"heartbeat"}',
        '2\n{"type":"subscribed","room_id":"app:a"}',
        '2\n{"type":"reply","id":1,"ok":false}',
        '2\n{"type":"connection","status":"odd","timestamp":1.0}',
    ):
        greet(recorder, hub)
        assert kinds(recorder.call("received", frame))[0] == "Close", frame
        hub.cut()
        recorder.now_ms += 30_000
        recorder.call("tick")
    return recorder


def close_codes() -> Recorder:
    """Every kind of close: at once, after the hint, with backoff, never; the first failure waits less than the next."""
    recorder = Recorder(draw=0.5)
    hub = connected(recorder)
    waits = []
    for code in (4000, 4004, 1006, 4100, 4199, 4050, 1001, 4300):
        hub.cut()
        link = recorder.call("lost", code, "")[-1]
        assert isinstance(link, ev.Link)
        waits.append(link.retry_in_ms)
        recorder.now_ms += link.retry_in_ms or 0
        recorder.call("tick")
        greet(recorder, hub)
    assert waits[0] == 0
    assert waits[1:] == [1_250, 2_250, 4_250, 8_250, 10_250, 10_250, 10_250]
    recorder.now_ms += 60_000
    hub.cut()
    stable = recorder.call("lost", 1006, "")[-1]
    assert isinstance(stable, ev.Link)
    assert stable.retry_in_ms == 750
    return recorder


def told_before_the_close() -> Recorder:
    """What ``closing`` and ``draining`` say wins over the code of the close frame."""
    recorder = Recorder()
    hub = connected(recorder)
    head = {"type": "connection", "timestamp": 1.5}
    for said in (
        [{"status": "draining", "reconnect_after_ms": 3_000}],
        [
            {"status": "draining", "reconnect_after_ms": 3_000},
            {"status": "closing", "code": 4000, "reason": "drain", "reconnect": "at_once", "reconnect_after_ms": 70},
        ],
        [{"status": "closing", "code": 4777, "reason": "later", "reconnect": "backoff"}],
    ):
        assert hub.wire is not None
        for message in said:
            hub.wire.say(head | message)
        say(recorder, hub)
        hub.cut()
        link = recorder.call("lost", 1006, "")[-1]
        assert isinstance(link, ev.Link)
        assert link.state == "waiting"
        recorder.now_ms += link.retry_in_ms or 0
        recorder.call("tick")
        greet(recorder, hub)
    return recorder


def ended_for_good() -> Recorder:
    """A code of 4500-4999 ends everything, and says so to rooms and requests."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, False)
    recorder.call("request", 1, {"type": "publish", "room_id": "app:a", "data": 1})
    assert kinds(recorder.call("lost", 4511, "account_disabled")) == ["Settle", "RoomEnded", "Link"]
    assert kinds(recorder.call("request", 2, {"type": "publish", "room_id": "app:a", "data": 1})) == ["Settle"]
    assert kinds(recorder.call("subscribe", "app:b", None, False)) == ["RoomEnded"]
    assert recorder.call("nudge") == []
    assert recorder.session.due_ms() is None
    return recorder


def state_invalidated() -> Recorder:
    """4006: what is held is no longer true, so every room begins anew and says Reset."""
    recorder = Recorder()
    hub = connected(recorder)
    ask(recorder, hub, "subscribe", "app:a", None, False)
    hub.cut()
    recorder.call("lost", 4006, "state_invalidated")
    recorder.call("tick")
    recorder.call("opened", BATCH)
    hub.connect(batch=True)
    again = sent(say(recorder, hub))[0]
    assert "since" not in again
    hub.receive(json.dumps(again).encode())
    assert kinds(say(recorder, hub)) == ["RoomEntered", "Deliver"]
    return recorder


def silence() -> Recorder:
    """Silence is asked about with a ping, then ends the connection."""
    recorder = Recorder()
    hub = connected(recorder)
    recorder.now_ms = 30_000
    assert sent(recorder.call("tick")) == [{"type": "ping", "last_sequence": 2}]
    recorder.now_ms = 35_000
    hub.receive(b'{"type":"ping","last_sequence":2}')
    say(recorder, hub)
    recorder.now_ms = 65_000
    recorder.call("tick")
    recorder.now_ms = 75_000
    assert kinds(recorder.call("tick"))[0] == "Close"
    return recorder


def late_timer() -> Recorder:
    """A timer that comes late proves nothing: after a sleep the server is asked again before it is given up, once."""
    recorder = Recorder()
    connected(recorder)
    recorder.now_ms = 30_000
    assert kinds(recorder.call("tick")) == ["Send"]
    recorder.now_ms = 900_000
    assert kinds(recorder.call("tick")) == ["Send"]
    recorder.now_ms = 910_000
    assert kinds(recorder.call("tick"))[0] == "Close"
    recorder.now_ms = 990_000
    assert kinds(recorder.call("tick")) == ["Link", "Connect"]
    assert recorder.call("nudge") == []
    return recorder


def connect_timeout() -> Recorder:
    """A socket that opens and says nothing is given up after 20 s; refused handshakes are judged by status."""
    recorder = Recorder()
    recorder.call("start")
    recorder.call("opened", PLAIN)
    recorder.now_ms = 20_000
    assert kinds(recorder.call("tick")) == ["Close", "Link"]
    recorder.now_ms = 40_000
    recorder.call("tick")
    recorder.call("refused", 503, 7_000)
    recorder.now_ms = 47_000
    recorder.call("tick")
    assert kinds(recorder.call("refused", 403, None)) == ["Link"]
    return recorder


def tokens() -> Recorder:
    """A token for each connection, renewed in time, again when the server warns, and after it is refused."""
    recorder = Recorder(with_token=True)
    hub = ModelHub(dict(ROOMS))
    assert kinds(recorder.call("start")) == ["Link", "FetchToken"]
    recorder.call("token", "t-1")
    assert sent(recorder.call("opened", BATCH))[0]["token"] == "t-1"
    expires = hub.timestamp + 600
    # Where anonymous use is allowed the server greets before it has read the token.
    wire = hub.connect(batch=True, greet=False)
    wire.say({"type": "connection", "status": "connected", "timestamp": 1.5})
    assert kinds(say(recorder, hub)) == []
    hub.greet(wire, token_expires_at=expires)
    assert kinds(say(recorder, hub)) == ["Link"]
    recorder.now_ms = 480_000
    assert "FetchToken" in kinds(recorder.call("tick"))
    refresh = sent(recorder.call("token", "t-2"))
    assert refresh[0]["type"] == "auth_refresh"
    wire.say(
        {"type": "connection", "status": "refreshed", "timestamp": expires - 100, "token_expires_at": expires + 500}
    )
    wire.say({"type": "reply", "id": refresh[0]["id"], "ok": True})
    say(recorder, hub)
    wire.say({"type": "connection", "status": "token_expiring", "timestamp": expires})
    say(recorder, hub)
    assert "FetchToken" in kinds(recorder.call("tick"))
    recorder.call("token_failed", "token_unavailable", False)
    recorder.now_ms += 5_000
    assert "FetchToken" in kinds(recorder.call("tick"))
    hub.cut()
    assert kinds(recorder.call("lost", 4200, "token_expired")) == ["Link"]
    recorder.now_ms += 20_000
    assert kinds(recorder.call("tick")) == ["Link", "FetchToken"]
    recorder.call("token_failed", "token_unavailable", False)
    recorder.now_ms += 20_000
    recorder.call("tick")
    assert kinds(recorder.call("token_failed", "logged_out", True)) == ["Link"]
    return recorder


def token_refused() -> Recorder:
    """A token that the server does not take is replaced by a new one; without a way to get one it is the end."""
    recorder = Recorder(with_token=True)
    hub = ModelHub(dict(ROOMS))
    recorder.call("start")
    recorder.call("token", "t-1")
    auth = sent(recorder.call("opened", BATCH))[0]
    wire = hub.connect(batch=True, greet=False)
    hub.refuse(wire, auth["id"], "unauthorized")
    assert kinds(say(recorder, hub)) == ["Close", "Link"]
    recorder.now_ms = 20_000
    assert kinds(recorder.call("tick")) == ["Link", "FetchToken"]
    return recorder


def no_new_token() -> Recorder:
    """4200 without a way to get a token ends the client."""
    recorder = Recorder()
    connected(recorder)
    assert recorder.call("lost", 4200, "token_expired")[-1] == ev.Link("ended", code=4200, reason="token_expired")
    return recorder


def requests() -> Recorder:
    """The queue: bounded; sent, answered, refused, in doubt, cancelled, too large, too deep, too late."""
    recorder = Recorder(max_queue=2)
    publish = {"type": "publish", "room_id": "app:a", "data": {"text": "x"}}
    for op in (1, 2):
        assert recorder.call("request", op, publish) == []
    assert kinds(recorder.call("request", 3, publish)) == ["Settle"]
    recorder.call("cancel", 2)
    hub = connected(recorder)
    wire = hub.wire
    assert wire is not None
    assert kinds(recorder.call("request", 4, publish)) == ["Send"]
    recorder.call("request", 5, publish)
    hub.refuse(wire, 2, "rate_limited", temporary=True, retry_after_ms=40)
    wire.say({"type": "reply", "id": 1, "ok": True, "data": {"room_id": "app:a", "offset": 1, "reached": 2}})
    wire.say({"type": "reply", "id": 77, "ok": True})
    wire.say({"type": "reply", "id": "not-ours", "ok": True})
    settled = [action for action in say(recorder, hub) if isinstance(action, ev.Settle)]
    assert [(action.op, action.error is None) for action in settled] == [(4, False), (1, True)]
    deep: Any = 1
    for _ in range(17):
        deep = [deep]
    for op, data in ((6, "x" * 70_000), (7, deep), (8, "ä" * 40_000)):
        refused = recorder.call("request", op, {**publish, "data": data})
        assert kinds(refused) == ["Settle"]
    recorder.now_ms += 30_000
    assert "Settle" in kinds(recorder.call("tick"))
    recorder.call("request", 9, publish)
    assert kinds(recorder.call("lost", 1006, "")) == ["Settle", "Link"]
    recorder.call("request", 10, publish)
    assert kinds(recorder.call("stop")) == ["Settle", "Link"]
    return recorder


def life() -> Recorder:
    """Start once, stop once; nothing answers afterwards."""
    recorder = Recorder()
    assert recorder.session.due_ms() is None
    connected(recorder)
    assert recorder.call("start") == []
    assert kinds(recorder.call("stop")) == ["Close", "Link"]
    for call in (("stop",), ("start",), ("tick",), ("nudge",), ("received", "1\n{}"), ("lost", 1006, "")):
        assert recorder.call(*call) == []
    return recorder


SCENARIOS: tuple[Callable[[], Recorder], ...] = (
    faults,
    close_codes,
    told_before_the_close,
    ended_for_good,
    state_invalidated,
    silence,
    late_timer,
    connect_timeout,
    tokens,
    token_refused,
    no_new_token,
    requests,
    life,
)
