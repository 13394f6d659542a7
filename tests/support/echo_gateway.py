"""A gateway whose sockets send back what they get: RFC 6455 conduct without the hub behind it. For tests only."""

from __future__ import annotations

import asyncio

from picows import WSMsgType
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tests.support.hub_server import make_hub
from tidewire.web.conduct import Conduct
from tidewire.web.gateway import Gateway
from tidewire.web.handover import hand_over
from tidewire.web.handshake import Acceptance, Policy


class Echo(Conduct):
    """Sends every message back, binary ones too."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.accept_binary = True

    def on_message(self, payload: bytes, text: bool) -> None:
        """Send it back."""
        self._transport.send_reuse_external_bytearray(
            WSMsgType.TEXT if text else WSMsgType.BINARY, bytearray(16) + payload, 16
        )


class EchoGateway(Gateway):
    """Every path is an echo."""

    def __init__(self) -> None:
        policy = Policy(origin_allowed=lambda _: True, cookie_name="none", paths={"/": False})
        super().__init__(make_hub(), policy, WebSocketsSansIOProtocol)

    def take(self, transport: asyncio.Transport, accepted: Acceptance, loop: asyncio.AbstractEventLoop) -> None:
        """Put an echo behind the handshake."""
        hand_over(transport, accepted.key, accepted.subprotocol, Echo(loop))
