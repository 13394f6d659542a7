"""What a stranger's bytes reach first, each as a function that must return: for the suite and for ``bench.fuzz``.

A target lets out nothing but what the contract names; anything else it raises is a finding.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

from tests.support.ws_client import upgrade_request
from tidewire.accounts.grants import FAMILIES, grant_for, resolve
from tidewire.client.frame import FrameFault, read_frame
from tidewire.core.errors import InvalidRequest
from tidewire.core.protocol import CLIENT_TYPES, MAX_ROOM_CHARS
from tidewire.feed.massive import decode_frame
from tidewire.hub.command import Command, Commands, answer, normal_json
from tidewire.web.handshake import Acceptance, Policy, judge, path_of, response
from tidewire.web.socketio_packet import BadPacket, JsonPacket, check_frame

_TABLE = Commands(Command(kind, lambda session, message: b"") for kind in CLIENT_TYPES)
_POLICY = Policy(
    origin_allowed=lambda origin: origin == "https://desk.example", cookie_name="sid", trusted_proxies=("10.0.0.0/8",)
)
_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-")


def client_message(data: bytes) -> None:
    """A message of a client: understood, or one error with a code, and an answer that is JSON."""
    request = _TABLE.read(data)
    assert (request.error is None) == (request.message is not None)
    if request.error is not None:
        assert request.error.code in ("bad_request", "unknown_type")
        said = answer(request.id, request.kind, request.error, b"")
        assert said is not None
        json.loads(said)


def published_data(data: bytes) -> None:
    """What a client publishes: refused, or plain JSON without doubled keys and without NaN."""
    with contextlib.suppress(InvalidRequest):
        json.loads(normal_json(msgspec.Raw(data)), object_pairs_hook=_once, parse_constant=_never).__repr__().encode()


def handshake(data: bytes) -> None:
    """A request's head: let in with values that fit a header, or refused with an answer."""
    path_of(data)
    verdict = judge(data, _POLICY, "10.0.0.1")
    if isinstance(verdict, Acceptance):
        assert len(base64.b64decode(verdict.key, validate=True)) == 16
        assert verdict.subprotocol in (None, "tidewire.v1", "tidewire.v1.batch")
        assert len(verdict.user_agent) <= 256
    else:
        assert 400 <= verdict.status < 600
        json.loads(response(verdict).partition(b"\r\n\r\n")[2])


def room_name(data: bytes) -> None:
    """A room's name: of a known family, plain characters only, or no name at all."""
    name = data.decode("utf-8", "surrogatepass" if data.isascii() else "replace")
    try:
        address = resolve(name)
    except InvalidRequest:
        return
    assert address.family in FAMILIES
    assert f"{address.family}:{address.key}" == name
    assert set(name) <= _NAME_CHARS
    assert len(name) <= MAX_ROOM_CHARS
    assert grant_for(None, address).publish is False


def server_frame(data: bytes) -> None:
    """What our own client is sent by a server that may be anybody."""
    for batch in (False, True):
        with contextlib.suppress(FrameFault):
            list(read_frame(data, batch=batch))


def upstream_frame(data: bytes) -> None:
    """What the venue sends: ticks and rejects, never an error."""
    decode_frame(data)


def socketio_packet(data: bytes) -> None:
    """What comes through Socket.IO: a packet, or BadPacket."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(BadPacket):
        check_frame(text)
        JsonPacket(encoded_packet=text[1:])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key came twice"
    return dict(pairs)


def _never(word: str) -> object:
    raise AssertionError(f"{word} is not JSON")


TARGETS: dict[Callable[[bytes], None], list[bytes]] = {
    client_message: [
        b'{"type":"ping","id":1,"last_sequence":41}',
        b'{"type":"subscribe","id":"a","room_id":"app:lobby","since":{"epoch":"e-9c1f","offset":39},"presence":true}',
        b'{"type":"publish","id":5,"room_id":"app:lobby","data":{"text":"h\xc3\xa9","n":[1,2.5e3,null,true]}}',
        b'{"type":"auth_refresh","id":7,"token":"tok-77aa"}',
    ],
    published_data: [b'{"a":{"b":[1,-2,3.5e10,"\\u00e9\\ud83d\\ude00"]},"c":null}', b'[["x"],{"y":""}]', b'"text"'],
    handshake: [
        upgrade_request(Authorization="Bearer t", Sec_WebSocket_Protocol="tidewire.v1, tidewire.v1.batch"),
        upgrade_request("/ws?token=abc&x=%zz", Cookie="sid=s; a=b", Origin="https://desk.example",
                        X_Forwarded_For="1.1.1.1"),
    ],
    room_name: [b"app:lobby", b"market:BRK.B", b"quote:7f0c1de2-0000-4000-8000-0123456789ab",
                b"admin:performance:12", b"user:7"],
    server_frame: [b'{"sequence":7,"type":"heartbeat","timestamp":1.5}', b'7\n{"type":"pong"}\n{"type":"heartbeat"}'],
    upstream_frame: [
        b'[{"ev":"T","sym":"AAPL","p":178.23,"s":100,"t":1705853696000},{"ev":"status","status":"connected"}]',
        b'[{"ev":"Q","sym":"MSFT","bp":1.0,"ap":2.0,"t":1},'
        b'{"ev":"A","sym":"A","o":1,"h":2,"l":1,"c":2,"v":3,"s":1,"e":2}]',
    ],
    socketio_packet: [b'42/admin-ws,1["set_options",{"a":1}]', b"40/admin-ws,", b"43/admin-ws,5[1]", b"3"],
}  # fmt: skip

_TOKENS = [
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b"\\ud800",
    b":",
    b",",
    b"-",
    b"e999",
    b"NaN",
    b"\x00",
    b"\xff",
    b"\xc3",
]
_TOKENS += [
    b"\r\n",
    b"\n",
    b" ",
    b"9" * 400,
    b"1" * 5_000,
    b"[" * 64,
    b"null",
    b'{"a":',
    b"\xed\xa0\x80",
    b"/",
    b"*",
    b"%",
    b"\xef\xbb\xbf",
]


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """Return ``seed`` after a few changes: bytes flipped, cut, doubled, swapped, or something nasty put in."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        at, other = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        kind = chance.randrange(6)
        if kind == 0 and data:
            data[at - 1] = chance.randrange(256)
        elif kind == 1:
            del data[at:other]
        elif kind == 2:
            data[at:at] = data[at:other]
        elif kind == 3:
            data[at:other] = chance.choice(_TOKENS)
        else:
            data[at:at] = chance.choice(_TOKENS)
        del data[200_000:]
    return bytes(data)
