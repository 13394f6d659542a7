"""The namespace over a real server: who gets in, what is answered, what is refused."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.admin import feed_status, principal, running_admin, tick_bytes
from tests.support.raw_viewer import raw_viewer
from tidewire.accounts.model import Role
from tidewire.core.errors import Unavailable
from tidewire.core.feed_status import FeedReply


async def test_the_first_event_follows_the_connect_packet() -> None:
    """A client that sets up its handlers on connect misses nothing: the status comes after the CONNECT packet."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        await viewer.join()
        status = await viewer.event("connection_status_update")
        assert [frame.partition(",")[0] for frame in viewer.frames[1:3]] == ["40/admin-ws", "42/admin-ws"]
        assert status["connected_count"] == 2
        assert status["connections"]["connection_1"]["name"] == "primary"


@pytest.mark.parametrize(
    ("cookie", "word", "code"),
    [
        (None, "unauthorized", "unauthorized"),
        ("stale", "unauthorized", "unauthorized"),
        ("bob", "forbidden", "permission_denied"),
    ],
)
async def test_others_are_refused_with_an_explanation(cookie: str | None, word: str, code: str) -> None:
    """No cookie, a stale one and a non-admin's get connect_error with an error object."""
    async with running_admin() as admin:
        admin.accounts.cookies["bob"] = principal(username="bob", role=Role.MODERATOR)
        async with raw_viewer(admin.ws_url, cookie=cookie) as viewer:
            answer = await viewer.join()
        assert answer["message"] == word
        assert answer["data"]["code"] == code
        assert answer["data"]["required_action"]
        assert answer["data"]["will_not"]


async def test_a_store_that_is_down_lets_nobody_in() -> None:
    """If the session cannot be checked, the answer says so and nobody gets in unchecked."""
    async with running_admin() as admin:
        admin.accounts.down = True
        async with raw_viewer(admin.ws_url) as viewer:
            answer = await viewer.join()
        assert (answer["message"], answer["data"]["code"]) == ("unavailable", "storage_unavailable")


async def test_a_foreign_origin_is_refused_before_the_upgrade() -> None:
    """A page of another site gets HTTP 403 and a problem document."""
    async with running_admin() as admin:
        with pytest.raises(InvalidStatus) as refused:
            async with raw_viewer(admin.ws_url, origin="http://evil.test"):
                raise AssertionError("let in")
        assert refused.value.response.status_code == 403
        assert b"origin_refused" in (refused.value.response.body or b"")


async def test_no_origin_needs_a_valid_cookie() -> None:
    """A program without Origin is treated by its cookie alone: a valid one gets in, none does not."""
    async with running_admin() as admin:
        async with raw_viewer(admin.ws_url, origin=None) as viewer:
            assert "sid" in await viewer.join()
        async with raw_viewer(admin.ws_url, origin=None, cookie=None) as viewer:
            assert (await viewer.join())["message"] == "unauthorized"


async def test_ticks_arrive_enriched() -> None:
    """A tick of another program reaches the viewer with owner, number and change."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        await viewer.join()
        await viewer.event("connection_status_update")
        admin.publish(tick_bytes("AAPL", 100.0), tick_bytes("NOPE", 5.0), tick_bytes("AAPL", 101.0))
        await admin.clock.advance(0.1)
        ticks = [await viewer.event("tick_update") for _ in range(3)]
        assert [tick["connection_id"] for tick in ticks] == ["connection_1", None, "connection_1"]
        assert [tick["change_pct"] for tick in ticks] == [None, None, 1.0]
        assert [tick["id"] for tick in ticks] == [1, 2, 3]
        assert "event" not in ticks[0]
        assert ticks[0]["type"] == "market_tick"


async def test_batches_pause_and_resume() -> None:
    """Batch mode groups ticks; a pause holds and counts; a resume hands over the newest 50 and says what is skipped."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        await viewer.join()
        assert (await viewer.ask("set_options", {"batch": True})) == {
            "ok": True,
            "options": {"batch": True, "filter": None},
        }
        admin.publish(*(tick_bytes("AAPL", 100.0 + i) for i in range(3)))
        await admin.clock.advance(0.1)
        batch = await viewer.event("tick_batch")
        assert ([tick["id"] for tick in batch["ticks"]], batch["dropped"]) == ([1, 2, 3], 0)
        paused = (await viewer.ask("pause_stream", {"connection_id": "connection_1"}))["paused"]
        assert paused == {"connection_1": admin.clock.time()}
        admin.publish(*(tick_bytes("AAPL", 100.0 + i) for i in range(70)), tick_bytes("TSLA"))
        await admin.clock.advance(0.1)
        assert [tick["symbol"] for tick in (await viewer.event("tick_batch"))["ticks"]] == ["TSLA"]
        await admin.clock.advance(1.0)
        assert await viewer.event("held_update") == {"connection_1": 70}
        resumed = await viewer.ask("resume_stream", {})
        assert resumed["paused"] == {}
        assert [tick["id"] for tick in resumed["ticks"]["connection_1"]] == list(range(73, 23, -1))
        assert resumed["skipped"] == {"connection_1": 20}


