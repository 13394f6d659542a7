"""What tests need to log in: a secret, and a hasher with the smallest parameters argon2 allows."""

from __future__ import annotations

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tidewire.accounts.passwords import Passwords

SECRET = "a secret of more than thirty-two bytes, for tests only"


def cheap_passwords() -> Passwords:
    """Return real argon2id at a thousandth of its price."""
    return Passwords(PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)))
