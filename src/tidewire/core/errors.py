"""The whole error tree, split by who must act. Pure; it must not know HTTP, sockets, SQL or Redis.

::

    TidewireError
    |-- SettingsError          the operator: the start ends with a sentence that says what to do
    |-- UpstreamError          the venue: a line to the market-data provider failed (stage and cause named)
    |-- StoreError             infrastructure: SQL
    |-- BusError               infrastructure: the bus
    |-- RequestError           the caller: becomes a reply or an RFC 9457 problem document
    |   |-- InvalidRequest         400   the request is malformed or asks for something absurd
    |   |   `-- InvalidFields      400   named fields have values that they cannot have
    |   |-- Unauthenticated        401   nobody is logged in, or the session ended
    |   |-- Forbidden              403   logged in, but not allowed
    |   |-- NotFound               404   no such thing
    |   |-- Conflict               409   the thing exists already or has changed since
    |   |-- PreconditionFailed     412   the caller named a version that is not the present one
    |   |-- TooLarge               413   the request is larger than its limit
    |   |-- WrongMediaType         415   the body is in a format that is not read here
    |   |-- PreconditionRequired   428   the caller must name the version that it has seen
    |   |-- RateLimited            429   too many attempts; ``retry_after_ms`` says when
    |   `-- Unavailable            503   a part that is needed is down; temporary
    `-- Disconnect             the peer: becomes a WebSocket close code

Every error carries three sentences: what happened, the action required, and what the system will not do.
Source: contract.md principle "no silent fallback"; RFC 9457 for the HTTP shape.
"""

from __future__ import annotations

from collections.abc import Mapping

# What an error may carry for programs beside its sentences: plain JSON values.
Detail = str | int | float | bool | None | list["Detail"] | dict[str, "Detail"]


class TidewireError(Exception):
    """Base of every error that Tidewire raises on purpose.

    Args:
        message: What happened, one sentence, safe to show.
        required_action: What the person who must act should do.
        will_not: What the system will not do on its own.
        code: Stable identifier, ``snake_case``; defaults to the class's own.
    """

    code = "internal_error"

    def __init__(self, message: str, *, required_action: str = "", will_not: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.required_action = required_action
        self.will_not = will_not
        if code is not None:
            self.code = code

    def describe(self) -> dict[str, str]:
        """Return the error as the wire's ``{code, message, required_action, will_not}``."""
        return {
            "code": self.code,
            "message": self.message,
            "required_action": self.required_action,
            "will_not": self.will_not,
        }


class SettingsError(TidewireError):
    """The configuration is wrong; the program does not start."""

    code = "settings_invalid"


class UpstreamError(TidewireError):
    """A line to the venue failed. ``stage`` is where: connect, greeting, auth, acknowledgement, stream."""

    code = "upstream_failed"

    def __init__(
        self, message: str, *, stage: str, required_action: str = "", will_not: str = "", code: str | None = None
    ) -> None:
        super().__init__(message, required_action=required_action, will_not=will_not, code=code)
        self.stage = stage


class StoreError(TidewireError):
    """The database refused, failed or did not answer in time."""

    code = "storage_unavailable"


class BusError(TidewireError):
    """The bus refused or could not take a message. Temporary unless said otherwise."""

    code = "broker_unavailable"


class RequestError(TidewireError):
    """The caller's request cannot be answered as asked. ``status`` is the HTTP status code.

    Args:
        details: What a program needs to go on, such as the present value; shown to the caller.
    """

    code = "request_failed"
    status = 400
    temporary = False

    def __init__(
        self,
        message: str,
        *,
        required_action: str = "",
        will_not: str = "",
        code: str | None = None,
        retry_after_ms: int | None = None,
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        super().__init__(message, required_action=required_action, will_not=will_not, code=code)
        self.retry_after_ms = retry_after_ms
        self.details = details


class InvalidRequest(RequestError):
    """Malformed or absurd."""

    code = "bad_request"


class InvalidFields(InvalidRequest):
    """Named fields have values that they cannot have.

    Args:
        problems: Field -> what is wrong with its value, one sentence without the value.
        reasons: Field -> the same for programs: a ``code``, and what else the sentence names.
    """

    code = "invalid_fields"

    def __init__(self, problems: Mapping[str, str], reasons: Mapping[str, Mapping[str, str | int]]) -> None:
        super().__init__(
            " ".join(f"{name}: {text}" for name, text in problems.items())[:1_000],
            required_action="Correct the fields named, then send it again.",
            will_not="Tidewire will not change anything: not these fields, nor others that came with them.",
            details={"fields": dict(problems), "reasons": {name: dict(why) for name, why in reasons.items()}},
        )
        self.problems = problems
        self.reasons = reasons


class Unauthenticated(RequestError):
    """Nobody is logged in, or the session has ended."""

    code = "unauthorized"
    status = 401


class Forbidden(RequestError):
    """Logged in, but without the role, permission or origin that is needed."""

    code = "permission_denied"
    status = 403


class NotFound(RequestError):
    """No such thing."""

    code = "not_found"
    status = 404


class Conflict(RequestError):
    """The thing exists already, or it has changed since the caller looked."""

    code = "conflict"
    status = 409


class PreconditionFailed(RequestError):
    """The caller named a version that is not the present one."""

    code = "precondition_failed"
    status = 412


class PreconditionRequired(RequestError):
    """The caller must name the version that it has seen."""

    code = "precondition_required"
    status = 428


class TooLarge(RequestError):
    """The request is larger than its limit."""

    code = "too_large"
    status = 413


class WrongMediaType(RequestError):
    """The body is in a format that is not read here."""

    code = "wrong_media_type"
    status = 415


class RateLimited(RequestError):
    """Too many attempts."""

    code = "rate_limited"
    status = 429
    temporary = True


class Unavailable(RequestError):
    """A part that is needed is down."""

    code = "temporarily_unavailable"
    status = 503
    temporary = True


def told(error: TidewireError) -> dict[str, Detail]:
    """Return the error as ``describe`` does, with what its sentences name, for those who say them in other words."""
    details = error.details if isinstance(error, RequestError) else None
    return {**error.describe(), **({} if details is None else {"details": dict(details)})}


class Disconnect(TidewireError):
    """The peer's connection must end with WebSocket close code ``close_code``."""

    code = "disconnect"

    def __init__(self, message: str, *, close_code: int, required_action: str = "", will_not: str = "") -> None:
        super().__init__(message, required_action=required_action, will_not=will_not)
        self.close_code = close_code
