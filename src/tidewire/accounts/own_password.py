"""What is said about a password that somebody chooses for themselves, or must. Pure; it must not know how it is kept.

A password that somebody else chose or that was generated has been seen by two; it opens nothing but the page on which
it is changed. Source: OWASP ASVS 5.0 section 6.4.1; NIST SP 800-63B section 5.1.1.2.
"""

from __future__ import annotations

from tidewire.accounts.policy import check_password, normalize_password
from tidewire.core.errors import Forbidden, InvalidRequest, StoreError, Unauthenticated

CHANGE_REQUIRED = "password_change_required"
WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a code
_WILL_NOT = "Tidewire will not change the password."


def change_required() -> Forbidden:
    """Return what somebody is told whose password must be changed first."""
    return Forbidden(
        "Your password was chosen by somebody else and must be changed before anything else.",
        required_action="Open /password in a browser, choose a password of your own, then try again.",
        will_not="Tidewire will not answer or send anything before it is changed.",
        code=CHANGE_REQUIRED,
    )


def check_new_password(present: str, new: str, username: str) -> None:
    """Raise InvalidRequest unless ``new`` is another one, and good enough."""
    if normalize_password(present) == normalize_password(new):
        raise InvalidRequest(
            "The new password is the present one.",
            required_action="Choose another one.",
            will_not=_WILL_NOT,
            code="password_unchanged",
        )
    check_password(new, username)


def wrong_password() -> InvalidRequest:
    """Return what is said to whoever does not know the present password."""
    return InvalidRequest(
        "The present password is wrong.",
        required_action="Type the password that you have logged in with.",
        will_not=_WILL_NOT,
        code=WRONG_PASSWORD,
    )


def gone() -> Unauthenticated:
    """Return what is said to whoever may no longer log in."""
    return Unauthenticated(
        "Your login has ended.",
        required_action="Log in at /login, then try again.",
        will_not=_WILL_NOT,
    )


def left_outside(error: StoreError) -> Unauthenticated:
    """Return what is said to somebody whose password is changed, but for whom no new login could be opened."""
    return Unauthenticated(
        f"Your password is changed and every login of yours has ended, but no new one was opened: {error.message}",
        required_action="Log in at /login with the new password.",
        will_not="Tidewire will not take the old password again.",
    )
