"""Records what pages were sent in real interleavings, and what they must show then: for every client's reducer.

``python -m tests.support.quote_cases`` writes ``tests/quotes/cases/``. A case has ``quote_id``, ``tape`` (what happened
to the page, as in ``QuotePage.tape``) and ``shows`` (version, status, premium, fields that were ever set, and the
versions that it still waits for).
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from tests.support.quote_page import QuotePage
from tests.support.quote_play import TABS, VALUES, Play
from tests.support.quote_stage import staged
from tidewire.store import migrate

TARGET = Path(__file__).resolve().parents[1] / "quotes" / "cases"
CASES = 9
STEPS = 40


def shown(page: QuotePage) -> dict[str, Any]:
    """Return what a page shows."""
    fields = {name: known for name, known in page.fields.items() if known["revision"]}
    return {
        "version": page.version,
        "status": page.status,
        "premium": page.premium,
        "fields": fields,
        "waiting": page.waiting,
        "ready": page.ready,
    }


def replay(case: dict[str, Any]) -> QuotePage:
    """Return a page to which all of a case's tape has happened."""
    page = QuotePage(case["quote_id"])
    for what, *message in case["tape"]:
        getattr(page, what)(*message)
    return page


def variants(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the case itself, and what must end the same: neighbouring updates swapped, and each sent twice."""
    swapped, doubled = list(case["tape"]), []
    for first in range(len(swapped) - 1):
        if _is_update(swapped[first]) and _is_update(swapped[first + 1]):
            swapped[first], swapped[first + 1] = swapped[first + 1], swapped[first]
    for each in case["tape"]:
        doubled += [each, each] if _is_update(each) else [each]
    return [case, {**case, "tape": swapped}, {**case, "tape": doubled}]


def _is_update(entry: list[Any]) -> bool:
    return entry[0] == "receive" and entry[1]["type"] in ("field_update", "quote_update")


def _step(chance: random.Random) -> tuple[str, int, Any]:
    field = chance.choice(sorted(VALUES))
    which, node = chance.randrange(TABS), chance.randrange(2)
    return chance.choice(
        [
            ("edit", which, (field, chance.choice(VALUES[field]))),
            ("edit", which, (field, chance.choice(VALUES[field]))),
            ("old", which, (field, chance.choice(VALUES[field]))),
            ("rate", node, None),
            ("cut", which, None),
            ("connect", which, node),
            ("turns", 30, None),
            ("settle", which, node),
        ]
    )


async def _record(url: str, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    async with staged(url) as stage:
        quote_id = await stage.make()
        run = Play(stage, quote_id)
        for _ in range(STEPS):
            await run.step(*_step(chance))
        await run.end()
        tab = run.tabs[seed % TABS]
        return {"quote_id": quote_id, "tape": tab.page.tape, "shows": shown(tab.page)}


async def _main() -> None:
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/tidewire.db"
        await migrate.upgrade(url)
        for seed in range(CASES):
            case = await _record(url, seed)
            (TARGET / f"interleaving_{seed}.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    asyncio.run(_main())
