"""What one web process knows from the bus, with friendly and hostile publishers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.admin import feed_status, tick_bytes
from tidewire.core.feed_status import FeedStandby
from tidewire.core.market import Tick
from tidewire.monitoring.bus_tick import UNASSIGNED, BusTick
from tidewire.monitoring.feed_report import Leader
from tidewire.monitoring.feed_view import RECENT_PER_LANE, SHOWN_KEPT, FeedView

NOW = 1_700_000_000.0


def view_with_feed(max_symbols: int = 100) -> FeedView:
    """A view that has heard the feed."""
    view = FeedView(now=NOW, mono=0.0, max_symbols=max_symbols)
    view.collecting = True
    view.receive_status(msgspec.json.encode(feed_status(NOW)), now=NOW, mono=0.0)
    return view


def test_the_bounds_are_those_of_a_tick() -> None:
    """BusTick checks every field that core.market.Tick has but its place, and Tidewire's own ticks pass."""
    shared_rooms_only = {"epoch", "offset"}
    assert set(BusTick.__struct_fields__) | shared_rooms_only == {"type", *Tick.__struct_fields__}
    view = view_with_feed()
    own = Tick("AAPL", 1.0, 2.0, NOW, "massive", connection_id="connection_1", event="T", received=NOW, frame=7)
    view.receive_ticks([msgspec.json.encode(own)], NOW)
    (seen,) = view.take_fresh()
    assert (seen.connection_id, seen.is_upstream, seen.tick.frame) == ("connection_1", True, 7)


def test_ticks_are_filed_under_the_owner() -> None:
    """Owner by symbol, unowned and claims of lines that do not exist under nobody."""
    view = view_with_feed()
    view.receive_ticks(
        [
            tick_bytes("MSFT"),
            tick_bytes("NOPE"),
            tick_bytes("MSFT", connection_id="connection_9"),
            tick_bytes("TSLA", connection_id="connection_1", frame=3),
            tick_bytes("TSLA", connection_id=None),
        ],
        NOW,
    )
    seen = view.take_fresh()
    assert [one.connection_id for one in seen] == ["connection_1", None, None, "connection_1", "connection_2"]
    assert [one.is_upstream for one in seen] == [False, False, False, True, False]
    assert view.report(now=NOW, mono=0.0).status().unassigned.message_count == 2


def test_a_ticker_on_two_lines_stays_on_the_first() -> None:
    """As the contract says."""
    status = feed_status(NOW)
    lines = {**status.connections}
    lines["connection_2"] = msgspec.structs.replace(lines["connection_2"], tickers=["AAPL", "TSLA"])
    view = FeedView(now=NOW, mono=0.0)
    view.collecting = True
    view.receive_status(msgspec.json.encode(feed_status(NOW, connections=lines)), now=NOW, mono=0.0)
    view.receive_ticks([tick_bytes("AAPL")], NOW)
    assert view.take_fresh()[0].connection_id == "connection_1"


def test_before_the_first_status_a_claim_is_believed() -> None:
    """A page opened in the first second does not see every tick as unassigned."""
    view = FeedView(now=NOW, mono=0.0)
    view.collecting = True
    view.receive_ticks([tick_bytes("X", connection_id=name) for name in ("connection_1", "connection_17", "evil")], NOW)
    assert [seen.connection_id for seen in view.take_fresh()] == ["connection_1", None, None]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"null",
        b'{"type":"market_tick"}',
        tick_bytes(type="other"),
        tick_bytes(price=0),
        tick_bytes(price=-1),
        tick_bytes(price=1.1e12),
        tick_bytes(price="1"),
        tick_bytes(price=None),
        tick_bytes().replace(b"100.0", b"NaN"),
        tick_bytes().replace(b"100.0", b"1e999"),
        tick_bytes(volume=-1),
        tick_bytes(volume=1e16),
        tick_bytes(timestamp=0),
        tick_bytes(timestamp=NOW * 1000),
        tick_bytes(timestamp=NOW + 90_000),
        tick_bytes(symbol=""),
        tick_bytes(symbol="A" * 33),
        tick_bytes(symbol="<script>"),
        tick_bytes(symbol="A\nB"),
        tick_bytes(symbol="ÄPPEL"),
        tick_bytes(symbol=5),
        tick_bytes(source=""),
        tick_bytes(source="x" * 65),
        tick_bytes(event="x" * 17),
        tick_bytes(connection_id="x" * 65),
        tick_bytes(frame=-1),
        tick_bytes(received=-1),
        tick_bytes(note="x" * 5000),
        tick_bytes()[:-1] + b',"deep":' + b"[" * 1500 + b"]" * 1500 + b"}",
    ],
)
def test_malformed_ticks_cost_exactly_themselves(payload: bytes) -> None:
    """They are counted with a sample, and the ticks around them arrive."""
    view = view_with_feed()
    view.receive_ticks([tick_bytes("AAPL"), payload, tick_bytes("AAPL")], NOW)
    assert [seen.id for seen in view.take_fresh()] == [1, 2]
    errors = view.report(now=NOW, mono=0.0).status().bus_errors
    assert (errors.count, errors.last_at) == (1, NOW)
    assert errors.last_sample is not None
    assert len(errors.last_sample) <= 200
    assert errors.last_sample.isprintable()


