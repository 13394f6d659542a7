"""Questions to a Redis or Valkey server that need an answer: one pipelined connection, a deadline, a circuit.

An answer that does not come in time ends the connection, and with it everything that waits on it: a frozen server is
told within the deadline, and no late answer is ever taken for another question's. While there is no connection every
question is refused at once (circuit open); attempts follow each other at most a second apart (half open). Nothing is
ever asked twice by itself: whether a question without an answer was carried out is unknown, and that is what is said.
Source: reliability.md 1 (finding 5) and 4, "Redis". It must not know what is asked.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

import structlog
from redis.exceptions import RedisError

from tidewire.bus.address import Address, parse_address
from tidewire.bus.fanout import Watches
from tidewire.bus.redis_wire import RedisWire, words
from tidewire.bus.wire import BrokerLimits, Refusal, encode_command, require_primary, wait_at_most
from tidewire.core.background import background
from tidewire.core.backoff import Backoff
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, SettingsError
from tidewire.core.throttle import Throttle

# What may wait for an answer: 10,000 publishes are a third of a second of what one Redis takes, and a frozen one must
# not cost more memory than that.
MAX_IN_FLIGHT = 10_000
MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024
DEADLINE_S = 1.0

# The server takes no writes, or nothing at all, whoever asks: everybody is told, and it is tried like an absent one.
_TAKES_NOTHING = ("READONLY", "MISCONF", "LOADING", "MASTERDOWN", "CLUSTERDOWN")

Ask = Callable[..., Awaitable[object]]


class _Question(NamedTuple):
    answer: asyncio.Future[object]
    at: float
    size: int


class RedisCommands:
    """See the module's text.

    Args:
        prepare: Called with ``ask`` on each fresh connection before it is used; what it raises refuses the connection.
        deadline_s: For each answer.

    Attributes:
        connected, changed: Notices: after each connect; whenever the circuit opens or closes.
        circuit, since, reason: ``closed`` is in use, ``open`` refuses at once, ``half_open`` tries.
    """

    def __init__(
        self,
        url: str | Address,
        clock: Clock,
        rng: random.Random,
        *,
        prepare: Callable[[Ask], Awaitable[None]],
        limits: BrokerLimits | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._address = parse_address(url) if isinstance(url, str) else url
        self._clock = clock
        self._rng = rng
        self._limits = limits or BrokerLimits()
        self._deadline_s = deadline_s
        self._prepare = prepare
        self._backoff = Backoff(base_s=self._limits.retry_base_s, cap_s=self._limits.retry_cap_s)
        self._wire: RedisWire | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._waiting: deque[_Question] = deque()
        self._unsent: list[bytes] = []
        self._held_bytes = 0
        self._wake = asyncio.Event()
        self._throttle = Throttle()
        self.connected: Watches[[]] = Watches("connect")
        self.changed: Watches[[]] = Watches("circuit")
        self.circuit: Literal["closed", "open", "half_open"] = "open"
        self.since = clock.time()
        self.reason = "not started"
        self.calls = 0
        self.refused = 0
        self.unknown = 0
        self.connects = 0
        self.rtt_ms: float | None = None
        self._log = structlog.get_logger(__name__).bind(endpoint=str(self._address))

    @property
    def in_flight(self) -> int:
        """How many questions wait for their answer."""
        return len(self._waiting)

    # -- life

    async def start(self) -> None:
        """Connect, and stay connected from then on. Raises BusError or SettingsError; then nothing is left running."""
        if self._supervisor is not None:
            return
        wire = RedisWire(self._address, self._limits)
        began = asyncio.Event()
        refusal: list[BaseException] = []
        self._supervisor = background(self._supervise(wire, began, refusal), "redis-commands")
        await began.wait()
        if refusal:
            await self.stop()
            raise refusal[0]

    async def stop(self) -> None:
        """Disconnect; whoever waits gets BusError. Idempotent."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])

    # -- use

    async def ask(self, *parts: bytes, asking: bool = False) -> object:
        """Return the server's answer.

        Args:
            asking: Say first that the question was sent here by the shard that is giving the slot away.

        Raises:
            Refusal: The server answered with an error.
            BusError: It was not asked, or it did not answer in time; the text says which.
        """
        if self._wire is None or self.circuit != "closed":
            self.refused += 1
            raise self._down(self.reason)
        if asking:
            # Nobody waits for it; a refusal of it makes the question itself be refused.
            admission = asyncio.ensure_future(self._send((b"ASKING",)))
            admission.add_done_callback(_looked_at)
        return await self._send(parts)

    def _send(self, parts: Sequence[bytes]) -> Awaitable[object]:
        """Put a question on its way, in the order of the calls."""
        data = encode_command(*parts)
        if len(self._waiting) >= MAX_IN_FLIGHT or self._held_bytes + len(data) > MAX_IN_FLIGHT_BYTES:
            self.refused += 1
            raise BusError(
                f"{len(self._waiting)} questions ({self._held_bytes} bytes) wait for the Redis server already.",
                required_action="Publish less, or find out why the server is slow.",
                will_not="Tidewire will not queue more.",
                code="bus_outbox_full",
            )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[object] = loop.create_future()
        self._waiting.append(_Question(answer, loop.time(), len(data)))
        self._held_bytes += len(data)
        self.calls += 1
        if not self._unsent:
            loop.call_soon(self._flush)
        self._unsent.append(data)
        if len(self._waiting) == 1:
            self._wake.set()
        return answer

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if self._wire is not None and data:
            self._wire.push(data)

    # -- one connection after another

    async def _supervise(self, wire: RedisWire, began: asyncio.Event, refusal: list[BaseException]) -> None:
        while True:
            try:
                await self._serve(wire, began)
            except (RedisError, OSError, Refusal, BusError) as error:
                cause: BaseException = error
            except SettingsError as error:
                cause = error
            except Exception as error:  # noqa: BLE001 - a task's root: told, and tried again
                self._log.exception("redis_commands_failed")
                cause = error
            finally:
                self._wire = None
                self._break()
            if not began.is_set():
                refusal.append(cause if isinstance(cause, SettingsError) else self._unreachable(cause))
                began.set()
                return
            self._open(words(cause))
            await self._clock.sleep(self._backoff.fail(self._rng.random()))
            self._become("half_open", self.reason)
            wire = RedisWire(self._address, self._limits)

    async def _serve(self, wire: RedisWire, began: asyncio.Event) -> None:
        """Use one connection until it fails."""
        reader: asyncio.Task[None] | None = None
        watcher: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                await wire.connect()
            self._wire = wire
            reader = asyncio.create_task(self._read(wire), name="redis-commands-read")
            async with asyncio.timeout(self._limits.connect_timeout_s):
                await self._prepared(reader)
            self.connects += 1
            self._become("closed", "")
            self._log.info("redis_commands_connected", connects=self.connects)
            began.set()
            self.connected.tell()
            watcher = asyncio.create_task(self._watch(), name="redis-commands-watch")
            done, _ = await asyncio.wait([reader, watcher], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._wire = None
            await wire.discard()
            tasks = [task for task in (reader, watcher) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _prepared(self, reader: asyncio.Task[None]) -> None:
        work = asyncio.ensure_future(self._prepare(lambda *parts: self._send(parts)))
        try:
            await asyncio.wait([work, reader], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                reader.result()
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _read(self, wire: RedisWire) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            try:
                answer: object = await wire.read()
            except Refusal as refusal:
                answer = refusal
            if not self._waiting:
                raise ConnectionResetError(f"the server said what was not asked for: {answer!r:.100}")
            question = self._waiting.popleft()
            self._held_bytes -= question.size
            self.rtt_ms = (clock() - question.at) * 1000.0
            if question.answer.done():
                continue  # whoever asked has been cancelled
            if isinstance(answer, Refusal):
                question.answer.set_exception(answer)
                if str(answer).startswith(_TAKES_NOTHING):
                    raise ConnectionResetError(f"the server takes nothing: {answer}")
            else:
                question.answer.set_result(answer)

    async def _watch(self) -> None:
        """Fail when the oldest question is overdue; ask a quiet server whether it lives and takes writes."""
        loop = asyncio.get_running_loop()
        role: asyncio.Future[object] | None = None
        while True:
            if role is not None and role.done() and role.exception() is None:
                require_primary(role.result())
            if self._waiting:
                left = self._waiting[0].at + self._deadline_s - loop.time()
                if left <= 0:
                    raise TimeoutError(f"no answer within {self._deadline_s:g} s")
                await asyncio.sleep(left)
                continue
            self._backoff.succeed(self._clock.monotonic())
            self._wake.clear()
            await wait_at_most(self._wake, self._limits.ping_interval_s)
            if not self._waiting:
                # That it is answered in time is what counts; a user that may not ask gets an answer too.
                role = asyncio.ensure_future(self._send((b"ROLE",)))
                role.add_done_callback(_looked_at)

    # -- state

    def _break(self) -> None:
        """Everything that waits is in doubt."""
        waiting, self._waiting = self._waiting, deque()
        self._unsent.clear()
        self._held_bytes = 0
        self.rtt_ms = None
        for question in waiting:
            if not question.answer.done():
                self.unknown += 1
                question.answer.set_exception(self._in_doubt())
                # Somebody who was cancelled does not look; that is no news.
                question.answer.exception()

    def _open(self, reason: str) -> None:
        self._become("open", reason)
        count = self._throttle.admit(self._clock.monotonic())
        if count:
            self._log.error(
                "redis_commands_down",
                what_happened=f"The Redis server at {self._address} cannot be asked: {reason}.",
                count=count,
                required_action="Check the Redis or Valkey server; Tidewire tries again about once a second.",
                will_not="Publishes are refused, not kept; nothing is served that may be out of date.",
            )

    def _become(self, circuit: Literal["closed", "open", "half_open"], reason: str) -> None:
        was, self.circuit, self.reason = self.circuit, circuit, reason
        if (was == "closed") != (circuit == "closed"):
            self.since = self._clock.time()
            self.changed.tell()

    def _down(self, reason: str) -> BusError:
        return BusError(
            f"The Redis server at {self._address} cannot be asked: {reason or 'connecting'}.",
            required_action="Try again later.",
            will_not="Nothing was done, and nothing is kept for later.",
        )

    def _in_doubt(self) -> BusError:
        return BusError(
            f"The Redis server at {self._address} did not answer in time; the outcome is unknown.",
            required_action="Send the same again with the same op_id: it is done once, and you get the first answer.",
            will_not="Tidewire will not repeat it by itself.",
        )

    def _unreachable(self, cause: BaseException) -> BusError:
        return BusError(
            f"The Redis server at {self._address} cannot be used: {words(cause)}.",
            required_action="Start the Redis or Valkey server, or correct TIDEWIRE_REDIS_URL.",
            will_not="Tidewire does not fall back to rooms that other processes cannot see.",
        )


def _looked_at(answer: asyncio.Future[object]) -> None:
    if not answer.cancelled():
        answer.exception()
