"""The demo's quotes and its scripted colleagues: real accounts that use the public API and real sockets.

It must not know the platform, the store or the hub: all it has is an address and API keys. A colleague is slow while no
person looks at the quote, gives way to whoever is in a field, and never overwrites what somebody else has put there.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import structlog

from tidewire.cli.demo_script import COLLEAGUES, Step, pair, rounds, samples
from tidewire.client import Client, ClientError, Json, Message, Presence, Refused, Reset, Room
from tidewire.core.background import background
from tidewire.core.errors import UpstreamError

_log = structlog.get_logger(__name__)

# Nobody looks: seldom enough for a demo that runs overnight, often enough for a list that lives.
UNWATCHED_S = 120.0
# As long as somebody needs to type a few words.
TYPING_S = 0.8
HTTP_TIMEOUT_S = 10.0
# A calculation takes milliseconds; this is for machines that have no time.
ASK_EVERY_S, ASK_TIMES = 0.05, 400
# What a quote answers for good; there is nothing left to do in it.
_OVER = frozenset({"quote_bound", "quote_expired", "not_found", "permission_denied"})


@asynccontextmanager
async def demo_colleagues(url: str, keys: Mapping[str, str], *, seed: int) -> AsyncIterator[list[str]]:
    """Make the sample quotes and let colleagues edit them until the block ends; yield the quotes' numbers.

    Args:
        url: The platform's address.
        keys: Colleague -> API key.

    Raises:
        UpstreamError: The platform did not take a quote.
    """
    office = Office(url, keys)
    numbers = await office.prepare()
    clients = {name: Client(office.hub, bearer=keys[name]) for name in COLLEAGUES}
    for client in clients.values():
        client.start()
    visits = [
        background(Visit(office, clients[name], name, numbers[at], rounds(seed, at, name)).run(), f"demo {name} {at}")
        for at, sample in enumerate(samples(datetime.now(UTC).date()))
        if sample.played
        for name in pair(at)
    ]
    try:
        yield numbers
    finally:
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in clients.values()))


class Office:
    """The HTTP side of the colleagues' work."""

    def __init__(self, url: str, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._netloc = urlsplit(url).netloc
        self.hub = f"ws://{self._netloc}/ws"

    async def prepare(self) -> list[str]:
        """Make the sample quotes; return their numbers, in the samples' order."""
        numbers = []
        for at, sample in enumerate(samples(datetime.now(UTC).date())):
            name = pair(at)[0]
            status, quote = await self._ask(name, "POST", "", {"fields": dict(sample.fields)}, key=f"demo-{at}")
            number = str(_good(status, HTTPStatus.CREATED, quote)["quote_id"])
            if sample.ends != "draft":
                await self._quoted(name, number)
            if sample.ends == "bound":
                _, quote = await self._ask(name, "GET", f"/{number}")
                status, quote = await self._ask(name, "POST", f"/{number}/bind", {}, match=f'"{quote["version"]}"')
                _good(status, HTTPStatus.OK, quote)
            numbers.append(number)
        return numbers

    async def calculate(self, name: str, number: str) -> None:
        """Begin to calculate a premium; what comes of it is told in the room."""
        try:
            status, said = await self._ask(name, "POST", f"/{number}/calculate", {})
        except UpstreamError as error:
            _log.warning("demo_calculation_failed", name=name, **error.describe())
            return
        if status != HTTPStatus.ACCEPTED:
            _log.info("demo_calculation_refused", name=name, status=status, error_code=said.get("code"))

    async def _quoted(self, name: str, number: str) -> None:
        status, said = await self._ask(name, "POST", f"/{number}/calculate", {})
        _good(status, HTTPStatus.ACCEPTED, said)
        for _ in range(ASK_TIMES):
            _, said = await self._ask(name, "GET", f"/{number}")
            if said["quote"]["status"] == "quoted":
                return
            await asyncio.sleep(ASK_EVERY_S)
        raise _failed("a premium was not calculated in time")

    async def _ask(
        self, name: str, method: str, path: str, body: object = None, *, key: str = "", match: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Send one request as a colleague; return the status and the answer."""
        headers = {"Authorization": f"Bearer {self._keys[name]}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"If-Match": match} if match else {}

        def ask() -> tuple[int, dict[str, Any]]:
            connection = http.client.HTTPConnection(self._netloc, timeout=HTTP_TIMEOUT_S)
            try:
                connection.request(
                    method, f"/api/v1/quotes{path}", json.dumps(body) if body is not None else None, headers
                )
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            finally:
                connection.close()

        try:
            return await asyncio.to_thread(ask)
        except (OSError, http.client.HTTPException) as error:
            raise _failed(repr(error)) from error


def _good(status: int, wanted: int, answer: dict[str, Any]) -> dict[str, Any]:
    if status != wanted:
        raise _failed(f"HTTP {status} {answer.get('code')}: {answer.get('detail')}")
    return answer


def _failed(why: str) -> UpstreamError:
    return UpstreamError(
        f"The demo's quotes could not be made: {why}.",
        stage="quotes",
        required_action="Read the lines above; report it if they do not say why.",
        will_not="The demo will not run without its quotes.",
    )


@dataclass
class Visit:
    """One colleague at one quote."""

    office: Office
    client: Client
    name: str
    number: str
    script: Iterator[list[Step]]
    # Field -> value and revision, as the room told them.
    fields: dict[str, tuple[Json, int]] = field(default_factory=dict)
    # Connection -> the field in which somebody else is.
    places: dict[str, str] = field(default_factory=dict)
    people: int = 0
    steps: list[Step] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    edits: int = 0

    async def run(self) -> None:
        """Work on the quote until it takes no edits any more, or the connection has ended for good."""
        room = self.client.subscribe(f"quote:{self.number}", presence=True)
        listening = background(self._listen(room), f"demo {self.name} listens")
        try:
            await room.entered()
            await self._load()
            while True:
                await self._rest()
                await self._do(self.steps.pop(0))
        except ClientError as error:
            expected = error.code in _OVER
            (_log.info if expected else _log.warning)("demo_colleague_left", name=self.name, **error.describe())
        finally:
            listening.cancel()
            room.leave()

    # ---- what the room says

    async def _listen(self, room: Room) -> None:
        try:
            async for event in room:
                if isinstance(event, Presence):
                    self._count(room)
                elif isinstance(event, Reset):
                    await self._load()
                elif isinstance(event, Message):
                    self._hear(event.kind, event.fields)
        except ClientError:
            # The connection or the room has ended; whoever works hears it with the next request.
            return

    def _count(self, room: Room) -> None:
        people = sum(member.username not in COLLEAGUES for member in room.members.values())
        if people > self.people:
            # Somebody has come: begin a new round at once, it has the interesting things first.
            self.steps.clear()
            self.arrived.set()
        self.people = people

    def _hear(self, kind: str, told: Mapping[str, Json]) -> None:
        if kind == "quote_state":
            fields: Any = told["fields"]
            self.fields = {name: (one["value"], one["revision"]) for name, one in fields.items()}
        elif kind == "field_update":
            self._know(told)
        elif kind == "field_focus":
            connection, place = str(told["connection_id"]), told["field"]
            self.places.pop(connection, None)
            if place is not None:
                self.places[connection] = str(place)

    def _know(self, told: Mapping[str, Any]) -> None:
        name, revision = str(told["field"]), int(told["revision"])
        if revision >= self.fields.get(name, (None, 0))[1]:
            self.fields[name] = (told["value"], revision)

    # ---- what the colleague does

    async def _load(self) -> None:
        await self.client.request({"type": "quote_subscribe", "quote_id": self.number})

    async def _rest(self) -> None:
        """Wait until it is time for the next step; whoever comes ends a long rest."""
        if not self.people:
            self.arrived.clear()
            try:
                async with asyncio.timeout(UNWATCHED_S):
                    await self.arrived.wait()
            except TimeoutError:
                pass
        if not self.steps:
            self.steps = next(self.script)
        await asyncio.sleep(self.steps[0].pause_s)
        # Somebody may have come meanwhile.
        self.steps = self.steps or next(self.script)

    async def _do(self, step: Step) -> None:
        if step.field is None:
            await self._focus(None, typing=False)
            await self.office.calculate(self.name, self.number)
            return
        if step.field in self.places.values():
            return
        await self._focus(step.field, typing=bool(step.values))
        if not step.values:
            return
        await asyncio.sleep(TYPING_S)
        value, revision = self.fields.get(step.field, (None, 0))
        self.edits += 1
        wanted = next((one for one in step.values if one != value), value)
        edit = {"type": "field_edit", "quote_id": self.number, "field": step.field, "value": wanted}
        try:
            await self.client.request({**edit, "base_revision": revision, "op_id": f"{self.name}-{self.edits}"})
        except Refused as refused:
            if refused.code in _OVER:
                raise
            if refused.code == "conflict":
                # Somebody was quicker, and theirs stays.
                self._know(refused.details)

    async def _focus(self, name: str | None, *, typing: bool) -> None:
        await self.client.request({"type": "field_focus", "quote_id": self.number, "field": name, "typing": typing})