@given(
    st.lists(
        st.binary(max_size=60) | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(msgspec.json.encode)
    )
)
@settings(max_examples=50, deadline=None)
def test_no_bytes_stop_it(payloads: list[bytes]) -> None:
    """Whatever arrives on either channel is a tick, a status or a counted error."""
    view = view_with_feed()
    view.receive_ticks(payloads, NOW)
    for payload in payloads:
        view.receive_status(payload, now=NOW, mono=0.0)
    assert view.errors.total + view.last_id == 2 * len(payloads)


def test_errors_are_logged_once_a_minute() -> None:
    """One line at once, then one per minute with how many there were; none when there was nothing new."""
    view = view_with_feed()
    view.receive_ticks([b"x"], NOW)
    assert view.errors.due(10.0) == 1
    view.receive_ticks([b"x", b"y"], NOW)
    assert (view.errors.due(69.9), view.errors.due(70.0), view.errors.due(200.0)) == (0, 2, 0)


def test_hostile_publishers_cannot_grow_memory() -> None:
    """Symbols, rings, lanes and what was shown are all bounded."""
    view = view_with_feed(max_symbols=100)
    for i in range(3_000):
        view.receive_ticks([tick_bytes(f"S{i}", connection_id=f"connection_{i + 4}")], NOW)
    sizes = view.statistics()
    assert (sizes["symbols"], sizes["symbols_forgotten"], sizes["lanes"]) == (100, 2_900, 4)
    assert sizes["recent"] == RECENT_PER_LANE
    seen = view.take_fresh()
    for _ in range(10):
        view.note_shown(seen)
    assert view.statistics()["shown"] == 3_000
    assert view.statistics()["shown"] <= SHOWN_KEPT


def test_the_least_recently_traded_symbol_is_forgotten_first() -> None:
    """A symbol that keeps trading keeps its previous price."""
    view = view_with_feed(max_symbols=2)
    for symbol in ("A", "B", "A", "C", "A", "B"):
        view.receive_ticks([tick_bytes(symbol, 50.0)], NOW)
    assert [seen.change_pct for seen in view.take_fresh()] == [None, None, 0.0, None, 0.0, None]


def test_a_tick_can_be_found_while_it_is_kept() -> None:
    """In its ring, and after that as long as a viewer has it on screen."""
    view = view_with_feed()
    view.receive_ticks([tick_bytes("AAPL")], NOW)
    first = view.take_fresh()
    assert view.find(1) is first[0]
    view.note_shown(first)
    view.receive_ticks([tick_bytes("AAPL")] * (RECENT_PER_LANE + 1), NOW)
    assert view.find(1) is first[0]
    assert view.find(2) is None
    assert view.find(3) is not None
    assert view.find(10_000) is None


def test_a_feed_that_never_spoke_is_silent_after_five_seconds() -> None:
    """Nothing is invented: no lines, a warning, and since when."""
    view = FeedView(now=NOW, mono=0.0)
    assert view.report(now=NOW + 5, mono=5.0).status().feed_silent_since is None
    status = view.report(now=NOW + 6, mono=6.0).status()
    assert (status.feed_silent_since, status.connections, status.connected_count) == (NOW, {}, 0)
    assert "has not reported yet" in status.warnings[0]


