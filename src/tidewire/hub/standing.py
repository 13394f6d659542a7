"""Who the people are that are connected, what they may, and whether they may be here at all.

Whoever knows of a change tells it here: at once it holds for every connection that it concerns, and for those that are
just coming in. It must not know where changes come from, or how a connection is looked up or closed.
Source: contract.md section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from tidewire.accounts.model import Principal, Role
from tidewire.hub.door import Bars, Door
from tidewire.hub.session import Session
from tidewire.hub.switchboard import Switchboard


class Standing:
    """See the module's text."""

    def __init__(self, board: Switchboard, door: Door) -> None:
        self._board = board
        self._door = door

    def change_user(self, user_id: int, role: Role, permissions: frozenset[str]) -> int:
        """Apply a user's new role and permissions to all their connections at once; return how many."""
        return self.revise_user(user_id, lambda principal: replace(principal, role=role, permissions=permissions))

    def revise_user(self, user_id: int, revise: Callable[[Principal], Principal]) -> int:
        """Replace the principal of each of a user's connections, and act on it at once; return how many."""
        self._door.changed(user_id)
        return self._revise(self._board.registry.of_user(user_id), revise)

    def replace_login(self, principal: Principal) -> int:
        """Set the principal of the connections that stand on its login; return how many."""
        self._door.changed(principal.session_id)
        return self._revise(self._board.registry.of_login(principal.session_id), lambda _: principal)

    def principals(self) -> list[Principal]:
        """Return who is behind the living connections, one per login."""
        known = (session.principal for session in self._board.registry)
        return list({principal.session_id: principal for principal in known if principal is not None}.values())

    def end_user(self, user_id: int) -> int:
        """Close all connections of a user whose account has been disabled (4511)."""
        self._door.changed(user_id)
        return self._end(self._board.registry.of_user(user_id), 4511)

    def end_login(self, session_id: str) -> int:
        """Close all connections that stand on a login that has ended (4512)."""
        self._door.changed(session_id)
        return self._end(self._board.registry.of_login(session_id), 4512)

    def end_disabled(self, session_id: str) -> int:
        """Close all connections that stand on a login whose user has been disabled (4511)."""
        self._door.changed(session_id)
        return self._end(self._board.registry.of_login(session_id), 4511)

    def bar(self, bars: Bars) -> None:
        """Let nobody in for whose user (None: nobody known) or address ``bars`` has a reason (4503)."""
        self._door.bars = bars

    def close_barred(self, bars: Bars) -> int:
        """Close the connections of whoever ``bars``, whether they have said who they are or not (4503)."""
        return self._door.close_barred(bars)

    # ---- inside

    def _revise(self, sessions: Sequence[Session], revise: Callable[[Principal], Principal]) -> int:
        for session in sessions:
            if session.principal is not None and session.lifecycle.open:
                self._door.change(session, revise(session.principal))
        return len(sessions)

    def _end(self, sessions: Sequence[Session], code: int) -> int:
        return sum(self._board.close(session, code) for session in sessions)
