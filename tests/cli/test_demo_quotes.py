"""The demo's quotes and its scripted colleagues, in the whole demo as a process."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Service
from tests.support.population import DIRECT
from tidewire.cli.demo_history import HOURS, NUMBER, pasts, store_pasts
from tidewire.cli.demo_script import COLLEAGUES, pair, rounds, samples
from tidewire.client import Client, Message, Presence
from tidewire.quotes.editing import index_of, replayed
from tidewire.quotes.model import FIELDS, read_value
from tidewire.quotes.plan_shelf import load_plans
from tidewire.store.database import Database
from tidewire.store.quote_records import QuoteFilter
from tidewire.store.quotes import Quotes

pytestmark = pytest.mark.long

TODAY = date(2026, 1, 31)
# An edit and a calculation come seconds after somebody has; this is for a machine that has no time.
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running demo; what it announced, and its administrator's API key."""
    folder = tmp_path_factory.mktemp("demo")
    words = ("demo", "--json", "--port", "0", "--data", str(folder), "--rate", "100", "--tickers", "10")
    with Service(*words, cwd=folder) as service:
        said = service.announcement()
        yield {**said, "key": Path(said["api_key_file"]).read_text().strip()}
        assert service.stop() == 0
    # A colleague who has lost the connection, a task that died, a calculation that was not possible.
    assert [line for line in service.err if "colleague" in line or "task_died" in line or "calculation" in line] == []


