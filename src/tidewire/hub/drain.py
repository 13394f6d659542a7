"""The kind end of a hub: everybody is told, and closed a few at a time. It must not know why the hub ends.

Source: contract.md section 5 ("Drain on SIGTERM"); reliability.md bar R9.
"""

from __future__ import annotations

import random

from tidewire.core import protocol
from tidewire.hub.switchboard import Switchboard

# Closing and telling during a drain happens in steps; four a second keeps any second under the bar of R9.
DRAIN_STEP_S = 0.25


async def drain(board: Switchboard, chance: random.Random, window_s: float) -> int:
    """Tell everybody, and close with 4000 spread over the window; return how many there were.

    Takes the window and, if peers do not answer their close frames, at most the closing deadline more.
    """
    sessions = list(board.registry)
    if not sessions:
        return 0
    chance.shuffle(sessions)
    for index, session in enumerate(sessions):
        hint = protocol.Connection(
            status="draining",
            timestamp=board.clock.time(),
            reconnect_after_ms=round(1000 * window_s * (index + 1) / len(sessions)),
        )
        if session.lifecycle.open:
            board.push(session, [protocol.encode(hint)])
    steps = max(1, round(window_s / DRAIN_STEP_S))
    for step in range(steps):
        board.rooms.outflow.flush_all()
        for session in sessions[step::steps]:
            board.close(session, 4000, reconnect_after_ms=chance.randrange(1_000))
        await board.clock.sleep(window_s / steps)
    for session in board.registry:
        board.close(session, 4000, reconnect_after_ms=chance.randrange(1_000))
    # A peer that is still reading what was written before its close frame must not see a cut connection.
    for _ in range(round(board.options.timing.close_s / DRAIN_STEP_S) + 1):
        if not len(board.registry):
            break
        await board.clock.sleep(DRAIN_STEP_S)
    return len(sessions)