async def test_a_filter_cuts_traffic_on_the_server() -> None:
    """Only what the filter lets through is sent; null removes it; an unknown part is an error."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        answer = await viewer.ask("set_options", {"batch": True, "filter": {"symbols": ["ms*"], "min_change": 0.5}})
        assert answer["options"]["filter"] == {"symbols": ["ms*"], "min_change": 0.5}
        admin.publish(
            tick_bytes("MSFT", 100), tick_bytes("AAPL", 100), tick_bytes("MSFT", 100.1), tick_bytes("MSFT", 102)
        )
        await admin.clock.advance(0.1)
        assert [tick["price"] for tick in (await viewer.event("tick_batch"))["ticks"]] == [102]
        bad = await viewer.ask("set_options", {"filter": {"symbol": "A"}})
        assert (bad["ok"], bad["error"]["code"]) == (False, "bad_request")
        assert (await viewer.ask("set_options", {"filter": None}))["options"] == {"batch": True, "filter": None}


@pytest.mark.parametrize(
    ("event", "arguments", "code"),
    [
        ("set_options", [{"batch": "yes"}], "bad_request"),
        ("set_options", [{"colour": "red"}], "bad_request"),
        ("set_options", [{"filter": {"symbols": ["A"] * 101}}], "bad_request"),
        ("set_options", [{"filter": {"text": "x" * 65}}], "bad_request"),
        ("set_options", [{"filter": {"min_change": -1}}], "bad_request"),
        ("set_options", ["batch"], "bad_request"),
        ("set_options", [{}, {}], "bad_request"),
        ("pause_stream", [{"connection_id": "connection_9"}], "unknown_connection"),
        ("pause_stream", [{"connection_id": 1}], "bad_request"),
        ("resume_stream", [{"connection_id": "x" * 65}], "bad_request"),
        ("inspect_tick", [{}], "bad_request"),
        ("inspect_tick", [{"id": 0}], "bad_request"),
        ("inspect_tick", [{"id": 999}], "tick_forgotten"),
        ("pause_feed", [{"confirm": "yes"}], "confirmation_required"),
        ("request_metrics", [{"x": 1}], "bad_request"),
        ("drop_table", [{}], "unknown_event"),
        ("joined", [{}], "unknown_event"),
    ],
)
async def test_bad_arguments_get_an_error_object(event: str, arguments: list[object], code: str) -> None:
    """Whatever is wrong is acknowledged with what happened, what to do and what will not be done."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        await viewer.join()
        answer = await viewer.ask(event, *arguments)
        assert (answer["ok"], answer["error"]["code"]) == (False, code)
        assert all(answer["error"][part] for part in ("message", "required_action", "will_not"))
        assert (await viewer.ask("request_metrics"))["ok"]


async def test_a_snapshot_draws_the_page_at_once() -> None:
    """Status, history from the first second, recent ticks, options and rights come in one answer."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        await admin.clock.advance(3.0)
        admin.publish(*(tick_bytes("AAPL", 100.0 + i) for i in range(60)))
        await viewer.join()
        snapshot = await viewer.ask("request_snapshot", {})
        series = snapshot["history"]["connection_1"]
        assert (len(series["points"]), series["step_s"]) == (3, 1)
        assert series["start"] == round(admin.clock.time()) - 2
        assert series["points"][0]["messages_per_second"] == 2.5
        assert [tick["id"] for tick in snapshot["ticks"]["connection_1"]] == list(range(60, 10, -1))
        assert snapshot["status"]["source"] == "massive"
        assert snapshot["can"] == {"feed_control": True}
        assert snapshot["options"] == {"batch": False, "filter": None}
        assert snapshot["server_time"] == admin.clock.time()


async def test_snapshots_are_rationed() -> None:
    """The sixth snapshot in a row is refused with when to ask again."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        answers = [await viewer.ask("request_snapshot") for _ in range(6)]
        assert [answer["ok"] for answer in answers] == [True] * 5 + [False]
        assert answers[-1]["error"]["retry_after_ms"] > 0


