"""Who is behind a connection: credentials are checked, principals set, extended and changed.

It must not know how a credential is checked (a callable is passed in), or client messages other than its own.
Source: contract.md section 5, "Authentication" and revocation; reliability.md 3.1 items 3-6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache

import structlog

from tidewire.accounts.credential import Credential
from tidewire.accounts.grants import Address, grant_for, own_room, require_enter, resolve
from tidewire.accounts.model import Principal
from tidewire.accounts.own_password import change_required
from tidewire.core import protocol
from tidewire.core.errors import BusError, Conflict, Forbidden, StoreError, TidewireError, Unauthenticated
from tidewire.core.protocol import HeartbeatTerms, Identity, Limits, MessageId, ReconnectTerms
from tidewire.hub.command import answer
from tidewire.hub.lifecycle import State
from tidewire.hub.session import Peer, Session, Socket
from tidewire.hub.switchboard import HubOptions, Switchboard
from tidewire.hub.user_limit import Seat

_log = structlog.get_logger(__name__)

# 500 clients for each second of the longest wait: when all of a process's clients have nowhere to go, they try a
# thousand times a second at most, a third of a core (docs/performance.md), however many there are up to 10,000.
_CLIENTS_PER_SECOND = 500
_LONGEST_WAIT_S = (4, 20)
# Who comes while so many are being looked up waits: of ten thousand at once each would otherwise overrun its deadline
# at the broker. Enough to keep the database and the broker busy.
ADMITTED_AT_ONCE = 40
# A client may send its first requests together with ``authenticate``; more than this is a flood.
MAX_EARLY_MESSAGES = 64


# Returns the principal as it is now, None if the login has ended. Raises StoreError or BusError if that is unknown.
Recheck = Callable[[Principal], Awaitable[Principal | None]]

# Why a user (None: nobody known) or an address may not be here; None if they may.
Bars = Callable[[int | None, str], TidewireError | None]

# Returns who it is, None if nobody. Raises StoreError or BusError if that cannot be found out now.
Authenticate = Callable[[Credential], Awaitable[Principal | None]]

# A bad token can be replaced by a fresh one; a cookie or key that nobody is logged in with cannot.
_REFUSAL = {"cookie": 4500, "bearer": 4500, "query": 4200, "message": 4200}


class Door:
    """See the module's text.

    Attributes:
        resume: Called when a session is open, to handle each message that came early; the reception sets it.
        bars: Whether somebody is banned, and what they are told; in memory, asked of everybody who comes in.
        moved: Called for each room in which a session stays with other permissions, and who it was; the hub sets it.
    """

    def __init__(self, board: Switchboard, authenticate: Authenticate, recheck: Recheck | None = None) -> None:
        self._board = board
        self._recheck = recheck
        if recheck is not None:
            board.on_heartbeat = self.look_again
        self._authenticate = authenticate
        self._turn = asyncio.Semaphore(ADMITTED_AT_ONCE)
        self._heartbeat, self._limits = _terms(board.options)
        # Each question under way -> users and logins that were changed since it was asked.
        self._asked: dict[object, set[int | str]] = {}
        self.resume: Callable[[Session, bytes], None] | None = None
        self.moved: Callable[[Session, Address, Principal | None], None] | None = None
        self.bars: Bars = lambda user_id, address: None

    def open(self, socket: Socket, peer: Peer, credential: Credential | None) -> Session:
        """Admit a connection and begin to find out who it is."""
        session = self._board.admit(socket, peer)
        if credential is not None:
            self.check(session, credential)
        elif self._board.options.allow_anonymous and not peer.admin_only:
            self._begin(session, None, None)
        else:
            session.lifecycle.move(State.WAITING, self._board.clock.monotonic())
            self._board.registry.wait(session)
        return session

    def check(self, session: Session, credential: Credential, request_id: MessageId | None = None) -> None:
        """Find out who is behind the credential, in the background; nothing more is read meanwhile.

        Args:
            request_id: Of the ``authenticate`` message that is to be answered, if it had one.
        """
        session.checking = True
        session.socket.hold_reading(True)
        self._board.spawn(self._check(session, credential, request_id), "hub-authenticate")

    def keep_early(self, session: Session, payload: bytes) -> None:
        """Keep a message that came before the answer to the credentials."""
        if session.early is None:
            session.early = []
        if len(session.early) >= MAX_EARLY_MESSAGES:
            self._board.close(session, 4103)
            return
        session.early.append(payload)

    async def refresh(self, session: Session, token: str) -> None:
        """Extend the session with a new token of the same user. Raises RequestError."""
        principal = await self._ask(session, token)
        if session.principal is None or principal.user_id != session.principal.user_id:
            raise Forbidden(
                "The token belongs to somebody else.",
                required_action="Open a new connection for the other user.",
                will_not="Tidewire will not change the user of a connection.",
            )
        if session.lifecycle.open:
            self.change(session, principal)
            message = protocol.Connection(
                status="refreshed", timestamp=self._board.clock.time(), token_expires_at=principal.expires_at
            )
            self._board.push(session, [protocol.encode(message)])

    async def promote(self, session: Session, token: str) -> None:
        """Let an anonymous connection say who it is. Raises RequestError."""
        principal = await self._ask(session, token)
        if not await self._certain(principal, await self._prepare(principal)):
            self._board.close(session, 4504)
            return
        try:
            if session.lifecycle.open and session.principal is None:
                self._begin(session, principal, None)
        finally:
            self._board.limit.arrived(principal.user_id)

    def changed(self, who: int | str) -> None:
        """Note that a user (id) or a login (session id) has been changed: answers on their way may be older."""
        for changes in self._asked.values():
            changes.add(who)

    def look_again(self, session: Session) -> None:
        """Ask whether the login still stands, in the background; changes are pushed too, this catches a lost push."""
        if self._recheck is not None and session.principal is not None and not session.checking:
            session.checking = True
            self._board.spawn(self._look_again(session, session.principal, self._recheck), "hub-recheck")

    def change(self, session: Session, principal: Principal) -> None:
        """Set what the session's user may do now, and act on it at once: out of rooms, or another audience."""
        before, session.principal = session.principal, principal
        other = before is None or before.permissions != principal.permissions
        session.lifecycle.extend(principal.expires_at)
        self._board.remind(session)
        if session.peer.admin_only and not principal.is_admin:
            self._board.close(session, 4507)
            return
        for room_id, subscription in list(session.subscriptions.items()):
            if grant_for(principal, subscription.address).enter:
                self._board.rooms.move(session, subscription)
                if other and self.moved is not None:
                    self.moved(session, subscription.address, before)
                continue
            self._board.rooms.leave(session, room_id)
            message = protocol.Unsubscribed(
                room_id=room_id, reason="permission_revoked", message="You may no longer enter this room."
            )
            self._board.push(session, [protocol.encode(message)])

    def close_barred(self, bars: Bars) -> int:
        """Tell each of whom ``bars`` why, and close the connection (4503); return how many were closed."""
        closed = 0
        for session in list(self._board.registry):
            because = bars(session.principal.user_id if session.principal else None, session.peer.ip)
            if because is not None:
                closed += self._board.close(session, 4503, because=because)
        return closed

    async def _look_again(self, session: Session, known: Principal, recheck: Recheck) -> None:
        board = self._board
        try:
            principal = await recheck(known)
        except (StoreError, BusError):
            # Not knowing is no reason to cut live data; the push and the next question remain.
            board.failures["recheck"] += 1
            return
        except Exception:  # noqa: BLE001 - a task's root
            board.failures["recheck"] += 1
            _log.exception("recheck_failed", will_not="Tidewire will not end the connection because of this.")
            return
        finally:
            session.checking = False
        if principal is None:
            board.close(session, 4512)
        elif session.lifecycle.open and session.principal is known and principal != known:
            self.change(session, principal)

    async def _who(self, credential: Credential) -> Principal | None:
        """Return whom the credential stands for, as of now; a token that works once is refused if that takes twice."""
        while True:
            question = object()
            changes: set[int | str] = set()
            self._asked[question] = changes
            try:
                principal = await self._authenticate(credential)
            finally:
                del self._asked[question]
            if principal is None or changes.isdisjoint((principal.user_id, principal.session_id)):
                return principal

    async def _ask(self, session: Session, token: str) -> Principal:
        """Return who an open session's token stands for. One at a time. Raises RequestError."""
        if session.checking:
            raise Conflict(
                "A token is being checked already.",
                required_action="Wait for the answer to the one before.",
                will_not="Tidewire will not check two tokens at once.",
            )
        session.checking = True
        try:
            principal = await self._who(Credential("message", token))
        finally:
            session.checking = False
        if principal is None:
            raise _bad_token()
        return principal

    async def _check(self, session: Session, credential: Credential, request_id: MessageId | None) -> None:
        board, admitted = self._board, False
        principal: Principal | None = None
        seat: Seat = "refused"
        try:
            async with self._turn:
                # Who has gone while waiting for a turn is not looked up.
                if not session.lifecycle.ended:
                    principal = await self._who(credential)
                if principal is not None:
                    seat = await self._prepare(principal)
            # Without the turn: this may take seconds, and those behind need not wait for it.
            if principal is not None:
                admitted = await self._certain(principal, seat)
        except StoreError:
            board.close(session, 4101)
            return
        except BusError:
            board.close(session, 4100)
            return
        except Exception:  # noqa: BLE001 - a task's root: the client is told, the log has the rest
            board.failures["authenticate"] += 1
            _log.exception("authenticate_failed", will_not="Tidewire will not let the client in.")
            board.close(session, 4104)
            return
        finally:
            session.checking = False
        try:
            if not session.lifecycle.ended:
                self._answer(session, credential, principal, request_id, admitted)
        finally:
            if principal is not None and admitted:
                board.limit.arrived(principal.user_id)

    def _answer(
        self,
        session: Session,
        credential: Credential,
        principal: Principal | None,
        request_id: MessageId | None,
        admitted: bool,
    ) -> None:
        """Let somebody in, or say why not."""
        board = self._board
        if principal is None:
            refusal = answer(request_id, None, _bad_token(), b"") if request_id is not None else None
            if refusal is not None:
                board.push(session, [refusal])
            board.close(session, _REFUSAL[credential.kind])
        elif not admitted:
            board.close(session, 4504)
        else:
            self._begin(session, principal, request_id)

    async def _prepare(self, principal: Principal) -> Seat:
        """Make the user's own room ready, which is entered with the welcome; say whether there is room for one more.

        ``_certain`` must follow. Raises BusError.
        """
        shared = self._board.shared
        if shared is not None and self._board.rooms.has_family("user"):
            await shared.ready(own_room(principal.user_id))
        return await self._board.limit.admit(principal.user_id)

    async def _certain(self, principal: Principal, seat: Seat) -> bool:
        """Return whether there is room for one more; if so, ``limit.arrived`` must follow. Raises BusError."""
        if seat == "disputed":
            return await self._board.limit.settle(principal.user_id)
        return seat == "taken"

    def _begin(self, session: Session, principal: Principal | None, request_id: MessageId | None) -> None:
        board = self._board
        if session.peer.admin_only and (principal is None or not principal.is_admin):
            if principal is not None:
                board.on_refused(principal, session.peer.path, session.peer.ip)
            board.close(session, 4507)
            return
        barred = self.bars(None if principal is None else principal.user_id, session.peer.ip)
        if barred is not None:
            board.close(session, 4503, because=barred)
            return
        if principal is not None and principal.must_change_password:
            board.close(session, 4507, because=change_required())
            return
        session.principal = principal
        board.registry.know(session)
        if not session.lifecycle.open:
            session.begin(board.clock.monotonic())
        if principal is not None:
            session.lifecycle.extend(principal.expires_at)
        board.remind(session)
        sent = [self._welcome(session)]
        if principal is not None and board.rooms.has_family("user"):
            address = own_room(principal.user_id)
            sent += board.rooms.enter(session, address, since=None, presence=False)
        reply = answer(request_id, None, None, b"")
        if reply is not None:
            sent.append(reply)
        board.push(session, sent)
        board.record_open(session)
        session.socket.hold_reading(False)
        early, session.early = session.early, None
        for payload in early or ():
            if self.resume is not None:
                self.resume(session, payload)

    def _welcome(self, session: Session) -> bytes:
        principal = session.principal
        identity = None
        if principal is not None:
            identity = Identity(
                user_id=principal.user_id,
                username=principal.username,
                role=principal.role.label,
                permissions=sorted(principal.permissions),
            )
        return protocol.encode(
            protocol.Connection(
                status="connected",
                timestamp=self._board.clock.time(),
                connection_id=session.connection_id,
                session_id=principal.session_id if principal is not None else None,
                protocol=protocol.BATCH if session.batch else protocol.PLAIN,
                user=identity,
                heartbeat=self._heartbeat,
                limits=self._limits,
                reconnect_terms=reconnect_terms(len(self._board.registry)),
                token_expires_at=principal.expires_at if principal is not None else None,
            )
        )


