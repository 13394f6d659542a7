"""Rounds at an interval together with what is heard between them. It must not know what is done or said.

Both are there for tests and for whoever shows status: ``loop`` says how the rounds go and can be stopped by itself.
"""

from __future__ import annotations

from tidewire.bus.listening import Listening
from tidewire.core.watched_loop import WatchedLoop


class Rounds:
    """See the module's text."""

    def __init__(self, loop: WatchedLoop, listening: Listening) -> None:
        self.loop = loop
        self.listening = listening

    def start(self) -> None:
        """Listen, and go the rounds. Raises RuntimeError if it does already."""
        self.listening.start()
        self.loop.start()

    async def stop(self) -> None:
        """Hear nothing more, end the round under way and wait for its end. Idempotent."""
        self.listening.stop()
        await self.loop.stop()