def _ask(demo: dict[str, Any], path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {demo['key']}"}
    request = urllib.request.Request(demo["url"] + path, headers=headers)  # noqa: S310 - our own server
    with DIRECT.open(request, timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _bind(demo: dict[str, Any], quote_id: str, version: object) -> bool:
    headers = {"Authorization": f"Bearer {demo['key']}", "If-Match": f'"{version}"', "Content-Type": "application/json"}
    url = f"{demo['url']}/api/v1/quotes/{quote_id}/bind"
    request = urllib.request.Request(url, b"{}", headers)  # noqa: S310 - our own server
    try:
        DIRECT.open(request, timeout=20).close()
    except urllib.error.HTTPError as refused:
        if refused.code not in (409, 412):
            raise
        return False
    return True


def test_the_demo_opens_with_quotes_in_different_states(demo: dict[str, Any]) -> None:
    """Drafts and a bound one are there when it says that it runs; its colleagues are named as what they are."""
    listed = _ask(demo, "/api/v1/quotes")
    # The samples are the newest; behind them are those of the past.
    assert {row["id"] for row in listed["quotes"][: len(demo["quotes"])]} == set(demo["quotes"])
    assert len(demo["quotes"]) == len(samples(TODAY))
    assert sum(listed["counts"].values()) == len(demo["quotes"]) + NUMBER
    assert listed["counts"]["bound"] >= 1
    assert listed["counts"]["draft"] >= 1
    assert demo["colleagues"] == list(COLLEAGUES)
    assert all(name.endswith(".script") for name in demo["colleagues"])


@pytest.mark.parametrize("number", [0, 4])
async def test_somebody_alone_at_a_quote_sees_colleagues_edit_and_calculate(demo: dict[str, Any], number: int) -> None:
    """Whoever enters meets two colleagues, sees where they are, an edit of each, and the stages of a calculation."""
    quote_id = demo["quotes"][number]
    edited, focused, stages = set(), set(), set()
    async with asyncio.timeout(WITHIN_S), Client(demo["hub"], bearer=demo["key"]) as client:
        room = client.subscribe(f"quote:{quote_id}", presence=True)
        async for event in room:
            if isinstance(event, Presence):
                present = {member.username for member in room.members.values()}
            elif isinstance(event, Message) and event.kind == "field_focus":
                focused.add(event.fields["username"])
            elif isinstance(event, Message) and event.kind == "field_update":
                edited.add(event.fields["updated_by"])
            elif isinstance(event, Message) and event.kind == "calculation_progress":
                stages.add(event.fields["stage"])
            if set(pair(number)) <= edited & focused and "done" in stages:
                break
    assert present == {*pair(number), "admin"}
    assert edited == focused == set(pair(number))
    assert _ask(demo, f"/api/v1/quotes/{quote_id}/changes")["changes"]


async def test_a_colleague_gives_way_to_a_person(demo: dict[str, Any]) -> None:
    """A field in which somebody is stays as it is, and what they put there is not overwritten by an older idea."""
    quote_id = demo["quotes"][1]
    service = pair(1)[1]
    others = 0
    async with asyncio.timeout(WITHIN_S), Client(demo["hub"], bearer=demo["key"]) as client:
        room = client.subscribe(f"quote:{quote_id}", presence=True)
        await room.entered()
        await client.request({"type": "field_focus", "quote_id": quote_id, "field": "notes", "typing": False})
        async for event in room:
            if not isinstance(event, Message):
                continue
            assert (event.kind, event.fields.get("field")) != ("field_update", "notes")
            # The one who writes nothing but notes goes on to look at other fields.
            if event.kind == "field_focus" and event.fields["username"] == service:
                assert event.fields["field"] != "notes"
                others += 1
            if others == 3:
                break


async def test_colleagues_leave_a_quote_that_is_bound(demo: dict[str, Any]) -> None:
    """Who binds a quote among them is alone in it soon; that is no fault of the demo's and is not logged as one."""
    quote_id = demo["quotes"][5]
    bound = False
    async with asyncio.timeout(WITHIN_S), Client(demo["hub"], bearer=demo["key"]) as client:
        room = client.subscribe(f"quote:{quote_id}", presence=True)
        async for event in room:
            if isinstance(event, Message) and event.fields.get("update_type") == "status" and not bound:
                # Somebody may have changed it again meanwhile; then the next calculation is another chance.
                bound = await asyncio.to_thread(_bind, demo, quote_id, event.fields["version"])
            if bound and {member.username for member in room.members.values()} == {"admin"}:
                break
    assert _ask(demo, f"/api/v1/quotes/{quote_id}")["quote"]["status"] == "bound"


def test_what_is_written_can_be_stored() -> None:
    """Every value of the samples and of what the colleagues do is one that its field takes, whatever the day."""
    for sample in samples(TODAY):
        for name, value in sample.fields.items():
            assert read_value(FIELDS[name], value, TODAY) == value
    for number in range(len(COLLEAGUES)):
        for name in pair(number):
            for step in (step for steps in islice(rounds(1, number, name), 50) for step in steps if step.field):
                for value in step.values:
                    assert read_value(FIELDS[str(step.field)], value, TODAY) == value


async def test_the_demo_has_a_past_that_the_rules_allow(tmp_path: Path, sqlite_template: bytes) -> None:
    """What each quote went through makes it again, with a premium where it was quoted, none of it in the future."""
    now, today = 1_769_860_800.0, TODAY
    _put(tmp_path / "tidewire.db", sqlite_template)
    database = Database(f"sqlite:///{tmp_path}/tidewire.db")
    wanted = pasts(1, now, today)
    assert wanted == pasts(1, now, today) != pasts(2, now, today)
    for past in wanted:
        for name, value in past.fields.items():
            assert read_value(FIELDS[name], value, today) == value
    await store_pasts(database, load_plans(), wanted)
    quotes = Quotes(database, index_of)
    page = await quotes.page(QuoteFilter(), limit=2 * NUMBER)
    assert len(page.quotes) == NUMBER
    statuses = Counter(quote.status for quote in page.quotes)
    assert min(statuses["draft"], statuses["quoted"], statuses["bound"]) >= 10
    assert statuses["bound"] == sum(past.bound_at is not None for past in wanted)
    for quote in page.quotes:
        changes = await quotes.changes(quote.id)
        again = replayed(quote.id, changes)
        assert (again.status, again.version, again.fields) == (quote.status, quote.version, quote.fields)
        assert (quote.premium is not None) is (quote.status in ("quoted", "bound"))
        assert now - HOURS * 3_600 - 61 <= quote.created_at <= quote.updated_at <= now
    await database.stop()


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def test_the_same_seed_plays_the_same() -> None:
    """Each colleague does the same in the same quote; another seed or another quote is another play."""

    def play(seed: int, number: int) -> list[Any]:
        return list(islice(rounds(seed, number, pair(number)[0]), 20))

    assert play(1, 0) == play(1, 0)
    assert play(1, 0) != play(2, 0)
    assert play(1, 0) != play(1, 4)
