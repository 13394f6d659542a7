"""Everything breaks while clients resume: SIGKILL, SIGSTOP, cuts (reliability.md R1, R2, R8, R10-R14, R17).

Real nodes, Valkey and Postgres, as processes of their own; the history checker judges. Exit code 1 if anything
acknowledged was lost, doubled or reordered without a word, or a server said what it must not. A missed time does not
change the exit code: it depends on the machine. Run: ``python -m bench.chaos storm loss --seed 7``, or ``make chaos``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console
from tests.chaos import outages
from tests.chaos.losses import FORGETFUL, Losses
from tests.chaos.plant import plant
from tests.chaos.revoking import Rounds, registrar
from tests.chaos.storm import Outcome, Scale, Storm
from tests.support.history_checker import Violation

from bench import chaos_edits
from bench.__main__ import table
from bench.measure import Figure, Result, percentile

SHOWN = 20
PEACE_S = 3.0
STORAGE_S = 8.0
# What is timed is the nodes' fan-out: the process that plays the clients must not fill a core of the same machine.
STORAGE_CLIENTS = 40
STORAGE_RATE = 100.0
GHOSTS = 40
NODE_KILLS = 10
MASSES_ROOMS = 100
MASSES_CEILING_S = 300.0
Found = tuple[Result, list[Violation]]
Part = Callable[[argparse.Namespace], Awaitable[Found]]


async def storm(chosen: argparse.Namespace) -> Found:
    """Two nodes, durable Valkey (R1)."""
    kills = chosen.kills
    breaks = {
        "kill_node": kills,
        "kill_valkey": kills // 2,
        "freeze_valkey": kills // 10,
        "half_open": kills // 10,
        "delay": kills // 10,
        "cut": kills // 10,
        "cut_within": kills // 10,
        "kill_postgres": kills // 20,
        "stop_postgres": kills // 20,
    }
    scale = Scale(chosen.publishes, chosen.clients, chosen.rooms, 20, chosen.rate, 4.0, breaks)
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), users=scale.users) as built:
            outcome = await Storm(built, scale, chosen.seed).play()
    figures = [*judged(outcome), Figure("rooms that changed their epoch", outcome.epochs - scale.rooms, "", 1)]
    return Result("storm", tuple(figures), told(outcome)), outcome.violations


async def crew(chosen: argparse.Namespace) -> Found:
    """One supervisor with two workers and a feed: workers, feed and Valkey killed."""
    kills = max(1, chosen.kills // 5)
    breaks = {"kill_worker": kills, "kill_feed": max(1, kills // 4), "kill_valkey": max(1, kills // 2), "cut": 2}
    scale = Scale(chosen.publishes // 5, chosen.clients, chosen.rooms, 20, chosen.rate, 4.0, breaks)
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), crew=True, users=scale.users) as built:
            outcome = await Storm(built, scale, chosen.seed, "crew").play()
    return Result("crew", tuple(judged(outcome)), told(outcome)), outcome.violations


async def loss(chosen: argparse.Namespace) -> Found:
    """A Valkey that loses what it confirmed (R2)."""
    rounds = max(1, chosen.kills // 8)
    scale = Scale(1, min(chosen.clients, 60), 4, 20, 400.0, 2.0)
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), users=scale.users, valkey=FORGETFUL) as built:
            run = Storm(built, scale, chosen.seed, "loss")
            losses = Losses(run, chosen.seed)
            outcome = await run.play(lambda: losses.script(rounds))
    figures = [*judged(outcome), Figure("told after a reconnect, p99", p99(outcome.told_s), "s", 2.0)]
    return Result("loss", tuple(figures), {**told(outcome), **losses.done}), outcome.violations


async def freeze(chosen: argparse.Namespace) -> Found:
    """Valkey stopped with SIGSTOP (R11)."""
    scale = Scale(1, chosen.clients, chosen.rooms, 20, chosen.rate, 0.0)
    frozen: list[outages.Frozen] = []
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), users=scale.users) as built:
            run = Storm(built, scale, chosen.seed, "freeze")

            async def script() -> None:
                for lasts_s in chosen.freezes:
                    await asyncio.sleep(PEACE_S)
                    frozen.append(await outages.freeze(run, lasts_s))

            outcome = await run.play(script)
    figures = judged(outcome)
    for one in frozen:
        how = f"SIGSTOP {one.lasted_s:g} s:"
        figures += [
            Figure(f"{how} until the last client knows", one.told_s, "s", 2.0),
            Figure(f"{how} until /readyz of both says 503", one.unready_s, "s", 2.0),
            Figure(f"{how} slowest answer to a publish meanwhile", one.answered_s, "s", 2.0),
            Figure(f"{how} publishes refused meanwhile", one.refused, ""),
            Figure(f"{how} from SIGCONT until everybody has everything", one.caught_up_s, "s", 2.0),
        ]
    return Result("freeze", tuple(figures), told(outcome)), outcome.violations


async def storage(chosen: argparse.Namespace) -> Found:
    """Postgres stopped with SIGSTOP, and killed (R12)."""
    clients, rate = min(chosen.clients, STORAGE_CLIENTS), min(chosen.rate, STORAGE_RATE)
    scale = Scale(1, clients, min(chosen.rooms, outages.WITNESSED), 10, rate, 0.0)
    found: dict[str, list[outages.Storage]] = {"freeze": [], "kill": []}
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), users=scale.users) as built:
            run = Storm(built, scale, chosen.seed, "storage", steady=True)

            async def script() -> None:
                for how in ("freeze", "kill") * chosen.rounds:
                    await asyncio.sleep(PEACE_S)
                    found[how].append(await outages.without_storage(run, how, STORAGE_S))

            outcome = await run.play(script)
    figures = judged(outcome)
    for how, rounds in found.items():
        figures += _without_storage(how, rounds)
    codes = Counter(code for rounds in found.values() for one in rounds for _, code in one.refused)
    parameters = {**told(outcome), "clients": clients, "rate": rate, "rounds": chosen.rounds, "answers": dict(codes)}
    return Result("storage", tuple(figures), parameters), outcome.violations


def _without_storage(how: str, rounds: Sequence[outages.Storage]) -> list[Figure]:
    """Figures of the outages of one kind: all their messages together, and the middle of their ratios."""
    before = [took * 1000 for one in rounds for took in one.before]
    during = [took * 1000 for one in rounds for took in one.during]
    crowded_before = p99([took for one in rounds for took in one.crowded_before]) * 1000
    crowded = p99([took for one in rounds for took in one.crowded]) * 1000
    ratio = statistics.median(p99(one.during) / p99(one.before) for one in rounds)
    was, middle = p99(before), percentile(before, 50)
    slowest = max(took for one in rounds for took, _ in one.refused)
    return [
        Figure(f"{how}: p99 from publish to a witness", p99(during), "ms", was * 1.1, "below", was, "before"),
        Figure(f"{how}: p50", percentile(during, 50), "ms", None, "below", middle, "before"),
        Figure(f"{how}: p99 during it over p99 before it, the median round", ratio, "x", 1.1),
        Figure(f"{how}: messages timed, before and during", len(before) + len(during), ""),
        Figure(f"{how}: p99, as the clients' process sees it", crowded, "ms", None, "below", crowded_before, "before"),
        Figure(f"{how}: slowest answer to what needs Postgres", slowest, "s", 2.0),
        Figure(f"{how}: from its return until that is answered", max(one.recovered_s for one in rounds), "s", 5.0),
    ]


async def resume(chosen: argparse.Namespace) -> Found:
    """One of two nodes is killed: when its clients are back, and when its users have left (R10)."""
    scale = Scale(1, chosen.clients, chosen.rooms, 20, chosen.rate, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), users=max(scale.users, GHOSTS + 1), proxied=False) as built:
            run = Storm(built, scale, chosen.seed, "resume")
            outcome = await run.play(lambda: outages.kill_in_turns(run, NODE_KILLS))
            found = await outages.ghosts(built, 0, GHOSTS)
    figures = [
        *judged(outcome),
        Figure("SIGKILL of one node: p99 until a client is in its room again", p99(outcome.resumes_s), "s", 5.0),
        Figure("SIGKILL until the first and ...", min(found.left_s), "s"),
        Figure("... the last user has left, as the other node says", max(found.left_s), "s", 30.0),
    ]
    return Result("resume", tuple(figures), {**told(outcome), "users that stay away": GHOSTS}), outcome.violations


async def revoke(chosen: argparse.Namespace) -> Found:
    """Rights are taken away over two nodes, with the bus cut, and with Postgres gone as well (R14)."""
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), users=20) as built, registrar(built, chosen.seed) as office:
            found = await Rounds(built, office, chosen.seed).play(chosen.revocations, range(2, 18))
            cut = await Rounds(built, office, chosen.seed, room="app:cut").cut_off(range(2, 18), chosen.cuts)
            blind = await Rounds(built, office, chosen.seed, room="app:blind").blind(2, 3)
    late = found.late + cut.late + blind.late
    figures = [
        Figure("messages from after the revocation, and wrong codes", len(late), "", 1),
        Figure("revocations", found.rounds, ""),
        Figure("messages delivered before them", found.before, ""),
        Figure("p50 until a connection was closed", percentile(found.took_s, 50) * 1000, "ms"),
        Figure("p99 until a connection was closed", p99(found.took_s) * 1000, "ms", 250.0),
        Figure("bus cut: revocations", cut.rounds, ""),
        Figure("bus cut: slowest until a connection was closed", max(cut.took_s), "s", 5.0),
    ]
    wrong = [Violation("revoked", "came after the revocation", text) for text in late]
    codes = {f"closed with {code}": count for code, count in sorted((found.codes + cut.codes).items())}
    return Result("revoke", tuple(figures), {"seed": chosen.seed, **codes}), wrong


async def masses(chosen: argparse.Namespace) -> Found:
    """Very many clients, and one of two nodes killed (R8)."""
    scale = Scale(1, chosen.masses, MASSES_ROOMS, 4, 20.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        async with plant(Path(folder), users=scale.users, proxied=False) as built:
            run = Storm(built, scale, chosen.seed, "masses", steady=True, ceiling_s=MASSES_CEILING_S)
            found = outages.Exodus()
            outcome = await run.play(lambda: outages.exodus(run, found))
    figures = [
        *judged(outcome),
        Figure("clients of the killed node", len(found.resumed_s), ""),
        Figure("p50 until one of them is back in its room", percentile(found.resumed_s, 50), "s"),
        Figure("p99 until one of them is back in its room", p99(found.resumed_s), "s", 20.0),
        Figure("p99 from publish to clients of another process meanwhile", p99(found.delays), "s", 1.0),
        Figure("the same, seen by the process that plays all clients", p99(found.crowded), "s"),
        Figure("transactions in Postgres meanwhile to find out who they are", found.looked_up, ""),
        Figure("others in Postgres: records of connections, pages of the admin", found.recorded, ""),
    ]
    return Result("masses", tuple(figures), told(outcome)), outcome.violations


def judged(outcome: Outcome) -> list[Figure]:
    """Return what every storm is judged by."""
    figures = [
        Figure("lost, doubled, reordered or false, by the checker", len(outcome.violations), "", 1),
        Figure("publishes acknowledged", outcome.acknowledged, ""),
        Figure("messages delivered and checked", outcome.deliveries, ""),
        Figure("entries: recovered", outcome.recovered, ""),
        Figure("entries: not recovered, and told so (the first ones among them)", outcome.not_recovered, ""),
        Figure("publishes sent again until known", outcome.again, ""),
        Figure("from the last publish until everybody has everything", outcome.converged_s, "s", 5.0),
        Figure("p99 of the answers to a publish", p99(outcome.answers_s), "s"),
        Figure("slowest answer to a publish", max(outcome.answers_s), "s"),
    ]
    if outcome.resumes_s:
        figures.append(Figure("clients that resumed after the SIGKILL of a node", len(outcome.resumes_s), ""))
        figures.append(Figure("... p50 until in the room again", percentile(outcome.resumes_s, 50), "s"))
        figures.append(Figure("... p99, other faults and dead nodes meanwhile", p99(outcome.resumes_s), "s"))
    return figures


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return percentile(values, 99)


def told(outcome: Outcome) -> dict[str, object]:
    """Return what a run was made of."""
    return {
        "seed": outcome.seed,
        **outcome.faults,
        "seconds": round(outcome.took_s),
        "refused": dict(outcome.refusals),
        "without an answer": dict(outcome.unknown),
        "ends": dict(outcome.ends),
    }


PARTS: dict[str, Part] = {
    "storm": storm,
    "crew": crew,
    "loss": loss,
    "freeze": freeze,
    "storage": storage,
    "resume": resume,
    "revoke": revoke,
    "masses": masses,
    "edits": chaos_edits.edits,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of: {', '.join(PARTS)}; all by default")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--publishes", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rooms", type=int, default=10)
    parser.add_argument(
        "--kills",
        type=int,
        default=100,
        help="SIGKILLs of nodes, half as many of Valkey; edits: half of nodes, half of Postgres",
    )
    parser.add_argument("--rate", type=float, default=250.0, help="publishes a second")
    parser.add_argument("--freezes", type=float, nargs="+", default=[5.0, 30.0], metavar="SECONDS")
    # Many, not long: what else the machine does falls on both sides of a short one.
    parser.add_argument("--rounds", type=int, default=5, help="freezes and kills each of the part storage")
    parser.add_argument("--revocations", type=int, default=10_000)
    parser.add_argument("--cuts", type=int, default=5, help="revocations of all users with one node's bus cut")
    parser.add_argument("--masses", type=int, default=10_000, help="clients of the part masses")
    chaos_edits.add_arguments(parser)
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    violations: list[Violation] = []
    for name in chosen.parts or PARTS:
        console.print(f"{name}, seed {chosen.seed}, load {os.getloadavg()[0]:.1f} ...")
        result, found = asyncio.run(PARTS[name](chosen))
        console.print(table(result))
        for violation in found[:SHOWN]:
            console.print(f"BROKEN: {violation.client}: {violation.rule}: {violation.detail}")
        violations += found
    again = f"python -m bench.chaos {' '.join(chosen.parts)} --seed {chosen.seed}"
    console.print(f"{len(violations)} promises broken; the same again: {again}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
