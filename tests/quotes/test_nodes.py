"""Quotes on two nodes: what a crash left unpublished is found, orders differ, states are never old, focus is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.quote_stage import AUTHOR, CEILING_S, QuoteStage, Tab, check, staged
from tidewire.core.errors import BusError
from tidewire.quotes import rules
from tidewire.quotes.editing import Act, Edit, apply_edits, index_of
from tidewire.store.quote_records import Outcome, Quote
from tidewire.store.quotes import Quotes


@pytest.fixture
def url(sqlite_template: bytes, tmp_path: Path) -> str:
    """A migrated database."""
    path = tmp_path / "tidewire.db"
    path.write_bytes(sqlite_template)
    return f"sqlite:///{path}"


async def store_only(stage: QuoteStage, quote_id: str, field: str, value: str) -> Outcome:
    """Change a quote as a node does that is killed before it can publish."""
    act = Act(AUTHOR, round(stage.clock.time(), 6), f"lost-{next(stage.chooses)}")
    edits = [Edit(field, value)]
    return await stage.quotes.change(
        quote_id, lambda quote: apply_edits(quote, edits, act), actor_id=AUTHOR.user_id, op_id=act.op_id
    )


async def opened(stage: QuoteStage, quote_id: str, user_id: int, node: int) -> Tab:
    """Return a page that shows the quote."""
    tab = Tab.of(stage, quote_id, user_id)
    await tab.settle(node)
    return tab


async def heal(stage: QuoteStage, rounds: int = 2) -> int:
    """Let every node compare; return how many changes were published."""
    for _ in range(rounds):
        for node in stage.nodes:
            await node.side.healing.step()
    return sum(node.side.healing.healed for node in stage.nodes)


async def test_what_a_killed_node_stored_reaches_the_viewers(url: str) -> None:
    """Changes without a message are found by the second comparison and published once, by whichever node."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        tabs = [await opened(stage, quote_id, 1, 0), await opened(stage, quote_id, 2, 1)]
        for value in ("one", "two"):
            await store_only(stage, quote_id, "notes", value)
        assert await heal(stage, rounds=1) == 0
        assert await heal(stage, rounds=1) >= 2
        for tab in tabs:
            await tab.settle(0)
            assert tab.page.applied == [4, 5]
        assert await heal(stage, rounds=3) == 2
        await check(stage, quote_id, tabs)


async def test_a_hole_before_a_published_change_is_filled(url: str) -> None:
    """When a later change was published, the lost one before it follows, and pages put both in order."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        tab = await opened(stage, quote_id, 1, 0)
        tab.edit("driver_name", "Ada")
        await tab.settle(0)
        await store_only(stage, quote_id, "notes", "lost")
        late = await store_only(stage, quote_id, "notes", "later")
        await stage.nodes[1].side.desk.publish(late.quote, late.changes)
        async with asyncio.timeout(CEILING_S):
            while tab.page.waiting != [6]:
                await asyncio.sleep(0)
                tab.read()
        assert await heal(stage) == 1
        await tab.settle(0)
        assert tab.page.applied == [4, 5, 6]


async def test_nothing_is_healed_that_is_well(url: str) -> None:
    """A quote that was only made, and changes that were published, are left alone."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        tab = await opened(stage, quote_id, 1, 0)
        assert await heal(stage, rounds=3) == 0
        for value in ("a", "b"):
            tab.edit("notes", value)
            await tab.settle(0)
        assert await heal(stage, rounds=3) == 0


async def test_an_edit_is_kept_while_the_log_is_away(url: str) -> None:
    """The author is told that it is stored; the others get it when the log is back."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        author, viewer = await opened(stage, quote_id, 1, 0), await opened(stage, quote_id, 2, 1)
        append = stage.log.append

        async def refuse(*_: Any, **__: Any) -> Any:
            raise BusError("The log is away.", required_action="Wait for it.", will_not="Nothing is kept.")

        stage.log.append = refuse  # type: ignore[method-assign]
        op_id = author.edit("notes", "kept")
        assert author.client is not None
        reply = await author.client.take(lambda message: message.get("id") == op_id)
        author.page.receive(reply)
        author.acked[op_id] = reply["data"]
        assert reply["ok"]
        assert stage.nodes[0].side.desk.counts["unpublished"] == 1
        await heal(stage)
        assert sum(node.side.healing.failed for node in stage.nodes) > 0
        stage.log.append = append  # type: ignore[method-assign]
        assert await heal(stage) == 1
        for tab in (author, viewer):
            await tab.settle(0)
            assert tab.page.applied == [4]
        await check(stage, quote_id, [author, viewer])


async def test_updates_in_another_order_end_the_same(url: str) -> None:
    """Two nodes that publish two changes the wrong way round: the page waits for the first."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        tab = await opened(stage, quote_id, 1, 0)
        first = await store_only(stage, quote_id, "notes", "first")
        second = await store_only(stage, quote_id, "notes", "second")
        for node, outcome in ((0, second), (1, first)):
            await stage.nodes[node].side.desk.publish(outcome.quote, outcome.changes)
        await tab.settle(0)
        assert tab.page.applied == [4, 5]
        assert tab.page.fields["notes"]["value"] == "second"


