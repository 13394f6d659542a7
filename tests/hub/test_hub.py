"""The hub with clients that need no network: entering, publishing, revocation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.hub.conftest import Stage, data, turns
from tests.support.hub_server import principal
from tests.support.tape_socket import TapeSocket
from tidewire.accounts.credential import Credential
from tidewire.accounts.model import Role
from tidewire.accounts.permissions import DEFAULTS
from tidewire.core import protocol
from tidewire.core.errors import BusError, StoreError
from tidewire.hub.door import reconnect_terms
from tidewire.hub.session import Peer

UUID = "0b1f6d9a-9d3e-4a57-8f3e-0a1b2c3d4e5f"


# ---- who is there


@pytest.mark.parametrize("batch", [False, True])
async def test_a_known_client_is_welcomed_and_in_its_own_room(stage: Stage, batch: bool) -> None:
    """The first message says who, how and until when; the user's room is entered by itself."""
    client = await stage.client("admin-7", batch=batch)
    welcome, own = client.read()
    assert (welcome["type"], welcome["status"], welcome["user"]["user_id"]) == ("connection", "connected", 7)
    assert welcome["protocol"] == ("tidewire.v1.batch" if batch else "tidewire.v1")
    assert welcome["token_expires_at"] == 4e9
    assert (own["type"], own["room_id"]) == ("subscribed", "user:7")
    assert not client.socket.holding
    assert [info.user_id for info in stage.opened] == [7]


@pytest.mark.parametrize(
    ("clients", "longest_ms"),
    [(0, 4_000), (1, 4_000), (2_000, 4_000), (2_001, 5_000), (5_000, 10_000), (10_000, 20_000), (60_000, 20_000)],
)
def test_many_clients_come_back_over_a_longer_time_than_few(clients: int, longest_ms: int) -> None:
    """A thousand attempts a second at most; never outside the contract's 0.5 to 20 s."""
    terms = reconnect_terms(clients)
    assert (terms.min_delay_ms, terms.max_delay_ms, terms.stable_after_ms) == (500, longest_ms, 60_000)


async def test_the_welcome_says_how_to_come_back(stage: Stage) -> None:
    """By how many are there, the new one included."""
    for number in range(2_000):
        stage.hub.open(TapeSocket(), Peer("ip", "", "/ws", False), Credential("bearer", f"user-{number}"))
    client = await stage.client("user-2000")
    welcome = client.read()[0]
    assert welcome["reconnect_terms"]["max_delay_ms"] == 5_000


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (None, "bearer", 4500), (None, "query", 4200), (None, "cookie", 4500),
        (StoreError("down"), "bearer", 4101), (BusError("down"), "bearer", 4100), (ZeroDivisionError(), "bearer", 4104),
    ],
)  # fmt: skip
async def test_bad_credentials_end_with_a_named_close(stage: Stage, answer: Any, kind: Any, code: int) -> None:
    """Who can mend it is in the code: a new token, a login, or time."""
    if answer is not None:
        stage.doorman.known["secret"] = answer
    socket = TapeSocket()
    stage.hub.open(socket, Peer("ip", "", "/ws", False), Credential(kind, "secret"))
    assert socket.holding
    await turns()
    assert socket.closed is not None
    assert socket.closed[0] == code
    (closing,) = socket.all_messages()
    assert (closing["status"], closing["code"]) == ("closing", code)


async def test_silence_without_credentials_is_closed_after_ten_seconds(stage: Stage) -> None:
    """4105, and cut when the close is not answered."""
    client = await stage.client(None)
    await stage.clock.advance(9.5)
    assert client.socket.closed is None
    await stage.clock.advance(1.0)
    assert client.socket.closed == (4105, "auth_timeout")
    await stage.clock.advance(3.0)
    assert client.socket.aborted


async def test_the_first_message_may_bring_the_token_and_others_wait_for_it(stage: Stage) -> None:
    """What is sent together with ``authenticate`` is done after it, and each id is answered once."""
    stage.doorman.hold = asyncio.Event()
    client = await stage.client(None)
    client.send("subscribe", id=1, room_id="app:x")
    (refused,) = client.read()
    assert (refused["ok"], refused["error"]["code"]) == (False, "unauthorized")
    client.send("authenticate", id=2, token="user-7")
    client.send("subscribe", id=3, room_id="app:x")
    assert client.read() == []
    stage.doorman.hold.set()
    await turns()
    kinds = [(m["type"], m.get("id")) for m in client.read()]
    assert kinds == [
        ("connection", None), ("subscribed", None), ("reply", 2), ("subscribed", None), ("reply", 3)
    ]  # fmt: skip


