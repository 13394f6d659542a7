"""Who edits what: seen by the others, ended with the connection, bounded."""

from __future__ import annotations

from tests.support.platform import Served
from tests.support.quotes import make_quote, open_quote
from tidewire.quotes.focus import MAX_PER_QUOTE, SILENT_S, TYPING_S, Focus, FocusTable


def focus(connection: str = "c-1", field: str | None = "notes", **more: object) -> Focus:
    """Return a place."""
    given = {"user_id": 1, "username": "ada", "typing": False, "own": True, "heard": 0.0, **more}
    return Focus(quote_id="q", connection_id=connection, field=field, **given)  # type: ignore[arg-type]


async def test_two_people_in_one_field_see_each_other(site: Served) -> None:
    """Each is told of the other; a newcomer finds both in the state; leaving and losing the connection end it."""
    quote_id = await make_quote(site)
    async with site.raw("ada") as ada, site.raw("mod") as mod:
        for client in (ada, mod):
            await open_quote(client, quote_id)
        async with site.raw("bob") as bob:
            await open_quote(bob, quote_id)
            bob.say("field_focus", id=1, quote_id=quote_id, field="notes", typing=True)
            await bob.expect("reply", id=1, ok=True)
            told = await ada.expect("field_focus", username="bob")
            assert (told["field"], told["typing"], "offset" in told) == ("notes", True, False)
            ada.say("field_focus", quote_id=quote_id, field="notes")
            assert (await bob.expect("field_focus", username="ada"))["field"] == "notes"
            editors = (await open_quote(mod, quote_id))["editors"]
            assert {(editor["username"], editor["field"]) for editor in editors} == {("bob", "notes"), ("ada", "notes")}
            ada.say("unsubscribe", room_id=f"quote:{quote_id}")
            assert (await bob.expect("field_focus", username="ada"))["field"] is None
        assert (await mod.expect("field_focus", username="bob", field=None))["typing"] is False
        assert (await open_quote(mod, quote_id))["editors"] == []


async def test_a_focus_needs_the_room_and_a_field(site: Served) -> None:
    """Outside the quote, or of a field that does not exist, it is refused."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob:
        bob.say("field_focus", id=1, quote_id=quote_id, field="notes")
        assert (await bob.expect("reply", id=1))["error"]["code"] == "not_found"
        await open_quote(bob, quote_id)
        bob.say("field_focus", id=2, quote_id=quote_id, field="nothing")
        assert (await bob.expect("reply", id=2))["error"]["code"] == "bad_request"


def test_only_the_newest_word_is_news() -> None:
    """Many words between two rounds are one message; repeating is none."""
    table = FocusTable()
    for field in ("state", "notes", "vehicle_year"):
        table.set(focus(field=field))
    assert [news.field for news in table.take_news()] == ["vehicle_year"]
    table.set(focus(field="vehicle_year", heard=1.0))
    assert table.take_news() == []
    table.end("q", "c-1")
    assert [news.field for news in table.take_news()] == [None]
    assert len(table) == 0


def test_typing_ends_by_itself_and_silent_strangers_go() -> None:
    """Typing that is not said again stops; a place of another node that is not said again ends, one's own does not."""
    table = FocusTable()
    table.set(focus("c-1", typing=True, heard=10.0))
    table.set(focus("c-2", own=False, heard=10.0))
    table.take_news()
    table.tick(10.0 + TYPING_S - 0.1)
    assert table.take_news() == []
    table.tick(10.0 + TYPING_S)
    assert [(news.connection_id, news.typing) for news in table.take_news()] == [("c-1", False)]
    table.tick(10.0 + SILENT_S)
    assert [(news.connection_id, news.field) for news in table.take_news()] == [("c-2", None)]
    assert [place.connection_id for place in table.of_quote("q")] == ["c-1"]


def test_a_quote_has_a_bound() -> None:
    """Beyond it newcomers are not shown, and counted; leaving what was never entered is nothing."""
    table = FocusTable()
    for n in range(MAX_PER_QUOTE + 3):
        table.set(focus(f"c-{n}"))
    table.set(focus("c-none", field=None))
    assert (len(table), table.refused) == (MAX_PER_QUOTE, 3)
