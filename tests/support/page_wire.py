"""What goes over a page's Socket.IO connection, as Chromium saw it; set up before the page is opened."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Page, WebSocket

# Socket.IO 5: "42/admin-ws,7[...]" is an event with acknowledgement 7, "43/admin-ws,7[...]" the answer.
_PACKET = re.compile(r"4(?P<kind>[23])/admin-ws,(?P<number>\d*)(?P<data>\[.*)", re.DOTALL)


class PageWire:
    """Records every event and acknowledgement of a page.

    Attributes:
        sockets: Every WebSocket that the page opened, oldest first.
        received: (event, data) from the server, oldest first.
        asked: (event, data, answer or None) from the page, oldest first.
    """

    def __init__(self, page: Page) -> None:
        self.sockets: list[WebSocket] = []
        self.received: list[tuple[str, Any]] = []
        self._sent: list[tuple[int, str, Any]] = []
        self._answers: dict[tuple[int, str], Any] = {}
        page.on("websocket", self._opened)

    @property
    def asked(self) -> list[tuple[str, Any, Any]]:
        """What the page asked, each with the answer so far."""
        return [(data[0], data[1], self._answers.get((place, number))) for place, number, data in self._sent]

    def ticks(self, since: int = 0) -> list[dict[str, Any]]:
        """Return every tick in ``received[since:]``, oldest first."""
        return [
            tick
            for event, data in self.received[since:]
            for tick in (data["ticks"] if event == "tick_batch" else [data] if event == "tick_update" else [])
        ]

    def answers(self, event: str) -> list[Any]:
        """Return the answers to ``event``, oldest first."""
        return [answer for name, _, answer in self.asked if name == event and answer is not None]

    def _opened(self, socket: WebSocket) -> None:
        place = len(self.sockets)
        self.sockets.append(socket)
        socket.on("framereceived", lambda payload: self._receive(place, payload))
        socket.on("framesent", lambda payload: self._send(place, payload))

    def _receive(self, place: int, payload: str | bytes) -> None:
        packet = _PACKET.fullmatch(payload) if isinstance(payload, str) else None
        if packet is None:
            return
        data = json.loads(packet["data"])
        if packet["kind"] == "3":
            self._answers[place, packet["number"]] = data[0]
        else:
            self.received.append((data[0], data[1]))

    def _send(self, place: int, payload: str | bytes) -> None:
        packet = _PACKET.fullmatch(payload) if isinstance(payload, str) else None
        if packet is not None and packet["kind"] == "2":
            self._sent.append((place, packet["number"], json.loads(packet["data"])))