async def test_metrics_and_history_come_by_themselves() -> None:
    """History arrives every second, metrics every five and when asked for; only connection ids stand at top level."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        await viewer.join()
        await admin.clock.advance(5.0)
        history = [await viewer.event("history_update") for _ in range(5)]
        assert [point["t"] - history[0]["t"] for point in history] == [0, 1, 2, 3, 4]
        metrics = await viewer.event("metrics_update")
        assert set(metrics) == {"connection_1", "connection_2", "connection_3", "unassigned"}
        assert metrics["connection_1"]["messages_per_second"] == 2.5
        await viewer.ask("request_metrics")
        assert set(await viewer.event("metrics_update")) == set(metrics)


async def test_a_silent_feed_is_never_shown_as_connected() -> None:
    """Five seconds without a word turn every line stale, and the viewer is told at once and only once."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        spoke = admin.clock.time()
        await viewer.join()
        await viewer.event("connection_status_update")
        await admin.clock.advance(6.2)
        while (status := await viewer.event("connection_status_update"))["feed_silent_since"] is None:
            pass
        assert status["feed_silent_since"] == spoke
        assert status["connected_count"] == 0
        assert {line["status"] for line in status["connections"].values()} == {"error", "disabled"}
        admin.publish_status()
        await admin.clock.advance(0.1)
        assert (await viewer.event("connection_status_update"))["connected_count"] == 2


async def test_inspection_of_both_origins() -> None:
    """An upstream tick shows its frame from the feed, a foreign one its bus message."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        await viewer.join()
        foreign = tick_bytes("TSLA", 7.0)
        admin.publish(tick_bytes("AAPL", connection_id="connection_1", frame=42, received=1.7e9), foreign)
        upstream = await viewer.ask("inspect_tick", {"id": 1})
        assert (upstream["origin"], upstream["raw"], upstream["verdict"]) == ("upstream", '[{"ev":"T"}]', "valid")
        assert admin.feed.commands == [
            ("inspect", {"by": "ada", "connection_id": "connection_1", "frame": 42, "symbol": "AAPL"})
        ]
        bus = await viewer.ask("inspect_tick", {"id": 2})
        assert (bus["origin"], bus["raw"], bus["raw_bytes"]) == ("bus", foreign.decode(), len(foreign))
        assert bus["timings"]["received"] is None
        admin.feed.reply = FeedReply(id="x", ok=False, error={"code": "frame_gone", "message": "It is gone."})
        assert (await viewer.ask("inspect_tick", {"id": 1}))["error"]["code"] == "frame_gone"
        admin.feed.fails = Unavailable("The feed does not answer.")
        assert (await viewer.ask("inspect_tick", {"id": 1}))["error"]["code"] == "temporarily_unavailable"


async def test_pausing_the_feed_is_audited() -> None:
    """With permission and the exact words the command goes out, and the log says who asked and how it ended."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        assert (await viewer.ask("pause_feed", {"confirm": "pause feed", "reason": "storm"})) == {"ok": True}
        assert (await viewer.ask("resume_feed", {})) == {"ok": True}
        assert [command[0] for command in admin.feed.commands] == ["pause", "resume"]
        assert admin.accounts.audited == [
            ("ada", "feed.pause", {"outcome": "requested", "reason": "storm"}),
            ("ada", "feed.pause", {"outcome": "done", "reason": "storm"}),
            ("ada", "feed.resume", {"outcome": "requested", "reason": ""}),
            ("ada", "feed.resume", {"outcome": "done", "reason": ""}),
        ]
        admin.feed.fails = Unavailable("The feed does not answer.", code="feed_silent")
        assert (await viewer.ask("resume_feed"))["error"]["code"] == "feed_silent"
        assert admin.accounts.audited[-1][2] == {"outcome": "failed", "reason": "", "error": "feed_silent"}


