"""The part ``edits`` of ``bench.chaos``: field edits while nodes, Postgres and Valkey are killed (bars R13, R17).

Editors send each edit again with its ``op_id`` until they know its outcome; what they and everybody else were told is
held against ``quote_changes`` afterwards. It prints nothing and judges nothing itself.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from tests.chaos.editing import EditOutcome, EditScale, EditStorm
from tests.chaos.plant import plant
from tests.support.history_checker import Violation

from bench.measure import Figure, Result, percentile

# Of the kills, beside those of nodes and of Postgres.
OTHERS = 10


async def edits(chosen: argparse.Namespace) -> tuple[Result, list[Violation]]:
    """Two nodes, Postgres and a durable Valkey, under field edits (R13, R17)."""
    each = max(1, chosen.kills // 2)
    few = max(1, chosen.kills // OTHERS)
    breaks = {
        "kill_node": each,
        "kill_postgres": -(-each // 2),
        "kill_all_postgres": each // 2,
        "kill_backend": few,
        "freeze_postgres": few,
        "kill_valkey": few,
        "half_open": few,
        "cut": few,
    }
    scale = EditScale(chosen.edits, chosen.editors, chosen.viewers, chosen.quotes, chosen.edit_rate, 4.0, breaks)
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), users=scale.users) as built:
            outcome = await EditStorm(built, scale, chosen.seed).play()
    return Result("edits", tuple(_figures(outcome)), _told(outcome)), outcome.violations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    parser.add_argument("--edits", type=int, default=10_000, help="acknowledged edits of the part edits, at least")
    parser.add_argument("--editors", type=int, default=40, help="tabs that edit in the part edits")
    parser.add_argument("--viewers", type=int, default=40, help="tabs that only look on in the part edits")
    parser.add_argument("--quotes", type=int, default=10, help="quotes of the part edits")
    parser.add_argument("--edit-rate", type=float, default=60.0, help="edits a second in the part edits")


def _figures(outcome: EditOutcome) -> list[Figure]:
    ledger = outcome.ledger
    took = [seconds for seconds, _ in ledger.answers]
    figures = [
        Figure("lost, done twice, half done, misreported or shown wrong", len(outcome.violations), "", 1),
        Figure("edits acknowledged, each compared with the changes", ledger.acknowledged, ""),
        Figure("edits refused: a conflict, each compared with what was there", outcome.conflicts, ""),
        Figure("rows of quote_changes, replayed", outcome.rows, ""),
        Figure("updates delivered, each compared with its row", outcome.updates, ""),
        Figure("states sent on the way, each compared with the replay to its version", outcome.states, ""),
        Figure("copies compared at the end: every tab, and every quote from every node", outcome.copies, ""),
        Figure("edits sent again until known", ledger.again, ""),
        Figure("answers that said: stored before", ledger.repeated, ""),
        Figure("entries: recovered", outcome.recovered, ""),
        Figure("entries: not recovered, the first ones among them", outcome.not_recovered, ""),
        Figure("holes that a tab asked about", outcome.holes, ""),
        Figure("from the last edit until every tab shows what the database has", outcome.converged_s, "s", 5.0),
        Figure("p50 of the answers to an edit", percentile(took, 50) * 1000, "ms"),
        Figure("p99 of the answers to an edit", percentile(took, 99), "s"),
        Figure("slowest answer to an edit", max(took), "s"),
    ]
    if outcome.resumes_s:
        figures.append(Figure("p99 until a tab of a killed node was back", percentile(outcome.resumes_s, 99), "s"))
    return figures


def _told(outcome: EditOutcome) -> dict[str, object]:
    return {
        "seed": outcome.seed,
        **outcome.faults,
        "seconds": round(outcome.took_s),
        "answers": dict(Counter(code for _, code in outcome.ledger.answers)),
        "refused": dict(outcome.refused),
        "without an answer": dict(outcome.ledger.unknown),
        "ends": dict(outcome.ends),
    }
