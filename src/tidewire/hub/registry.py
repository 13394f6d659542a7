"""Who is connected: by connection, by user, by login, and who was until a moment ago.

Pages read it; the hub asks it for counts. It must not know rooms' rules or sockets. Bounded: the living by the caps
that the gateway and the hub enforce, the dead by a ring.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

import msgspec

from tidewire.hub.session import Session

RECENT = 500


class ConnectionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One connection as pages show it. Times in Unix seconds, rates per second since the last mark (25-50 s).

    Attributes:
        delivered_share: Newest sequence that the client has confirmed by ``ping``, or 0.
        queued_bytes: Held back by the hub plus not yet taken by the kernel.
        replaced, dropped, given_up: Messages that a slow reader did not get, by overflow policy.
        closed_at, close_code: Only after the end; code None means that the connection was lost without a close frame.
    """

    connection_id: str
    user_id: int | None
    username: str | None
    role: str | None
    session_id: str | None
    ip: str
    user_agent: str
    path: str
    protocol: str
    state: str
    connected_at: float
    last_activity: float
    rooms: list[str]
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    messages_in_per_second: float
    messages_out_per_second: float
    confirmed_sequence: int
    queued_messages: int
    queued_bytes: int
    replaced: int
    dropped: int
    given_up: int
    round_trip_ms: float | None
    expires_at: float | None
    closed_at: float | None = None
    close_code: int | None = None


def describe(session: Session, *, now: float, wall: float, closed_at: float | None = None) -> ConnectionInfo:
    """Return what is known of a session. ``now``: monotonic seconds; ``wall``: Unix seconds."""
    principal = session.principal
    held = session.outbox.statistics()
    marked_at, marked_in, marked_out = session.marks
    # Below a second a rate is noise.
    span = max(1.0, now - marked_at)
    return ConnectionInfo(
        connection_id=session.connection_id,
        user_id=principal.user_id if principal is not None else None,
        username=principal.username if principal is not None else None,
        role=principal.role.label if principal is not None else None,
        session_id=principal.session_id if principal is not None else None,
        ip=session.peer.ip,
        user_agent=session.peer.user_agent,
        path=session.peer.path,
        protocol="tidewire.v1.batch" if session.batch else "tidewire.v1",
        state=session.lifecycle.state.value,
        connected_at=session.connected_at,
        last_activity=wall - (now - session.lifecycle.last_seen),
        rooms=list(session.subscriptions),
        messages_in=session.messages_in,
        messages_out=session.sequence,
        bytes_in=session.bytes_in,
        bytes_out=session.bytes_out,
        messages_in_per_second=(session.messages_in - marked_in) / span,
        messages_out_per_second=(session.sequence - marked_out) / span,
        confirmed_sequence=session.last_sequence,
        queued_messages=held.messages,
        queued_bytes=held.bytes + (0 if closed_at is not None else session.socket.unwritten_bytes()),
        replaced=held.replaced,
        dropped=held.dropped,
        given_up=held.given_up,
        round_trip_ms=session.round_trip_ms,
        expires_at=session.lifecycle.expires_at,
        closed_at=closed_at,
        close_code=session.close_code,
    )


class Registry:
    """See the module's text."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._by_user: dict[int, dict[Session, None]] = {}
        self._unknown_by_ip: dict[str, dict[Session, None]] = {}
        self.recent: deque[ConnectionInfo] = deque(maxlen=RECENT)
        self.opened = 0
        self.closed_by_code: Counter[int | None] = Counter()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_id.values()))

    def get(self, connection_id: str) -> Session | None:
        """Return the living connection with that id."""
        return self._by_id.get(connection_id)

    def of_user(self, user_id: int) -> list[Session]:
        """Return the user's living connections, oldest first."""
        return list(self._by_user.get(user_id, ()))

    def open_of_user(self, user_id: int) -> int:
        """Return how many connections a user has that are not being closed."""
        mine = self._by_user.get(user_id)
        return sum(not session.lifecycle.ended for session in mine) if mine else 0

    def user_ids(self) -> list[int]:
        """Return who has at least one connection."""
        return list(self._by_user)

    def of_login(self, session_id: str) -> list[Session]:
        """Return the living connections that stand on one login."""
        return [s for s in self._by_id.values() if s.principal is not None and s.principal.session_id == session_id]

    def unknown_from(self, ip: str) -> int:
        """Return how many connections from ``ip`` have shown no credentials yet."""
        return len(self._unknown_by_ip.get(ip, ()))

    def users(self) -> int:
        """Return how many users have at least one connection."""
        return len(self._by_user)

    def logins(self) -> int:
        """Return how many logins have at least one connection."""
        return len({s.principal.session_id for s in self._by_id.values() if s.principal is not None})

    def add(self, session: Session) -> None:
        """Note a new connection; nobody is known behind it yet."""
        self._by_id[session.connection_id] = session
        self.opened += 1

    def wait(self, session: Session) -> None:
        """Note that the connection came without credentials and must say who it is."""
        self._unknown_by_ip.setdefault(session.peer.ip, {})[session] = None

    def know(self, session: Session) -> None:
        """Note that the session's principal has been set, or that it is anonymous for good."""
        self._forget_unknown(session)
        if session.principal is not None:
            self._by_user.setdefault(session.principal.user_id, {})[session] = None

    def remove(self, session: Session, info: ConnectionInfo) -> None:
        """Forget a connection, and remember ``info`` of it for a while."""
        if self._by_id.pop(session.connection_id, None) is None:
            return
        if session.principal is not None:
            self._forget_user(session, session.principal.user_id)
        self._forget_unknown(session)
        self.recent.appendleft(info)
        self.closed_by_code[session.close_code] += 1

    def _forget_user(self, session: Session, user_id: int) -> None:
        mine = self._by_user.get(user_id)
        if mine is not None:
            mine.pop(session, None)
            if not mine:
                del self._by_user[user_id]

    def _forget_unknown(self, session: Session) -> None:
        waiting = self._unknown_by_ip.get(session.peer.ip)
        if waiting is not None:
            waiting.pop(session, None)
            if not waiting:
                del self._unknown_by_ip[session.peer.ip]
