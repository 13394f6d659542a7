"""Users, login and logout on a real database."""

from __future__ import annotations

import asyncio

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tests.support.accounts import SECRET, cheap_passwords
from tests.support.clock import HandClock
from tidewire.accounts.guard import LoginLimits, address_key
from tidewire.accounts.keys import derive_key
from tidewire.accounts.model import Role
from tidewire.accounts.passwords import Passwords
from tidewire.accounts.service import Accounts
from tidewire.core.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    RateLimited,
    SettingsError,
    StoreError,
    Unauthenticated,
)
from tidewire.store.database import Database
from tidewire.store.users import Users

PASSWORD = "four unrelated words"


async def log_in(accounts: Accounts, username: str = "ada", password: str = PASSWORD, ip: str = "10.0.0.1") -> str:
    """Return the token of a new session."""
    return (await accounts.log_in(username, password, ip=ip, user_agent="tests")).token


async def actions(accounts: Accounts) -> list[str]:
    """Return the actions of the activity log, oldest first."""
    return [record.entry.action for record in reversed(await accounts.activity.recent())]


async def test_login_yields_a_principal(accounts: Accounts, clock: HandClock) -> None:
    """Name in any case, role, permissions, a public session id and the absolute end."""
    opened = await accounts.log_in("ADA", PASSWORD, ip="10.0.0.1")
    principal = await accounts.load_session(opened.token)
    assert principal == opened.principal
    assert (principal.username, principal.role, principal.is_admin) == ("ada", Role.ADMIN, True)
    assert principal.can("feed:control")
    assert principal.expires_at == clock.time() + 12 * 3600
    assert principal.session_id not in opened.token
    assert opened.token not in repr(opened)


@pytest.mark.parametrize(
    ("username", "password"),
    [("ada", "wrong password"), ("nobody", PASSWORD), ("", ""), ("a\x00b", PASSWORD), ("x" * 5000, "y" * 5000)],
)
async def test_every_failed_login_reads_the_same(accounts: Accounts, username: str, password: str) -> None:
    """Wrong password, unknown, empty, unstorable and over-long names end in one text."""
    with pytest.raises(Unauthenticated) as refused:
        await log_in(accounts, username, password)
    assert refused.value.code == "login_failed"
    assert refused.value.message == "The username or the password is wrong."
    assert (await actions(accounts))[-1] == "user.login_failed"
    assert accounts.statistics()["logins_failed"] == 1


async def test_an_unknown_name_is_not_written_down(accounts: Accounts) -> None:
    """People type passwords into the wrong field; the log holds only names that exist."""
    with pytest.raises(Unauthenticated):
        await log_in(accounts, "my-secret-password", "x")
    assert "my-secret-password" not in repr(await accounts.activity.recent())


async def test_a_disabled_user_is_out_at_once(accounts: Accounts) -> None:
    """Disabling ends the open session, and a new login fails with the usual text."""
    token, ended = await log_in(accounts), list[str]()
    accounts.on_revoked(ended.append)
    principal = await accounts.load_session(token)
    assert principal is not None
    await accounts.change_user("ada", disabled=True)
    assert ended == [principal.session_id]
    assert await accounts.load_session(token) is None
    with pytest.raises(Unauthenticated) as refused:
        await log_in(accounts)
    assert refused.value.code == "login_failed"
    await accounts.change_user("ada", disabled=False)
    assert await accounts.load_session(token) is None
    await log_in(accounts)


async def test_a_new_role_holds_at_the_next_request(accounts: Accounts) -> None:
    """Role and permissions of an open session follow the user without a new login."""
    token = await log_in(accounts)
    assert await accounts.load_session(token) is not None
    await accounts.change_user("ada", role="user", grants=frozenset({"analytics:read"}))
    principal = await accounts.load_session(token)
    assert principal is not None
    assert (principal.role, principal.can("analytics:read"), principal.can("feed:control")) == (Role.USER, True, False)


async def test_every_login_has_its_own_token(accounts: Accounts) -> None:
    """No token is ever used twice, and the one before is ended, so none can be planted."""
    first = await log_in(accounts)
    second = (await accounts.log_in("ada", PASSWORD, ip="10.0.0.1", previous_token=first)).token
    assert first != second
    assert await accounts.load_session(first) is None
    assert await accounts.load_session(second) is not None
    planted = (await accounts.log_in("ada", PASSWORD, ip="10.0.0.1", previous_token="A" * 43)).token
    assert planted != "A" * 43


async def test_logout_ends_one_session(accounts: Accounts) -> None:
    """The session and its sockets end, another one of the same user stays; twice is a plain no."""
    one, other, ended = await log_in(accounts), await log_in(accounts), list[str]()
    principal = await accounts.load_session(one)
    assert principal is not None
    accounts.on_revoked(ended.append)
    assert await accounts.log_out(one)
    assert not await accounts.log_out(one)
    assert ended == [principal.session_id]
    assert await accounts.load_session(one) is None
    assert await accounts.load_session(other) is not None


async def test_a_new_password_ends_all_sessions(accounts: Accounts) -> None:
    """The old password and every session are dead, the new password works."""
    tokens, ended = [await log_in(accounts) for _ in range(3)], list[str]()
    accounts.on_revoked(ended.append)
    assert await accounts.set_password("Ada", "another four words") == 3
    assert len(set(ended)) == 3
    assert [await accounts.load_session(token) for token in tokens] == [None] * 3
    with pytest.raises(Unauthenticated):
        await log_in(accounts)
    await log_in(accounts, password="another four words")


