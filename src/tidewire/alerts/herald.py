"""Says something of alerts to everybody who may see them, on every node, and hears what the judging node says.

One message on the bus; each node hands it to its own connections of those with the permission, asked at that moment.
With the bus away this node's own are told at least, and that the others were not is counted. It must not know rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidewire.alerts.wire import AdminAlert, Board
from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.core.errors import BusError
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.hub import Hub

# Who sees alerts; docs/decisions/0020.
SEE = "analytics:read"
SAY_CHANNEL = "tidewire:alerts:say"
BOARD_CHANNEL = "tidewire:alerts:board"
CHANGED_CHANNEL = "tidewire:alerts:changed"


class Herald:
    """See the module's text.

    Args:
        now: Tells the time, Unix seconds.

    Attributes:
        board: The last that was heard; None if nobody has said anything.
        heard_at: When, or when this node began to listen, Unix seconds.
    """

    def __init__(self, bus: Bus, hub: Hub, now: Callable[[], float]) -> None:
        self._bus = bus
        self._hub = hub
        self._now = now
        hear = {SAY_CHANNEL: self._hear, BOARD_CHANNEL: self._hear_board, CHANGED_CHANNEL: self._hear_changed}
        self._listening = Listening(bus, hear)
        self._changed: list[Callable[[], None]] = []
        self.board: Board | None = None
        self.heard_at = now()
        self.told = 0
        self.untold = 0
        self.malformed = 0

    def start(self) -> None:
        """Listen."""
        self.heard_at = self._now()
        self._listening.start()

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        self._listening.stop()

    def on_changed(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` when somebody, on any node, has changed an alert, a rule or a silence; must not block."""
        self._changed.append(changed)

    def say(self, message: AdminAlert) -> None:
        """Tell everybody who may see it."""
        encoded = msgspec.json.encode(message)
        if not self._publish(SAY_CHANNEL, encoded):
            self._hear(SAY_CHANNEL, [encoded])

    def say_here(self, message: AdminAlert) -> None:
        """Tell those who are connected to this node."""
        self._hear(SAY_CHANNEL, [msgspec.json.encode(message)])

    def show(self, board: Board) -> None:
        """Tell all nodes how the judging stands."""
        encoded = msgspec.json.encode(board)
        if not self._publish(BOARD_CHANNEL, encoded):
            self._hear_board(BOARD_CHANNEL, [encoded])

    def say_changed(self) -> None:
        """Somebody has changed an alert, a rule or a silence: whoever judges reads them anew."""
        if not self._publish(CHANGED_CHANNEL, b"{}"):
            self._hear_changed(CHANGED_CHANNEL, [b"{}"])

    def fresh_board(self, within_s: float) -> Board | None:
        """Return the last board unless it is too old to be believed."""
        return self.board if self._now() - self.heard_at <= within_s else None

    def statistics(self) -> dict[str, int]:
        """Return counters: connections told; messages that other nodes were not told; not understood."""
        return {"told": self.told, "untold": self.untold, "malformed": self.malformed}

    def _publish(self, channel: str, encoded: bytes) -> bool:
        try:
            self._bus.publish(channel, [encoded])
        except BusError:
            self.untold += 1
            return False
        return True

    def _hear(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self.told += self._hub.send_to_holders(SEE, payload)

    def _hear_board(self, _: str, payloads: Sequence[bytes]) -> None:
        try:
            self.board = msgspec.json.decode(payloads[-1], type=Board)
        except UNREADABLE:
            self.malformed += 1
            return
        self.heard_at = self._now()

    def _hear_changed(self, _: str, payloads: Sequence[bytes]) -> None:
        for changed in self._changed:
            changed()
