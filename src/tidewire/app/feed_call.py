"""Calls the feed that leads, over the bus, and waits for its reply. It must not know who calls, or why."""

from __future__ import annotations

import secrets

import msgspec

from tidewire.bus.base import Bus
from tidewire.bus.request import Requester
from tidewire.core.errors import BusError, Unavailable
from tidewire.core.feed_status import (
    FEED_COMMAND_CHANNEL,
    FEED_REPLY_PREFIX,
    FeedCommand,
    FeedOperation,
    FeedReply,
)
from tidewire.core.unreadable import UNREADABLE
from tidewire.monitoring.feed_monitor import FeedMonitor

# The feed answers from memory; past this it is not there, and the page says so.
ASK_TIMEOUT_S = 5.0


class FeedCall:
    """Implements monitoring.feed_control.AskFeed.

    Args:
        monitor: Knows whether there is a feed, and which one leads.
        node: Where we call from.
    """

    def __init__(self, bus: Bus, monitor: FeedMonitor, node: str) -> None:
        self._monitor = monitor
        self._requester = Requester(bus, f"{FEED_REPLY_PREFIX}{node}:{secrets.token_hex(4)}")

    def start(self) -> None:
        """Listen for replies. Raises RuntimeError if it does already."""
        self._requester.start()

    def stop(self) -> None:
        """Stop listening; whoever waits gets BusError. Idempotent."""
        self._requester.stop()

    async def __call__(
        self,
        op: FeedOperation,
        *,
        by: str,
        reason: str = "",
        connection_id: str = "",
        frame: int = 0,
        symbol: str = "",
    ) -> FeedReply:
        """Send a command to the feed that leads; return its reply.

        Raises:
            Unavailable: There is no feed; nothing was sent.
            BusError: No reply came in time, or none that can be read: it is unknown what the feed has done.
        """
        report = self._monitor.report()
        if report.feed is None or report.silent_since is not None:
            raise Unavailable(
                "No feed is running: none has reported, or it has fallen silent.",
                required_action="Start `tidewire feed`, or look at its log and at the bus; then try again.",
                will_not="Nothing was sent; Tidewire will not do it later.",
                code="feed_absent",
            )
        command = FeedCommand(
            id=secrets.token_hex(8),
            reply_to=self._requester.reply_channel,
            op=op,
            by=by,
            reason=reason,
            connection_id=connection_id,
            frame=frame,
            symbol=symbol,
            fence=report.feed.fence,
        )
        answer = await self._requester.ask(
            FEED_COMMAND_CHANNEL, command.id, msgspec.json.encode(command), timeout_s=ASK_TIMEOUT_S
        )
        try:
            return msgspec.json.decode(answer, type=FeedReply)
        except UNREADABLE as exc:
            raise BusError(
                f"The feed's reply cannot be read: {str(exc)[:200]}",
                required_action="Look whether the feed and this node are of one version, and at the feed's state.",
                will_not="Tidewire will not say whether the feed has done it.",
                code="outcome_unknown",
            ) from exc