def test_silence_hides_no_number_but_calls_it_old() -> None:
    """Lines are stale with a warning, rates are zero, the points of history unknown."""
    view = view_with_feed()
    report = view.report(now=NOW + 6, mono=6.0)
    line = report.status().connections["connection_1"]
    assert (line.status, line.state, line.state_since, line.messages_per_second) == ("error", "stale", NOW, 0.0)
    assert line.message_count == 10
    assert "last" in line.warnings[-1]
    assert report.points()["connection_1"].messages_per_second is None
    assert report.metrics({}, {})["connection_1"].status == "error"
    assert view.report(now=NOW, mono=5.0).signature() != report.signature()


def test_a_status_from_nowhere_changes_nothing() -> None:
    """Absurd ids or sizes are malformed; the last good status stands."""
    view = view_with_feed()
    line = feed_status(NOW).connections["connection_1"]
    bad = feed_status(NOW, connections={f"connection_{i}": line for i in range(1_000)})
    view.receive_status(msgspec.json.encode(bad), now=NOW, mono=1.0)
    view.receive_status(b" " * (5 * 1024 * 1024), now=NOW, mono=1.0)
    assert len(view.report(now=NOW, mono=1.0).status().connections) == 3
    assert view.errors.total == 2


def test_the_unassigned_rate_is_over_five_seconds() -> None:
    """A rate over a window, not a total divided by something."""
    view = view_with_feed()
    for _ in range(10):
        view.receive_ticks([tick_bytes("NOPE")] * 4, NOW)
        view.tick_second()
    report = view.report(now=NOW, mono=0.0)
    assert report.points()[UNASSIGNED].messages_per_second == 4.0
    for _ in range(5):
        view.tick_second()
    assert view.report(now=NOW, mono=0.0).metrics({}, {})[UNASSIGNED].messages_per_second == 0.0


def test_what_viewers_get_has_exactly_the_documented_fields() -> None:
    """Unknown optional fields are absent, required ones are null."""
    view = view_with_feed()
    view.receive_ticks([tick_bytes("NOPE"), tick_bytes("AAPL", event="T", received=NOW, published=NOW, frame=4)], NOW)
    plain, full = (msgspec.json.decode(seen.wire()) for seen in view.take_fresh())
    always = {"type", "symbol", "price", "volume", "timestamp", "source", "connection_id", "id", "change_pct"}
    assert set(plain) == always
    assert set(full) == always | {"event", "received", "published", "frame"}
    assert (plain["connection_id"], plain["change_pct"]) == (None, None)


def test_who_leads_and_who_waits_is_shown() -> None:
    """The leader by name and number; a feed that waits as long as it says so; what is malformed changes nothing."""
    view = view_with_feed()
    leader = msgspec.structs.replace(feed_status(NOW), node="one", fence=7)
    view.receive_status(msgspec.json.encode(leader), now=NOW, mono=0.0)
    waits = FeedStandby(node="two", since=NOW, holder="one", reason="one leads")
    view.receive_standby(msgspec.json.encode(waits), now=NOW, mono=0.0)
    before = view.report(now=NOW, mono=5.0)
    assert before.status().leader == Leader(node="one", fence=7)
    assert before.status().standby == [waits]
    assert view.report(now=NOW, mono=5.1).status().standby == []
    assert before.signature() != view.report(now=NOW, mono=5.1).signature()
    view.receive_standby(msgspec.json.encode(waits), now=NOW, mono=4.0)
    view.receive_status(msgspec.json.encode(msgspec.structs.replace(leader, node="two", fence=8)), now=NOW, mono=4.0)
    assert view.report(now=NOW, mono=4.0).status().standby == []
    for bad in (b"", b"[]", b"{}", b'{"node":' + b"[" * 2000, b" " * 5000):
        view.receive_standby(bad, now=NOW, mono=5.0)
    assert view.statistics()["malformed"] == 5
    for number in range(40):
        crowd = msgspec.structs.replace(waits, node=f"node {number}")
        view.receive_standby(msgspec.json.encode(crowd), now=NOW, mono=5.0)
    assert len(view.report(now=NOW, mono=5.0).status().standby) == 16
