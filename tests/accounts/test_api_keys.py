"""API keys: shown once, scoped, ending; and logins looked at again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support.accounts import SECRET
from tests.support.clock import HandClock
from tidewire.accounts.api_keys import CACHE_S, ApiKeys
from tidewire.accounts.logins import Change, Logins
from tidewire.accounts.model import Role
from tidewire.accounts.service import Accounts
from tidewire.core.errors import InvalidRequest, NotFound
from tidewire.store.database import Database

DAY_S = 86_400.0


@pytest.fixture
def keys(database: Database, clock: HandClock, accounts: Accounts) -> ApiKeys:
    """Keys beside an admin, ``ada``."""
    return ApiKeys(database, secret_key=SECRET, clock=clock)


@pytest.fixture
def logins(database: Database, clock: HandClock, accounts: Accounts) -> Logins:
    """Logins by their public id."""
    return Logins(database, clock, accounts.sessions.rules)


async def test_a_key_acts_as_its_user(keys: ApiKeys, accounts: Accounts) -> None:
    """Without a list of permissions it may do what its user may, with the user's role; the text is not stored."""
    made = await keys.create("ada", "robot", life_s=DAY_S)
    principal = await keys.load(made.key)
    assert principal is not None
    assert (principal.username, principal.role) == ("ada", Role.ADMIN)
    assert principal.can("rooms:publish")
    assert principal.session_id == f"key-{made.record.id}"
    assert made.key not in repr(made)
    assert made.key not in repr(await keys.list_all())


async def test_a_scoped_key_may_only_what_it_names(keys: ApiKeys) -> None:
    """Its role opens nothing, and a permission that the user lacks is not given."""
    made = await keys.create("ada", "robot", life_s=DAY_S, permissions=["rooms:publish", "users:manage"])
    principal = await keys.load(made.key)
    assert principal is not None
    assert principal.role is Role.USER
    assert principal.permissions == {"rooms:publish"}


async def test_a_key_ends(keys: ApiKeys, accounts: Accounts, clock: HandClock) -> None:
    """Expiry, revocation and a disabled user end it; the list says which."""
    short, revoked, orphan = [await keys.create("ada", "robot", life_s=n * DAY_S) for n in (1, 2, 3)]
    await clock.advance(DAY_S)
    assert await keys.load(short.key) is None
    assert await keys.load(revoked.key) is not None
    assert [await keys.revoke(revoked.record.id) for _ in range(2)] == [True, False]
    assert await keys.load(revoked.key) is None
    await accounts.change_user("ada", disabled=True)
    assert await keys.load(orphan.key) is None
    states = {shown.record.id: shown.state for shown in await keys.list_all()}
    assert states == {short.record.id: "expired", revoked.record.id: "revoked", orphan.record.id: "user disabled"}


async def test_another_process_revocation_is_noticed(keys: ApiKeys, database: Database, clock: HandClock) -> None:
    """A key that the command line ends works no longer than the memory of it."""
    made = await keys.create("ada", "robot", life_s=DAY_S)
    assert await keys.load(made.key) is not None
    await ApiKeys(database, secret_key=SECRET, clock=clock).revoke(made.record.id)
    await clock.advance(CACHE_S)
    assert await keys.load(made.key) is None


async def test_use_is_written_down_once_a_minute(keys: ApiKeys, clock: HandClock) -> None:
    """last_used moves with use, not with every request."""
    made = await keys.create("ada", "robot", life_s=DAY_S)
    begin = clock.time()
    for _ in range(3):
        await keys.load(made.key)
        await clock.advance(10)
    (shown,) = await keys.list_all()
    assert shown.record.last_used_at == begin
    await clock.advance(30)
    await keys.load(made.key)
    (shown,) = await keys.list_all()
    assert shown.record.last_used_at == begin + 60


