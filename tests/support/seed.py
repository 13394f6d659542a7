"""The seed of a run: the same every day, another where ``make repeat`` asks for one; it knows nothing of its use."""

from __future__ import annotations

import os


def seed(default: int) -> int:
    """Return ``default``, moved by ``FAULT_SEED`` if that is set; printed, so that a failure shows it."""
    chosen = default + int(os.environ.get("FAULT_SEED", "0"))
    # pytest shows what a failed test has printed.
    print(f"seed {chosen}")
    return chosen
