"""What can go wrong for a program that uses the client. It must not know sockets.

::

    ClientError
    |-- Refused          the server said no: a reply with ``ok: false``, or it took the room away
    |-- Unsent           never left this process; safe to send again
    |-- OutcomeUnknown   was sent, the connection ended before the answer: it may have happened or not
    `-- ClientEnded      the connection has ended for good, or the program closed the client
"""

from __future__ import annotations

import msgspec

from tidewire.client.event import Failure
from tidewire.core.close_code import BY_NAME, CLOSE_CODES
from tidewire.core.errors import TidewireError


class ClientError(TidewireError):
    """Base of the errors above.

    Attributes:
        temporary: The same request may succeed later.
        retry_after_ms: When, if the server said so.
        details: What a program needs to go on, such as the present value of what conflicts.
    """

    code = "client_failed"

    def __init__(self, failure: Failure) -> None:
        super().__init__(
            failure.message, required_action=failure.required_action, will_not=failure.will_not, code=failure.code
        )
        self.temporary = failure.temporary
        self.retry_after_ms = failure.retry_after_ms
        self.details = {} if failure.details is msgspec.UNSET else failure.details


class Refused(ClientError):
    """The server said no."""


class Unsent(ClientError):
    """It never left this process."""


class OutcomeUnknown(ClientError):
    """It was sent and not answered."""


class ClientEnded(ClientError):
    """There will be no connection any more."""


# code: class, what happened, what to do, what the client will not do
SENTENCES: dict[str, tuple[type[ClientError], str, str, str]] = {
    "queue_full": (
        Unsent,
        "The queue of messages that wait to be sent is full.",
        "Send more slowly, or wait until the connection is back.",
        "The client will not drop an older message for this one, and will not send this one.",
    ),
    "too_large": (
        Unsent,
        "The message is larger than the server takes.",
        "Send less at once.",
        "The client will not send it: the server would close the connection.",
    ),
    "bad_request": (
        Unsent,
        "The message cannot be written as JSON, or is nested too deeply.",
        "Send plain JSON of at most 16 levels.",
        "The client will not send anything else instead.",
    ),
    "outcome_unknown": (
        OutcomeUnknown,
        "The message was sent, but the connection ended or was silent before the answer came.",
        "Find out whether it took effect before you send it again.",
        "The client will not send it a second time by itself.",
    ),
    "client_closed": (
        ClientEnded,
        "The client was closed by the program.",
        "Make a new client.",
        "The client will not send or receive anything more.",
    ),
    "already_subscribed": (
        Unsent,
        "This client is in that room already.",
        "Use the room that you have; one client has one place in each room.",
        "The client will not enter a room twice.",
    ),
}


def describe(failure: Failure) -> Failure:
    """Return the failure with its sentences, if it is one of the client's own."""
    known = SENTENCES.get(failure.code)
    if known is None or failure.message:
        return failure
    return Failure(failure.code, known[1], known[2], known[3], temporary=known[0] is Unsent)


def error_of(failure: Failure) -> ClientError:
    """Return the exception for a failure: the server's own words, the client's, or those of a close code."""
    if failure.message:
        return Refused(failure)
    if failure.code in SENTENCES:
        return SENTENCES[failure.code][0](describe(failure))
    return ended(None, failure.code)


def ended(code: int | None, reason: str | None) -> ClientEnded:
    """Return the exception for a connection that has ended for good."""
    if reason == "client_closed":
        return ClientEnded(describe(Failure("client_closed")))
    known = BY_NAME.get(reason or "") or CLOSE_CODES.get(code or 0)
    name = known.name if known is not None else reason or "closed"
    return ClientEnded(
        Failure(
            name,
            known.meaning if known is not None else f"The connection was refused or closed for good ({name}).",
            known.action if known is not None else "Look into the server's log, mend the cause, make a new client.",
            "The client will not connect again by itself.",
        )
    )
