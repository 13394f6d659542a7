"""Two hubs of one process with quotes in one database, and pages of either.

They share an in-process bus and room log, or a real broker to which each has connections of its own. Every part is the
product's; only the clients' network is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.accounts import SECRET
from tests.support.hub_server import Doorman, principal
from tests.support.nodes import QUICK, NodeClient, watched_client
from tests.support.quote_page import QuotePage
from tests.support.waiting import PATIENT
from tidewire.accounts.api_keys import ApiKeys
from tidewire.accounts.http import Callers
from tidewire.accounts.model import Role
from tidewire.accounts.permissions import DEFAULTS
from tidewire.app.quotes_side import QuotesSide
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.memory_log import MemoryRoomLog
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.room_log import RoomLog
from tidewire.core.clock import SystemClock
from tidewire.hub.hub import Hub
from tidewire.hub.lifecycle import Timing
from tidewire.hub.links import Links
from tidewire.hub.switchboard import HubOptions
from tidewire.quotes import rules
from tidewire.quotes.editing import Act, Author, create, index_of, replayed
from tidewire.quotes.model import Premium
from tidewire.quotes.plan_shelf import load_plans
from tidewire.store.database import Database
from tidewire.store.quotes import Quotes

BASIC = {"customer_name": "Grace Hopper", "state": "CA", "product": "personal_auto"}
CEILING_S = 45.0
AUTHOR = Author(1, "maker", "test")


class LaterClock(SystemClock):
    """The machine's clock, moved on by ``ahead_s``."""

    ahead_s = 0.0

    def time(self) -> float:
        """Return wall time."""
        return super().time() + self.ahead_s

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return super().monotonic() + self.ahead_s


@dataclass(eq=False)
class QuoteNode:
    """One hub with quotes."""

    hub: Hub
    side: QuotesSide
    doorman: Doorman
    bus: Bus
    log: RoomLog


class QuoteStage:
    """See the module's text."""

    def __init__(self, database: Database, broker: str | None = None) -> None:
        self.clock = LaterClock()
        self.database = database
        self.quotes = Quotes(database, index_of)
        self.bus = MemoryBus(self.clock)
        self.log = MemoryRoomLog(self.bus, self.clock)
        self.nodes = [self._make(number, broker) for number in range(2)]
        self.chooses = itertools.count(1)

    def _make(self, number: int, broker: str | None) -> QuoteNode:
        bus: Bus = self.bus
        log: RoomLog = self.log
        if broker is not None:
            chance = random.Random(number)
            bus = RedisBus(broker, self.clock, chance, limits=QUICK)
            log = RedisRoomLog(broker, self.clock, chance, limits=QUICK)
        doorman = Doorman()
        for user_id, role in ((1, Role.USER), (2, Role.USER), (3, Role.MODERATOR)):
            doorman.known[f"t-{user_id}"] = principal(user_id, role, permissions=DEFAULTS[role])
        hub = Hub(
            clock=self.clock,
            scheduler=asyncio.get_running_loop(),
            authenticate=doorman,
            rules={"quote": rules.RULES, rules.LIST_FAMILY: rules.LIST_RULES},
            options=HubOptions(messages_per_second=1e6, burst=1e6, timing=Timing(heartbeat_s=1e6)),
            links=Links(bus, log, None, f"n{number}"),
        )
        callers = Callers(ApiKeys(self.database, secret_key=SECRET, clock=self.clock))
        side = QuotesSide(hub, bus, self.database, self.database, callers, self.clock, plans=load_plans(), node="stage")
        return QuoteNode(hub, side, doorman, bus, log)

    async def begin_again(self) -> None:
        """End both nodes, without a broker, and let others take their places: the log and the database live on."""
        for number, node in enumerate(self.nodes):
            await node.side.stop()
            await node.hub.stop()
            self.nodes[number] = self._make(number, None)
            await self.nodes[number].hub.start()
            self.nodes[number].side.attention.start()

    async def make(self, **fields: str) -> str:
        """Store a new quote; return its number."""
        number = str(uuid.uuid4())
        await self.quotes.add(create(number, {**BASIC, **fields}, Act(AUTHOR, round(self.clock.time(), 6))))
        return number

    async def rate(self, node: int, quote_id: str, amount: str = "1204.00") -> None:
        """Store a premium as rating does."""
        quote = await self.quotes.get(quote_id)
        premium = Premium(
            amount=amount,
            currency="USD",
            term_months=6,
            plan="test@1",
            calculation_id=f"k-{next(self.chooses)}",
            based_on_version=quote.version,
            at=quote.updated_at,
        )
        await self.nodes[node].side.desk.rate(quote_id, premium)


@contextlib.asynccontextmanager
async def staged(url: str, broker: str | None = None) -> AsyncIterator[QuoteStage]:
    """Yield two started nodes over a migrated database.

    Args:
        broker: The URL of a Redis or Valkey. With one the nodes' jobs run as well; else tests take their steps.
    """
    database = Database(url, PATIENT)
    await database.start()
    stage = QuoteStage(database, broker)
    if broker is None:
        await stage.bus.start()
    for node in stage.nodes:
        if broker is not None:
            await node.bus.start()
            await node.log.start()
        await node.hub.start()
        if broker is None:
            node.side.attention.start()
            node.side.news.start()
        else:
            node.side.start()
    try:
        yield stage
    finally:
        for node in stage.nodes:
            await node.side.stop()
            await node.hub.stop()
            if broker is not None:
                await node.log.stop()
                await node.bus.stop()
        if broker is None:
            await stage.bus.stop()
        await database.stop()


