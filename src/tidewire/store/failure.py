"""Translates what SQLAlchemy, the drivers and the socket raise into StoreError. It must not know tables or queries.

Texts never contain the statement, its parameters or the URL's password.
Source: PostgreSQL manual, Appendix A "Error Codes"; SQLite manual, "Result and Error Codes".
"""

from __future__ import annotations

from sqlalchemy import exc

from tidewire.core.errors import StoreError

# What a driver may raise before SQLAlchemy can wrap it: refused sockets and deadlines (TimeoutError is an OSError).
FOREIGN: tuple[type[Exception], ...] = (exc.SQLAlchemyError, OSError)

_MIGRATE = "Run `tidewire migrate`, then start again."
_LOOK = "Check that the database is running and that TIDEWIRE_DATABASE_URL is right, then try again."
_WILL_NOT = "Tidewire will not answer from memory or keep the change for later; nothing was stored."

# SQLSTATE (or its first two or three characters) -> code, what happened, what to do.
_STATES: dict[str, tuple[str, str, str]] = {
    "42P01": ("schema_outdated", "A table is missing in the database.", _MIGRATE),
    "42703": ("schema_outdated", "A column is missing in the database.", _MIGRATE),
    "57014": (
        "storage_timeout",
        "The database did not finish in time.",
        "Try again; look for a long lock or a slow disk.",
    ),
    "55P03": ("storage_busy", "The row or table is locked by somebody else.", "Try again."),
    "40001": ("storage_busy", "The transaction collided with another one.", "Try again."),
    "40P01": ("storage_busy", "The transaction was the victim of a deadlock.", "Try again."),
    "53100": ("storage_full", "The database's disk is full.", "Free disk space on the database server."),
    "53300": (
        "storage_overloaded",
        "The database takes no more connections.",
        "Raise max_connections or lower the load.",
    ),
    "25006": ("storage_read_only", "The database is read-only.", "Point TIDEWIRE_DATABASE_URL at the primary."),
    "57P": ("storage_unavailable", "The database is starting or stopping.", "Wait until it has started."),
    "28": ("storage_refused", "The database refused the user or the password.", "Correct TIDEWIRE_DATABASE_URL."),
    "3D000": ("storage_refused", "The named database does not exist.", "Create it, or correct TIDEWIRE_DATABASE_URL."),
}
# Part of SQLite's text -> the same. SQLite has no SQLSTATE.
_SQLITE: dict[str, tuple[str, str, str]] = {
    "no such table": _STATES["42P01"],
    "no such column": _STATES["42703"],
    "database is locked": ("storage_busy", "The database file is locked by another process.", "Try again."),
    "disk is full": ("storage_full", "The database's disk is full.", "Free disk space."),
    "readonly database": (
        "storage_read_only",
        "The database file is read-only.",
        "Make the file and its folder writable.",
    ),
    "unable to open": ("storage_refused", "The database file cannot be opened.", "Check the path and its permissions."),
    "not a database": ("storage_refused", "The file is not an SQLite database.", "Correct TIDEWIRE_DATABASE_URL."),
}


def translate(error: BaseException) -> StoreError:
    """Return the StoreError that says what ``error`` means and who must act."""
    code, message, action = _classify(error)
    return StoreError(message, required_action=action, will_not=_WILL_NOT, code=code)


def unknown_outcome(error: BaseException) -> StoreError:
    """Return the StoreError for a connection that broke while the commit was under way."""
    return StoreError(
        f"The connection to the database broke during the commit ({type(error).__name__}).",
        required_action="Look whether the change is there before trying again.",
        will_not="Tidewire will not claim that the change was stored or that it was not.",
        code="outcome_unknown",
    )


def late(error: BaseException) -> StoreError:
    """Return the StoreError for a transaction whose connection was terminated at the deadline."""
    return StoreError(
        f"The database did not answer in time ({type(error).__name__}).",
        required_action=_LOOK,
        will_not=_WILL_NOT,
        code="storage_timeout",
    )


def overloaded() -> StoreError:
    """Return the StoreError for a write whose turn did not come in time, because too many others were before it."""
    return StoreError(
        "Too many changes wait for the database.",
        required_action="Try again in a moment.",
        will_not=_WILL_NOT,
        code="storage_overloaded",
    )


def stopping() -> StoreError:
    """Return the StoreError for a write that is asked for while the process ends."""
    return StoreError(
        "This process is being shut down.",
        required_action="Send it again; another process takes it, or this one's successor.",
        will_not=_WILL_NOT,
        code="storage_stopping",
    )


def read_only() -> StoreError:
    """Return the StoreError for a database that answers but takes no writes."""
    code, message, action = _STATES["25006"]
    return StoreError(message, required_action=action, will_not=_WILL_NOT, code=code)


def collided(error: BaseException | None) -> bool:
    """Whether the server undid the transaction because it collided with another one (40001, 40P01)."""
    return isinstance(error, exc.DBAPIError) and getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


def _classify(error: BaseException) -> tuple[str, str, str]:
    if isinstance(error, exc.TimeoutError):
        return "storage_overloaded", "Every database connection is in use.", "Try again in a moment."
    if isinstance(error, TimeoutError):
        return "storage_timeout", "The database did not answer in time.", _LOOK
    cause: object = error.orig if isinstance(error, exc.DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        found = _STATES.get(state) or _STATES.get(state[:3]) or _STATES.get(state[:2])
        if found:
            return found
    text = str(cause).lower()
    # The adapter's own exception says nothing; the driver's, from which it was raised, does.
    named = getattr(cause, "__cause__", None) or cause
    for part, found in _SQLITE.items():
        if part in text:
            return found
    return "storage_unavailable", f"The database failed ({type(named).__name__}).", _LOOK
