"""Watching figures on the socket: who may, in which rhythm, with which figures, and when it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.support.platform import Served, read_until, served
from tidewire.core.protocol import data_body
from tidewire.vitals.groups import GROUPS

FANOUT = "tidewire_hub_fanout_ratio"


@asynccontextmanager
async def talking(site: Served, username: str) -> AsyncIterator[Talk]:
    """Open a socket of somebody's browser."""
    async with site.socket(username) as socket:
        yield Talk(socket)


class Talk:
    """One connection; ``inbox`` are messages that came before a reply."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.inbox: list[dict[str, Any]] = []
        self._ids = 0

    async def ask(self, kind: str, **members: Any) -> dict[str, Any]:
        """Send a message and return its reply."""
        self._ids += 1
        await self.socket.send(json.dumps({"type": kind, "id": self._ids, **members}))
        while True:
            message = json.loads(await self.socket.recv())
            if message["type"] == "reply" and message["id"] == self._ids:
                return dict(message)
            self.inbox.append(message)

    async def next(self, kind: str) -> dict[str, Any]:
        """Return the next message of that type."""
        for index, message in enumerate(self.inbox):
            if message["type"] == kind:
                return self.inbox.pop(index)
        return await read_until(self.socket, kind)


def total(message: dict[str, Any], group: str, name: str) -> float | None:
    """Return what the figure without labels comes to over all nodes."""
    (figure,) = [each for each in message["groups"][group] if each["name"] == name]
    return figure["total"]  # type: ignore[no-any-return]


async def test_the_figures_are_those_that_were_counted_by_hand(tmp_path: Path) -> None:
    """Connections, rooms and users as there are, by node and in total, under the names of /metrics."""
    async with served(tmp_path) as site, talking(site, "ada") as ada, talking(site, "bob") as bob:
        await bob.ask("subscribe", room_id="app:lobby")
        reply = await ada.ask("start_monitoring", config={"interval_s": 1, "groups": ["hub", "process"]})
        room_id = reply["data"]["room_id"]
        assert reply["data"] == {"room_id": room_id, "interval_s": 1.0, "items": ["hub", "process"]}
        first = await ada.next("system_metrics")
        assert first["room_id"] == room_id
        assert [node["node"] for node in first["nodes"]] == [site.side.nodes.name]
        assert (first["complete"], first["silent"], first["interval_s"]) == (True, [], 1.0)
        assert set(first["groups"]) == {"hub", "process"}
        # The first reading may be one of a moment ago.
        while total(first, "hub", "tidewire_hub_connections") != 2:
            first = await ada.next("system_metrics")
        assert total(first, "hub", "tidewire_hub_users") == 2
        assert total(first, "hub", "tidewire_hub_logins") == 2
        async with talking(site, "bob") as again:
            await again.next("connection")
            second = await ada.next("system_metrics")
            while total(second, "hub", "tidewire_hub_connections") != 3:
                second = await ada.next("system_metrics")
            assert total(second, "hub", "tidewire_hub_users") == 2
            assert total(second, "hub", "tidewire_hub_opened_total") == 3


async def test_who_may_not_is_told(tmp_path: Path) -> None:
    """Without analytics:read, and for performance without being an administrator, there is nothing."""
    async with served(tmp_path) as site:
        async with talking(site, "bob") as bob:
            for kind in ("start_monitoring", "start_performance"):
                reply = await bob.ask(kind)
                assert (reply["ok"], reply["error"]["code"]) == (False, "permission_denied")
                assert "analytics:read" in reply["error"]["message"]
                assert reply["error"]["required_action"]
                assert reply["error"]["will_not"]
            # Whoever may not watch learns nothing of what there is to watch.
            for config in ({"interval_s": 0}, {"groups": ["made up"]}):
                reply = await bob.ask("start_monitoring", config=config)
                assert reply["error"]["code"] == "permission_denied"
            reply = await bob.ask("start_performance", metrics=["made up"])
            assert reply["error"]["code"] == "permission_denied"
        async with talking(site, "mod") as mod:
            assert (await mod.ask("start_monitoring"))["ok"]
            assert (await mod.ask("start_performance"))["error"]["code"] == "permission_denied"
        assert site.web.vitals.conversation.performance.watchers == 0


@pytest.mark.parametrize(
    ("kind", "members", "code"),
    [
        ("start_monitoring", {"config": {"interval_s": 0}}, "bad_interval"),
        ("start_monitoring", {"config": {"interval_s": 1e9}}, "bad_interval"),
        ("start_monitoring", {"config": {"interval_s": -5}}, "bad_interval"),
        ("start_monitoring", {"config": {"interval_s": "1; DROP TABLE users"}}, "bad_request"),
        ("start_monitoring", {"config": {"groups": ["hub", "'; DROP TABLE users; --"]}}, "unknown_group"),
        ("start_monitoring", {"config": {"groups": ["hub"] * 1000}}, "bad_request"),
        ("start_monitoring", {"config": {"group": ["hub"]}}, "bad_request"),
        ("start_performance", {"metrics": ["tidewire_made_up_seconds"]}, "unknown_metric"),
        ("start_performance", {"metrics": ["tidewire_http_response_seconds_bucket"]}, "unknown_metric"),
        ("start_performance", {"metrics": ["x" * 50_000]}, "bad_request"),
        ("start_performance", {"interval_s": 0.5}, "bad_interval"),
        ("stop_monitoring", {}, "not_found"),
        ("stop_performance", {}, "not_found"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(tmp_path: Path, kind: str, members: dict[str, Any], code: str) -> None:
    """Absurd rhythms, unknown names and foreign text get a named error with its three sentences; nothing is shown."""
    async with served(tmp_path) as site, talking(site, "ada") as ada:
        error = (await ada.ask(kind, **members))["error"]
        assert error["code"] == code
        assert all(error[sentence] for sentence in ("message", "required_action", "will_not"))
        conversation = site.web.vitals.conversation
        assert conversation.monitoring.watchers == conversation.performance.watchers == 0


async def test_a_user_who_loses_the_right_gets_nothing_more_and_is_told(tmp_path: Path) -> None:
    """While watching: out of the room at once, with the reason, and no figure after it."""
    async with served(tmp_path) as site, talking(site, "ada") as ada:
        for kind, answer in (("start_monitoring", "system_metrics"), ("start_performance", "performance_metrics")):
            assert (await ada.ask(kind))["ok"]
            await ada.next(answer)
        await site.accounts.change_user("ada", denials=frozenset({"analytics:read"}), actor="test")
        told = [await ada.next("unsubscribed") for _ in range(2)]
        assert {each["reason"] for each in told} == {"permission_revoked"}
        for watch in (site.web.vitals.conversation.monitoring, site.web.vitals.conversation.performance):
            shown = watch.shown
            await watch.tick()
            assert (watch.watchers, watch.shown) == (0, shown)
        assert (await ada.ask("start_monitoring"))["error"]["code"] == "permission_denied"


async def test_stop_ends_it_and_a_lost_connection_does_too(tmp_path: Path) -> None:
    """Nobody who left is sent or counted."""
    async with served(tmp_path) as site:
        watch = site.web.vitals.conversation.monitoring
        async with talking(site, "ada") as ada:
            assert (await ada.ask("start_monitoring"))["ok"]
            assert watch.watchers == 1
            assert (await ada.ask("stop_monitoring"))["ok"]
            assert watch.watchers == 0
            assert (await ada.ask("start_monitoring"))["ok"]
        async with talking(site, "bob") as bob:
            await bob.next("connection")
        await watch.tick()
        assert watch.watchers == 0


async def test_tabs_of_a_user_share_what_any_of_them_watches(tmp_path: Path) -> None:
    """The shortest interval and all groups; what a tab that leaves wanted goes with it."""
    async with served(tmp_path) as site, talking(site, "ada") as one, talking(site, "ada") as two:
        await one.ask("start_monitoring", config={"interval_s": 60, "groups": ["hub"]})
        reply = await two.ask("start_monitoring", config={"interval_s": 2, "groups": ["bus"]})
        assert (reply["data"]["interval_s"], reply["data"]["items"]) == (2.0, ["bus", "hub"])
        await two.ask("stop_monitoring")
        reply = await one.ask("start_monitoring", config={"interval_s": 30, "groups": ["hub"]})
        assert (reply["data"]["interval_s"], reply["data"]["items"]) == (30.0, ["hub"])


async def test_many_watchers_cost_one_question(tmp_path: Path) -> None:
    """Four tabs of two users with other wishes: a round asks the nodes once, and encodes each group once."""
    async with (
        served(tmp_path) as site,
        talking(site, "ada") as one,
        talking(site, "ada") as two,
        talking(site, "mod") as three,
        talking(site, "mod") as four,
    ):
        watch = site.web.vitals.conversation.monitoring
        for talk, groups in ((one, ["hub"]), (two, ["bus"]), (three, ["hub", "feed"]), (four, [])):
            await talk.ask("start_monitoring", config={"interval_s": 60, "groups": groups})
            await talk.next("system_metrics")
        assert watch.watchers == 4
        asked, answer = [0], site.side.nodes.handlers["vitals_increase"]

        def counted(payload: bytes) -> bytes:
            asked[0] += 1
            return answer(payload)

        site.side.nodes.handlers["vitals_increase"] = counted
        for room in watch._rooms.values():
            room.shown_at = float("-inf")
        shown = watch.shown
        for _ in range(2):
            await watch.tick()
            assert (asked[0], watch.shown - shown) == (1, 2)


async def test_the_fan_out_ratio_is_that_of_what_was_published(tmp_path: Path) -> None:
    """Ten messages to three members are thirty deliveries; while nothing is published there is no ratio."""
    async with served(tmp_path) as site:
        sampler = site.web.vitals.sampler
        assert not any(each.name == FANOUT for each in sampler.latest().samples)
        async with talking(site, "ada") as ada, talking(site, "bob") as bob, talking(site, "mod") as mod:
            for talk in (ada, bob, mod):
                await talk.ask("subscribe", room_id="app:known")
            before = site.side.hub.statistics()
            for number in range(10):
                await site.side.hub.post("app:known", data_body(b"%d" % number))
            for talk in (ada, bob, mod):
                for _ in range(10):
                    await talk.next("room_message")
            after = site.side.hub.statistics()
            assert (after.published - before.published, after.delivered - before.delivered) == (10, 30)
            # The ratio is made of what has been read, so it is there with the next reading.
            sampler.record()
            sampler.record()
            (found,) = [each.value for each in sampler.latest().samples if each.name == FANOUT]
            assert found == after.delivered / after.published


async def test_routes_are_those_of_the_code_whatever_strangers_send(tmp_path: Path) -> None:
    """A thousand made-up paths and methods are one series each, so nobody can fill the memory with names."""
    async with served(tmp_path) as site, site.http() as client:
        for number in range(50):
            await client.get(f"/made/up/{number}")
            await client.request(f"METHOD{number}", "/livez")
        await client.request("PROPFIND", "/livez")
        await client.get("/api/v1/admin/connections/c-1")
        site.web.vitals.sampler.record()
        labels = [
            dict(each.labels)
            for each in site.web.vitals.sampler.latest().samples
            if each.name == "tidewire_http_response_seconds_count"
        ]
        assert {"method": "GET", "route": "none"} in labels
        assert "other" in {each["method"] for each in labels}
        assert {"method": "GET", "route": "/api/v1/admin/connections/{connection_id}"} in labels
        assert len(labels) <= 4
        assert not any("made" in each["route"] or each["method"].startswith("METHOD") for each in labels)


async def test_every_group_has_figures(tmp_path: Path) -> None:
    """Asked for everything, there is something in every group that this process can measure."""
    async with served(tmp_path) as site, talking(site, "ada") as ada:
        async with site.http() as client:
            await client.get("/livez")
        site.web.vitals.sampler.record()
        await ada.ask("start_monitoring")
        message = await ada.next("system_metrics")
        assert sorted(message["groups"]) == sorted(GROUPS)
        assert [group for group in GROUPS if not message["groups"][group]] == []
        names = {figure["name"] for figures in message["groups"].values() for figure in figures}
        assert {
            "tidewire_database_pool_requests_in_use",
            "tidewire_bus_up",
            "tidewire_hub_outbox_bytes",
            "tidewire_hub_dropped_total",
            "tidewire_event_loop_lag_recent_seconds",
            "process_resident_memory_bytes",
            "process_open_fds",
            "tidewire_http_responses_total",
        } <= names


async def test_performance_is_that_of_a_load_of_known_size(tmp_path: Path) -> None:
    """Forty requests are forty in the window, at their route, and their percentiles lie in their order."""
    async with served(tmp_path) as site, talking(site, "ada") as ada:
        async with site.http("ada") as client:
            for _ in range(40):
                assert (await client.get("/api/v1/admin/rooms")).status_code == 200
        site.web.vitals.sampler.record()
        await ada.ask("start_performance", metrics=["tidewire_http_response_seconds", "tidewire_hub_users"])
        metrics = (await ada.next("performance_metrics"))["metrics"]
        (rooms,) = [
            each
            for each in metrics["tidewire_http_response_seconds"]["series"]
            if each["labels"] == {"method": "GET", "route": "/api/v1/admin/rooms"}
        ]
        assert rooms["count"] == 40
        assert 0 < rooms["p50"] <= rooms["p95"] <= rooms["p99"]
        assert metrics["tidewire_http_response_seconds"]["nodes"][0]["count"] >= 40
        assert metrics["tidewire_hub_users"]["total"] == {"value": 1.0}
