"""A ban as it is stored. Pure; it must not know SQL, or what a ban keeps somebody from."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class Ban(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or some addresses that are kept out. Times are Unix seconds.

    Attributes:
        user_id, username: Whom it is for; None and "" if it is for addresses.
        network: The addresses in normal form, as ``10.0.0.0/24``; "" if it is for a user.
        expires_at: From this moment on it is over; None: it has no end.
        lifted_at, lifted_by: When and by whom it was ended before its time.
    """

    id: int
    user_id: int | None
    username: str
    network: str
    reason: str
    created_at: float
    created_by: str
    expires_at: float | None
    lifted_at: float | None = None
    lifted_by: str = ""

    def holds(self, now: float) -> bool:
        """Whether it keeps out at this moment."""
        return self.lifted_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def target(self) -> str:
        """Whom it is for, in a word."""
        return self.network or self.username


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBan:
    """A ban that is to be stored: a user or a network, never both."""

    user_id: int | None = None
    username: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class BanPage:
    """A part of the list, newest first.

    Attributes:
        kept: Those that were asked for beside it, as far as they match.
        before: The id after which the next part begins, None if there is none.
    """

    bans: list[Ban]
    kept: list[Ban]
    matching: int
    before: int | None
