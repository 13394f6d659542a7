"""Connection tokens: one login, one use, one minute. It must not know sockets, HTTP or the database.

A token names the login it stands for and is signed, so that issuing one stores nothing and every node can read it. Used
ones are remembered until they would expire anyway; nodes tell each other. Overflow policy: when more tokens have been
used within their life than can be remembered, further ones are refused.
Source: contract.md section 5, "Authentication"; OWASP WebSocket cheat sheet (ticket in the query).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from tidewire.accounts.keys import derive_key
from tidewire.core.clock import Clock

PREFIX = "twc_"
LIFE_S = 60.0
# 1,600 connections a second, sustained for a minute; about 15 MB.
USED_MAX = 100_000
_TOKEN = re.compile(r"twc_([0-9a-f]{1,16})\.([0-9a-f]{24})\.([A-Za-z0-9_-]{1,40})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. ``expires_at``: Unix seconds."""

    token: str = field(repr=False)
    expires_at: float


class ConnectionTokens:
    """See the module's text.

    Args:
        secret_key: TIDEWIRE_SECRET_KEY.
        announce: Tells other nodes that a token has been used, by its serial.
    """

    def __init__(
        self,
        secret_key: str,
        clock: Clock,
        *,
        announce: Callable[[str], None] = lambda serial: None,
        used_max: int = USED_MAX,
    ) -> None:
        self._key = derive_key(secret_key, "connection-token")
        self._clock = clock
        self._announce = announce
        self._used_max = used_max
        # Serial -> end, oldest use first; lives are equal, so that the front is always what ends first.
        self._used: dict[str, float] = {}
        self.issued = 0
        self.redeemed = 0
        self.refused = 0

    def issue(self, login_id: str) -> IssuedToken:
        """Return a token for the login with that public id."""
        expires_ms = round((self._clock.time() + LIFE_S) * 1000)
        text = f"{expires_ms:x}.{secrets.token_hex(12)}.{login_id}"
        self.issued += 1
        return IssuedToken(f"{PREFIX}{text}.{self._mac(text)}", expires_ms / 1000)

    def redeem(self, token: str) -> str | None:
        """Return the login that a token stands for and use it up; None if it is forged, late or used."""
        login_id = self._redeem(token)
        if login_id is None:
            self.refused += 1
        else:
            self.redeemed += 1
        return login_id

    def note_used(self, serial: str) -> None:
        """Another node has taken the token with this serial."""
        if len(self._used) < self._used_max:
            self._used.setdefault(serial, self._clock.time() + LIFE_S)

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many used tokens are remembered."""
        return {
            "issued": self.issued,
            "redeemed": self.redeemed,
            "refused": self.refused,
            "remembered": len(self._used),
        }

    def _redeem(self, token: str) -> str | None:
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        expires, serial, login_id, mac = match.groups()
        if not hmac.compare_digest(mac, self._mac(f"{expires}.{serial}.{login_id}")):
            return None
        now = self._clock.time()
        self._forget(now)
        if now >= int(expires, 16) / 1000 or serial in self._used or len(self._used) >= self._used_max:
            return None
        self._used[serial] = now + LIFE_S
        self._announce(serial)
        return login_id

    def _forget(self, now: float) -> None:
        while self._used:
            serial = next(iter(self._used))
            if self._used[serial] > now:
                return
            del self._used[serial]

    def _mac(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), hashlib.sha256).hex()
