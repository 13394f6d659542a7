"""How sessions live and end, on a clock moved by hand."""

from __future__ import annotations

import asyncio
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from tests.support.accounts import SECRET, cheap_passwords
from tests.support.clock import HandClock
from tidewire.accounts.keys import derive_key
from tidewire.accounts.service import Accounts
from tidewire.accounts.sessions import LoginSessions, SessionRules
from tidewire.core.errors import StoreError
from tidewire.store.database import Database
from tidewire.store.models import Session
from tidewire.store.records import SessionRecord, UserRecord
from tidewire.store.sessions import Sessions
from tidewire.store.users import Users

PASSWORD = "four unrelated words"


async def log_in(accounts: Accounts) -> str:
    """Return the token of a new session."""
    return (await accounts.log_in("ada", PASSWORD, ip="10.0.0.1")).token


def another(database: Database, clock: HandClock, secret: str = SECRET) -> Accounts:
    """Return accounts as a second process would have them."""
    return Accounts(database, secret_key=secret, clock=clock, passwords=cheap_passwords())


async def test_absolute_end(accounts: Accounts, clock: HandClock) -> None:
    """Twelve hours, however busy the session is; also from memory, to the second."""
    token = await log_in(accounts)
    for _ in range(12 * 2 - 1):
        await clock.advance(1800)
        assert await accounts.load_session(token) is not None
    await clock.advance(1799)
    assert await accounts.load_session(token) is not None
    await clock.advance(1)
    assert await accounts.load_session(token) is None


async def test_idle_end(accounts: Accounts, clock: HandClock) -> None:
    """An hour without use ends it; a look without touch is no use, a re-check with touch is."""
    used, unused = await log_in(accounts), await log_in(accounts)
    for _ in range(2):
        await clock.advance(1790)
        assert await accounts.load_session(used) is not None
        assert await accounts.load_session(unused, touch=False) is not None
    await clock.advance(20)
    assert await accounts.load_session(used) is not None
    assert await accounts.load_session(unused, touch=False) is None


async def test_use_is_written_at_most_once_a_minute(accounts: Accounts, clock: HandClock, database: Database) -> None:
    """Hundreds of requests in parallel write one row update, the next comes a minute later."""
    token = await log_in(accounts)
    await accounts.load_session(token)
    await clock.advance(4)
    await accounts.load_session(token)
    assert accounts.statistics()["sessions_touched"] == 0
    await clock.advance(57)
    await accounts.load_session(token, touch=False)
    await asyncio.gather(*(accounts.load_session(token) for _ in range(200)))
    assert accounts.statistics()["sessions_touched"] == 1
    async with database.read() as session:
        assert await session.scalar(select(Session.last_seen)) == pytest.approx(clock.time(), abs=1e-5)
    for _ in range(12):
        await clock.advance(5)
        await accounts.load_session(token)
    assert accounts.statistics()["sessions_touched"] == 2


async def test_another_process_notices_within_seconds(accounts: Accounts, database: Database, clock: HandClock) -> None:
    """A logout elsewhere holds here after the memory's five seconds."""
    token = await log_in(accounts)
    assert await accounts.load_session(token) is not None
    assert await another(database, clock).log_out(token)
    await clock.advance(4.9)
    assert await accounts.load_session(token) is not None
    await clock.advance(0.2)
    assert await accounts.load_session(token) is None


async def test_the_database_holds_no_token(accounts: Accounts, database: Database, clock: HandClock) -> None:
    """Only a keyed digest is stored: another secret key makes every session unknown."""
    token = await log_in(accounts)
    async with database.read() as session:
        rows = (await session.execute(text("SELECT * FROM sessions"))).all()
    assert token not in repr(rows)
    assert await another(database, clock, "another secret of thirty-two bytes and more").load_session(token) is None


@given(st.text(max_size=60) | st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=43))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_no_guess_is_a_session(accounts: Accounts, token: str) -> None:
    """Any text that was not handed out stands for nobody."""
    assert await accounts.load_session(token) is None


