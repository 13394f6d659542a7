"""What a username and a password must be like. Pure; it must not know where they come from or how they are kept.

Source: NIST SP 800-63B section 5.1.1 (length over composition, no known-common passwords, Unicode normalised);
OWASP ASVS 5.0 section 6.2.
"""

from __future__ import annotations

import unicodedata

from tidewire.core.errors import InvalidRequest

USERNAME_MAX = 64
PASSWORD_MIN = 10
# Far above any passphrase; a bound, because hashing reads the whole text.
PASSWORD_MAX = 256

# The commonest ones of ten characters and more in published lists; shorter ones fail by length.
COMMON = frozenset(
    """1234567890 12345678910 0123456789 9876543210 0987654321 1111111111 0000000000 123456789a a123456789 1q2w3e4r5t
    1qaz2wsx3edc q1w2e3r4t5 qwertyuiop qwerty12345 qwerty123456 asdfghjkl1 zxcvbnm123 password12 password123
    password1234 password12345 passw0rd123 p@ssw0rd123 p@ssword123 mypassword iloveyou12 iloveyou123 letmein123
    welcome123 welcome1234 changeme123 administrator admin12345 admin123456 superadmin rootpassword football123
    baseball123 basketball sunshine123 princess123 dragon12345 monkey12345 trustno1234 abcdefghij abcdefghijk
    abc1234567 correcthorsebatterystaple tidewire123 tidewire1234 secret12345 default123""".split()  # noqa: SIM905
)


def check_username(username: str) -> str:
    """Return ``username`` in its stored form (NFKC). Raises InvalidRequest.

    Letters of any script, digits, punctuation and inner spaces are allowed; control, format and unassigned
    characters are not, because they make two names look alike.
    """
    name = unicodedata.normalize("NFKC", username)
    if not 1 <= len(name) <= USERNAME_MAX:
        raise _refuse(
            "invalid_username",
            f"A username has 1 to {USERNAME_MAX} characters.",
            "Choose another username.",
            most=USERNAME_MAX,
        )
    if name != name.strip() or any(unicodedata.category(char)[0] in "CZ" and char != " " for char in name):
        raise _refuse(
            "invalid_username",
            "A username has no control or invisible characters, and no space at its ends.",
            "Choose another username.",
            most=USERNAME_MAX,
        )
    return name


def check_password(password: str, username: str) -> None:
    """Raise InvalidRequest (``weak_password``) unless ``password`` is good enough for ``username``."""
    folded = normalize_password(password).casefold()
    if len(password) < PASSWORD_MIN:
        problem = f"The password has {len(password)} characters; at least {PASSWORD_MIN} are needed."
    elif len(password) > PASSWORD_MAX:
        problem = f"The password has {len(password)} characters; at most {PASSWORD_MAX} are allowed."
    elif folded == unicodedata.normalize("NFKC", username).casefold():
        problem = "The password is the username."
    elif folded in COMMON:
        problem = "The password is one of the commonest and is guessed first."
    elif len(set(folded)) < 4:
        problem = "The password repeats too few different characters."
    else:
        return
    raise _refuse(
        "weak_password",
        problem,
        "Choose a longer one that nobody would guess, such as four unrelated words.",
        least=PASSWORD_MIN,
        most=PASSWORD_MAX,
    )


def normalize_password(password: str) -> str:
    """Return the form that is hashed, so that one password typed on two keyboards is the same."""
    return unicodedata.normalize("NFKC", password)


def _refuse(code: str, message: str, action: str, **named: str | int) -> InvalidRequest:
    return InvalidRequest(
        message, required_action=action, will_not="Tidewire will not store it.", code=code, details={**named}
    )
