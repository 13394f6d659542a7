"""Tells the other nodes which connection tokens have been used, and hears it from them. It must not know what they are.

At most once, like everything on the bus: if the broker is away, a token that was used here could be used once more on
another node within its minute; that is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidewire.accounts.tokens import ConnectionTokens
from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.core.errors import BusError

CHANNEL = "tidewire:tokens:used"
# A serial has 24 characters; anything longer is not one.
SERIAL_MAX_BYTES = 24


class UsedTokens:
    """See the module's text."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._listening = Listening(bus, {CHANNEL: self._receive})
        self._tokens: ConnectionTokens | None = None
        self.unannounced = 0

    def start(self, tokens: ConnectionTokens) -> None:
        """Pass on what other nodes say."""
        self._tokens = tokens
        self._listening.start()

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        self._listening.stop()

    def announce(self, serial: str) -> None:
        """Tell the other nodes; never raises."""
        try:
            self._bus.publish(CHANNEL, [serial.encode()])
        except BusError:
            self.unannounced += 1

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            if len(payload) == SERIAL_MAX_BYTES and payload.isalnum() and self._tokens is not None:
                self._tokens.note_used(payload.decode("ascii"))