async def test_any_change_of_a_token_makes_it_worthless(accounts: Accounts) -> None:
    """Each single character replaced, one more, one less."""
    token = await log_in(accounts)
    changed = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(len(token))]
    for wrong in [*changed, token + "A", token[:-1], token + "\n", " " + token]:
        assert await accounts.load_session(wrong) is None
    assert await accounts.load_session(token) is not None


class _HeldSessions(Sessions):
    """The real table, whose answers are held back after they were read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.read = asyncio.Event()
        self.go = asyncio.Event()

    async def find(self, token_hash: bytes) -> tuple[SessionRecord, UserRecord] | None:
        """Read, then wait for the test."""
        found = await super().find(token_hash)
        self.read.set()
        await self.go.wait()
        return found


async def test_a_load_that_meets_a_revocation_believes_it(
    accounts: Accounts, database: Database, clock: HandClock
) -> None:
    """A row that was read before a revocation and comes back after it is read again, and never remembered."""
    token = await log_in(accounts)
    principal = await accounts.load_session(token)
    assert principal is not None
    table = _HeldSessions(database)
    sessions = LoginSessions(table, derive_key(SECRET, "session"), clock, SessionRules())
    load = asyncio.create_task(sessions.load(token))
    async with asyncio.timeout(45):
        await table.read.wait()
        await sessions.revoke(principal.session_id)
        table.go.set()
        assert await load is None
    assert await sessions.load(token) is None


async def test_a_user_disabled_by_hand_is_out(accounts: Accounts, database: Database, clock: HandClock) -> None:
    """Somebody set the column with SQL and ended no session: it is out after the memory's seconds all the same."""
    token = await log_in(accounts)
    assert await accounts.load_session(token) is not None
    async with database.write() as session:
        await session.execute(text("UPDATE users SET disabled = true"))
    await clock.advance(5)
    assert await accounts.load_session(token) is None


async def test_listeners_are_called_and_can_leave(accounts: Accounts) -> None:
    """Every listener hears of the end once; a faulty one is counted and keeps nobody else from hearing."""
    heard, left = list[str](), list[str]()

    def faulty(session_id: str) -> None:
        raise ZeroDivisionError(session_id)

    accounts.on_revoked(faulty)
    accounts.on_revoked(heard.append)
    leave = accounts.on_revoked(left.append)
    leave()
    leave()
    opened = await accounts.log_in("ada", PASSWORD, ip="10.0.0.1")
    assert await accounts.log_out(opened.token)
    assert heard == [opened.principal.session_id]
    assert left == []
    assert accounts.statistics()["sessions_callback_errors"] == 1


async def test_purge_keeps_what_lives(accounts: Accounts, clock: HandClock, database: Database) -> None:
    """Ended and idle sessions disappear a day later, not earlier, and the live one stays."""
    await accounts.log_out(await log_in(accounts))
    await log_in(accounts)
    assert await accounts.purge() == 0
    await clock.advance(86_400 + 3_700)
    live = await log_in(accounts)
    assert await accounts.purge() == 2
    assert await accounts.load_session(live) is not None
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM sessions")) == 1


async def test_the_memory_is_bounded(database: Database, clock: HandClock, accounts: Accounts) -> None:
    """More sessions than places: all load, and only so many are remembered."""
    small = Accounts(
        database, secret_key=SECRET, clock=clock, passwords=cheap_passwords(), rules=SessionRules(cache_max=3)
    )
    tokens = [await log_in(small) for _ in range(8)]
    assert all([await small.load_session(token) for token in tokens])
    assert small.statistics()["sessions_remembered"] == 3


async def test_an_unknown_role_in_the_database_is_told(accounts: Accounts, database: Database) -> None:
    """Somebody wrote a role that does not exist: nobody is guessed, the operator is told."""
    token = await log_in(accounts)
    ada = await Users(database).by_name("ada")
    assert ada is not None
    await Users(database).change(ada.id, 0.0, role="emperor")
    with pytest.raises(StoreError) as failed:
        await accounts.load_session(token)
    assert failed.value.code == "data_invalid"
