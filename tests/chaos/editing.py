"""Editors, viewers and faults, all at once; afterwards everything that anybody was told is held against the database.

Everything follows from the seed, apart from the scheduling of the machine (bars R13 and R17).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2

from tests.chaos.editor import EditLedger, Editor
from tests.chaos.faults import Faults
from tests.chaos.follower import Sightings
from tests.chaos.plant import Plant
from tests.chaos.viewer import Told, Viewer, fields_of
from tests.chaos.wire import Message as Said
from tests.chaos.wire import Wire, open_wire
from tests.support import edit_checker, history_checker
from tests.support.edit_checker import Copy, EditHistory, Row
from tests.support.history_checker import Entered, Published, Violation
from tests.support.population import SOCKETS_EACH
from tests.support.quotes import BASIC
from tests.support.waiting import eventually, until

# Texts, so that each edit has words of its own. The last two are everybody's in the quote.
FIELDS = ("vehicle_make", "vehicle_model", "driver_name", "customer_name", "notes")
SHARED = 2
# Two tabs of one person; others look on.
TABS_EACH = 2
INSIDE_CEILING_S = 60.0
CONVERGE_CEILING_S = 60.0
# Everybody edits at once for so long before a fault.
RUSH_S = (0.02, 0.3)


@dataclass(frozen=True)
class EditScale:
    """How much of everything.

    Attributes:
        edits: At least so many are acknowledged; more if the faults take longer.
        viewers: Who only look.
        rate: Edits a second, of all editors together.
        hops: Tabs that go to another node, a second.
        faults: How many of each kind.
    """

    edits: int
    editors: int
    viewers: int
    quotes: int
    rate: float
    hops: float
    faults: Mapping[str, int] = field(default_factory=dict)

    @property
    def users(self) -> int:
        """So many users are needed: nobody has more sockets than a node allows, one to look at the end included."""
        return 1 + -(-self.editors // TABS_EACH) + -(-self.viewers // (SOCKETS_EACH // 2))


@dataclass
class EditOutcome:
    """What a run found.

    Attributes:
        violations: What both checkers say, and what no server may say.
        rows: Of ``quote_changes``.
        conflicts: Edits that were refused because somebody else was quicker, or on an old revision.
        updates: ``field_update`` that were delivered and compared.
        converged_s: From the last answer to an edit until every tab showed what the database has.
        resumes_s: Seconds from a node's SIGKILL until a tab of it was in its room again.
        healed: Holes that a tab asked about.
    """

    seed: int
    violations: list[Violation]
    faults: Counter[str]
    ledger: EditLedger
    rows: int
    conflicts: int
    updates: int
    states: int
    copies: int
    recovered: int
    not_recovered: int
    holes: int
    converged_s: float
    took_s: float
    resumes_s: list[float]
    ends: Counter[int]
    refused: Counter[str]


class EditStorm:
    """One run over a plant."""

    def __init__(self, plant: Plant, scale: EditScale, seed: int) -> None:
        self.plant = plant
        self.scale = scale
        self.seed = seed
        self.seen = Sightings()
        self.told = Told()
        self.ledger = EditLedger()
        self.faults = Faults(plant, random.Random(f"{seed}/faults"))
        self._chance = random.Random(seed)
        self._made: dict[str, int] = {}
        self.editors: list[Editor] = []
        self.viewers: list[Viewer] = []

    @property
    def tabs(self) -> list[Viewer]:
        """Everybody."""
        return [*self.editors, *self.viewers]

    async def play(self) -> EditOutcome:
        """Let it all happen, let everybody catch up, and judge."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await self._make_quotes()
        self._seat()
        following = [asyncio.create_task(tab.follow()) for tab in self.tabs]
        hopping = asyncio.create_task(self._hop())
        try:
            await self._all_inside()
            every_s = self.scale.editors / self.scale.rate
            async with asyncio.TaskGroup() as group:
                editing = [group.create_task(editor.edit(every_s)) for editor in self.editors]
                await self._break()
                await self._last_blow(editing)
            hopping.cancel()
            converged_s = await self._converge()
            shown = [*(tab.shows() for tab in self.tabs), *await self._fresh()]
        finally:
            for task in (hopping, *following):
                task.cancel()
            await asyncio.gather(hopping, *following, return_exceptions=True)
        return await self._outcome(shown, converged_s, loop.time() - begun)

    # ---- inside

    async def _make_quotes(self) -> None:
        headers = {"Authorization": f"Bearer {self.plant.people.key}"}
        port = self.plant.nodes[0].port
        async with httpx2.AsyncClient(trust_env=False, timeout=30, headers=headers) as http:
            for _ in range(self.scale.quotes):
                answer = await http.post(f"http://127.0.0.1:{port}/api/v1/quotes", json={"fields": BASIC})
                assert answer.status_code == 201, answer.text
                made = answer.json()
                self._made[made["quote_id"]] = made["version"]

    def _seat(self) -> None:
        quotes = list(self._made)
        for number in range(self.scale.editors):
            own = FIELDS[number // len(quotes) % (len(FIELDS) - SHARED)]
            user = number // TABS_EACH
            self.editors.append(
                Editor(
                    f"e{number}",
                    f"user-{user}",
                    quotes[number % len(quotes)],
                    (own, *FIELDS[-SHARED:]),
                    self._headers(user),
                    self._choose,
                    random.Random(f"{self.seed}/editor {number}"),
                    self.seen,
                    self.told,
                    self.ledger,
                )
            )
        first = -(-self.scale.editors // TABS_EACH)
        for number in range(self.scale.viewers):
            user = first + number // (SOCKETS_EACH // 2)
            chance = random.Random(f"{self.seed}/viewer {number}")
            quote_id, headers = quotes[number % len(quotes)], self._headers(user)
            self.viewers.append(Viewer(f"v{number}", quote_id, headers, self._choose, chance, self.seen, self.told))

    def _headers(self, user: int) -> Any:
        return lambda port: self.plant.people.headers_of(port, user)

    def _choose(self, chance: random.Random) -> int | None:
        serving = self.plant.serving
        return chance.choice(serving).port if serving else None

    async def _all_inside(self) -> None:
        await until(lambda: all(tab.has_version(1) for tab in self.tabs), INSIDE_CEILING_S)

    async def _hop(self) -> None:
        while self.scale.hops:
            await asyncio.sleep(1.0 / self.scale.hops)
            self._chance.choice(self.tabs).hop()

    async def _break(self) -> None:
        """One fault after each equal part of the edits, at no particular moment."""
        names = self.faults.order(self.scale.faults)
        for number, name in enumerate(names, 1):
            await self.ledger.wait(self.scale.edits * number // (len(names) + 1))
            # A kill is worth most where it hits something half done.
            self.ledger.rush.set()
            await asyncio.sleep(self._chance.uniform(*RUSH_S))
            await self.faults.happen(name)
            self.ledger.rush.clear()
        await self.plant.settled()
        await self.ledger.wait(max(self.scale.edits, self.ledger.acknowledged + len(self.editors)))

    async def _last_blow(self, editing: Sequence[asyncio.Task[None]]) -> None:
        """All nodes die at once with edits that they have stored and could not publish; nobody sends anything again.

        What they stored must reach the others without any further edit.
        """
        stored = await self._count()
        for proxy in self.plant.proxies:
            proxy.set("blackhole")
        await eventually(self._count, lambda rows: rows >= stored + len(self._made), ceiling_s=INSIDE_CEILING_S)
        await asyncio.gather(*(node.kill() for node in self.plant.serving))
        for proxy in self.plant.proxies:
            # What they had begun to publish must not come after their end.
            proxy.reset()
            proxy.set("pass")
        for task in editing:
            task.cancel()
        for node in self.plant.nodes:
            self.plant.restart_soon(node)
        await self.plant.settled()

    async def _converge(self) -> float:
        """Return the seconds until every tab shows the newest version. Nobody edits any more: nothing else tells it."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        newest = {copy.quote_id: copy.version for copy in await self._stored()}
        try:
            caught_up = lambda: all(tab.has_version(newest[tab.page.quote_id]) for tab in self.tabs)  # noqa: E731
            await until(caught_up, CONVERGE_CEILING_S)
        except TimeoutError:
            self.ledger.wrong.append("somebody never caught up")
        return loop.time() - begun

    async def _fresh(self) -> list[Copy]:
        """Return what each node says to somebody who comes now."""
        found = []
        for node in self.plant.serving:
            assert node.port is not None
            states: asyncio.Queue[Said] = asyncio.Queue()

            def heard(_: Wire, said: Said, states: asyncio.Queue[Said] = states) -> None:
                if said["type"] == "quote_state":
                    states.put_nowait(said)

            wire = await open_wire(node.port, self._headers(self.scale.users - 1)(node.port), heard)
            async with asyncio.timeout(INSIDE_CEILING_S):
                for quote_id in self._made:
                    wire.say("quote_subscribe", id=quote_id, quote_id=quote_id)
                    said = await states.get()
                    found.append(Copy(f"fresh at {node.name}", quote_id, said["version"], fields_of(said["fields"])))
            wire.cut()
        return found

    async def _count(self) -> int:
        return int((await self._fetch("SELECT count(*) FROM quote_changes"))[0][0])

    async def _fetch(self, query: str) -> list[Any]:
        connection = await asyncpg.connect(self.plant.people.url)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    async def _stored(self) -> list[Copy]:
        rows = await self._fetch("SELECT id, version, fields FROM quotes")
        return [Copy("database", row["id"], row["version"], fields_of(json.loads(row["fields"]))) for row in rows]

    async def _rows(self) -> list[Row]:
        rows = await self._fetch("SELECT * FROM quote_changes ORDER BY id")
        return [
            Row(
                quote_id=row["quote_id"],
                version=row["version"],
                field=row["field"],
                revision=row["revision"],
                before=_value(row["before"]),
                after=_value(row["after"]),
                by=row["actor"],
                at=row["at"].timestamp(),
                op_id=row["op_id"],
            )
            for row in rows
        ]

    async def _outcome(self, shown: list[Copy], converged_s: float, took_s: float) -> EditOutcome:
        found = [Violation("server", "said what it must not", text) for text in self.seen.wrong + self.ledger.wrong]
        rows, ledger = await self._rows(), self.ledger
        states, updates = self.told.states, list(self.told.updates.values())
        history = EditHistory(self._made, ledger.edits, rows, await self._stored(), updates, states, shown)
        found += edit_checker.check(history)
        for quote_id in self._made:
            logs = {tab.name: tab.log for tab in self.tabs if tab.page.quote_id == quote_id}
            stored = [Published(str(row.version), "unknown") for row in rows if row.quote_id == quote_id]
            found += history_checker.check(stored, logs)
        entered = [event for tab in self.tabs for event in tab.log if isinstance(event, Entered)]
        kills = self.faults.killed_at
        return EditOutcome(
            seed=self.seed,
            violations=found,
            faults=self.faults.done,
            ledger=ledger,
            rows=len(rows),
            conflicts=sum(edit.answers[0].code == "conflict" for edit in ledger.edits if edit.answers),
            updates=self.told.deliveries,
            states=len(states),
            copies=len(shown),
            recovered=sum(event.recovered for event in entered),
            not_recovered=sum(not event.recovered for event in entered),
            holes=self.told.holes,
            converged_s=converged_s,
            took_s=took_s,
            resumes_s=[took for lost, took in self.seen.resumes if any(0.0 <= lost - at < 1.0 for at in kills)],
            ends=self.seen.ends,
            refused=Counter(code for _, code in ledger.answers if code != "ok") + self.seen.refused,
        )


def _value(encoded: str | None) -> Any:
    return None if encoded is None else json.loads(encoded)
