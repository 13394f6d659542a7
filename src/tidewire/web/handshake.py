"""Judges a WebSocket handshake: who may come in, as what, and what is answered otherwise. Pure.

It must not know sockets or who a credential belongs to. It passes on checked values, never the client's own bytes.
Source: RFC 6455 sections 4.2, 10.2; contract.md section 5, "Authentication"; reliability.md 3.1 items 2, 3, 8.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl

import msgspec

from tidewire.accounts.credential import Credential
from tidewire.core.errors import RequestError
from tidewire.core.protocol import BATCH, SUBPROTOCOLS

# Cookies and proxies' additions fit well; everything that fits here is parsed in microseconds.
MAX_HEAD_BYTES = 65_536
MAX_USER_AGENT_CHARS = 256
MAX_SECRET_CHARS = 4_096
# A head that has one reading only: no folded lines, bare line feeds, unusual bytes or a second request behind it. What
# is not of this form is left to a whole HTTP parser. Quantifiers are possessive: no input costs more than its length.
_PLAIN_HEAD = re.compile(
    rb"GET (/[A-Za-z0-9/._-]*+)(?:\?[A-Za-z0-9/?:@!$&'()*+,;=._~%-]*+)? HTTP/1\.1\r\n"
    rb"(?:[A-Za-z0-9!#$%&'*+.^_`|~-]++:[\t -~]*+\r\n)++\r\n"
)
_UPGRADE = b"\nupgrade: websocket\r"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the handshake is judged by.

    Attributes:
        paths: Path -> whether it is for administrators only.
        origin_allowed: Whether pages of an origin may connect.
        cookie_name: The session cookie.
        trusted_proxies: Addresses or networks whose ``X-Forwarded-For`` is believed.
    """

    origin_allowed: Callable[[str], bool]
    cookie_name: str
    paths: Mapping[str, bool] = field(default_factory=lambda: {"/ws": False, "/ws/admin-dashboard": True})
    trusted_proxies: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of the upgrade.

    Attributes:
        error: What is to be said beside the message, if there is more; it has the message too.
    """

    status: HTTPStatus
    message: str
    headers: tuple[tuple[str, str], ...] = ()
    error: RequestError | None = None


class Acceptance(msgspec.Struct, frozen=True):
    """The upgrade may happen.

    Attributes:
        key: Sec-WebSocket-Key: 16 bytes in base64, all that the WebSocket library needs of the client.
        subprotocol: To be named in the answer; None if the client offered none.
        supported: False if it offered only unknown ones: upgrade, then close 4506.
    """

    key: str
    path: str
    admin_only: bool
    subprotocol: str | None
    supported: bool
    credential: Credential | None
    ip: str
    user_agent: str

    @property
    def batch(self) -> bool:
        """Whether frames carry several messages."""
        return self.subprotocol == BATCH


def path_of(head: bytes) -> str:
    """Return the path of a request, without the query; "" if there is none."""
    target = head.split(b" ", 2)[1:2]
    return target[0].partition(b"?")[0].decode("latin-1") if target else ""


def is_plain(data: bytes, policy: Policy) -> bool:
    """Whether ``data`` is one whole request for a path of ``policy`` that every parser of HTTP reads alike."""
    match = _PLAIN_HEAD.fullmatch(data)
    if match is None or match[1].decode() not in policy.paths:
        return False
    head = data.lower()
    # Which of two such headers counts, and lists in them, is where parsers differ.
    if head.count(b"\nconnection:") != 1 or head.count(b"\nupgrade:") != 1 or _UPGRADE not in head:
        return False
    # A body, or somebody who waits to be asked for one.
    return b"\ncontent-length:" not in head and b"\ntransfer-encoding:" not in head and b"\nexpect:" not in head


def judge(head: bytes, policy: Policy, peer_ip: str) -> Acceptance | Refusal:
    """Judge the head of a request (request line and headers, as bytes).

    Args:
        peer_ip: Address at the other end of the TCP connection.
    """
    if len(head) > MAX_HEAD_BYTES:
        return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is larger than 64 KiB.")
    line, _, rest = head.partition(b"\r\n")
    parts = line.decode("latin-1").split(" ")
    if len(parts) != 3 or parts[0] != "GET" or parts[2] != "HTTP/1.1":
        return Refusal(HTTPStatus.BAD_REQUEST, "A WebSocket handshake is an HTTP/1.1 GET request.")
    headers = _headers(rest)
    path, _, query = parts[1].partition("?")
    fault = _upgrade_fault(headers)
    if fault is not None:
        return fault
    credential = _credential(headers, query, policy.cookie_name)
    fault = _origin_fault(headers, credential, policy)
    if fault is not None:
        return fault
    offered = [word.strip() for value in headers.get("sec-websocket-protocol", ()) for word in value.split(",")]
    chosen = next((name for name in SUBPROTOCOLS if name in offered), None)
    return Acceptance(
        key=headers["sec-websocket-key"][0],
        path=path,
        admin_only=policy.paths.get(path, False),
        subprotocol=chosen,
        supported=chosen is not None or not any(offered),
        credential=credential,
        ip=_client_ip(headers, peer_ip, policy.trusted_proxies),
        user_agent=" ".join(headers.get("user-agent", ()))[:MAX_USER_AGENT_CHARS],
    )


def response(refusal: Refusal) -> bytes:
    """Return a refusal as an HTTP response with a problem document (RFC 9457)."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": refusal.status.phrase,
        "status": refusal.status.value,
        "detail": refusal.message,
    }
    if (error := refusal.error) is not None:
        document |= {"code": error.code, "required_action": error.required_action, "will_not": error.will_not}
        document |= {} if error.details is None else {"details": error.details}
    body = msgspec.json.encode(document)
    lines = [
        f"HTTP/1.1 {refusal.status.value} {refusal.status.phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "connection: close",
        *(f"{name}: {value}" for name, value in refusal.headers),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _headers(rest: bytes) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for line in rest.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.lower(), []).append(value.strip(" \t"))
    return headers