async def test_a_bad_token_in_the_first_message_is_answered_and_closed(stage: Stage) -> None:
    """Exactly one reply, then 4200."""
    client = await stage.client(None)
    client.send("authenticate", id="x", token="nobody")
    await turns()
    reply, closing = client.read()
    assert (reply["id"], reply["ok"], closing["code"]) == ("x", False, 4200)


async def test_anonymous_clients_see_public_rooms_only_and_may_become_somebody() -> None:
    """Where it is allowed: connected at once, refused elsewhere, promoted by ``authenticate``."""
    stage = Stage(allow_anonymous=True)
    client = await stage.client(None)
    assert "user" not in client.read()[0]
    client.send("subscribe", id=1, room_id="public:news")
    client.send("subscribe", id=2, room_id="app:x")
    client.send("publish", id=3, room_id="public:news", data=1)
    assert [m["ok"] for m in client.read("reply")] == [True, False, False]
    client.send("authenticate", id=4, token="user-7")
    await turns()
    welcome, own, reply = client.read()
    assert (welcome["user"]["user_id"], own["room_id"], reply["ok"]) == (7, "user:7", True)
    client.send("authenticate", id=5, token="user-8")
    assert client.read("reply")[0]["error"]["code"] == "conflict"
    await stage.hub.stop()


async def test_the_eleventh_connection_of_a_user_is_refused(stage: Stage) -> None:
    """4504, and the ten stay."""
    clients = [await stage.client("user-1") for _ in range(11)]
    assert [c.socket.closed for c in clients[:10]] == [None] * 10
    assert clients[10].socket.closed == (4504, "connection_limit")


async def test_the_admin_path_is_for_admins(stage: Stage) -> None:
    """4507 for a user; losing the role ends it at once."""
    user = await stage.client("user-1", admin_only=True)
    assert user.socket.closed == (4507, "permission_denied")
    admin = await stage.client("admin-2", admin_only=True)
    stage.hub.standing.change_user(2, Role.USER, DEFAULTS[Role.USER])
    assert admin.socket.closed == (4507, "permission_denied")


# ---- rooms


async def test_a_message_reaches_the_room_in_both_subprotocols(stage: Stage) -> None:
    """Published once, numbered per room, sequenced per connection."""
    plain, batch = await stage.client("user-1"), await stage.client("user-2", batch=True)
    for client in (plain, batch):
        client.send("subscribe", room_id="app:x")
        client.read()
    done = [stage.hub.publish("app:x", data(n)) for n in range(3)]
    assert [(d.reached, d.offset) for d in done] == [(2, 1), (2, 2), (2, 3)]
    await turns()
    for client in (plain, batch):
        assert [(m["data"], m["offset"]) for m in client.read("room_message")] == [(0, 1), (1, 2), (2, 3)]
    # Joined: one write for three messages.
    assert batch.socket.writes[-1].count(b"\n") == 3
    assert stage.hub.statistics().delivered == 6


async def test_coming_back_gets_exactly_what_was_missed(stage: Stage) -> None:
    """Replayed before anything live, with the reply last."""
    first = await stage.client("user-1")
    first.send("subscribe", room_id="app:x")
    epoch = first.read("subscribed")[-1]["epoch"]
    first.lose()
    for n in range(3):
        stage.hub.publish("app:x", data(n))
    second = await stage.client("user-1")
    second.read()
    second.send("subscribe", id=1, room_id="app:x", since={"epoch": epoch, "offset": 1})
    stage.hub.publish("app:x", data("live"))
    await turns()
    entered, *messages = second.read()
    assert (entered["recovered"], entered["replayed"], entered["offset"]) == (True, 2, 3)
    assert [m.get("data", m["type"]) for m in messages] == [1, 2, "reply", "live"]
    second.send("subscribe", room_id="app:x", since={"epoch": "e-other", "offset": 1})
    assert second.read("subscribed")[0]["reason"] == "epoch_changed"
    second.send("subscribe", room_id="app:x", since={"epoch": epoch, "offset": 99})
    assert second.read("subscribed")[0]["reason"] == "offset_ahead"


async def test_subscribing_again_does_not_double_what_is_on_its_way(stage: Stage) -> None:
    """A client that resumes a room it is in gets each message once."""
    client = await stage.client("user-1")
    client.send("subscribe", room_id="app:x")
    epoch = client.read("subscribed")[-1]["epoch"]
    stage.hub.publish("app:x", data(1))
    client.send("subscribe", room_id="app:x", since={"epoch": epoch, "offset": 0})
    stage.hub.publish("app:x", data(2))
    await turns()
    entered, *messages = client.read()
    assert (entered["recovered"], entered["replayed"], entered["offset"]) == (True, 0, 0)
    assert [m["data"] for m in messages] == [1, 2]