async def test_what_users_may_not_be(accounts: Accounts) -> None:
    """Taken, weak, unnamed, of no known role, unknown: each its own error."""
    with pytest.raises(Conflict):
        await accounts.create_user("ADA", PASSWORD, "user")
    with pytest.raises(InvalidRequest):
        await accounts.create_user("bob", "short", "user")
    with pytest.raises(InvalidRequest):
        await accounts.create_user("", PASSWORD, "user")
    with pytest.raises(InvalidRequest) as refused:
        await accounts.create_user("bob", PASSWORD, "emperor")
    assert refused.value.code == "unknown_role"
    for job in (accounts.set_password("bob", PASSWORD), accounts.change_user("bob", disabled=True)):
        with pytest.raises(NotFound):
            await job
    assert [user.username for user in await accounts.list_users()] == ["ada"]
    assert await accounts.find_user("bob") is None


async def test_the_log_tells_the_story(accounts: Accounts) -> None:
    """User added, login failed and ok, password, change and logout are written with who and from where."""
    with pytest.raises(Unauthenticated):
        await log_in(accounts, password="wrong password")
    await accounts.log_out(await log_in(accounts), ip="10.0.0.1")
    await accounts.set_password("ada", "another four words", actor="root")
    await accounts.change_user("ada", role="super", actor="root")
    expected = ["user.add", "user.login_failed", "user.login", "user.logout", "user.passwd", "user.change"]
    assert await actions(accounts) == expected
    entries = [record.entry for record in reversed(await accounts.activity.recent())]
    assert [entry.actor for entry in entries] == ["cli", "ada", "ada", "ada", "root", "root"]
    assert (entries[1].details, entries[2].ip, entries[5].details) == (
        {"reason": "wrong_password"}, "10.0.0.1", {"role": "super"},
    )  # fmt: skip
    assert PASSWORD not in repr(entries)
    assert "$argon2" not in repr(entries)


async def test_guesses_run_into_the_limit(database: Database, clock: HandClock) -> None:
    """Per username from many addresses, per address over many names; told once, right password refused, then free."""
    limits = LoginLimits(per_address=6, per_username=3, per_username_every_s=30, per_address_every_s=15)
    accounts = Accounts(database, secret_key=SECRET, clock=clock, passwords=cheap_passwords(), limits=limits)
    await accounts.create_user("ada", PASSWORD, "admin")
    for number in range(3):
        with pytest.raises(Unauthenticated):
            await log_in(accounts, "ADA" if number else "ada", "wrong", ip=f"10.0.0.{number}")
    for number in range(20):
        with pytest.raises(RateLimited) as refused:
            await log_in(accounts, ip=f"10.0.1.{number}")
        assert refused.value.retry_after_ms == 30_000
        assert "30 s" in refused.value.required_action
    assert (await actions(accounts)).count("user.login_flood") == 1
    await clock.advance(30)
    await log_in(accounts, ip="10.0.2.1")
    for number in range(6):
        with pytest.raises(Unauthenticated):
            await log_in(accounts, f"name{number}", "wrong", ip="10.9.9.9")
    with pytest.raises(RateLimited):
        await log_in(accounts, "bob", ip="10.9.9.9")
    assert accounts.statistics()["login_address_refused"] == 1
    assert accounts.statistics()["login_username_refused"] == 20


async def test_right_logins_are_never_limited(accounts: Accounts) -> None:
    """A hundred right ones in the same second pass."""
    for _ in range(100):
        await log_in(accounts)


async def test_parallel_guesses_do_not_slip_through(database: Database, clock: HandClock) -> None:
    """Fifty guesses started at once are counted before any is answered."""
    limits = LoginLimits(per_username=5)
    accounts = Accounts(database, secret_key=SECRET, clock=clock, passwords=cheap_passwords(), limits=limits)
    jobs = (log_in(accounts, "ada", "wrong", ip=f"10.0.{n}.1") for n in range(50))
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(result) for result in results].count(Unauthenticated) == 5
    assert [type(result) for result in results].count(RateLimited) == 45


async def test_a_login_renews_an_old_hash(accounts: Accounts, database: Database, clock: HandClock) -> None:
    """After the parameters were raised, the next login stores a stronger hash."""
    before = await Users(database).by_name("ada")
    stronger = Passwords(PasswordHash((Argon2Hasher(time_cost=2, memory_cost=16, parallelism=1),)))
    await log_in(Accounts(database, secret_key=SECRET, clock=clock, passwords=stronger))
    after = await Users(database).by_name("ada")
    assert before is not None
    assert after is not None
    assert "t=1" in before.password_hash
    assert "t=2" in after.password_hash
    await log_in(accounts)


@pytest.mark.parametrize(
    ("ip", "key"),
    [
        ("10.0.0.1", "10.0.0.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"), ("testclient", "unknown"), ("", "unknown"), ("fe80::1%eth0", "fe80::/64"),
    ],
)  # fmt: skip
def test_one_household_one_key(ip: str, key: str) -> None:
    """IPv6 counts per /64, a mapped IPv4 as itself, and no address at all as one."""
    assert address_key(ip) == key


def test_keys_differ_by_purpose_and_need_a_long_secret() -> None:
    """A form's key is not a session's; a short secret ends the start with the command that makes one."""
    assert derive_key(SECRET, "session") != derive_key(SECRET, "form")
    with pytest.raises(SettingsError) as refused:
        derive_key("too short", "session")
    assert "token_urlsafe" in refused.value.required_action
    assert "too short" not in refused.value.message


async def test_an_outage_costs_nobody_an_attempt(accounts: Accounts, database: Database) -> None:
    """While the database is down no password is compared, so whoever types the right one later is not limited."""
    database.health.failed(1.0, StoreError("Away."))
    for _ in range(3 * LoginLimits().per_username):
        with pytest.raises(StoreError):
            await log_in(accounts)
    database.health.answered(2.0)
    assert await log_in(accounts)
    assert accounts.statistics()["login_username_refused"] == 0
