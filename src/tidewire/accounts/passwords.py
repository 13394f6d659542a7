"""Hashes and checks passwords with argon2id, off the event loop. It must not know users or sessions.

One check costs about 120 ms of CPU and 64 MiB, so at most ``concurrency`` run at a time and at most ``waiting_max``
wait; whoever comes on top is refused (Unavailable), because a longer queue would only let a flood starve everybody.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.to_thread
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from tidewire.accounts.policy import PASSWORD_MAX, normalize_password
from tidewire.core.errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check.

    Attributes:
        matches: Whether the password belongs to the hash.
        new_hash: The same password under today's parameters, if the stored hash has older ones.
    """

    matches: bool
    new_hash: str | None = None


class Passwords:
    """The password hasher.

    Args:
        hasher: Which algorithm and parameters; argon2id with the library's defaults unless given.
        concurrency: Most hashes computed at a time.
        waiting_max: Most callers that wait for a turn.
    """

    def __init__(self, hasher: PasswordHash | None = None, *, concurrency: int = 2, waiting_max: int = 32) -> None:
        self._hasher = hasher or PasswordHash.recommended()
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._waiting_max = waiting_max
        self._inside = 0
        self.refused = 0
        # Checked when there is no user, so that an unknown name takes as long as a wrong password.
        self._decoy = self._hasher.hash(secrets.token_urlsafe(16))

    async def hash(self, password: str) -> str:
        """Return the encoded hash of ``password``. Raises Unavailable."""
        text = normalize_password(password)
        return await self._in_thread(lambda: self._hasher.hash(text))

    async def check(self, password: str, stored: str | None) -> Verdict:
        """Compare ``password`` with a stored hash; None (no such user) takes the same time. Raises Unavailable."""
        # An over-long text can be no password of ours; its head costs the same as a real one.
        text = normalize_password(password[:PASSWORD_MAX])
        too_long = len(password) > PASSWORD_MAX

        def compare() -> Verdict:
            try:
                matches, new_hash = self._hasher.verify_and_update(text, stored or self._decoy)
            except UnknownHashError:
                # A row whose hash is of no known kind: nobody can log in with it, at the usual price.
                self._hasher.verify(text, self._decoy)
                return Verdict(False)
            return Verdict(matches, new_hash) if stored is not None and not too_long else Verdict(False)

        return await self._in_thread(compare)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        if self._inside >= self._waiting_max + self._limiter.total_tokens:
            self.refused += 1
            raise Unavailable(
                "Too many logins are being checked at this moment.",
                required_action="Try again in a few seconds.",
                will_not="Tidewire will not queue any more of them.",
                code="login_overloaded",
                retry_after_ms=5_000,
            )
        self._inside += 1
        try:
            return await anyio.to_thread.run_sync(function, limiter=self._limiter)
        finally:
            self._inside -= 1
