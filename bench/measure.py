"""What every benchmark shares: figures with bars and baselines, medians of runs, percentiles, CPU seconds, machine.

It must not know what is measured. A figure is judged here and nowhere else, so that all of them mean the same.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

# Other programs may take the machine for a while; the median of three runs passes over one such while.
RUNS = 3
LIBRARIES = (
    "tidewire",
    "picows",
    "uvloop",
    "msgspec",
    "uvicorn",
    "python-socketio",
    "fastapi",
    "massive",
    "playwright",
)
QUIET_FOR_S = 5.0
QUIET_CORES = 0.3
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Attributes:
        what: What was measured; the same text in every run.
        value: In ``unit``.
        bar: What it is judged by; None for a number that only explains.
        wanted: ``below`` or ``at least`` the bar.
        baseline: A measurement of the same run to compare with, in the same unit; None if there is none.
        baseline_is: What the baseline measures.
        runs: The value of each run, when ``value`` is their median.
    """

    what: str
    value: float
    unit: str
    bar: float | None = None
    wanted: Literal["below", "at least"] = "below"
    baseline: float | None = None
    baseline_is: str = ""
    runs: tuple[float, ...] = ()

    @property
    def missed_by(self) -> float | None:
        """How far the value lies on the wrong side of the bar; 0.0 if it does not; None without a bar."""
        if self.bar is None:
            return None
        gap = self.value - self.bar if self.wanted == "below" else self.bar - self.value
        reached = self.value < self.bar if self.wanted == "below" else self.value >= self.bar
        return 0.0 if reached else gap

    @property
    def ratio(self) -> float | None:
        """Value divided by baseline; None without a baseline, or when it is zero."""
        return self.value / self.baseline if self.baseline else None

    def plain(self) -> dict[str, Any]:
        """Return the figure for JSON."""
        missed = self.missed_by
        return {
            "what": self.what,
            "value": _round(self.value),
            "unit": self.unit,
            "bar": self.bar,
            "wanted": self.wanted if self.bar is not None else None,
            "baseline": None if self.baseline is None else _round(self.baseline),
            "baseline_is": self.baseline_is or None,
            "ratio": None if self.ratio is None else _round(self.ratio),
            "passed": None if missed is None else missed == 0.0,
            "missed_by": None if missed is None else _round(missed),
            "runs": [_round(value) for value in self.runs],
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark found.

    Attributes:
        parameters: What it was run with: sizes, rates, durations.
        others_cores: Cores that other programs kept busy meanwhile, on average; so that a crowded run can be told.
    """

    name: str
    figures: tuple[Figure, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    others_cores: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "name": self.name,
            "figures": [figure.plain() for figure in self.figures],
            "parameters": self.parameters,
            "others_cores": self.others_cores,
        }


def repeat(run: Callable[[], Sequence[Figure]], times: int = RUNS) -> tuple[Figure, ...]:
    """Call ``run`` several times and return the median of each figure and of each baseline."""
    rounds = [run() for _ in range(times)]
    return tuple(median([found[position] for found in rounds]) for position in range(len(rounds[0])))


def median(figures: Sequence[Figure]) -> Figure:
    """Return one figure whose value and baseline are the medians of the given ones."""
    first = figures[0]
    assert all(figure.what == first.what for figure in figures), "rounds must return the same figures in order"
    baselines = [figure.baseline for figure in figures if figure.baseline is not None]
    values = tuple(figure.value for figure in figures)
    return Figure(
        what=first.what,
        value=statistics.median(values),
        unit=first.unit,
        bar=first.bar,
        wanted=first.wanted,
        baseline=statistics.median(baselines) if baselines else None,
        baseline_is=first.baseline_is,
        runs=values,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of ``values`` do not exceed (nearest rank).

    Raises:
        ValueError: Nothing was measured.
    """
    if not values:
        raise ValueError("nothing was measured, so there is no percentile")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far, user and system. Source: proc(5), /proc/pid/stat."""
    # The name in parentheses may hold spaces; fields are counted behind it, and utime is the 14th of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def among_others(run: Callable[[], Result]) -> Result:
    """Call ``run`` and note what other programs took of the machine meanwhile. Source: proc(5), /proc/stat."""
    wall, everybody, ours = time.monotonic(), _busy_s(), _own_s()
    result = run()
    others = (_busy_s() - everybody) - (_own_s() - ours)
    return replace(result, others_cores=round(max(0.0, others / (time.monotonic() - wall)), 2))


def wait_for_quiet(limit_s: float) -> None:
    """Return once the machine has been nearly idle for five seconds, or after ``limit_s``."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        before = _busy_s()
        time.sleep(QUIET_FOR_S)
        if _busy_s() - before < QUIET_CORES * QUIET_FOR_S:
            return


def _busy_s() -> float:
    """CPU seconds that the whole machine has worked: everything but idle and waiting for disks."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _CLOCK_TICKS


def _own_s() -> float:
    """CPU seconds of this process and of its descendants that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, cores, memory, kernel, Python, libraries, date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "load_average": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """Return the processor's name as the kernel gives it."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _round(value: float) -> float:
    return round(value) if abs(value) >= 1_000 else round(value, 2)


def line(what: str, value: float, unit: str, bar: str = "") -> None:
    """Print one figure of a benchmark that is not part of ``python -m bench``."""
    print(f"  {what:<58} {value:>12,.2f} {unit:<12} {bar}")
