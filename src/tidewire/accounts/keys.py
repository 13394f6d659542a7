"""Derives one key per purpose from TIDEWIRE_SECRET_KEY, so that a value signed for one is worthless for another.

It must not know what is signed.
"""

from __future__ import annotations

import hashlib
import hmac

from tidewire.core.errors import SettingsError

SECRET_MIN_BYTES = 32


def derive_key(secret: str, purpose: str) -> bytes:
    """Return the 32-byte key for ``purpose``.

    Raises:
        SettingsError: The secret has fewer than 32 bytes.
    """
    raw = secret.encode()
    if len(raw) < SECRET_MIN_BYTES:
        raise SettingsError(
            f"TIDEWIRE_SECRET_KEY has {len(raw)} bytes; at least {SECRET_MIN_BYTES} are needed.",
            required_action="Set it to the output of `python -c 'import secrets; print(secrets.token_urlsafe(48))'`.",
            will_not="Tidewire will not sign sessions and forms with a secret that can be guessed.",
        )
    return hmac.digest(raw, f"tidewire:{purpose}".encode(), hashlib.sha256)
