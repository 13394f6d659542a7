"""What happens to a client message: the limits, the first one, its handler, exactly one answer, the error budget.

It must not know what any message means, or how it came.
Source: contract.md section 5; reliability.md 3.1 item 8.
"""

from __future__ import annotations

from collections.abc import Awaitable

import structlog

from tidewire.accounts.credential import Credential
from tidewire.core import protocol
from tidewire.core.errors import Conflict, RateLimited, TidewireError, Unauthenticated
from tidewire.hub.command import Commands, Request, answer
from tidewire.hub.door import Door
from tidewire.hub.session import Session
from tidewire.hub.switchboard import Switchboard

_log = structlog.get_logger(__name__)

# A client that ignores this many refusals is not slow to understand, it is a flood. Every message that passes forgives
# some; all of them would forgive every flood, because a token comes back every 20 ms.
MAX_REFUSALS = 2_000
FORGIVEN = 10
# Requests of one connection that wait for something; more than a burst (HubOptions.burst) of publishes, each of which
# waits for the broker where rooms are shared.
MAX_IN_FLIGHT = 128


class Reception:
    """See the module's text."""

    def __init__(self, board: Switchboard, door: Door, commands: Commands) -> None:
        self._board = board
        self._door = door
        self._commands = commands
        self._clock = board.clock
        door.resume = self.handle

    def handle(self, session: Session, payload: bytes) -> None:
        """Do one client message, or say why not."""
        if session.lifecycle.ended:
            return
        if session.tap is not None:
            session.tap("in", payload)
        now = self._clock.monotonic()
        waiting = not session.lifecycle.open
        if waiting and len(payload) > self._board.options.first_message_bytes:
            self._board.close(session, 4501)
            return
        request = self._commands.read(payload)
        if not session.bucket.take(now):
            session.refusals += 1
            self._answer(session, request, _too_fast(session.bucket.wait_s(now)))
            if session.refusals > MAX_REFUSALS:
                self._board.close(session, 4103)
            return
        session.refusals = max(0, session.refusals - FORGIVEN)
        if request.error is not None:
            self._fail(session, request, request.error)
        elif waiting:
            self._first(session, request)
        else:
            self._do(session, request)

    def _first(self, session: Session, request: Request) -> None:
        message = request.message
        if isinstance(message, protocol.Authenticate):
            self._door.check(session, Credential("message", message.token), message.id)
            return
        self._fail(
            session,
            request,
            Unauthenticated(
                "The first message must be authenticate.",
                required_action="Send authenticate with a token from POST /api/v1/connection-token.",
                will_not="Tidewire will not do anything for somebody it does not know.",
            ),
        )

    def _do(self, session: Session, request: Request) -> None:
        if request.command is None:
            return
        try:
            done = request.command.handle(session, request.message)
        except TidewireError as exc:
            self._fail(session, request, exc)
            return
        except Exception:  # noqa: BLE001 - the root of everything that a client starts: it is told, the log has the rest
            self._break(session, request)
            return
        if isinstance(done, bytes):
            self._answer(session, request, None, done)
        elif session.in_flight >= MAX_IN_FLIGHT:
            if hasattr(done, "close"):
                done.close()
            self._fail(session, request, _too_fast(1.0))
        else:
            session.in_flight += 1
            self._board.spawn(self._finish(session, request, done), "hub-command")

    async def _finish(self, session: Session, request: Request, done: Awaitable[bytes]) -> None:
        try:
            data = await done
        except TidewireError as exc:
            self._fail(session, request, exc)
        except Exception:  # noqa: BLE001 - a task's root
            self._break(session, request)
        else:
            self._answer(session, request, None, data)
        finally:
            session.in_flight -= 1

    def _answer(self, session: Session, request: Request, error: TidewireError | None, data: bytes = b"") -> None:
        if error is None:
            session.errors.succeed()
        encoded = answer(request.id, request.kind, error, data)
        if encoded is not None:
            self._board.push(session, [encoded])

    def _fail(self, session: Session, request: Request, error: TidewireError) -> None:
        self._answer(session, request, error)
        self._board.tell_refused(session, session.principal, request.kind or "", error)
        # What is temporary is not the client's fault: who asks again until the broker is back must not be sent away.
        # Nor is a conflict: somebody else was quicker, a dozen times for who comes back with edits made offline.
        # Neither is a flood; the limit of messages holds anyway.
        forgiven = protocol.is_temporary(error) or isinstance(error, Conflict)
        if not forgiven and session.errors.fail(self._clock.monotonic()):
            self._board.close(session, 4509)

    def _break(self, session: Session, request: Request) -> None:
        self._board.failures["command"] += 1
        _log.exception("hub_command_failed", kind=request.kind, connection_id=session.connection_id)
        error = TidewireError(
            "Tidewire made a mistake while doing this; it has been logged.",
            required_action="Try once more; if it stays, tell the operator the connection_id and the time.",
            will_not="Tidewire will not pretend that it was done.",
        )
        self._answer(session, request, error)


def _too_fast(wait_s: float) -> RateLimited:
    return RateLimited(
        "Too many messages on this connection.",
        required_action="Wait as long as retry_after_ms says, then send it again.",
        will_not="Tidewire will not do what this message asked.",
        retry_after_ms=max(1, round(wait_s * 1000)),
    )
