"""Bans as the doors ask them and as an operator makes them: a book in memory over the table. It must not know doors.

Nobody waits for the database at a door: the book is read whole at the start (a node that cannot read it does not
start), told of every change, and read anew by whoever owns it, so that a change that was not heard of is missed for
seconds only. While it cannot be read anew, what is in it goes on to hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tidewire.accounts.ban_book import BanBook, Network, read_address, read_network
from tidewire.accounts.model import Principal, Role
from tidewire.core.clock import Clock
from tidewire.core.errors import Conflict, Forbidden, InvalidRequest, NotFound
from tidewire.store.ban_records import Ban, BanPage, NewBan
from tidewire.store.bans import Bans as Table
from tidewire.store.bans import BanState
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry, JsonValue, UserRecord

# In memory at every node, some 600 bytes each; more is work for a firewall.
IN_FORCE_MAX = 10_000
# A ban that is over is read again when somebody asks why it was made: weeks later, not years. The audit keeps longer.
KEPT_S = 90 * 86_400.0
# What somebody types who means to ban themselves.
CONFIRMATION = "ban myself"
_NOBODY = "Nobody was banned."
_YOU = "You are banned"
_ADDRESS = "Your address is banned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who is to be banned, why, and until when (None: without end). ``confirm``: what was typed."""

    users: Sequence[str]
    addresses: Sequence[str]
    reason: str
    seconds: int | None
    confirm: str = ""


class Bans:
    """See the module's text.

    Args:
        database: For who waits for an answer.
        reader: For reading the book anew, which nobody waits for; the same unless given.
    """

    def __init__(self, database: Database, clock: Clock, reader: Database | None = None) -> None:
        self._table = Table(database)
        self._reader = Table(reader or database)
        self._clock = clock
        self.book = BanBook()
        # Rises with every change that is heard; a reading that began before one is older than it.
        self._generation = 0
        self._read_at = clock.monotonic()
        self.refused = 0

    # ---- the doors

    def of_user(self, user_id: int) -> Ban | None:
        """Return the ban that keeps a user out."""
        return self.book.of_user(user_id, self._clock.time())

    def of_address(self, text: str) -> Ban | None:
        """Return the ban that keeps an address out."""
        return self.book.of_address(text, self._clock.time())

    def bars(self, user_id: int | None, address: str) -> Forbidden | None:
        """Return why somebody may not be here, as they are told it; None if they may."""
        refusal = self._refusal(user_id, address)
        self.refused += refusal is not None
        return refusal

    def check_user(self, user_id: int) -> None:
        """Raise Forbidden if the user is banned."""
        if ban := self.of_user(user_id):
            self.refused += 1
            raise banned(ban, _YOU)

    def check_address(self, text: str) -> None:
        """Raise Forbidden if the address is banned."""
        if error := self.bars(None, text):
            raise error

    def statistics(self) -> dict[str, int]:
        """Return how many are in force, how long ago they were read, and how often somebody was refused."""
        age = round(self._clock.monotonic() - self._read_at)
        return {"in_force": len(self.book), "age_seconds": age, "refused": self.refused}

    # ---- the book

    async def read(self) -> list[Ban]:
        """Read the book anew; return the bans that were not in it. Raises StoreError."""
        while True:
            generation = self._generation
            found = await self._reader.in_force(self._clock.time())
            if generation == self._generation:
                break
        self._read_at = self._clock.monotonic()
        return self.book.replace(found, self._clock.time())

    def take(self, bans: Sequence[Ban]) -> list[Ban]:
        """Note bans as they have become; return those that keep somebody out."""
        self._generation += 1
        return [ban for ban in bans if self.book.put(ban, self._clock.time())]

    async def purge(self) -> int:
        """Delete what has been over for long; return how many. Raises StoreError."""
        return await self._reader.purge(self._clock.time() - KEPT_S)

    # ---- operators

    async def impose(self, wish: Wish, by: Principal, ip: str) -> list[Ban]:
        """Store bans, all or none. Whoever calls makes every node ``take`` them, this one first.

        Args:
            by, ip: Who asks, and from which address.

        Raises:
            InvalidRequest: An address is none, or absurd.
            NotFound: A user does not exist.
            Forbidden: A user stands above whoever asks.
            Conflict: It would hit whoever asks, and that was not confirmed; or there are too many.
            StoreError: Nothing was stored, unless the code is ``outcome_unknown``.
        """
        networks = list(dict.fromkeys(map(read_network, wish.addresses)))
        users = await self._users(wish.users, by)
        self._check_room(len(networks) + len(users))
        _check_self(networks, users, by, ip, wish.confirm)
        new = [
            *(NewBan(user_id=user.id, username=user.username) for user in users),
            *(NewBan(network=str(network)) for network in networks),
        ]
        now = self._clock.time()
        expires_at = None if wish.seconds is None else now + wish.seconds
        details: dict[str, JsonValue] = {"reason": wish.reason, "expires_at": expires_at, "of": len(new)}
        audit = [self._entry("ban.add", by, ip, each.network or each.username, details) for each in new]
        return await self._table.add(new, audit, reason=wish.reason, by=by.username, now=now, expires_at=expires_at)

    async def lift(self, ban_id: int, by: Principal | None, ip: str) -> Ban:
        """End a ban; every node is to ``take`` it. ``by`` None: the command line.

        Raises:
            NotFound: There is no such ban.
            Conflict: It is over already.
            StoreError: Nothing was changed, unless the code is ``outcome_unknown``.
        """
        before = await self.get(ban_id)
        entry = self._entry("ban.lift", by, ip, before.target, {"ban_id": ban_id, "reason": before.reason})
        lifted = await self._table.lift(ban_id, now=self._clock.time(), by=entry.actor, audit=entry)
        if lifted is None:
            raise Conflict(
                f"The ban of {before.target} is over already.",
                required_action="Look at the list of bans as it is now.",
                will_not="Nothing was changed.",
                code="ban_over",
                details={"ban": before.target},
            )
        return lifted

    async def get(self, ban_id: int) -> Ban:
        """Return one ban. Raises NotFound, StoreError."""
        found = await self._table.get(ban_id)
        if found is None:
            raise NotFound(
                f"There is no ban number {ban_id}.",
                required_action="Take a number from the list of bans.",
                will_not="Tidewire will not guess which ban was meant.",
                details={"ban": ban_id},
            )
        return found

    async def page(
        self,
        state: BanState,
        text: str,
        *,
        limit: int,
        before: int | None,
        keep: Collection[int] = (),
        oldest_first: bool = False,
    ) -> BanPage:
        """Return a part of the list, newest first unless told otherwise, and those of ``keep``. Raises StoreError."""
        return await self._table.page(
            state, text, now=self._clock.time(), limit=limit, before=before, keep=keep, oldest_first=oldest_first
        )

    # ---- inside

    def _refusal(self, user_id: int | None, address: str) -> Forbidden | None:
        if ban := self.of_address(address):
            return banned(ban, _ADDRESS)
        if user_id is not None and (ban := self.of_user(user_id)):
            return banned(ban, _YOU)
        return None

    async def _users(self, names: Sequence[str], by: Principal) -> list[UserRecord]:
        found = await self._table.users_named(names) if names else {}
        for name in names:
            if name not in found:
                raise NotFound(
                    f"There is no user {name[:64]}.",
                    required_action="Check the name; a visitor without a name can be banned by address.",
                    will_not=_NOBODY,
                    code="unknown_user",
                    details={"user": name[:64]},
                )
        users = list({user.id: user for user in found.values()}.values())
        for user in users:
            if _rank(user) > by.role:
                raise Forbidden(
                    f"{user.username} is {user.role}; you are {by.role.label}.",
                    required_action="Ask somebody of that role.",
                    will_not=_NOBODY,
                    details={"their_role": user.role, "user": user.username, "own": by.role.label},
                )
        return users

    def _check_room(self, count: int) -> None:
        if len(self.book) + count > IN_FORCE_MAX:
            raise Conflict(
                f"{len(self.book)} bans are in force, and {IN_FORCE_MAX} are the most.",
                required_action="Lift bans, ban a network instead of its addresses, or use the firewall.",
                will_not=_NOBODY,
                code="too_many_bans",
                details={"count": len(self.book), "most": IN_FORCE_MAX},
            )

    def _entry(
        self, action: str, by: Principal | None, ip: str, target: str, details: dict[str, JsonValue]
    ) -> ActivityEntry:
        return ActivityEntry(
            at=self._clock.time(),
            actor="cli" if by is None else by.username,
            actor_id=None if by is None else by.user_id,
            action=action,
            target=target,
            details=details,
            ip=ip,
        )