def reconnect_terms(clients: int) -> ReconnectTerms:
    """Return how those whom this process serves come back together; few need not wait as long as many.

    Source: contract.md section 5, "full jitter 0.5-20 s, counter reset only after a stable minute".
    """
    low, high = _LONGEST_WAIT_S
    return _reconnect_terms(min(high, max(low, -(-clients // _CLIENTS_PER_SECOND))))


@cache
def _reconnect_terms(longest_wait_s: int) -> ReconnectTerms:
    return ReconnectTerms(min_delay_ms=500, max_delay_ms=longest_wait_s * 1000, stable_after_ms=60_000)


def _terms(options: HubOptions) -> tuple[HeartbeatTerms, Limits]:
    """Return what every client is told at the door."""
    timing = options.timing
    heartbeat = HeartbeatTerms(interval_ms=round(timing.heartbeat_s * 1000), timeout_ms=round(timing.pong_s * 1000))
    limits = Limits(
        message_bytes=options.message_bytes,
        rooms=options.rooms_per_connection,
        messages_per_second=round(options.messages_per_second),
        burst=round(options.burst),
        connections_per_user=options.connections_per_user,
    )
    return heartbeat, limits


def _bad_token() -> Unauthenticated:
    return Unauthenticated(
        "The token is expired, used up or unknown.",
        required_action="Fetch a new token and send it.",
        will_not="Tidewire will not take you for anybody.",
    )


def permitted(session: Session, room_id: str) -> Address:
    """Return the room's address. Raises InvalidRequest or Forbidden."""
    address = resolve(room_id)
    require_enter(session.principal, address)
    return address
