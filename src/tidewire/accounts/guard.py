"""Refuses login floods before a password is checked. It must not know passwords, forms or HTTP.

Two buckets count every attempt: one per address (an IPv6 one per /64, which is one household) and one per username.
A successful login returns what it took, so only guesses use them up. An attacker can therefore delay the logins of one
username, but open sessions are not touched, and the delay ends ``every_s`` after the attack does.
Source: OWASP ASVS 5.0 section 6.3.1; NIST SP 800-63B section 5.2.2.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass

from tidewire.accounts.throttle import Refusal, Throttle
from tidewire.core.clock import Clock
from tidewire.core.errors import RateLimited
from tidewire.store.activity import ActivityLog
from tidewire.store.records import ActivityEntry
from tidewire.store.users import username_key


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """How many attempts are allowed: at once, and then one per so many seconds.

    Attributes:
        keys_max: Most addresses, and most usernames, remembered at a time (about 300 bytes each).
        tell_every_s: A flood is written to the activity log once per this time and key.
    """

    per_address: int = 20
    per_address_every_s: float = 15.0
    per_username: int = 10
    per_username_every_s: float = 30.0
    keys_max: int = 10_000
    tell_every_s: float = 300.0


class LoginGuard:
    """Counts login attempts and refuses floods."""

    def __init__(self, activity: ActivityLog, clock: Clock, limits: LoginLimits) -> None:
        self._activity = activity
        self._clock = clock
        self._addresses = Throttle(
            burst=limits.per_address,
            every_s=limits.per_address_every_s,
            keys_max=limits.keys_max,
            tell_every_s=limits.tell_every_s,
        )
        self._usernames = Throttle(
            burst=limits.per_username,
            every_s=limits.per_username_every_s,
            keys_max=limits.keys_max,
            tell_every_s=limits.tell_every_s,
        )

    async def admit(self, username: str, ip: str) -> None:
        """Count an attempt. Raises RateLimited, and StoreError if the flood cannot be written down."""
        now = self._clock.monotonic()
        refusal, kind = self._addresses.take(address_key(ip), now), "address"
        if refusal is None:
            refusal, kind = self._usernames.take(_name_key(username), now), "username"
        if refusal is None:
            return
        if refusal.first:
            await self._activity.write(
                ActivityEntry(
                    at=self._clock.time(),
                    actor="system",
                    action="user.login_flood",
                    # A name that was typed may be a password in the wrong field; it is not written down.
                    target=address_key(ip) if kind == "address" else "a username",
                    details={"limit": kind},
                    ip=ip,
                )
            )
        raise _too_many(refusal)

    def forgive(self, username: str, ip: str) -> None:
        """Return what an attempt took that turned out to be right."""
        self._addresses.give_back(address_key(ip))
        self._usernames.give_back(_name_key(username))

    def statistics(self) -> dict[str, int]:
        """Return the counters of both buckets, prefixed with ``address_`` and ``username_``."""
        parts = {"address": self._addresses.statistics(), "username": self._usernames.statistics()}
        return {f"{name}_{key}": value for name, counters in parts.items() for key, value in counters.items()}


def address_key(ip: str) -> str:
    """Return what one household shares: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        # A Unix socket or a test client has no address; they share one bucket.
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


def _name_key(username: str) -> str:
    # Cut, so that one key takes little memory however long the typed text is. A name of 64 characters comes from at
    # most 256 typed ones (the longest canonical composition is four to one), so one name cannot have several keys.
    return username_key(username[:256])[:192]


def _too_many(refusal: Refusal) -> RateLimited:
    seconds = max(1, math.ceil(refusal.retry_after_s))
    return RateLimited(
        "There were too many attempts to log in.",
        required_action=f"Wait {seconds} s, then try again.",
        will_not="Tidewire will not check a password until then, not even the right one.",
        code="rate_limited",
        retry_after_ms=seconds * 1000,
        details={"seconds": seconds},
    )