class Interrupted(Quotes):
    """Queries that let something happen after a quote has been read and before the answer arrives."""

    after_get: Callable[[], Awaitable[object]] | None = None

    async def get(self, quote_id: str) -> Quote:
        """Read, then let it happen, once."""
        quote = await super().get(quote_id)
        happen, self.after_get = self.after_get, None
        if happen is not None:
            await happen()
        return quote


async def test_a_state_is_never_older_than_an_update_before_it(url: str) -> None:
    """A change that is published while the state is being read is in the state, which is read again."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        tab = await opened(stage, quote_id, 1, 0)
        desk = stage.nodes[0].side.desk
        slow = desk.quotes = Interrupted(stage.database, index_of)
        slow.after_get = lambda: stage.nodes[1].side.desk.edit(quote_id, [Edit("notes", "new")], AUTHOR, None)
        assert tab.client is not None
        tab.client.send("quote_subscribe", quote_id=quote_id)
        state = await tab.client.take("quote_state")
        assert (state["version"], state["fields"]["notes"]["value"]) == (4, "new")
        assert stage.nodes[0].side.conversation.read_again == 1


async def test_a_permission_lost_while_the_state_is_read_counts(url: str) -> None:
    """What is sent is what may be seen when it is sent, not when it was asked for."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        await stage.rate(0, quote_id)
        node, tab = stage.nodes[0], Tab.of(stage, quote_id, 3)
        slow = node.side.desk.quotes = Interrupted(stage.database, index_of)

        async def demote() -> None:
            node.hub.standing.change_user(3, node.doorman.known["t-3"].role, frozenset({"quote:view"}))  # type: ignore[union-attr]

        slow.after_get = demote
        await tab.settle(0)
        assert tab.page.premium == "absent"
        assert tab.client is not None
        assert b"1204.00" not in b"".join(tab.client.socket.writes)


async def test_a_focus_is_seen_on_the_other_node_and_ends_with_its_node(url: str) -> None:
    """Somebody on another node sees it live and in the state; when the node stops, it is gone."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        one, two = await opened(stage, quote_id, 1, 0), await opened(stage, quote_id, 2, 1)
        assert one.client is not None
        assert two.client is not None
        reply = await one.client.ask("field_focus", quote_id=quote_id, field="notes", typing=True)
        assert reply["ok"]
        told = await two.client.take("field_focus")
        assert (told["username"], told["field"], told["typing"]) == ("user-1", "notes", True)
        assert [each.field for each in stage.nodes[1].side.attention.editors(quote_id)] == ["notes"]
        await stage.nodes[0].side.stop()
        assert (await two.client.take("field_focus"))["field"] is None
        assert stage.nodes[1].side.attention.editors(quote_id) == []


async def test_words_of_strangers_on_the_channel_are_counted(url: str) -> None:
    """What is no note of a node changes nothing."""
    async with staged(url) as stage:
        stage.bus.publish("tidewire:quotes:focus", [b"{", b"[]", b'["o",1]', b"\xff"])
        assert [node.side.attention.malformed for node in stage.nodes] == [4, 4]


async def test_a_node_that_has_just_begun_says_what_its_room_does_not_remember_once(url: str) -> None:
    """Somebody may have resumed who lacks it; a page that has read it already does not take it again."""
    async with staged(url) as before:
        quote_id = await before.make()
        await store_only(before, quote_id, "notes", "before")
    async with staged(url) as stage:
        tab = await opened(stage, quote_id, 1, 0)
        assert tab.page.fields["notes"]["value"] == "before"
        assert await heal(stage, rounds=3) == 1
        await tab.settle(0)
        assert tab.page.applied == []


@pytest.mark.parametrize("away_s", [0.0, 100.0, 1_000.0])
async def test_who_resumes_is_told_what_was_stored_while_nobody_looked(url: str, away_s: float) -> None:
    """Its node died before it could publish; neither the age of the change nor that of the next nodes matters."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        tab = await opened(stage, quote_id, 1, 0)
        tab.edit("driver_name", "Ada")
        await tab.settle(0)
        tab.disconnect()
        for value in ("lost", "lost as well"):
            await store_only(stage, quote_id, "notes", value)
        await stage.begin_again()
        stage.clock.ahead_s = away_s
        # Of a room in which nobody is, nothing is known.
        assert await heal(stage, rounds=3) == 0
        tab.connect(1)
        assert tab.client is not None
        subscribed = await tab.client.take("subscribed")
        assert (subscribed["recovered"], subscribed["replayed"]) == (True, 0)
        await heal(stage)
        assert await came(tab, 6)
        await heal(stage)
        assert sum(node.side.healing.healed + node.side.healing.reminded for node in stage.nodes) == (
            2 if away_s < rules.RULES.history_age_s else 1
        )


async def came(tab: Tab, version: int) -> bool:
    """Return once a page shows a version, or knows that it lacks those before it."""
    async with asyncio.timeout(CEILING_S):
        while tab.page.version != version and tab.page.waiting != [version]:
            await asyncio.sleep(0)
            tab.read()
    return True
