"""What administrators do to the feed: stop it, start it, look into a frame. It must not know sockets.

Stopping and starting touch everybody: permission, exact confirmation, an audit line before and after. If the audit log
cannot be written, nothing is done.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import structlog

from tidewire.accounts.model import Principal
from tidewire.core.errors import Forbidden, InvalidRequest, RequestError, TidewireError, Unavailable
from tidewire.core.feed_status import FeedOperation, FeedReply
from tidewire.monitoring.admin_request import (
    PAUSE_FEED_CONFIRMATION,
    MoveTicker,
    Nothing,
    PauseFeed,
    ReconnectLine,
    parse_request,
)
from tidewire.monitoring.bus_tick import Seen

PERMISSION = "feed:control"


class AskFeed(Protocol):
    """Sends one command to the feed process. Raises Unavailable or BusError if no reply comes in time."""

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
        """Return the feed's reply."""
        ...


class Audit(Protocol):
    """Writes one line of the audit log. Raises a TidewireError if it cannot."""

    async def __call__(self, *, principal: Principal, action: str, details: dict[str, object], ip: str) -> None:
        """Write it; ``action`` is ``feed.pause`` or ``feed.resume``, ``details`` are JSON types."""
        ...


class FeedControl:
    """The operations.

    Args:
        ask_feed: Sends a command to the feed process.
        audit: Writes an audit line.
    """

    def __init__(self, ask_feed: AskFeed, audit: Audit) -> None:
        self._ask_feed = ask_feed
        self._audit = audit
        self._log = structlog.get_logger("tidewire.monitoring")

    async def pause(self, principal: Principal, arguments: tuple[object, ...], ip: str) -> None:
        """Stop the upstream lines for everybody. Raises InvalidRequest, Forbidden or what the feed says."""
        wanted = parse_request(arguments, PauseFeed)
        await self._require(principal, "feed.pause", ip)
        if wanted.confirm != PAUSE_FEED_CONFIRMATION:
            raise InvalidRequest(
                "Stopping the feed for everybody was not confirmed.",
                required_action=f'Send "confirm": "{PAUSE_FEED_CONFIRMATION}".',
                will_not="Tidewire will not stop the feed.",
                code="confirmation_required",
                details={"confirm": PAUSE_FEED_CONFIRMATION},
            )
        await self._act(principal, ip, "feed.pause", "pause", wanted.reason)

    async def resume(self, principal: Principal, arguments: tuple[object, ...], ip: str) -> None:
        """Start the upstream lines again. Raises as ``pause``."""
        parse_request(arguments, Nothing)
        await self._require(principal, "feed.resume", ip)
        await self._act(principal, ip, "feed.resume", "resume", "")

    async def reconnect(self, principal: Principal, arguments: tuple[object, ...], ip: str) -> None:
        """End one line's connection and begin anew. Raises as ``pause``."""
        wanted = parse_request(arguments, ReconnectLine)
        await self._require(principal, "feed.reconnect", ip)
        await self._act(principal, ip, "feed.reconnect", "reconnect", line=wanted.connection_id)

    async def move(self, principal: Principal, arguments: tuple[object, ...], ip: str) -> None:
        """Give a ticker to another line, until the feed is started anew. Raises as ``pause``."""
        wanted = parse_request(arguments, MoveTicker)
        await self._require(principal, "feed.move", ip)
        await self._act(principal, ip, "feed.move", "move", line=wanted.connection_id, symbol=wanted.symbol)

    async def inspect(self, seen: Seen, principal: Principal, ip: str) -> dict[str, Any]:
        """Return what is behind a tick: the upstream frame, or the bus message of another program.

        Raises what the feed says, or that who reads it could not be written down.
        """
        tick = seen.tick
        read: dict[str, object] = {"symbol": tick.symbol, "connection_id": seen.connection_id, "tick": seen.id}
        await self._audit(principal=principal, action="feed.inspect", details=read, ip=ip)
        timings = {
            "exchange": tick.timestamp,
            "received": tick.received or None,
            "published": tick.published or None,
            "seen": seen.seen,
        }
        if seen.raw is not None:
            return {
                "tick": seen.wire(),
                "raw": seen.raw.decode("utf-8", "backslashreplace"),
                "raw_bytes": len(seen.raw),
                "truncated": False,
                "event_raw": None,
                "decoded": msgspec.json.encode(tick).decode(),
                "verdict": "valid",
                "timings": timings,
                "origin": "bus",
            }
        reply = await self._ask_feed(
            "inspect",
            by=principal.username,
            connection_id=seen.connection_id or "",
            frame=tick.frame,
            symbol=tick.symbol,
        )
        found = _checked(reply).inspection
        if found is None:
            raise _unexplained("The feed answered without the frame.")
        return {
            "tick": seen.wire(),
            "raw": found.raw,
            "raw_bytes": found.raw_bytes,
            "truncated": found.truncated,
            "event_raw": found.event_raw,
            "decoded": found.decoded,
            "verdict": found.verdict,
            "timings": {**timings, "received": found.received},
            "origin": "upstream",
        }

    async def _require(self, principal: Principal, action: str, ip: str) -> None:
        if principal.can(PERMISSION):
            return
        refused: dict[str, object] = {"outcome": "refused", "needs": PERMISSION}
        await self._audit(principal=principal, action=action, details=refused, ip=ip)
        raise Forbidden(
            f"This needs the permission {PERMISSION}, which you do not have.",
            required_action="Ask an administrator to grant it.",
            will_not="Tidewire will not touch the feed for you.",
            details={"permission": PERMISSION},
        )

    async def _act(
        self,
        principal: Principal,
        ip: str,
        action: str,
        op: FeedOperation,
        reason: str = "",
        *,
        line: str = "",
        symbol: str = "",
    ) -> None:
        what: dict[str, object] = {"reason": reason}
        if line:
            what = {"connection_id": line, **({"symbol": symbol} if symbol else {})}
        await self._audit(principal=principal, action=action, details={"outcome": "requested", **what}, ip=ip)
        outcome: dict[str, object] = {"outcome": "done", **what}
        try:
            _checked(await self._ask_feed(op, by=principal.username, reason=reason, connection_id=line, symbol=symbol))
        except TidewireError as exc:
            outcome = {"outcome": "failed", **what, "error": exc.code}
            raise
        finally:
            await self._note(principal, ip, action, outcome)

    async def _note(self, principal: Principal, ip: str, action: str, details: dict[str, object]) -> None:
        """Write how it ended; the request itself is in the log already, so a failure here undoes nothing."""
        try:
            await self._audit(principal=principal, action=action, details=details, ip=ip)
        except TidewireError:
            self._log.exception("audit_outcome_unwritten", action=action, user=principal.username, **details)


def _checked(reply: FeedReply) -> FeedReply:
    """Return a good reply. Raises the feed's own error."""
    if reply.ok:
        return reply
    error = reply.error or {}
    raise RequestError(
        error.get("message") or "The feed refused without a reason.",
        required_action=error.get("required_action", ""),
        will_not=error.get("will_not", ""),
        code=error.get("code") or "feed_refused",
    )


def _unexplained(message: str) -> Unavailable:
    return Unavailable(
        message,
        required_action="Inspect another tick; if it happens again, look at the feed's log.",
        will_not="Tidewire will not invent a frame.",
        code="frame_unavailable",
    )
