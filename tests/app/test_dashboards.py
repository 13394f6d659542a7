"""Dashboards over HTTP against the whole process: whose they are, who may see them, and the figures on them."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.app.test_rooms_api import problem
from tests.support.platform import Served
from tests.support.waiting import eventually

ROOT = "/api/v1/admin/dashboards"
WIDGET = {
    "id": "w1",
    "kind": "chart",
    "figures": [{"metric": "tidewire_hub_connections"}],
    "x": 0,
    "y": 0,
    "w": 6,
    "h": 3,
}


async def make(http: httpx2.AsyncClient, name: str = "Night", **more: Any) -> dict[str, Any]:
    """Make a dashboard."""
    answer = await http.post(ROOT, json={"name": name, "widgets": [WIDGET], **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def second_admin(site: Served, username: str = "mod", *grants: str) -> None:
    """Make somebody an admin."""
    await site.accounts.change_user(username, role="admin", grants=frozenset(grants))
    await site.log_in(username)


async def test_a_dashboard_is_seen_by_others_only_while_it_is_shared(site: Served) -> None:
    """Its owner changes and shares it; others see it then, cannot change it, and lose it when it is taken back."""
    await second_admin(site)
    async with site.http("ada") as ada, site.http("mod") as mod:
        made = await make(ada)
        path = f"{ROOT}/{made['id']}"
        problem(await mod.get(path), 404, "unknown_dashboard")
        problem(await mod.put(path, json={"name": "Mine", "widgets": [], "version": 1}), 404, "unknown_dashboard")
        shared = await ada.put(path, json={"name": "Night", "widgets": [WIDGET], "shared": True, "version": 1})
        assert (shared.json()["version"], shared.json()["mine"]) == (2, True)
        seen = (await mod.get(path)).json()
        assert (seen["owner"], seen["mine"], seen["built_in"]) == ("ada", False, False)
        assert seen["widgets"] == shared.json()["widgets"]
        problem(await mod.put(path, json={"name": "Mine", "widgets": [], "version": 2}), 403, "permission_denied")
        problem(await mod.delete(path), 403, "permission_denied")
        names = [each["name"] for each in (await mod.get(ROOT)).json()["dashboards"]]
        assert names == ["Overview", "Night"]
        await ada.put(path, json={"name": "Night", "widgets": [WIDGET], "version": 2})
        assert [each["id"] for each in (await mod.get(ROOT)).json()["dashboards"]] == ["overview"]


async def test_a_change_of_an_older_version_is_refused(site: Served) -> None:
    """Two windows: the second learns the present version, and nothing of its own is stored."""
    async with site.http("ada") as ada:
        path = f"{ROOT}/{(await make(ada))['id']}"
        assert (await ada.put(path, json={"name": "One", "widgets": [], "version": 1})).status_code == 200
        answer = await ada.put(path, json={"name": "Two", "widgets": [], "version": 1})
        problem(answer, 409, "conflict")
        assert answer.json()["details"] == {"version": 2}
        assert (await ada.get(path)).json()["name"] == "One"


async def test_the_first_page_is_ones_own_or_everybodys(site: Served) -> None:
    """Everybody's must be shared and needs users:manage; a deleted one is nobody's first any more."""
    await second_admin(site, "mod", "users:manage")
    async with site.http("ada") as ada, site.http("mod") as mod:
        made = await make(mod)
        everybody = {"dashboard_id": made["id"], "everybody": True}
        problem(await ada.put(f"{ROOT}/first", json=everybody), 403, "permission_denied")
        problem(await mod.put(f"{ROOT}/first", json=everybody), 409, "dashboard_not_shared")
        path = f"{ROOT}/{made['id']}"
        await mod.put(path, json={"name": "Night", "widgets": [WIDGET], "shared": True, "version": 1})
        assert (await mod.put(f"{ROOT}/first", json=everybody)).status_code == 204
        own = await make(ada, "Own")
        assert (await ada.put(f"{ROOT}/first", json={"dashboard_id": own["id"]})).status_code == 204
        listed = (await ada.get(ROOT)).json()
        assert (listed["first"], listed["first_of_all"]) == (own["id"], made["id"])
        assert (await ada.put(f"{ROOT}/first", json={"dashboard_id": None})).status_code == 204
        assert (await mod.delete(path)).status_code == 204
        listed = (await ada.get(ROOT)).json()
        assert (listed["first"], listed["first_of_all"]) == (None, None)


async def test_every_change_is_in_the_audit_log(site: Served) -> None:
    """Made, changed, chosen, deleted: by whom, which, and how big; a refused change is not there."""
    async with site.http("ada") as ada:
        path = f"{ROOT}/{(await make(ada))['id']}"
        await ada.put(path, json={"name": "Day", "widgets": [], "version": 1})
        await ada.put(path, json={"name": "Lost", "widgets": [], "version": 1})
        await ada.put(f"{ROOT}/first", json={"dashboard_id": path.rpartition("/")[2]})
        await ada.delete(path)
    entries = [row.entry for row in await site.accounts.activity.recent() if row.entry.action.startswith("dashboard.")]
    assert [(entry.action, entry.actor, entry.details) for entry in reversed(entries)] == [
        ("dashboard.create", "ada", {"name": "Night", "shared": False, "widgets": 1}),
        ("dashboard.change", "ada", {"name": "Day", "shared": False, "widgets": 0}),
        ("dashboard.choose", "ada", {"everybody": False}),
        ("dashboard.delete", "ada", {}),
    ]


@pytest.mark.parametrize("username", ["bob", "mod"])
async def test_who_is_no_admin_gets_nothing(site: Served, username: str) -> None:
    """Neither a user nor a moderator, who may read analytics; nor an admin from whom that is taken."""
    async with site.http(username) as http:
        for method, path in (("GET", ROOT), ("POST", ROOT), ("GET", f"{ROOT}/overview"), ("GET", "/admin")):
            assert (await http.request(method, path, json={} if method == "POST" else None)).status_code == 403
        problem(await http.post("/api/v1/admin/figures", json={}), 403, "permission_denied")
    await site.accounts.change_user("ada", denials=frozenset({"analytics:read"}))
    async with site.http("ada") as ada:
        problem(await ada.get(ROOT), 403, "permission_denied")
        problem(await ada.get("/api/v1/admin/figures"), 403, "permission_denied")


async def test_a_document_of_a_megabyte_and_one_too_many_are_refused(site: Served) -> None:
    """The size at the door; the number by the store, which deletes nothing by itself."""
    async with site.http("ada") as ada:
        answer = await ada.post(ROOT, json={"name": "x", "widgets": [{**WIDGET, "title": "y" * 1_000_000}]})
        assert answer.status_code == 413
        for number in range(100):
            await make(ada, f"Number {number}")
        problem(await ada.post(ROOT, json={"name": "x", "widgets": []}), 409, "too_many_dashboards")


async def test_figures_are_what_the_server_counts(site: Served) -> None:
    """The line's last value is the hub's own number, the catalogue names it, and a vanished metric says so."""
    async with site.http("ada") as ada, site.socket("bob"), site.socket("bob"):
        site.web.vitals.sampler.record()
        body = {"figures": [{"metric": "tidewire_hub_connections"}, {"metric": "tidewire_gone"}], "range_s": 60}

        async def ask() -> dict[str, Any]:
            answer: dict[str, Any] = (await ada.post("/api/v1/admin/figures", json=body)).json()
            return answer

        found = await eventually(ask, lambda answer: answer["series"][0]["values"][-1:] == [2.0])
        assert found["series"][1] == {"values": [None] * len(found["times"]), "lines": 0}
        assert (found["complete"], found["silent"], found["nodes"]) == (True, [], [site.web.hub_side.nodes.name])
        catalogue = (await ada.get("/api/v1/admin/figures")).json()["metrics"]
        assert "tidewire_hub_connections" in {metric["name"] for metric in catalogue}
        elsewhere = (await ada.post("/api/v1/admin/figures", json={**body, "node": "elsewhere"})).json()
        assert (elsewhere["times"], elsewhere["nodes"]) == ([], [])


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"figures": []}, "bad_request"),
        ({"figures": [{"metric": "m"}] * 145}, "bad_request"),
        ({"figures": [{"metric": "m; DROP TABLE users"}]}, "invalid_fields"),
        ({"range_s": 0}, "invalid_fields"),
        ({"range_s": 1_000_000_000}, "invalid_fields"),
        ({"range_s": "60"}, "bad_request"),
        ({"since": "now"}, "bad_request"),
        ({"node": "n" * 201}, "bad_request"),
        ({"interval": 1}, "bad_request"),
    ],
)
async def test_absurd_questions_are_refused_by_name(site: Served, more: dict[str, Any], code: str) -> None:
    """Nothing is guessed, clipped or left out."""
    async with site.http("ada") as ada:
        body = {"figures": [{"metric": "tidewire_hub_connections"}], "range_s": 60, **more}
        problem(await ada.post("/api/v1/admin/figures", json=body), 400, code)
