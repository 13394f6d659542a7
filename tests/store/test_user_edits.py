"""Edits that are decided over what is stored, and the list of users, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import get_args

import pytest

from tidewire.core.errors import Conflict
from tidewire.store.activity import ActivityLog
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry, SessionRecord, UserRecord
from tidewire.store.sessions import Sessions
from tidewire.store.user_edits import Edit, SortKey, UserEdits, UserQuery
from tidewire.store.users import Users

NOW = 1_700_000_000.25
ROLES = ("user", "moderator", "admin", "super")
LINE = ActivityEntry(at=NOW, actor="ada", action="user.change", target="bob")


def refused() -> Conflict:
    """Return a refusal."""
    return Conflict("No.", required_action="Nothing.", will_not="Nothing is done.")


async def test_a_refused_edit_stores_nothing_and_one_that_passes_stores_all(database: Database) -> None:
    """Values, version, line and the end of logins are one transaction; unknown people are None."""
    users, edits = Users(database), UserEdits(database, "super")
    ada, bob = [await users.create(name, "hash", "super", NOW) for name in ("ada", "bob")]
    for number in (1, 2):
        record = SessionRecord(f"s{number}", bytes([number]) * 32, bob.id, NOW, NOW, NOW + 9, "", "")
        await Sessions(database).add(record)

    def no(by: UserRecord, target: UserRecord, supers: Sequence[UserRecord]) -> Edit:
        assert (by.id, target.id, sorted(each.id for each in supers)) == (ada.id, bob.id, [ada.id, bob.id])
        raise refused()

    with pytest.raises(Conflict):
        await edits.edit(bob.id, ada.id, no, NOW)
    assert await users.by_id(bob.id) == bob
    assert await ActivityLog(database).recent() == []

    values = {"role": "user", "disabled": True, "grants": ["audit:read"]}
    done = await edits.edit(bob.id, ada.id, lambda *_: Edit(LINE, values, end_sessions=True), NOW)
    assert done is not None
    after, ended = done
    assert (after.role, after.disabled, after.grants, after.version) == ("user", True, {"audit:read"}, 2)
    assert sorted(ended) == ["s1", "s2"]
    assert await users.by_id(bob.id) == after
    assert [row.entry.target for row in await ActivityLog(database).recent()] == ["bob"]
    assert await edits.edit(999, ada.id, lambda *_: Edit(LINE), NOW) is None
    assert await edits.edit(bob.id, 999, lambda *_: Edit(LINE), NOW) is None


async def test_of_those_who_edit_together_each_decides_over_what_the_one_before_left(database: Database) -> None:
    """Eight who saw version 1 at once: one is stored, seven are told."""
    users, edits = Users(database), UserEdits(database, "super")
    ada, bob = [await users.create(name, "hash", "user", NOW) for name in ("ada", "bob")]

    def decide(_: UserRecord, target: UserRecord, __: Sequence[UserRecord]) -> Edit:
        if target.version != 1:
            raise refused()
        return Edit(LINE, {"role": "admin"})

    jobs = (edits.edit(bob.id, ada.id, decide, NOW) for _ in range(8))
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(result) for result in results].count(Conflict) == 7
    found = await users.by_id(bob.id)
    assert found is not None
    assert found.version == 2


async def test_the_last_of_a_role_cannot_leave_it_by_two_at_once(database: Database) -> None:
    """Each demotes the other at the same moment, if another one is left: exactly one passes, every time."""
    users, edits = Users(database), UserEdits(database, "super")
    for n in range(5):
        one, two = [await users.create(f"{name}{n}", "hash", "super", NOW) for name in ("ada", "bob")]

        def decide(by: UserRecord, target: UserRecord, supers: Sequence[UserRecord]) -> Edit:
            if by.role != "super" or len(supers) < 2:
                raise refused()
            return Edit(LINE, {"role": "user"})

        jobs = (edits.edit(one.id, two.id, decide, NOW), edits.edit(two.id, one.id, decide, NOW))
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(result) for result in results].count(Conflict) == 1
        left = [user for user in await users.page() if user.role == "super"]
        assert len(left) == 1
        await users.change(left[0].id, NOW, role="user")


@pytest.mark.parametrize("sort", get_args(SortKey))
async def test_every_order_is_walked_once_to_its_end(database: Database, sort: SortKey) -> None:
    """In parts of three, both ways: each user once, the second way is the first one turned round."""
    users, edits = Users(database), UserEdits(database, "super")
    for n, name in enumerate(("Zoë", "ada", "Émile", "bob_1", "bob-2", "b%b", "çelik", "ZZ", "a.b", "Ada 2", "ßeta")):
        await users.create(name, "hash", ROLES[n % 4], NOW + n % 3, disabled=n % 5 == 0)
    walks = []
    for descending in (False, True):
        found: list[int] = []
        after = None
        while True:
            query = UserQuery(roles=ROLES, sort=sort, descending=descending, limit=3, after=after)
            page = await edits.page(query, NOW)
            assert page.matching == 11
            found += [each.user.id for each in page.rows]
            after = page.after
            if after is None:
                break
        walks.append(found)
    assert sorted(walks[0]) == sorted(user.id for user in await users.page())
    assert walks[1] == walks[0][::-1]


async def test_a_search_takes_every_sign_for_itself(database: Database) -> None:
    """Per cent and underscore are signs, case and form do not matter, a number finds its user."""
    users, edits = Users(database), UserEdits(database, "super")
    made = [await users.create(name, "hash", "user", NOW) for name in ("a%c", "abc", "a_c", "Éa")]
    for text, right in (("%", [0]), ("_", [2]), ("A", [0, 1, 2, 3]), ("éA", [3]), (str(made[1].id), [1]), ("'", [])):
        page = await edits.page(UserQuery(roles=ROLES, text=text, sort="created_at"), NOW)
        assert [row.user.id for row in page.rows] == [made[n].id for n in right], text
