"""The list of users over HTTP: sorted, searched and paged by the server over ten thousand, compared with SQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from tests.app.test_users import USERS, python_rows, site
from tests.support.platform import Served
from tidewire.accounts.model import Role, User
from tidewire.accounts.permissions import effective_permissions
from tidewire.store.users import username_key

__all__ = ["site"]


async def populate(site: Served, count: int) -> None:
    """Add users beside whoever is there, without a password that anybody knows."""
    names = itertools.cycle(("trader", "Händler", "analyst"))
    rows = [
        {
            "name": f"{next(names)}-{n:05}", "key": "", "role": ("user", "user", "moderator", "admin")[n % 4],
            "disabled": n % 11 == 0, "at": f"2024-01-{1 + n % 28:02} 00:00:{n % 60:02}.000000",
        }
        for n in range(count)
    ]  # fmt: skip
    for row in rows:
        row["key"] = username_key(str(row["name"]))
    insert = text(
        "INSERT INTO users (username, username_key, password_hash, role, disabled, grants, denials, created_at, "
        "password_changed_at) VALUES (:name, :key, 'x', :role, :disabled, '[]', '[]', :at, :at)"
    )
    async with site.web.storage.requests.write() as session:
        await session.execute(insert, rows)


KEYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "username": lambda row: username_key(row["username"]),
    "role": lambda row: Role.parse(row["role"]),
    "state": lambda row: row["disabled"],
    "created_at": lambda row: row["created_at"],
    "password_changed_at": lambda row: row["password_changed_at"],
}


@pytest.mark.parametrize("sort", sorted(KEYS))
async def test_sort_and_pages_are_the_servers_over_ten_thousand(site: Served, sort: str) -> None:
    """Walked through both ways: every user once, in the order that plain Python gives, and the count is SQL's."""
    await populate(site, 10_000)
    async with site.web.storage.requests.read() as session:
        total = await session.scalar(text("SELECT count(*) FROM users"))
        traders = await session.scalar(text("SELECT count(*) FROM users WHERE username LIKE 'trader-0%'"))
    async with site.http("boss") as http:
        for descending in (False, True):
            rows: list[dict[str, Any]] = []
            cursor = ""
            for _ in range(6):
                query = {"sort": sort, "descending": descending, "limit": 200, "cursor": cursor}
                answer = (await http.get(USERS, params=query)).json()
                assert answer["matching"] == total
                rows += answer["users"]
                cursor = answer["cursor"]
            everybody = await python_rows(site)
            right = sorted(everybody, key=lambda row: (KEYS[sort](row), row["id"]), reverse=descending)
            assert [row["id"] for row in rows] == [row["id"] for row in right[:1200]]
        found = (await http.get(USERS, params={"text": "TRADER-0", "sort": sort, "limit": 1})).json()
        assert found["matching"] == traders
        assert (await http.get(USERS, params={"text": "händler-00001"})).json()["matching"] == 1


async def test_the_last_page_ends_and_filters_are_sqls(site: Served) -> None:
    """Role, state, number; the walk to the end has everybody once; SQL in a search is a word."""
    await populate(site, 95)
    async with site.http("boss") as http:
        seen: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = (await http.get(USERS, params={"limit": 40, "cursor": cursor, "sort": "role"})).json()
            seen += [row["id"] for row in answer["users"]]
            cursor = answer["cursor"]
        assert sorted(seen) == sorted(row["id"] for row in await python_rows(site))
        for query, where in (
            ({"role": "moderator"}, "role = 'moderator'"),
            ({"disabled": "true"}, "disabled"),
            ({"role": "user", "disabled": "false"}, "role = 'user' AND NOT disabled"),
            ({"text": "2"}, "username LIKE '%2%' OR id = 2"),
            ({"text": "' OR 1=1 --"}, "1 = 0"),
            ({"text": "%"}, "1 = 0"),
        ):
            async with site.web.storage.requests.read() as session:
                right = await session.scalar(text(f"SELECT count(*) FROM users WHERE {where}"))  # noqa: S608
            assert (await http.get(USERS, params=query)).json()["matching"] == right, query
        kept = (await http.get(USERS, params={"text": "boss", "keep": "2,3,99999"})).json()
        assert [row["username"] for row in kept["kept"]] == ["bob", "mod"]


async def test_rows_show_logins_and_effective_permissions_as_they_are(site: Served) -> None:
    """Each row against the rule book and the table of sessions."""
    await site.log_in("bob")
    await site.accounts.change_user("mod", denials=frozenset({"quote:edit"}), grants=frozenset({"audit:read"}))
    async with site.http("boss") as http:
        for row in (await http.get(USERS)).json()["users"]:
            user = User(
                row["id"], row["username"], Role.parse(row["role"]), row["disabled"],
                frozenset(row["grants"]), frozenset(row["denials"]),
            )  # fmt: skip
            assert frozenset(row["permissions"]) == effective_permissions(user)
            async with site.web.storage.requests.read() as session:
                count = text("SELECT count(*) FROM sessions WHERE user_id = :id AND revoked_at IS NULL")
                assert row["logins"] == await session.scalar(count, {"id": row["id"]})
        rules = (await http.get(f"{USERS}/rules")).json()
        assert (rules["own_role"], list(rules["roles"])) == ("super", ["user", "moderator", "admin", "super"])
