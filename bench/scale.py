"""The arithmetic from one process to 100 million sockets: ``python -m bench.scale [--sockets N ...] [--NAME VALUE]``.

A model, not a measurement: it divides demand by what one process, one broker and one database were measured to do, and
says which of them runs out first. Every input is an option; its help names the source, and ASSUMED where there is none.
It must not import Tidewire, so that it runs anywhere. The prose is docs/scale.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from rich.console import Console
from rich.table import Table

SIZES = (10_000, 1_000_000, 100_000_000)
_PERFORMANCE = "docs/performance.md"


def given(default: float, unit: str, source: str) -> Any:
    """Return a field with its unit and where the number comes from."""
    return field(default=default, metadata={"unit": unit, "source": source})


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the model is told. Sources stand beside the numbers."""

    socket_kib: float = given(10.9, "KiB", f"measured: {_PERFORMANCE}, memory per idle socket")
    kernel_kib: float = given(8.0, "KiB", "ASSUMED: kernel memory of an idle TCP socket, its epoll entry and file")
    outbox_kib: float = given(4.0, "KiB", "ASSUMED: average held back for readers that are slow just now")
    process_gib: float = given(4.0, "GiB", "ASSUMED: memory that one process may have")
    process_files: float = given(65_536, "files", "ASSUMED: LimitNOFILE of one process; 200 are kept back (gateway)")
    cpu_share: float = given(0.5, "of a core", "ASSUMED: what a process may use on a quiet day; the rest is for storms")
    connect_ms: float = given(0.31, "ms", f"measured: {_PERFORMANCE}, server CPU of an authenticated connect")
    resume_ms: float = given(0.12, "ms", f"measured: {_PERFORMANCE}, 10,000 resumed with 20 messages in 1.2 s")
    delivery_us: float = given(10.5, "us", f"measured: {_PERFORMANCE}, CPU per delivery of 200 bytes, one at a time")
    bus_per_s: float = given(51_000, "messages/s", f"measured: {_PERFORMANCE}, Redis bus, both ends in one process")
    shard_per_s: float = given(200_000, "messages/s", "ASSUMED: what one Redis sends; more than one client could take")
    append_per_s: float = given(
        30_000, "messages/s", f"measured: {_PERFORMANCE}, room log, appended per second of Redis' CPU"
    )
    shard_gib: float = given(8.0, "GiB", "ASSUMED: memory of one Redis")
    look_up_ms: float = given(0.80, "ms", f"measured: {_PERFORMANCE}, CPU of a process for a session look-up")
    review_us: float = given(47.7, "us", f"measured: {_PERFORMANCE}, CPU of a process for a login reviewed")
    look_up_per_s: float = given(5_368, "1/s", f"measured: {_PERFORMANCE}, session look-ups of asyncpg alone")
    review_per_s: float = given(124_812, "logins/s", f"measured: {_PERFORMANCE}, logins reviewed by asyncpg alone")
    log_per_s: float = given(
        43_372, "rows/s", f"measured: {_PERFORMANCE}, log rows brought up to date by asyncpg alone"
    )
    message_bytes: float = given(200, "bytes", f"chosen: the payload of {_PERFORMANCE}")
    overhead_bytes: float = given(80, "bytes", "ASSUMED: WebSocket, TLS record, TCP and IP around one message")
    room_members: float = given(100, "sockets", "ASSUMED workload: members of a room")
    rooms_per_socket: float = given(3, "rooms", "ASSUMED workload: rooms of a socket")
    room_per_s: float = given(0.1, "messages/s", "ASSUMED workload: what is published to one room")
    symbols: float = given(5_000, "symbols", "ASSUMED workload: symbols of the market feed, which every node takes in")
    symbol_per_s: float = given(1.0, "ticks/s", "ASSUMED workload: ticks of one symbol")
    watched: float = given(2, "symbols", "ASSUMED workload: symbols that a socket watches")
    heartbeat_s: float = given(25, "s", "contract: docs/protocol.md, heartbeat")
    visit_s: float = given(1_800, "s", "ASSUMED workload: how long a socket stays")
    review_every_s: float = given(5, "s", "code: app/hub_side.py, REVIEW_EVERY_S")
    refresh_s: float = given(60, "s", "code: monitoring/connection_log.py, REFRESH_EVERY_S")
    history_messages: float = given(1_000, "messages", "code: hub/room.py, history_messages; kept per room at most")
    history_age_s: float = given(300, "s", "code: hub/room.py, history_age_s; nothing older is kept")
    presence_bytes: float = given(300, "bytes", "ASSUMED: a socket's entries in the shared presence and registry")
    processes_per_machine: float = given(16, "processes", "ASSUMED: cores of a machine, one process each")
    lost_share: float = given(1 / 3, "of all", "ASSUMED: what is lost at once: one of three zones")
    back_within_s: float = given(20, "s", "bar: reliability R8, p99 of coming back after a loss")


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many sockets need.

    Attributes:
        per_process: Sockets that one process may hold, by what would run out: memory, files, cpu, storm.
        breaks: In order: the parts that one of is not enough for, and by how much.
    """

    sockets: int
    per_process: dict[str, int]
    processes: int
    machines: int
    memory_gib: float
    gbit_per_s: float
    deliveries_per_s: float
    connects_per_s: float
    storm_per_process_per_s: float
    intake_per_process_per_s: float
    broker_per_s: float
    shards: int
    postgres_look_ups: float
    postgres_reviews: float
    postgres_log: float
    breaks: tuple[tuple[str, float], ...]

    @property
    def limit(self) -> str:
        """What fills a process first."""
        return min(self.per_process, key=lambda name: self.per_process[name])


def per_process(given: Inputs) -> dict[str, int]:
    """Return how many sockets one process may hold, by what would run out."""
    kib = given.socket_kib + given.kernel_kib + given.outbox_kib
    received = given.rooms_per_socket * given.room_per_s + given.watched * given.symbol_per_s + 1 / given.heartbeat_s
    review_s = given.review_us / 1e6 / given.review_every_s
    connect_s = (given.connect_ms + given.look_up_ms) / 1e3
    # Every tick comes in everywhere; a room's message comes in once for all its members here, who may be one.
    ticks_s = given.symbols * given.symbol_per_s / given.bus_per_s
    intake_s = given.rooms_per_socket * given.room_per_s / given.bus_per_s
    cpu_s = received * given.delivery_us / 1e6 + intake_s + review_s + connect_s / given.visit_s
    # After a loss the others take over what the lost ones held, besides their own traffic.
    newcomers = given.lost_share / (1 - given.lost_share)
    comeback_s = newcomers * (connect_s + given.resume_ms / 1e3) / given.back_within_s
    return {
        "memory": int(given.process_gib * 2**20 / kib),
        "files": int(given.process_files - 200),
        "cpu": max(1, int((given.cpu_share - ticks_s) / cpu_s)),
        # The whole core may be used while it lasts, and the traffic has risen by the newcomers' share.
        "storm": max(1, int((1.0 - ticks_s) / (cpu_s * (1 + newcomers) + comeback_s))),
    }


def touched(members: float, processes: int) -> float:
    """Return on how many of so many processes a room's members sit, if they are spread evenly by chance."""
    return processes * (1 - (1 - 1 / processes) ** members) if processes > 1 else 1.0


