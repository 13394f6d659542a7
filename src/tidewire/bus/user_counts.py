"""How many connections a user has on each node, where all nodes can see it. Pure.

Each node writes its own number, never a difference, so that writing it again mends whatever was lost. It must not know
what a connection is. What a dead node wrote stays for a day: whoever is about to refuse somebody asks first.
"""

from __future__ import annotations

from typing import Protocol

# Longer than a user stays away and comes back as the same; every number is written anew well before (REWRITE_EVERY_S).
LIFE_S = 86_400.0
REWRITE_EVERY_S = 6 * 3_600.0


class UserCounts(Protocol):
    """Every call answers within its own deadline or raises BusError."""

    async def put(self, user_id: int, node: str, count: int, limit: int) -> bool:
        """Write ``node``'s number, in one step with the answer: whether all together are at most ``limit``."""
        ...

    async def write(self, user_id: int, node: str, count: int) -> None:
        """Write ``node``'s number whatever the others have."""
        ...
