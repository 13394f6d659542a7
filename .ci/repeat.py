"""Runs the fault tests again and again, each time with another seed, and stops at the first failure (bar R24).

``N`` rounds (20), first seed ``SEED`` (from the clock), ``TESTS`` (those below). Every seed is printed before its
round; the same seed gives the same steps: hypothesis by ``--hypothesis-seed``, our own runs by ``FAULT_SEED``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "tests/chaos",
    "tests/hub",
    "tests/client/test_session_property.py",
    "tests/client/test_real_faults.py",
    "tests/client/test_real_hub.py",
    "tests/web/test_hostile.py",
    "tests/web/test_gateway.py",
    "tests/bus/test_redis_outage.py",
    "tests/bus/test_ledger.py",
    "tests/feed/test_line.py",
)


def main() -> int:
    """Return 0, or the exit code of the first round that failed."""
    rounds = int(os.environ.get("N", "20"))
    first = int(os.environ.get("SEED") or time.time_ns() % 1_000_000)
    tests = os.environ.get("TESTS", "").split() or list(TESTS)
    for seed in range(first, first + rounds):
        sys.stdout.write(f"round {seed - first + 1} of {rounds}, seed {seed}\n")
        sys.stdout.flush()
        command = ["-m", "pytest", "-q", "-x", f"--hypothesis-seed={seed}", *tests]
        code = subprocess.call([sys.executable, *command], cwd=ROOT, env={**os.environ, "FAULT_SEED": str(seed)})
        if code:
            again = f"make repeat N=1 SEED={seed} TESTS='{' '.join(tests)}'"
            sys.stdout.write(f"failed with seed {seed}; the same again: {again}\n")
            return code
    sys.stdout.write(f"{rounds} rounds, seeds {first} to {first + rounds - 1}: no failure\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