@pytest.mark.parametrize("text", ["", "twk_", "twk_0123456789ab_" + "x" * 43, "x" * 5000, "twk_\x00", "twc_a.b"])
async def test_what_is_no_key_is_nobody(keys: ApiKeys, text: str) -> None:
    """Any text but a key is nobody, without an error."""
    assert await keys.load(text) is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": ""}, InvalidRequest),
        ({"name": "x" * 65}, InvalidRequest),
        ({"name": "a\nb"}, InvalidRequest),
        ({"life_s": 0.0}, InvalidRequest),
        ({"life_s": float("nan")}, InvalidRequest),
        ({"life_s": 1e12}, InvalidRequest),
        ({"permissions": ["everything"]}, InvalidRequest),
        ({"username": "nobody"}, NotFound),
    ],
)
async def test_wrong_keys_are_not_made(keys: ApiKeys, changes: dict[str, object], error: type[Exception]) -> None:
    """Each wrong field is refused, and no key is left behind."""
    wanted = {"username": "ada", "name": "robot", "life_s": DAY_S, **changes}
    with pytest.raises(error):
        await keys.create(**wanted)  # type: ignore[arg-type]
    assert await keys.list_all() == []


async def test_revoking_an_unknown_key_says_so(keys: ApiKeys) -> None:
    """A mistyped id is not "done"."""
    with pytest.raises(NotFound):
        await keys.revoke("0123456789ab")


async def test_a_review_tells_what_changed(keys: ApiKeys, accounts: Accounts, logins: Logins) -> None:
    """Unchanged logins are silent; a role change, an ended session, a revoked key and a disabled user are told."""
    await accounts.create_user("bob", "four unrelated words", "user")
    tokens = [(await accounts.log_in(name, "four unrelated words", ip="::1")).token for name in ("ada", "ada", "bob")]
    first, second, other = [found for token in tokens if (found := await accounts.load_session(token)) is not None]
    key = await keys.load((await keys.create("ada", "robot", life_s=DAY_S)).key)
    assert key is not None
    known = [first, second, other, key]
    assert await logins.review(known) == []
    await accounts.log_out(tokens[0])
    await accounts.change_user("ada", role="moderator")
    await accounts.change_user("bob", disabled=True)
    changes = {change.session_id: change for change in await logins.review(known)}
    assert changes[first.session_id] == Change(first.session_id, None)
    assert changes[other.session_id] == Change(other.session_id, None, disabled=True)
    for each in (second, key):
        now = changes[each.session_id].principal
        assert now is not None
        assert now.role is Role.MODERATOR
    await keys.revoke(key.session_id.removeprefix("key-"))
    assert await logins.review([key]) == [Change(key.session_id, None)]


async def test_a_watched_session_is_not_idle(accounts: Accounts, logins: Logins, clock: HandClock) -> None:
    """Reviews count as use; without them the session ends as idle."""
    token = (await accounts.log_in("ada", "four unrelated words", ip="::1")).token
    principal = await accounts.load_session(token)
    assert principal is not None
    rules = accounts.sessions.rules
    for _ in range(3):
        await clock.advance(rules.idle_s - 1)
        assert await logins.review([principal]) == []
    assert await accounts.load_session(token) is not None
    await clock.advance(rules.idle_s)
    assert await logins.load(principal.session_id) is None


async def test_a_login_is_found_by_its_public_id(accounts: Accounts, logins: Logins, keys: ApiKeys) -> None:
    """Sessions and keys answer; what has ended or never was does not."""
    token = (await accounts.log_in("ada", "four unrelated words", ip="::1")).token
    principal = await accounts.load_session(token)
    assert principal is not None
    assert await logins.load(principal.session_id) == principal
    made = await keys.create("ada", "robot", life_s=DAY_S)
    assert await logins.load(f"key-{made.record.id}") == await keys.load(made.key)
    await accounts.log_out(token)
    await keys.revoke(made.record.id)
    for gone in (principal.session_id, f"key-{made.record.id}", "key-", "nobody"):
        assert await logins.load(gone) is None


async def test_many_logins_are_reviewed_in_pieces(accounts: Accounts, logins: Logins, clock: HandClock) -> None:
    """More logins than one query takes are all looked at."""
    token = (await accounts.log_in("ada", "four unrelated words", ip="::1")).token
    principal = await accounts.load_session(token)
    assert principal is not None
    known = [replace(principal, session_id=f"gone{n}") for n in range(1_200)]
    changes = await logins.review([*known, principal])
    assert {change.session_id for change in changes} == {each.session_id for each in known}
