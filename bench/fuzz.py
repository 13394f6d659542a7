"""The fuzz targets for as long as one likes: ``python -m bench.fuzz --seconds N``. Prints what it did and found.

The seed is printed and can be given, so that a run can be repeated. Exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.support.fuzz_targets import TARGETS, mutated

BATCH = 1_000


def attack(target: Callable[[bytes], None], chance: random.Random, found: dict[str, bytes]) -> int:
    """Run one batch against one target; return its size. The first input of each finding is kept."""
    for _ in range(BATCH):
        data = mutated(chance.choice(TARGETS[target]), chance)
        try:
            target(data)
        except Exception as error:  # noqa: BLE001 - whatever comes out is the finding
            found.setdefault(f"{target.__name__}: {type(error).__name__}: {str(error)[:120]}", data)
    return BATCH


def main() -> int:
    """Fuzz until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}")
    chance, done, found = random.Random(chosen.seed), Counter[str](), dict[str, bytes]()
    until = time.monotonic() + chosen.seconds
    while time.monotonic() < until:
        for target in TARGETS:
            done[target.__name__] += attack(target, chance, found)
    for name, count in done.items():
        print(f"  {name:<20} {count:>12,} executions")
    for what, data in found.items():
        print(f"FOUND {what}\n  {data[:400].hex()}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