def banned(ban: Ban, whom: str) -> Forbidden:
    """Return what somebody is told who is kept out: why (it was written for them) and until when, never by whom."""
    return Forbidden(
        f"{whom}{until(ban)}: {ban.reason.rstrip('.')}.",
        required_action="Ask an administrator to lift the ban"
        + ("." if ban.expires_at is None else ", or wait until it ends."),
        will_not="Tidewire will not let you in before.",
        code="banned",
        details={
            "reason": ban.reason,
            "expires_at": ban.expires_at,
            **({} if ban.expires_at is None else {"until": until(ban).removeprefix(" until ")}),
        },
    )


def until(ban: Ban) -> str:
    """Return " until ..." in plain ASCII, or nothing if the ban has no end."""
    if ban.expires_at is None:
        return ""
    return f" until {datetime.fromtimestamp(ban.expires_at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _rank(user: UserRecord) -> Role:
    try:
        return Role.parse(user.role)
    except KeyError:
        # Nobody knows what such a user may do, so nobody stands above.
        return Role.SUPER


def _check_self(networks: Sequence[Network], users: Sequence[UserRecord], by: Principal, ip: str, confirm: str) -> None:
    address = read_address(ip)
    hits = [f"you are {user.username}" for user in users if user.id == by.user_id]
    hits += [
        f"your address {address} is in {network}"
        for network in networks
        if address is not None and address.version == network.version and address in network
    ]
    if hits and confirm != CONFIRMATION:
        raise Conflict(
            f"This ban hits you: {'; '.join(hits)}.",
            required_action=f"Take yourself out, or type {CONFIRMATION!r} if you mean it.",
            will_not=f"{_NOBODY} Tidewire will not lock you out unasked.",
            code="ban_hits_you",
            details={"confirm": CONFIRMATION, "hits": list(hits)},
        )


def check_reason(reason: str) -> str:
    """Return a reason that can be stored and shown. Raises InvalidRequest."""
    clean = reason.strip()
    if not clean or not clean.isprintable():
        raise InvalidRequest(
            "A ban needs a reason in printable characters; whoever is banned reads it.",
            required_action="Say in a sentence why.",
            will_not=_NOBODY,
            code="reason_missing",
        )
    return clean
