"""Tunes Python's garbage collector for tens of thousands of long-lived sockets. It must not know what lives.

Every connection is about a hundred objects that stay; the collector's default walks them all again and again while
clients arrive. Measured with 10,000 connects: a fifth of the server's CPU went into it.
Source: CPython manual, ``gc.freeze`` and ``gc.set_threshold``; architecture.md, "One port, two speeds", point 4.
"""

from __future__ import annotations

import gc

# Young objects before a collection: a burst of a few hundred handshakes instead of seven.
YOUNG = 20_000
# Young collections per middle one, middle ones per full one.
MIDDLE, OLD = 50, 100


def settle() -> None:
    """Put what start-up has made out of the collector's sight, and let it look less often. Call once, when serving."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
