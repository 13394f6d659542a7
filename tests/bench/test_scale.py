"""The scale model: its arithmetic by hand, its inputs named, its program rerun."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import pytest
from bench.scale import Inputs, per_process, plan, touched

from tests.support.command import ROOT

# Round numbers, so that a reader can check each result by hand.
ROUND = Inputs(
    socket_kib=10, kernel_kib=5, outbox_kib=1, process_gib=1, process_files=50_200, cpu_share=0.5, connect_ms=1,
    resume_ms=0, delivery_us=10, bus_per_s=50_000, shard_per_s=100_000, append_per_s=1e9, shard_gib=1, look_up_ms=0,
    review_us=0, look_up_per_s=1_000,
    review_per_s=10_000, log_per_s=1_000, message_bytes=100, overhead_bytes=25, room_members=100, rooms_per_socket=1,
    room_per_s=1, symbols=0, symbol_per_s=0, watched=0, heartbeat_s=1e9, visit_s=1_000, review_every_s=5, refresh_s=60,
    history_messages=10, history_age_s=1_000, presence_bytes=0, processes_per_machine=16, lost_share=0.5,
    back_within_s=10,
)  # fmt: skip


def test_a_process_is_full_when_its_first_part_is() -> None:
    """Memory, files, CPU and the storm after a loss each allow a number; the smallest counts."""
    limits = per_process(ROUND)
    # 1 GiB / 16 KiB; 50,200 - 200; 0.5 / (10 us out, 20 us in, 1 us of connects); 1 / (twice that and a newcomer each
    # within 10 s at 1 ms: 62 us + 100 us)
    assert limits == {"memory": 65_536, "files": 50_000, "cpu": 16_129, "storm": 6_172}
    assert plan(100_000, ROUND).limit == "storm"
    assert plan(100_000, ROUND).processes == 17
    assert plan(100_000, replace(ROUND, process_files=1_200)).limit == "files"
    assert plan(100_000, replace(ROUND, process_files=1_200)).processes == 100


def test_demand_is_what_sockets_do() -> None:
    """Deliveries, bandwidth, connects and rows follow from the workload."""
    found = plan(100_000, ROUND)
    assert found.deliveries_per_s == 100_000
    assert found.gbit_per_s == pytest.approx(0.1)
    assert found.connects_per_s == pytest.approx(100)
    assert found.postgres_reviews == 20_000
    assert found.postgres_log == pytest.approx(200 + 100_000 / 60)


def test_a_message_goes_once_to_each_process_with_a_member() -> None:
    """With one process once, with many processes almost once per member, never more than either."""
    assert touched(100, 1) == 1
    assert touched(100, 1_000_000) == pytest.approx(100, rel=0.001)
    assert 1.99 < touched(100, 2) <= 2


def test_what_breaks_is_named_with_how_much_worst_first() -> None:
    """A part that is enough is not named; more of it makes it go away."""
    breaks = dict(plan(100_000, ROUND).breaks)
    assert breaks["one Postgres: review of logins"] == pytest.approx(2)
    assert "one Redis: memory" not in breaks
    loads = [load for _, load in plan(100_000, ROUND).breaks]
    assert loads == sorted(loads, reverse=True)
    assert "one Postgres: review of logins" not in dict(plan(100_000, replace(ROUND, review_per_s=20_001)).breaks)


def test_one_redis_appends_and_sends() -> None:
    """A message of a room takes its time twice: once when it is appended, once for each process that it goes to."""
    assert "one Redis: messages" not in dict(plan(100_000, ROUND).breaks)
    # 1,000 rooms with a message a second each.
    slow = dict(plan(100_000, replace(ROUND, append_per_s=500)).breaks)
    sent = plan(100_000, ROUND).broker_per_s
    assert slow["one Redis: messages"] == pytest.approx(sent / 100_000 + 2)


def test_more_sockets_never_need_less() -> None:
    """Every part of a plan grows, or stays, with the number of sockets."""
    plans = [plan(10**power, Inputs()) for power in range(2, 9)]
    for name in ("processes", "machines", "shards", "memory_gib", "gbit_per_s", "broker_per_s", "postgres_log"):
        values = [getattr(each, name) for each in plans]
        assert values == sorted(values), name


def test_every_input_names_its_source() -> None:
    """Measured, chosen, in the code, the contract or a bar; whatever is not is marked as assumed."""
    words = ("measured: ", "code: ", "contract: ", "bar: ", "chosen: ", "ASSUMED")
    assert [one.name for one in fields(Inputs) if not one.metadata["source"].startswith(words)] == []


def test_the_program_takes_each_input_and_prints_a_column_for_each_size() -> None:
    """It runs anywhere, and says which of its numbers are assumed."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.scale", "--sockets", "12345", "1000000", "--review-per-s", "1e9"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "12,345" in done.stdout
    assert "1e+09" in done.stdout
    assert "ASSUMED" in done.stdout
    assert "review of logins x" not in done.stdout
