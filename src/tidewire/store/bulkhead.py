"""What one use of the database may hold and how long it may take, so that no use starves another. Pure.

A bulkhead is a pool of its own: a slow flush of the connection log holds its own two connections, never a login's.
It must not know engines or tables. Source: reliability.md section 4, "Postgres" (deadlines, bulkheads per use).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """Limits of one use.

    Attributes:
        name: For metrics and errors.
        connections: Most connections at a time; the next caller waits.
        deadline_s: A whole transaction, waiting for a connection and opening one included. Past it the connection is
            terminated and not used again (Postgres; SQLite's own work cannot be cut off).
    """

    name: str
    connections: int
    deadline_s: float

    @property
    def wait_s(self) -> float:
        """How long to wait for a connection: less than the whole, so that a full pool is told from a mute server."""
        return self.deadline_s * 2 / 3

    @property
    def connect_s(self) -> float:
        """How long opening a connection may take."""
        return min(5.0, self.deadline_s * 2 / 3)

    @property
    def statement_ms(self) -> int:
        """The server's own deadline for a statement: earlier than ours, so that a living server gives up first."""
        return int(self.deadline_s * 800)

    @property
    def lock_ms(self) -> int:
        """How long the server may wait for a lock."""
        return int(self.deadline_s * 500)

    @property
    def idle_ms(self) -> int:
        """When the server ends a transaction in which nothing happens: this process is frozen and may hold locks."""
        return int(self.deadline_s * 2000)


# Logins, sessions, API keys. An answer within 2 s is promised, success or not; the rest of a request needs some of it.
REQUESTS = Bulkhead("requests", connections=8, deadline_s=1.5)
# The connection log, the review of logins, deletion of old rows: nobody waits for them.
BACKGROUND = Bulkhead("background", connections=2, deadline_s=5.0)
# Whether the database answers at all. Orchestrators give up after a second.
PROBE = Bulkhead("probe", connections=1, deadline_s=0.75)
# The command line: a person waits, and an import may be long.
TOOL = Bulkhead("tool", connections=2, deadline_s=60.0)
