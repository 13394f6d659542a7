"""Publishing into a room that several nodes share: into its log, or past it. It must not know who listens, or how.

What has a place in the room is appended to the log, which tells every node; what has none goes over the room's channel.
Source: docs/decisions/0012.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from tidewire.accounts.grants import resolve
from tidewire.bus.base import Bus
from tidewire.bus.room_log import RoomLog, channel_of
from tidewire.core.clock import Clock
from tidewire.core.protocol import Delivery
from tidewire.hub.followed import Followed, bounds_of
from tidewire.hub.posted import VOLATILE, pack, posted
from tidewire.hub.room_counts import RoomCounts
from tidewire.hub.rooms import Published, Rooms


class Posting:
    """See the module's text.

    Args:
        followed: Returns a room that this node follows, None if it does not.

    Attributes:
        counts: How many connections other nodes have in a room; None: nobody counts them.
    """

    def __init__(
        self, rooms: Rooms, log: RoomLog, bus: Bus, clock: Clock, followed: Callable[[str], Followed | None]
    ) -> None:
        self._rooms = rooms
        self._log = log
        self._bus = bus
        self._clock = clock
        self._followed = followed
        self.counts: RoomCounts | None = None

    async def publish(
        self,
        room_id: str,
        body: bytes | Mapping[str, bytes],
        *,
        kind: str,
        delivery: Delivery | None,
        key: str | None,
        op_key: str | None = None,
    ) -> Published:
        """Append a message to the room's log, or send one without a place.

        Args:
            op_key: Names the publish; the same one again has the same outcome.

        Raises:
            BusError: It was not published, or it is unknown whether it was; the text says which.
        """
        address = resolve(room_id)
        rules = self._rooms.require_rules(address.family)
        timestamp, shared = self._clock.time(), self._followed(room_id)
        elsewhere, silent = self.counts.elsewhere(room_id) if self.counts is not None else (0, [])
        reached = elsewhere + (0 if shared is None else len(shared.room))
        not_counted = silent or msgspec.UNSET
        placed = delivery in (None, rules.delivery) and rules.delivery != "volatile"
        message = pack(posted(body, kind=kind, timestamp=timestamp, key=key, delivery=None if placed else delivery))
        if not placed:
            self._bus.publish(channel_of(room_id), [VOLATILE + message])
            return Published(room_id=room_id, reached=reached, not_counted=not_counted)
        known = None if shared is None else shared.replica.place
        bounds = bounds_of(rules)
        done = await self._log.append(room_id, message, bounds=bounds, key=op_key, known=known)
        place = done.place
        return Published(
            room_id=room_id, reached=reached, epoch=place.epoch, offset=place.offset, not_counted=not_counted
        )