def plan(sockets: int, given: Inputs) -> Plan:
    """Return what ``sockets`` connections need."""
    limits = per_process(given)
    processes = max(1, math.ceil(sockets / min(limits.values())))
    held = sockets / processes
    rooms = sockets * given.rooms_per_socket / given.room_members
    received = given.rooms_per_socket * given.room_per_s + given.watched * given.symbol_per_s
    deliveries = sockets * received
    connects = sockets / given.visit_s
    # A message goes once to each process where the room has a member; ticks go to every process.
    sent = rooms * given.room_per_s * touched(given.room_members, processes)
    ticks = given.symbols * given.symbol_per_s * processes
    newcomers = given.lost_share / (1 - given.lost_share)
    kept = min(given.history_messages, given.room_per_s * given.history_age_s)
    remembered = rooms * kept * (given.message_bytes + 100) + sockets * given.presence_bytes
    # Any process alone runs out when its own share does not fit, whatever is beside it.
    parts = {
        "one process: sockets": held / min(limits.values()),
        "one process: messages from the bus": (sent + ticks) / processes / given.bus_per_s,
        # One thread does both: what it appends to the rooms' logs it has no time to send.
        "one Redis: messages": (sent + ticks) / given.shard_per_s + rooms * given.room_per_s / given.append_per_s,
        "one Redis: memory": remembered / 2**30 / given.shard_gib,
        "one Postgres: review of logins": sockets / given.review_every_s / given.review_per_s,
        "one Postgres: connection log": (connects * 2 + sockets / given.refresh_s) / given.log_per_s,
        "one Postgres: look-ups of connects": connects / given.look_up_per_s,
        "one Postgres: look-ups of a storm": sockets * given.lost_share / given.back_within_s / given.look_up_per_s,
    }
    over = sorted(((name, load) for name, load in parts.items() if load > 1), key=lambda part: -part[1])
    return Plan(
        sockets=sockets,
        per_process=limits,
        processes=processes,
        machines=math.ceil(processes / given.processes_per_machine),
        memory_gib=sockets * (given.socket_kib + given.kernel_kib + given.outbox_kib) / 2**20,
        gbit_per_s=deliveries * (given.message_bytes + given.overhead_bytes) * 8 / 1e9,
        deliveries_per_s=deliveries,
        connects_per_s=connects,
        storm_per_process_per_s=held * newcomers / given.back_within_s,
        intake_per_process_per_s=(sent + ticks) / processes,
        broker_per_s=sent + ticks,
        shards=max(1, math.ceil(max(parts["one Redis: messages"], parts["one Redis: memory"]))),
        postgres_look_ups=connects,
        postgres_reviews=sockets / given.review_every_s,
        postgres_log=connects * 2 + sockets / given.refresh_s,
        breaks=tuple(over),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the inputs with their sources, and a column for each size."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--sockets", type=int, nargs="+", default=list(SIZES), help="sizes to compute")
    for one in fields(Inputs):
        told = f"{one.metadata['unit']}; {one.metadata['source']}"
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=float, default=one.default, help=told)
    chosen = vars(parser.parse_args(arguments))
    sizes = chosen.pop("sockets")
    inputs = Inputs(**chosen)
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    console.print(inputs_table(inputs))
    console.print(plans_table([plan(size, inputs) for size in sizes]))
    return 0


