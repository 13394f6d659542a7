"""Changes of users travel to every node in order with messages, and what a break hid is looked up before going on."""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import replace

import pytest

from tests.support.nodes import Node, nodes
from tests.support.valkey import valkey_url
from tidewire.accounts.model import Role, User
from tidewire.app.account_changes import CHANNEL, AccountChanges, UserChange, change_of
from tidewire.bus.memory import MemoryBus
from tidewire.core.clock import SystemClock
from tidewire.core.errors import StoreError

__all__ = ["valkey_url"]
MAY = frozenset({"quote:view"})


class Book:
    """One node's ear: what it heard, and how often it looked everybody up."""

    def __init__(self) -> None:
        self.bus = MemoryBus(SystemClock())
        self.users: list[UserChange] = []
        self.ended: list[str] = []
        self.reviews = 0
        self.failing = False
        self.changes = self.ear()

    def ear(self) -> AccountChanges:
        """Another process on the same bus."""
        return AccountChanges(
            self.bus, review=self._review, user_changed=self.users.append, login_ended=self.ended.append
        )

    async def _review(self) -> None:
        self.reviews += 1
        if self.failing:
            raise StoreError("down")


def user(**changes: object) -> User:
    """A user who may see quotes."""
    return replace(User(7, "ada", Role.USER, False, frozenset(), frozenset()), **changes)


async def test_others_hear_it_and_the_sender_does_not() -> None:
    """Each change once, complete; noise is counted and disturbs nobody."""
    book = Book()
    other = book.ear()
    await book.bus.start()
    book.changes.start()
    change = change_of(user(role=Role.ADMIN))
    other.announce_user(change)
    other.announce_login_ended("s-1")
    book.changes.announce_login_ended("s-own")
    assert [(heard.user_id, heard.role, heard.permissions) for heard in book.users] == [
        (7, int(Role.ADMIN), change.permissions)
    ]
    assert book.ended == ["s-1"]
    for noise in (b"", b"{", b'{"type":"user"}', b'{"type":"login_ended","origin":"x","session_id":7}', b"\xff"):
        book.bus.publish(CHANNEL, [noise])
    bad_role = b'{"type":"user","origin":"x","user_id":1,"username":"a","role":99,"permissions":[],"disabled":false}'
    book.bus.publish(CHANNEL, [bad_role])
    assert book.changes.statistics()["malformed"] == 6
    assert len(book.users) == 1
    book.changes.stop()


async def test_after_a_break_nothing_goes_on_before_everybody_was_looked_up() -> None:
    """Confirmed at once without a break; after one only with a review that succeeded, once for all who wait."""
    book = Book()
    await book.bus.start()
    book.changes.start()
    await book.changes.confirm()
    assert book.reviews == 0
    await book.bus.stop()
    await book.bus.start()
    book.failing = True
    with pytest.raises(StoreError):
        await book.changes.confirm()
    book.failing = False
    await asyncio.gather(*(book.changes.confirm() for _ in range(5)))
    assert book.reviews == 2
    await book.changes.confirm()
    assert book.reviews == 2
    book.changes.stop()


async def _revoking(a: Node, b: Node, seed: int, rounds: int) -> tuple[int, int]:
    """Publish, revoke and grant at random on one node, read on the other; return how much was seen and revoked."""
    chance, room = random.Random(seed), f"quote:{uuid.UUID(int=seed)}"

    def apply(change: UserChange) -> None:
        b.hub.standing.change_user(change.user_id, Role(change.role), change.permissions)

    async def review() -> None:
        raise AssertionError("no break happens here")

    heard = AccountChanges(b.bus, review=review, user_changed=apply, login_ended=lambda _: None)
    heard.start()
    tell = AccountChanges(a.bus, review=review, user_changed=lambda _: None, login_ended=lambda _: None)
    await b.bus.subscribe(CHANNEL, lambda *_: None).ready()
    client = await b.client("user-7")
    allowed, newest, revoked, seen, forbidden = True, 0, 0, 0, set[int]()
    for number in range(rounds):
        step = chance.choices(("publish", "revoke", "grant", "subscribe"), weights=(60, 10, 10, 20))[0]
        if step == "publish":
            body = b'{"data":%d}' % number
            newest = (await a.hub.post(room, {"plain": body, "premium": body})).offset or 0
            if not allowed:
                forbidden.add(newest)
        elif step in ("revoke", "grant"):
            revoked += allowed and step == "revoke"
            allowed = step == "grant"
            permissions = MAY if allowed else frozenset[str]()
            tell.announce_user(UserChange("", 7, "user-7", int(Role.USER), permissions, False))
            # The point from which it holds: the broker has it.
            await a.bus.ping()
        elif client.socket.closed is None:
            client.send("subscribe", room_id=room)
        for message in client.socket.read("room_message"):
            seen += 1
            assert message["offset"] not in forbidden
        if client.socket.closed is not None:
            # Ten refused subscribes in a row end a connection, as they should.
            client.lose()
            client = await b.client("user-7")
            b.hub.standing.change_user(7, Role.USER, MAY if allowed else frozenset())
    heard.stop()
    return seen, revoked


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_that_was_published_after_a_revocation_is_delivered(valkey_url: str, seed: int) -> None:
    """Revoked on one node, published on it, read on the other, 5,000 random steps: never a message from after it."""
    async with nodes(valkey_url, valkey_url) as (a, b):
        seen, revoked = await _revoking(a, b, seed, 5_000)
    assert seen > 50
    assert revoked > 30
