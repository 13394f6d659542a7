"""Slows repeated attempts per key: a token bucket with bounded memory. Pure; time is an argument.

It must not know what a key stands for. Kept as one number per key (the generic cell rate algorithm), so a refusal knows
exactly when the next attempt is allowed. Overflow policy: the key that was used longest ago is forgotten.
Source: ITU-T I.371 (GCRA).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    full_at: float
    told_at: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that is not allowed now.

    Attributes:
        retry_after_s: Seconds until the next attempt of the key is allowed.
        first: Whether this opens a flood; False for its other refusals within ``tell_every_s``.
    """

    retry_after_s: float
    first: bool


class Throttle:
    """At most ``burst`` attempts at once per key, then one every ``every_s`` seconds.

    Args:
        keys_max: Most keys remembered.
        tell_every_s: How long a flood counts as one, seconds.
    """

    def __init__(self, *, burst: int, every_s: float, keys_max: int = 10_000, tell_every_s: float = 300.0) -> None:
        self.burst = burst
        self.every_s = every_s
        self.keys_max = keys_max
        self.tell_every_s = tell_every_s
        self.allowed = 0
        self.refused = 0
        self.forgotten = 0
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, key: str, now: float) -> Refusal | None:
        """Use one attempt of ``key`` at ``now`` (monotonic seconds); return None, or why not."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._add(key, now)
        self._buckets.move_to_end(key)
        start = max(bucket.full_at, now)
        wait = start + self.every_s - now - self.burst * self.every_s
        # A rounding error must not refuse an attempt that is due.
        if wait > 1e-9:
            self.refused += 1
            first = bucket.told_at is None or now - bucket.told_at >= self.tell_every_s
            if first:
                bucket.told_at = now
            return Refusal(wait, first)
        bucket.full_at = start + self.every_s
        self.allowed += 1
        return None

    def give_back(self, key: str) -> None:
        """Return one attempt of ``key``: it turned out not to be a guess."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.full_at -= self.every_s

    def statistics(self) -> dict[str, int]:
        """Return counters since start: allowed, refused, forgotten (by overflow); and the keys held now."""
        return {
            "allowed": self.allowed,
            "refused": self.refused,
            "forgotten": self.forgotten,
            "keys": len(self._buckets),
        }

    def _add(self, key: str, now: float) -> _Bucket:
        while len(self._buckets) >= self.keys_max:
            self._buckets.popitem(last=False)
            self.forgotten += 1
        bucket = self._buckets[key] = _Bucket(full_at=now)
        return bucket
