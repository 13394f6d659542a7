"""What every benchmark shares: figures with bars and baselines, medians of runs, percentiles, CPU seconds, machine.

It must not know what is measured. A figure is judged here and nowhere else, so that all of them mean the same.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
        parameters: What it was run with: sizes, rates, durations; and facts that explain the figures.
        load_before: One-minute load average of the machine just before, so that a crowded run can be told.
    """

    name: str
    figures: tuple[Figure, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    load_before: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "name": self.name,
            "figures": [figure.plain() for figure in self.figures],
            "parameters": self.parameters,
            "load_before": self.load_before,
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


def load_average() -> float:
    """Return the machine's load average over the last minute."""
    return round(os.getloadavg()[0], 2)


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
        "load_average": load_average(),
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
