"""Who of several processes may do what only one may do: the state machine of one that asks. Pure; time is an argument.

::

    waiting --answered(mine)-----------------> leading
    leading --answered(mine)-----------------> leading     (for another ttl_s - margin_s)
    leading --answered(another's)------------> waiting
    leading --too long without an answer-----> waiting     (told by ``leads`` at once, by ``expire`` as a change)

Time counts from before the question was asked, on a monotonic clock that goes on while the process is frozen. So who
leads here has not yet expired there, and a process that was stopped and continued knows that it does not lead any more
before it does anything else. It must not know where the answers come from.
"""

from __future__ import annotations

import enum

import msgspec


class LeaseTiming(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds.

    Attributes:
        ttl_s: A holder that says nothing for this long has lost it; a successor asks at that moment.
        renew_s: How often the holder renews, and the others ask while it does.
        margin_s: How much earlier the holder itself gives up: room for one question without an answer (1 s), for clocks
            that run at different rates, and for the last of its connections to be closed.
    """

    ttl_s: float = 6.0
    renew_s: float = 1.0
    margin_s: float = 2.0


class LeaseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper of the lease said.

    Attributes:
        mine: Whether the asker holds it.
        fence: The holder's number, higher than every earlier holder's; 0 if nobody holds it.
        holder: Who holds it; empty if nobody does.
        left_s: When it is another's: after how many seconds it is free unless it is renewed; 0 if that is not known.
    """

    mine: bool
    fence: int
    holder: str
    left_s: float = 0.0


class Standing(enum.Enum):
    """Where a process stands."""

    WAITING = "waiting"
    LEADING = "leading"


class Lease:
    """See the module's text.

    Attributes:
        standing: The last known standing; ``leads`` is what to act on.
        fence: Our number while we lead; 0 otherwise.
        holder: Who led when we last heard; empty if unknown or nobody.
        reason: Why we do not lead; empty while we do.
    """

    def __init__(self, timing: LeaseTiming | None = None) -> None:
        self.timing = timing or LeaseTiming()
        self.standing = Standing.WAITING
        self.fence = 0
        self.holder = ""
        self.reason = "not asked yet"
        self._until = 0.0
        self._left_s = 0.0

    def leads(self, now: float) -> bool:
        """Whether we certainly lead at ``now`` (monotonic seconds)."""
        return self.standing is Standing.LEADING and now < self._until

    def answered(self, asked_at: float, answer: LeaseAnswer) -> bool:
        """Note an answer to a question of ``asked_at``; return whether standing or number changed."""
        before = (self.standing, self.fence)
        self.holder = answer.holder
        self._left_s = answer.left_s
        if answer.mine:
            self.standing, self.fence, self.reason = Standing.LEADING, answer.fence, ""
            self._until = asked_at + self.timing.ttl_s - self.timing.margin_s
        else:
            self._give_up(f"{answer.holder} leads" if answer.holder else "nobody leads")
        return (self.standing, self.fence) != before

    def ask_again_s(self) -> float:
        """Return after how many seconds to ask again: sooner where another's lease may run out before."""
        return min(self.timing.renew_s, self._left_s) if self._left_s > 0 else self.timing.renew_s

    def unanswered(self) -> None:
        """A question was not answered: when another's lease runs out is not known any more."""
        self._left_s = 0.0

    def expire(self, now: float, cause: str = "the lease was not renewed in time") -> bool:
        """Give up if the lease may have run out by ``now``; return whether the standing changed."""
        if self.standing is not Standing.LEADING or now < self._until:
            return False
        self._give_up(cause)
        return True

    def resign(self) -> None:
        """Give up by choice."""
        self._give_up("resigned")

    def _give_up(self, reason: str) -> None:
        self.standing, self.fence, self.reason = Standing.WAITING, 0, reason