@dataclass(eq=False)
class Tab:
    """One person's page over time: connected to some node, or to none.

    Attributes:
        acked: What the server has answered ``ok``: op_id -> the reply's data.
        refused: op_id -> code of the refusal.
        sent: op_id -> the message.
        put_off: Something is to be sent again, because the database could not say.
    """

    stage: QuoteStage
    quote_id: str
    user_id: int
    page: QuotePage
    client: NodeClient | None = None
    acked: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    put_off: bool = False

    @classmethod
    def of(cls, stage: QuoteStage, quote_id: str, user_id: int) -> Tab:
        """Return a page that is not connected."""
        return cls(stage, quote_id, user_id, QuotePage(quote_id))

    @property
    def room_id(self) -> str:
        """Its room."""
        return f"quote:{self.quote_id}"

    def connect(self, node: int) -> None:
        """Connect, and resume if there is something to resume from."""
        if self.client is not None:
            return
        self.client = watched_client(self.stage.nodes[node].hub, f"t-{self.user_id}")
        if self.page.ready and self.page.place is not None:
            self._say("subscribe", room_id=self.room_id, since=self.page.place)
        else:
            self.page.wants = "quote_subscribe"

    def disconnect(self) -> None:
        """The connection is cut; what has arrived has been read."""
        if self.client is not None:
            self.read()
            self.client.lose()
            self.client = None
            self.page.lost()

    def edit(self, field_name: str, value: Any, *, base: int | None = None) -> str:
        """Send an edit on what the page shows, or on an older revision; return its op_id."""
        op_id = f"o-{next(self.stage.chooses)}"
        shown = self.page.fields.get(field_name, {"revision": 0})["revision"]
        message = {
            "quote_id": self.quote_id,
            "field": field_name,
            "value": value,
            "base_revision": shown if base is None else base,
            "op_id": op_id,
        }
        self.sent[op_id] = message
        self._say("field_edit", id=op_id, **message)
        return op_id

    def again(self) -> None:
        """Send everything that has no answer yet, as after a lost connection, with the same op_ids."""
        for op_id, message in self.sent.items():
            if op_id not in self.acked and op_id not in self.refused:
                self._say("field_edit", id=op_id, **message)

    def read(self) -> None:
        """Take what has arrived, and ask for the state if the page wants it."""
        if self.client is None:
            return
        for message in self.client.socket.read():
            self.page.receive(message)
            if message["type"] == "reply" and message["id"] in self.sent:
                self._answered(message)
        if self.page.wants:
            self.page.ask()
            self._say("quote_subscribe", id="state", quote_id=self.quote_id)

    def _answered(self, reply: Mapping[str, Any]) -> None:
        if reply["ok"]:
            self.acked[reply["id"]] = reply["data"]
        elif reply["error"]["temporary"]:
            self.put_off = True
        else:
            self.refused[reply["id"]] = reply["error"]["code"]

    def _say(self, kind: str, **members: Any) -> None:
        if self.client is not None:
            self.client.hub.receive(self.client.session, json.dumps({"type": kind, **members}).encode())

    async def settle(self, node: int) -> None:
        """Be connected, have every answer, and show the newest version. Fails after CEILING_S."""
        self.connect(node)
        self.again()
        async with asyncio.timeout(CEILING_S):
            while True:
                assert self.client is not None
                self.client.socket.written.clear()
                self.read()
                if self.put_off:
                    self.put_off = False
                    self.again()
                newest = (await self.stage.quotes.get(self.quote_id)).version
                unanswered = set(self.sent) - set(self.acked) - set(self.refused)
                if self.page.ready and self.page.version == newest and not unanswered:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self.client.socket.written.wait()


async def check(stage: QuoteStage, quote_id: str, tabs: list[Tab]) -> None:
    """Check that every page, the database and the replayed changes are the same quote, and each edit was done once."""
    quote, changes = await stage.quotes.get(quote_id), await stage.quotes.changes(quote_id)
    again = replayed(quote_id, changes)
    assert (again.version, again.status, again.premium) == (quote.version, quote.status, quote.premium)
    assert again.fields == quote.fields
    stored = {
        name: {"value": state.value, "revision": state.revision, "by": state.by, "at": state.at}
        for name, state in quote.fields.items()
    }
    for tab in tabs:
        shown = {name: known for name, known in tab.page.fields.items() if known["revision"]}
        assert shown == stored
        assert (tab.page.version, tab.page.status) == (quote.version, quote.status)
        assert tab.page.waiting == []
        assert tab.page.applied == sorted(set(tab.page.applied))
        assert tab.page.premium == (quote.premium if tab.user_id == 3 else "absent")
    made = [(change.actor_id, change.op_id) for change in changes if change.op_id and change.field in stored]
    assert len(made) == len(set(made))
    for tab in tabs:
        mine = {op_id for actor, op_id in made if actor == tab.user_id and op_id in tab.sent}
        changed = {op_id for op_id, data in tab.acked.items() if op_id in mine}
        # Refused means not stored; acknowledged means stored, or that the value was there already.
        assert mine == changed
        by_version = {change.version: change for change in changes}
        for op_id, data in tab.acked.items():
            if op_id in mine:
                change = by_version[data["version"]]
                assert (change.op_id, change.field, change.after) == (op_id, data["field"], data["value"])
