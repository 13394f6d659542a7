"""Quotes over the socket, against the whole process."""

from __future__ import annotations

from tests.support.platform import Served
from tests.support.quotes import edit, make_quote, open_quote


async def test_an_edit_reaches_everyone_in_the_quote(site: Served) -> None:
    """What one changes, the other and the author see, with the place of the change; the author gets a reply."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob, site.raw("ada") as ada:
        for client in (bob, ada):
            state = await open_quote(client, quote_id)
            assert (state["version"], state["fields"]["notes"]["revision"]) == (3, 0)
        reply = await edit(bob, quote_id, "notes", " hello ", 0, "b-1")
        assert reply["ok"], reply
        assert reply["data"] == {
            "quote_id": quote_id,
            "field": "notes",
            "value": "hello",
            "revision": 1,
            "version": 4,
            "repeated": False,
        }
        told = await ada.expect("field_update")
        assert (told["field"], told["value"], told["revision"], told["version"]) == ("notes", "hello", 1, 4)
        assert (told["updated_by"], told["op_id"]) == ("bob", "b-1")
        again = await open_quote(ada, quote_id)
        assert again["fields"]["notes"]["value"] == "hello"
        figures = site.side.quotes.statistics()
        assert (figures["published"], figures["healed"]) == (1, 0)


async def test_the_author_gets_the_update_too(site: Served) -> None:
    """The author's own page takes the same way as every other."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        bob.say("field_edit", quote_id=quote_id, field="notes", value="x", base_revision=0, op_id="b-1")
        assert (await bob.expect("field_update"))["op_id"] == "b-1"


async def test_many_conflicts_in_a_row_are_no_reason_to_part(site: Served) -> None:
    """Who comes back with thirty edits that others were quicker with is told of each conflict, and stays connected."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob:
        await open_quote(bob, quote_id)
        for number in range(30):
            reply = await edit(bob, quote_id, "customer_name", f"late {number}", 0, f"b-{number}")
            assert reply["error"]["code"] == "conflict"
        assert (await edit(bob, quote_id, "notes", "still here", 0, "b-last"))["ok"]
