"""Chance as an argument: a draw is a function, so that a seed decides everything. Pure.

It must not know where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Callable

# Returns a uniform random number in [0, 1).
Draw = Callable[[], float]
# Returns an independent draw for a name ("AAPL", "market"); the same name always gives the same numbers.
Chance = Callable[[str], Draw]


def bell(draw: Draw) -> float:
    """Return a number with mean 0 and variance 1 that never leaves [-3, 3].

    The sum of three uniforms: near enough to a normal law for prices, bounded, and three times as fast.
    """
    return 2.0 * (draw() + draw() + draw()) - 3.0