async def test_who_joins_between_publish_and_flush_gets_nothing_twice(stage: Stage) -> None:
    """The message is in the answer's offset, not live."""
    old = await stage.client("user-1")
    old.send("subscribe", room_id="app:x")
    old.read()
    stage.hub.publish("app:x", data("before"))
    new = await stage.client("user-2")
    stage.hub.publish("app:x", data("pending"))
    new.send("subscribe", room_id="app:x")
    stage.hub.publish("app:x", data("after"))
    await turns()
    assert [m["data"] for m in new.read("room_message")] == ["after"]
    assert [m["data"] for m in old.read("room_message")] == ["before", "pending", "after"]


async def test_a_latest_room_greets_with_its_present_state(stage: Stage) -> None:
    """The newest tick comes at once, with its own offset."""
    for price in (1, 2):
        stage.hub.publish("market:AAPL", data({"price": price}), kind="market_tick", key="AAPL")
    client = await stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    entered, tick = client.read()[2:]
    assert (entered["delivery"], entered["replayed"], entered["offset"]) == ("latest", 1, 2)
    assert (tick["type"], tick["data"], tick["offset"]) == ("market_tick", {"price": 2}, 2)


async def test_presence_is_told_to_those_who_ask(stage: Stage) -> None:
    """State first, then who comes and, after the grace period, who goes."""
    ada = await stage.client("user-1")
    ada.send("subscribe", room_id="app:x", presence=True)
    state = ada.read("room_event")[0]
    assert (state["event"], [m["user_id"] for m in state["members"]], state["complete"]) == (
        "presence_state",
        [1],
        True,
    )
    bob, bobs_tab = await stage.client("user-2"), await stage.client("user-2")
    for client in (bob, bobs_tab):
        client.send("subscribe", room_id="app:x")
    assert [e["member"]["username"] for e in ada.read("room_event")] == ["user-2"]
    bob.lose()
    bobs_tab.send("unsubscribe", room_id="app:x")
    await stage.clock.advance(9.0)
    assert ada.read("room_event") == []
    await stage.clock.advance(2.0)
    (left,) = ada.read("room_event")
    assert (left["event"], left["member"]["user_id"], left["count"]) == ("member_left", 2, 1)
    assert [m.user_id for m in stage.hub.members("app:x")] == [1]
    ada.send("subscribe", id=1, room_id="market:AAPL", presence=True)
    assert ada.read("reply")[0]["error"]["code"] == "bad_request"


async def test_each_audience_gets_its_own_variant_and_a_change_moves_you(stage: Stage) -> None:
    """Who loses premium:view sees no premium from the next message on, and misses none."""
    trader = await stage.client("user-1")
    room = f"quote:{UUID}"
    stage.hub.standing.change_user(1, Role.USER, DEFAULTS[Role.USER] | {"premium:view"})
    trader.send("subscribe", room_id=room)
    trader.read()
    body = {"plain": b'{"data":1}', "premium": b'{"data":1,"premium":9}'}
    stage.hub.publish(room, body, kind="quote_update")
    stage.hub.standing.change_user(1, Role.USER, DEFAULTS[Role.USER])
    stage.hub.publish(room, body, kind="quote_update")
    await turns()
    messages = trader.read("quote_update")
    assert [(m["offset"], m.get("premium")) for m in messages] == [(1, 9), (2, None)]


# ---- sending and revoking


async def test_sending_reaches_whom_it_names_and_says_how_many(stage: Stage) -> None:
    """One connection, one user, rooms by prefix, everybody allowed."""
    ada, adas_tab, bob = [await stage.client(name) for name in ("user-1", "user-1", "admin-2")]
    bob.send("subscribe", room_id="admin:system_monitoring:2")
    note = protocol.encode(protocol.Heartbeat(timestamp=1.0))
    hub = stage.hub
    assert hub.send_to_connection(ada.session.connection_id, note) == 1
    assert hub.send_to_connection("c-none", note) == 0
    assert hub.send_to_user(1, note) == 2
    assert hub.send_to_holders("feed:control", note) == 1
    assert hub.publish_prefix("admin:system_monitoring:", data(1), kind="system_metrics", key="m") == 1
    assert hub.publish("app:empty", data(1)).reached == 0
    await turns()
    assert [len(c.read("heartbeat")) for c in (ada, adas_tab, bob)] == [2, 1, 1]
    assert len(bob.read()) == 0


