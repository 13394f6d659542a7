"""No premium for those without premium:view, in any message or document; revocations act on open sockets at once."""

from __future__ import annotations

import json

from tests.support.platform import Served
from tests.support.quotes import PREMIUM, edit, make_quote, open_quote, rate


async def test_without_the_permission_there_is_no_premium_anywhere(site: Served) -> None:
    """State, updates, resumed messages, room history, list, document and changes: one has it, the other never does."""
    quote_id = await make_quote(site)
    room_id = f"quote:{quote_id}"
    heard: dict[str, str] = {}
    async with site.raw("bob") as bob, site.raw("mod") as mod:
        for client in (bob, mod):
            await open_quote(client, quote_id)
        await rate(site, quote_id)
        plain = await bob.expect("quote_update", update_type="premium")
        full = await mod.expect("quote_update", update_type="premium")
        assert plain["data"] == {"withheld": True}
        assert full["data"]["premium"]["amount"] == PREMIUM
        assert (plain["version"], plain["offset"]) == (full["version"], full["offset"])
        for username, client in (("bob", bob), ("mod", mod)):
            state = await open_quote(client, quote_id)
            client.say("subscribe", id="again", room_id=room_id, since={"epoch": full["epoch"], "offset": 0})
            await client.expect("reply", id="again", ok=True)
            conflict = await edit(client, quote_id, "state", "NY", 9, f"{username}-1")
            heard[username] = json.dumps([state, conflict, client.messages])
            async with site.http(username) as http:
                for path in (f"quotes/{quote_id}", f"quotes/{quote_id}/changes", "quotes", f"rooms/{room_id}/history"):
                    heard[username] += (await http.get(f"/api/v1/{path}")).text
    assert heard["mod"].count(PREMIUM) >= 6
    assert PREMIUM not in heard["bob"]
    assert '"premium": null' not in heard["bob"]


async def test_a_resumed_member_gets_the_updates_of_its_own_audience(site: Served) -> None:
    """What was missed comes without the premium for one and with it for the other."""
    quote_id = await make_quote(site)
    room_id = f"quote:{quote_id}"
    async with site.raw("bob") as bob:
        state = await open_quote(bob, quote_id)
    await rate(site, quote_id)
    since = {"epoch": state["epoch"], "offset": state["offset"]}
    for username, wanted in (("bob", False), ("mod", True)):
        async with site.raw(username) as client:
            client.say("subscribe", id=1, room_id=room_id, since=since)
            assert (await client.expect("subscribed", room_id=room_id))["recovered"] is True
            update = await client.expect("quote_update", update_type="premium")
            assert (PREMIUM in json.dumps(update)) is wanted


async def test_losing_premium_view_replaces_the_state_at_once(site: Served) -> None:
    """The open page gets a state without premium and no premium after it; granted again, one with it."""
    quote_id = await make_quote(site)
    async with site.raw("mod") as mod:
        await open_quote(mod, quote_id)
        await rate(site, quote_id)
        await mod.expect("quote_update", update_type="status")
        await site.accounts.change_user("mod", denials=frozenset({"premium:view"}))
        state = await mod.expect("quote_state")
        assert "premium" not in state["quote"]
        await rate(site, quote_id, "999.00")
        assert (await mod.expect("quote_update", update_type="premium"))["data"] == {"withheld": True}
        await site.accounts.change_user("mod", denials=frozenset())
        state = await mod.expect("quote_state")
        assert state["quote"]["premium"]["amount"] == "999.00"


async def test_losing_quote_view_ends_the_subscription_at_once(site: Served) -> None:
    """unsubscribed, then nothing of the quote; edits and new subscriptions are refused."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob, site.raw("ada") as ada:
        for client in (bob, ada):
            await open_quote(client, quote_id)
        await site.accounts.change_user("bob", denials=frozenset({"quote:view"}))
        assert (await bob.expect("unsubscribed"))["reason"] == "permission_revoked"
        assert (await edit(ada, quote_id, "notes", "secret", 0, "a-1"))["ok"]
        refused = await edit(bob, quote_id, "notes", "x", 1, "b-1")
        assert refused["error"]["code"] == "permission_denied"
        bob.say("quote_subscribe", id=2, quote_id=quote_id)
        assert (await bob.expect("reply", id=2))["error"]["code"] == "permission_denied"
        assert "secret" not in json.dumps(bob.messages)


async def test_losing_quote_edit_is_told_at_once(site: Served) -> None:
    """The open page gets a state that is not editable; granted again, one that is."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob:
        assert (await open_quote(bob, quote_id))["editable"] is True
        await site.accounts.change_user("bob", denials=frozenset({"quote:edit"}))
        assert (await bob.expect("quote_state"))["editable"] is False
        await site.accounts.change_user("bob", denials=frozenset())
        assert (await bob.expect("quote_state"))["editable"] is True
        # What does not touch quotes is no reason to send the state again: the next one is not editable.
        await site.accounts.change_user("bob", denials=frozenset({"market:view"}))
        await site.accounts.change_user("bob", denials=frozenset({"market:view", "quote:edit"}))
        assert (await bob.expect("quote_state"))["editable"] is False


async def test_losing_quote_edit_leaves_a_reader(site: Served) -> None:
    """Edits and focus are refused from then on, updates still come."""
    quote_id = await make_quote(site)
    async with site.raw("bob") as bob, site.raw("ada") as ada:
        for client in (bob, ada):
            await open_quote(client, quote_id)
        await site.accounts.change_user("bob", denials=frozenset({"quote:edit"}))
        assert (await edit(bob, quote_id, "notes", "x", 0, "b-1"))["error"]["code"] == "permission_denied"
        bob.say("field_focus", id=3, quote_id=quote_id, field="notes")
        assert (await bob.expect("reply", id=3))["error"]["code"] == "permission_denied"
        assert (await edit(ada, quote_id, "notes", "y", 0, "a-1"))["ok"]
        assert (await bob.expect("field_update"))["value"] == "y"
        assert (await open_quote(bob, quote_id))["editable"] is False


async def test_clients_cannot_publish_into_a_quote(site: Served) -> None:
    """Not with publish, and not with an API key."""
    quote_id = await make_quote(site)
    made = await site.side.keys.create("ada", "robot", life_s=86_400.0)
    async with site.raw("ada") as ada, site.http(Authorization=f"Bearer {made.key}") as http:
        await open_quote(ada, quote_id)
        ada.say("publish", id=1, room_id=f"quote:{quote_id}", data={"field": "notes"})
        assert (await ada.expect("reply", id=1))["error"]["code"] == "permission_denied"
        answer = await http.post("/api/v1/publish", json={"room_id": f"quote:{quote_id}", "data": 1})
        assert answer.status_code == 403
