"""Logins by their public id, sessions and API keys alike: who is behind one now, and what has changed of many.

A socket lives longer than the request that opened it, so somebody must look whether its login still stands: changes
made by this process are told at once, those of another process or the command line are found here. It must not know
sockets. Source: contract.md section 5 (live revocation); OWASP ASVS 5.0 section 7.4.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from tidewire.accounts.api_keys import LOGIN_PREFIX, key_id_of, key_principal, login_id
from tidewire.accounts.model import Principal
from tidewire.accounts.sessions import SessionRules, principal_of
from tidewire.core.clock import Clock
from tidewire.store.api_keys import ApiKeys
from tidewire.store.database import Database
from tidewire.store.records import SessionRecord
from tidewire.store.sessions import Sessions

# Turning rows into records takes 50 us each, and nobody else is served meanwhile: of 500, everybody waited for 25 ms or
# more, several times each review.
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a login.

    Attributes:
        principal: As it is now; None if the login has ended.
        disabled: Whether it ended because its user is disabled.
    """

    session_id: str
    principal: Principal | None
    disabled: bool = False


class Logins:
    """See the module's text."""

    def __init__(self, database: Database, clock: Clock, rules: SessionRules) -> None:
        self._sessions = Sessions(database)
        self._keys = ApiKeys(database)
        self._clock = clock
        self._rules = rules
        self.touched = 0

    async def load(self, session_id: str) -> Principal | None:
        """Return who is behind a login now, None if it has ended. Raises StoreError."""
        now = self._clock.time()
        if session_id.startswith(LOGIN_PREFIX):
            for record, owner in await self._keys.by_ids([key_id_of(session_id)]):
                principal = key_principal(record, owner)
                return principal if principal is not None and now < principal.expires_at else None
            return None
        found = await self._sessions.by_id(session_id)
        if found is None:
            return None
        session, user = found
        idle = now - session.last_seen >= self._rules.idle_s
        return principal_of(user, session) if not user.disabled and self._alive(session, now) and not idle else None

    async def review(self, principals: Collection[Principal]) -> list[Change]:
        """Return what has changed since ``principals`` were loaded. Raises StoreError.

        Their sessions count as used: a page that is being watched must not be logged out as idle.
        """
        keys = {each.session_id: each for each in principals if each.session_id.startswith(LOGIN_PREFIX)}
        sessions = {each.session_id: each for each in principals if each.session_id not in keys}
        changes = []
        for chunk in _chunks(keys):
            changes += await self._review_keys(chunk)
        for chunk in _chunks(sessions):
            changes += await self._review_sessions(chunk)
        return changes

    async def _review_keys(self, known: dict[str, Principal]) -> list[Change]:
        found = {}
        for record, owner in await self._keys.by_ids([key_id_of(session_id) for session_id in known]):
            session_id = login_id(record.id)
            found[session_id] = Change(session_id, key_principal(record, owner), owner.disabled)
        return _differing(known, found)

    async def _review_sessions(self, known: dict[str, Principal]) -> list[Change]:
        now = self._clock.time()
        found: dict[str, Change] = {}
        stale = []
        for session, user in await self._sessions.by_ids(list(known)):
            lives = not user.disabled and self._alive(session, now)
            found[session.id] = Change(session.id, principal_of(user, session) if lives else None, user.disabled)
            if lives and now - session.last_seen >= self._rules.touch_every_s:
                stale.append(session.id)
        if stale:
            self.touched += len(stale)
            await self._sessions.touch_all(stale, now)
        return _differing(known, found)

    def _alive(self, session: SessionRecord, now: float) -> bool:
        return session.revoked_at is None and now < session.expires_at


def _differing(known: dict[str, Principal], found: dict[str, Change]) -> list[Change]:
    changes = [found.get(session_id, Change(session_id, None)) for session_id in known]
    return [change for change in changes if change.principal != known[change.session_id]]


def _chunks(known: dict[str, Principal]) -> Iterator[dict[str, Principal]]:
    rest = iter(known.items())
    while chunk := dict(islice(rest, CHUNK)):
        yield chunk