def inputs_table(given: Inputs) -> Table:
    """Return the inputs, one a row."""
    table = Table(title="inputs", title_justify="left")
    for heading in ("input", "value", "source"):
        table.add_column(heading, overflow="fold")
    for one in fields(Inputs):
        table.add_row(one.name, f"{getattr(given, one.name):,g} {one.metadata['unit']}", one.metadata["source"])
    return table


def plans_table(plans: Sequence[Plan]) -> Table:
    """Return the results, one size a column."""
    table = Table(title="what it takes", title_justify="left")
    table.add_column("sockets", overflow="fold")
    for each in plans:
        table.add_column(f"{each.sockets:,}", justify="right", overflow="fold")
    rows = {
        "sockets of one process": [f"{each.per_process[each.limit]:,} ({each.limit})" for each in plans],
        "processes": [f"{each.processes:,}" for each in plans],
        "machines": [f"{each.machines:,}" for each in plans],
        "memory of sockets, GiB": [f"{each.memory_gib:,.1f}" for each in plans],
        "deliveries/s": [f"{each.deliveries_per_s:,.0f}" for each in plans],
        "to clients, Gbit/s": [f"{each.gbit_per_s:,.1f}" for each in plans],
        "connects/s, quiet": [f"{each.connects_per_s:,.0f}" for each in plans],
        "connects/s to a process after a loss": [f"{each.storm_per_process_per_s:,.0f}" for each in plans],
        "messages/s into a process": [f"{each.intake_per_process_per_s:,.0f}" for each in plans],
        "messages/s out of Redis": [f"{each.broker_per_s:,.0f}" for each in plans],
        "Redis shards": [f"{each.shards:,}" for each in plans],
        "Postgres: look-ups/s": [f"{each.postgres_look_ups:,.0f}" for each in plans],
        "Postgres: logins reviewed/s": [f"{each.postgres_reviews:,.0f}" for each in plans],
        "Postgres: log rows/s": [f"{each.postgres_log:,.0f}" for each in plans],
        "breaks, worst first": [
            "\n".join(f"{name} x{load:,.1f}" for name, load in each.breaks) or "nothing" for each in plans
        ],
    }
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


if __name__ == "__main__":
    sys.exit(main())
