"""One connection to a Redis or Valkey server, used by hand. It must not know what is said on it.

redis-py's own retries and reconnects are off: whoever uses a wire puts a deadline around every round trip, and throws
the wire away when one is missed (a reused one can hand out another command's answer, CVE-2023-28858).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from tidewire.bus.address import Address
from tidewire.bus.wire import ROLE, BrokerLimits, Refusal, encode_command, require_primary

_CODES = (
    (NoScriptError, "NOSCRIPT"),
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (NoPermissionError, "NOPERM"),
    (MovedError, "MOVED"),  # before AskError and ClusterDownError, of which these are subclasses
    (AskError, "ASK"),
    (TryAgainError, "TRYAGAIN"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
)


class RedisWire:
    """One redis-py connection, used by hand: no pool, no retry, no silent reconnect. Implements bus.wire.Wire."""

    def __init__(self, address: Address, limits: BrokerLimits) -> None:
        self._connection = _connection(address, limits)
        self._transport: asyncio.WriteTransport | None = None

    async def connect(self) -> None:
        """Connect and log in. Raises RedisError, OSError or Refusal."""
        await self._connection.connect()  # type: ignore[no-untyped-call]
        self._keep_transport()
        await self.write(encode_command(b"PING"))
        await self.read()

    async def refuse_replica(self) -> None:
        """Raise ConnectionError if it is a replica; a server that may not be asked is taken as it is."""
        await self.write(ROLE)
        with contextlib.suppress(Refusal):
            require_primary(await self.read())

    async def write(self, data: bytes) -> None:
        """Write ``data`` and wait until the transport has taken it."""
        # redis-py would connect anew here by itself, and nobody would know.
        if not self._connection.is_connected:
            raise ConnectionResetError("the connection is closed")
        await self._connection.send_packed_command(data, check_health=False)

    def push(self, data: bytes) -> None:
        """Hand ``data`` to the transport without waiting; whoever pushes bounds what is unanswered."""
        self._keep_transport()
        # A closed one (uvloop raises) is noticed by whoever reads.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def read(self) -> object:
        """Return the next answer. Raises Refusal if it is an error."""
        try:
            # No limit of its own: the deadline is around the whole round trip, in the caller.
            answer = await self._connection.read_response(disable_decoding=True, timeout=math.inf)
        except ResponseError as error:
            raise Refusal(_in_full(error)) from error
        # redis-py returns None for a socket's own ETIMEDOUT, at once and for ever; no command here is answered by nil.
        if answer is None:
            raise ConnectionResetError("the connection timed out, or the server does not speak the protocol")
        return answer

    async def discard(self) -> None:
        """Cut the connection; never waits."""
        # Aborted, not closed: close() waits until the write buffer is empty, which a frozen server never lets happen.
        self._keep_transport()
        if self._transport is not None:
            self._transport.abort()
        await self._connection.disconnect(nowait=True)

    def _keep_transport(self) -> None:
        """Remember the transport: redis-py forgets it on a failed or cancelled call, after a close() that may wait."""
        # redis-py has no public way to the transport.
        writer = self._connection._writer
        if writer is not None:
            self._transport = writer.transport


class RedisLink:
    """The two connections that live and die together."""

    def __init__(self, address: Address, limits: BrokerLimits) -> None:
        self.publishing = RedisWire(address, limits)
        self.listening = RedisWire(address, limits)

    async def connect(self) -> None:
        """Connect both. Raises ConnectionError if the server is a replica."""
        await self.publishing.connect()
        await self.publishing.refuse_replica()
        await self.listening.connect()

    async def discard(self) -> None:
        """Cut both."""
        try:
            await self.publishing.discard()
        finally:
            await self.listening.discard()


def _connection(address: Address, limits: BrokerLimits) -> AbstractConnection:
    # Any: redis-py's constructors take options of many types by name.
    common: dict[str, Any] = {
        "db": address.db,
        "username": address.username or None,
        "password": address.password or None,
        # None, not a number: with one, redis-py wraps each write in asyncio.wait_for, which on Python 3.11 can swallow
        # a cancellation that comes as the write completes. Deadlines and stop() would hang; ours are around every
        # await.
        "socket_timeout": None,
        "socket_connect_timeout": limits.connect_timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
        "client_name": "tidewire-bus",
    }
    if address.scheme == "unix":
        return UnixDomainSocketConnection(path=address.path, **common)
    if address.scheme == "rediss":
        tls: dict[str, Any] = {**address.tls}
        return SSLConnection(host=address.host, port=address.port, **tls, **common)
    return Connection(host=address.host, port=address.port, **common)


def _in_full(error: ResponseError) -> str:
    """Return the server's words; redis-py drops the code in front where it has a class for it."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    return str(error) if code is None or str(error).startswith(code) else f"{code} {error}"


def words(error: BaseException | None) -> str:
    """Return what happened, in words; redis-py's errors name host and port, never credentials."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return str(error) or type(error).__name__