def _has_word(headers: Mapping[str, list[str]], name: str, word: str) -> bool:
    """Whether a list-valued header has the word (lower case) among its values."""
    for value in headers.get(name, ()):
        lowered = value.lower()
        if lowered == word or ("," in lowered and word in map(str.strip, lowered.split(","))):
            return True
    return False


def _upgrade_fault(headers: Mapping[str, list[str]]) -> Refusal | None:
    if not (_has_word(headers, "upgrade", "websocket") and _has_word(headers, "connection", "upgrade")):
        return Refusal(HTTPStatus.UPGRADE_REQUIRED, "This address speaks WebSocket only.", (("upgrade", "websocket"),))
    if headers.get("sec-websocket-version") != ["13"]:
        return Refusal(
            HTTPStatus.UPGRADE_REQUIRED, "Only WebSocket version 13 is spoken.", (("sec-websocket-version", "13"),)
        )
    keys = headers.get("sec-websocket-key", [])
    try:
        valid = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        return Refusal(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64, once.")
    return None


def _origin_fault(headers: Mapping[str, list[str]], credential: Credential | None, policy: Policy) -> Refusal | None:
    origins = headers.get("origin", [])
    if not origins:
        # Every browser sends Origin; without it a cookie may have been put there by a page of anybody.
        if credential is not None and credential.kind == "cookie":
            return Refusal(HTTPStatus.FORBIDDEN, "A session cookie counts only together with an allowed Origin.")
        return None
    if len(origins) != 1 or not policy.origin_allowed(origins[0]):
        return Refusal(HTTPStatus.FORBIDDEN, "Pages of this origin may not connect.")
    return None


def _credential(headers: Mapping[str, list[str]], query: str, cookie_name: str) -> Credential | None:
    """The one that was given most deliberately: a header, then the query, then the cookie that is always sent."""
    for value in headers.get("authorization", ()):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return Credential("bearer", token.strip()[:MAX_SECRET_CHARS])
    for name, value in parse_qsl(query, max_num_fields=32) if len(query) < MAX_SECRET_CHARS else ():
        if name == "token" and value:
            return Credential("query", value)
    pairs = [pair.strip().partition("=") for header in headers.get("cookie", ()) for pair in header.split(";")]
    # Two cookies of one name: another site of the same domain planted one (RFC 6265 section 8.6); neither is believed.
    values = [value.strip('"') for name, _, value in pairs if name == cookie_name]
    if len(values) == 1 and values[0]:
        return Credential("cookie", values[0][:MAX_SECRET_CHARS])
    return None


def _client_ip(headers: Mapping[str, list[str]], peer_ip: str, trusted: Sequence[str]) -> str:
    """The nearest address that is not one of our proxies; only they can be believed about who was before them."""
    if not _is_trusted(peer_ip, trusted):
        return peer_ip
    hops = [hop.strip() for value in headers.get("x-forwarded-for", ()) for hop in value.split(",")]
    for hop in reversed(hops):
        if not _is_address(hop):
            return peer_ip
        if not _is_trusted(hop, trusted):
            return hop
    return peer_ip


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(ip: str, trusted: Sequence[str]) -> bool:
    if not trusted or not _is_address(ip):
        return False
    address = ipaddress.ip_address(ip)
    return any(address in ipaddress.ip_network(network, strict=False) for network in trusted)
