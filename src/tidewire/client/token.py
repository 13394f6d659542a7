"""When a connection's token must be renewed. Pure; it must not know how tokens are made.

Times are the client's own: the server's ``token_expires_at`` counts only as a distance from the message's
``timestamp``, so that a wrong wall clock changes nothing.
Source: docs/protocol.md, ``token_expiring`` and ``auth_refresh``.
"""

from __future__ import annotations

# Earlier than the server's own warning (60 s), and twice as long as the timers of a hidden page may sleep.
LEAD_MS = 120_000
# After a fetch or a refresh that failed; the old token is good for a while yet.
RETRY_MS = 5_000


class TokenWatch:
    """See the module's text.

    Attributes:
        fetching: A new token is being fetched or has been sent and not yet been answered.
    """

    def __init__(self) -> None:
        self.fetching = False
        self._refresh_at_ms: int | None = None

    def reset(self) -> None:
        """The connection is gone."""
        self.fetching = False
        self._refresh_at_ms = None

    def learn(self, expires_at: float | None, timestamp: float, now_ms: int) -> None:
        """Note when the present token ends; both times in Unix seconds of the server."""
        self.fetching = False
        if expires_at is None:
            self._refresh_at_ms = None
            return
        left_ms = max(0, int((expires_at - timestamp) * 1000))
        # A short-lived token is renewed after three quarters of its life.
        self._refresh_at_ms = now_ms + max(RETRY_MS, left_ms - min(LEAD_MS, left_ms // 4))

    def hurry(self, now_ms: int) -> None:
        """The server warns that the token ends soon."""
        self._refresh_at_ms = now_ms

    def fail(self, now_ms: int) -> None:
        """Renewing did not work; try again soon."""
        self.fetching = False
        self._refresh_at_ms = now_ms + RETRY_MS

    def due_ms(self) -> int | None:
        """Return when a new token must be fetched; None if not, or if that is under way."""
        return None if self.fetching else self._refresh_at_ms