async def test_a_revoked_permission_takes_effect_at_once(stage: Stage) -> None:
    """No message that was published after the change arrives, and the client is told."""
    client = await stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    client.read()
    stage.hub.standing.change_user(1, Role.USER, DEFAULTS[Role.USER] - {"market:view"})
    stage.hub.publish("market:AAPL", data(1), key="AAPL")
    await turns()
    (told,) = client.read()
    assert (told["type"], told["reason"]) == ("unsubscribed", "permission_revoked")
    client.send("subscribe", id=1, room_id="market:AAPL")
    assert client.read("reply")[0]["error"]["code"] == "permission_denied"


@pytest.mark.parametrize("code", [4511, 4512, 4503])
async def test_disabling_logging_out_and_force_end_every_socket_concerned(stage: Stage, code: int) -> None:
    """Each with its own code, none of them worth a reconnect; others stay."""
    first, second, other = [await stage.client(name) for name in ("user-1", "user-1", "user-2")]
    if code == 4511:
        assert stage.hub.standing.end_user(1) == 2
    elif code == 4512:
        assert stage.hub.standing.end_login("s-1") == 2
    else:
        assert sum(stage.hub.force_disconnect(c.session.connection_id) for c in (first, second)) == 2
    for client in (first, second):
        assert client.read()[-1]["reconnect"] == "never"
        assert client.socket.closed is not None
        assert client.socket.closed[0] == code
    assert other.socket.closed is None


async def test_a_session_is_warned_refreshed_in_place_and_ended(stage: Stage) -> None:
    """A refresh keeps the rooms; without one the end comes within a second."""
    start = stage.clock.time()
    stage.doorman.known["short"] = principal(1, expires_at=start + 100)
    stage.doorman.known["longer"] = principal(1, expires_at=start + 200)
    client = await stage.client("short")
    await stage.clock.advance(26.0)
    client.send("ping")
    await stage.clock.advance(15.0)
    assert [m["status"] for m in client.read("connection")] == ["connected", "token_expiring"]
    client.send("auth_refresh", id=1, token="longer")
    client.send("auth_refresh", id=2, token="user-2")
    await turns()
    await stage.clock.advance(0.0)
    refreshed, first = [m for m in client.read() if m["type"] != "heartbeat" and m.get("id") != 2]
    assert (refreshed["status"], refreshed["token_expires_at"], first["ok"]) == ("refreshed", start + 200, True)
    for _ in range(20):
        await stage.clock.advance(8.0)
        client.send("ping")
    assert client.socket.closed == (4200, "token_expired")


async def test_a_token_of_somebody_else_does_not_refresh(stage: Stage) -> None:
    """The user of a connection never changes."""
    client = await stage.client("user-1")
    client.read()
    for number, token in enumerate(["user-2", "nobody"]):
        client.send("auth_refresh", id=number, token=token)
        await turns()
    assert [m["error"]["code"] for m in client.read("reply")] == ["permission_denied", "unauthorized"]


# ---- rooms that nobody needs


async def test_rooms_that_nobody_would_miss_are_forgotten_soon(stage: Stage) -> None:
    """Once nobody's leaving is held back, so many at a time; who is inside or came back keeps theirs."""
    stays = await stage.client("user-0")
    for number in range(1, 802):
        client = await stage.client(f"user-{number}")
        client.lose()
    back = await stage.client("user-801")
    await stage.clock.advance(10.9)
    assert len(stage.hub.each_room()) == 802
    await stage.clock.advance(0.3)
    assert len(stage.hub.each_room()) == 302
    await stage.clock.advance(0.5)
    assert {info.room_id for info in stage.hub.each_room()} == {"user:0", "user:801"}
    assert stays.read("gap") == back.read("gap") == []


async def test_rooms_that_nobody_ever_entered_are_forgotten_soon(stage: Stage) -> None:
    """What was published to nobody and is not remembered; and a refused subscribe makes no room at all."""
    client = await stage.client("user-1")
    client.send("subscribe", id=1, room_id="market:AAPL", presence=True)
    assert [reply["error"]["code"] for reply in client.read("reply")] == ["bad_request"]
    stage.hub.publish("app:x", data(1), delivery="volatile")
    assert {info.room_id for info in stage.hub.each_room()} == {"user:1", "app:x"}
    await stage.clock.advance(12.0)
    assert {info.room_id for info in stage.hub.each_room()} == {"user:1"}


async def test_rooms_that_remember_are_forgotten_little_by_little(stage: Stage) -> None:
    """A round begins each minute and takes its time, so that many rooms are no stall; memory lasts 300 s."""
    for number in range(800):
        stage.hub.publish(f"app:{number}", data("x"))
    left = {}
    for second in range(1, 421):
        await stage.clock.advance(1.0)
        left[second] = len(stage.hub.each_room())
    assert left[299] == 800 > left[310] > left[320] > left[330] > left[340] > 0 == left[420]
