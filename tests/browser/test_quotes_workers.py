"""One quote in two browsers that two worker processes serve, joined by a real Valkey."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Complaints, Visitors
from tests.support.command import Service
from tests.support.population import DIRECT
from tests.support.quote_site import BASIC, control, field, stored
from tests.support.served import USERS, Visit, add_admin, log_in_over_http, settings
from tests.support.valkey import valkey_url

__all__ = ["valkey_url"]

# The kernel deals connections to the workers by chance: all on one side once in a million times.
ATTEMPTS = 20


@pytest.fixture
def crew(tmp_path: Path, valkey_url: str) -> Iterator[dict[str, Any]]:
    """Two workers with one administrator; what they announced."""
    values = settings(tmp_path, TIDEWIRE_REDIS_URL=valkey_url, TIDEWIRE_METRICS_PORT="0")
    add_admin(values, tmp_path)
    with Service("serve", "--workers", "2", "--json", values=values, cwd=tmp_path) as service:
        yield service.announcement()
    assert service.process.returncode == 0, service.err[-20:]


def _make(visit: Visit) -> str:
    body = json.dumps({"fields": dict(BASIC)}).encode()
    headers = {**visit.headers, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{visit.url}/api/v1/quotes", body, headers)  # noqa: S310 - our own server
    with DIRECT.open(request, timeout=20) as answer:
        number: str = json.load(answer)["quote_id"]
    return number


def _sockets(crew: dict[str, Any]) -> list[int]:
    """Return how many sockets each of the two workers has."""
    found = []
    for worker in crew["workers"][:2]:
        with DIRECT.open(f"{worker['metrics_url']}/metrics", timeout=20) as answer:
            said = re.search(r"^tidewire_hub_connections (\S+)$", answer.read().decode(), re.MULTILINE)
        assert said is not None
        found.append(int(float(said[1])))
    return found


def _open(visitors: Visitors, state: Any, number: str) -> Page:
    page = visitors.open(state)
    page.goto(f"/quotes/{number}")
    expect(page.get_by_test_id("quote")).to_be_visible()
    return page


def test_an_edit_on_one_worker_appears_on_the_other(
    chromium: Browser, crew: dict[str, Any], complaints: Complaints
) -> None:
    """Values, who is in which field, and a conflict cross the workers."""
    number = _make(log_in_over_http(crew["url"], "admin", USERS["admin"]))
    visitors = Visitors(chromium, crew["url"], USERS, complaints)
    state = visitors.signed_in("admin")
    one = two = _open(visitors, state, number)
    alone = _sockets(crew)
    for _ in range(ATTEMPTS):
        two = _open(visitors, state, number)
        if 0 not in _sockets(crew):
            break
        two.context.close()
    assert sorted(alone) == [0, 1]
    assert 0 not in _sockets(crew), "every connection came to the same worker"
    control(one, "vehicle_make").fill("Subaru")
    expect(field(two, "vehicle_make").get_by_test_id("field-people")).to_contain_text("admin")
    expect(control(two, "vehicle_make")).to_have_value("Subaru")
    control(two, "vehicle_year").fill("1999")
    control(one, "vehicle_year").fill("2005")
    control(one, "vehicle_year").press("Enter")
    stored(one)
    control(two, "vehicle_year").press("Enter")
    conflict = field(two, "vehicle_year").get_by_test_id("conflict")
    expect(conflict).to_contain_text("2005")
    conflict.get_by_test_id("put-mine").click()
    expect(control(one, "vehicle_year")).to_have_value("1999")
    visitors.close()