async def test_lines_and_tickers_are_commanded_and_audited() -> None:
    """Reconnecting a line and moving a ticker go the same way: permission, audit line, command, outcome."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        assert (await viewer.ask("reconnect_line", {"connection_id": "connection_1"})) == {"ok": True}
        move = {"symbol": "AAPL", "connection_id": "connection_2"}
        assert (await viewer.ask("move_ticker", move)) == {"ok": True}
        assert [command[0] for command in admin.feed.commands] == ["reconnect", "move"]
        assert admin.feed.commands[1][1]["symbol"] == "AAPL"
        assert admin.accounts.audited[1:3] == [
            ("ada", "feed.reconnect", {"outcome": "done", "connection_id": "connection_1"}),
            ("ada", "feed.move", {"outcome": "requested", "connection_id": "connection_2", "symbol": "AAPL"}),
        ]
        assert (await viewer.ask("move_ticker", {"symbol": "AAPL"}))["error"]["code"] == "bad_request"
        admin.accounts.cookies["ada"] = principal(permissions=frozenset())
        assert (await viewer.ask("move_ticker", move))["error"]["code"] == "permission_denied"
        assert len(admin.feed.commands) == 2


async def test_pausing_needs_permission_and_an_audit_log() -> None:
    """Without the permission of this very moment, or without an audit log, the feed is not touched."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        admin.accounts.cookies["ada"] = principal(permissions=frozenset())
        answer = await viewer.ask("pause_feed", {"confirm": "pause feed"})
        assert answer["error"]["code"] == "permission_denied"
        assert admin.accounts.audited == [("ada", "feed.pause", {"outcome": "refused", "needs": "feed:control"})]
        admin.accounts.cookies["ada"] = principal()
        admin.accounts.audit_down = True
        assert (await viewer.ask("pause_feed", {"confirm": "pause feed"}))["error"]["code"] == "storage_unavailable"
        assert admin.feed.commands == []


async def test_logout_ends_the_socket_at_once() -> None:
    """end_session tells the viewer why, closes its socket, and keeps the cookie out from then on."""
    async with running_admin() as admin:
        async with raw_viewer(admin.ws_url) as viewer:
            await viewer.join()
            await admin.namespace.end_session("s-ada")
            assert (await viewer.event("error"))["code"] == "logged_out"
            await viewer.closed()
        async with raw_viewer(admin.ws_url) as viewer:
            assert (await viewer.join())["message"] == "unauthorized"


async def test_sessions_are_asked_again_every_minute() -> None:
    """A session that was revoked or lost its role is gone after a minute at most; one that is fine stays."""
    async with running_admin() as admin:
        admin.accounts.cookies["eve"] = principal(username="eve", session_id="s-eve")
        async with raw_viewer(admin.ws_url) as stays, raw_viewer(admin.ws_url, cookie="eve") as goes:
            await stays.join()
            await goes.join()
            admin.accounts.cookies["eve"] = principal(username="eve", session_id="s-eve", role=Role.USER)
            await admin.clock.advance(62.0)
            assert (await goes.event("error"))["code"] == "permission_denied"
            await goes.closed()
            assert (await stays.ask("request_metrics"))["ok"]


async def test_an_expired_session_ends() -> None:
    """When the session's own end has come, nobody needs to ask the store."""
    async with running_admin() as admin:
        admin.accounts.cookies["ada"] = principal(expires_at=admin.clock.time() + 5)
        async with raw_viewer(admin.ws_url) as viewer:
            await viewer.join()
            await admin.clock.advance(7.0)
            assert (await viewer.event("error"))["code"] == "unauthorized"


async def test_a_store_outage_is_bridged_but_not_for_ever() -> None:
    """While the store is away sockets stay for three minutes, then they are ended rather than trusted on."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        admin.accounts.down = True
        await admin.clock.advance(170.0)
        assert (await viewer.ask("request_metrics"))["ok"]
        await admin.clock.advance(30.0)
        assert (await viewer.event("error"))["code"] == "storage_unavailable"


async def test_everything_is_forgotten_with_the_last_viewer() -> None:
    """Nothing of a viewer stays behind, and without viewers nothing is gathered."""
    async with running_admin() as admin:
        async with raw_viewer(admin.ws_url) as viewer:
            await viewer.join()
            admin.publish(tick_bytes())
            assert admin.namespace.statistics()["viewers"] == 1
        async with raw_viewer(admin.ws_url) as last:
            await last.join()
            await admin.until(lambda: admin.namespace.statistics()["viewers"] == 1)
        await admin.until(lambda: admin.sio.statistics()["sessions"] == 0)
        admin.publish(tick_bytes())
        statistics = admin.namespace.statistics()
        assert (statistics["viewers"], statistics["sessions"], statistics["filters"]) == (0, 0, 0)
        assert admin.monitor.statistics()["view"]["fresh"] == 0


async def test_a_status_that_changes_is_told_and_one_that_does_not_is_not() -> None:
    """Counters alone make no status update; a line that drops does."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        admin.publish_status()
        await admin.clock.advance(0.1)
        await viewer.join()
        await viewer.event("connection_status_update")
        admin.publish_status(feed_status(admin.clock.time(), total_ticks_received=11))
        await admin.clock.advance(0.1)
        admin.publish_status(feed_status(admin.clock.time(), connected_count=1))
        await admin.clock.advance(0.1)
        update = await viewer.event("connection_status_update")
        assert (update["connected_count"], update["total_ticks_received"]) == (1, 10)
