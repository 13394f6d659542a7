"""Which origins and host names are ours. Pure; it must not know requests or sockets.

An origin is compared as the exact text that a browser sends (RFC 6454 section 6.2): no case folding, no default ports,
no suffixes, no patterns. X-Forwarded-* is never looked at, because anybody can send it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from tidewire.core.errors import SettingsError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 - recognised, not bound
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# A Host header: a name or an address in brackets, and perhaps a port (RFC 9110 section 7.2).
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def origin_allowed(origin: str | None, allowed: frozenset[str]) -> bool:
    """Whether a request with this Origin header comes from one of our pages.

    Args:
        origin: The header as received; None if there was none. None and ``null`` are not allowed: a caller that accepts
            bearer tokens must decide by itself that a request without Origin is no browser's.
        allowed: From ``parse_origins`` or ``own_origins``.
    """
    return origin is not None and origin in allowed


def own_origins(host: str, port: int, *, tls: bool = False) -> frozenset[str]:
    """Return the origins of a server that listens on ``host`` and ``port`` and has no other name.

    A server that listens everywhere is known only by its loopback names; its public ones must be configured.
    """
    scheme = "https" if tls else "http"
    bare = host.strip("[]").lower()
    if bare in _EVERYWHERE or bare == "localhost" or _is_loopback(bare):
        names: tuple[str, ...] = _LOOPBACK
    else:
        names = (f"[{bare}]" if ":" in bare else bare,)
    suffix = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return frozenset(f"{scheme}://{name}{suffix}" for name in names)


def parse_origins(texts: Iterable[str]) -> frozenset[str]:
    """Return configured origins as browsers write them: lower case, without default port or trailing slash.

    Raises:
        SettingsError: One is no origin (``*``, a path, credentials, another scheme), named in the message.
    """
    return frozenset(_parse_origin(text.strip()) for text in texts if text.strip())


def host_names(origins: Iterable[str]) -> frozenset[str]:
    """Return the host names of ``origins`` without ports; addresses of version 6 keep their brackets."""
    names = set()
    for origin in origins:
        found = host_name(origin.partition("://")[2])
        if found:
            names.add(found)
    return frozenset(names)


def host_name(header: str) -> str | None:
    """Return the name in a Host header, lower case and without port; None if it is not a Host header."""
    match = _HOST.fullmatch(header)
    return match[1].lower() if match else None


def websocket_sources(origins: Iterable[str]) -> list[str]:
    """Return the ws/wss forms of ``origins`` for a Content-Security-Policy, sorted.

    Addresses in brackets are left out: the policy's grammar has no place for them (CSP Level 3, host-source), and
    ``'self'`` covers them in current browsers.
    """
    return sorted("ws" + origin.removeprefix("http") for origin in origins if "[" not in origin)


def _parse_origin(text: str) -> str:
    try:
        parts = urlsplit(text.lower())
        port = parts.port
    except ValueError:
        raise _wrong(text) from None
    name = parts.hostname or ""
    if ":" in name:
        name = f"[{_address(name, text)}]"
    elif not _NAME.fullmatch(name):
        raise _wrong(text)
    extras = parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/")
    if parts.scheme not in _DEFAULT_PORTS or extras or "@" in text or "?" in text or "#" in text:
        raise _wrong(text)
    suffix = "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{name}{suffix}"


def _address(name: str, text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(name))
    except ValueError:
        raise _wrong(text) from None


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _wrong(text: str) -> SettingsError:
    # What stands before an @ may be a password.
    shown = text if "@" not in text else "one with credentials"
    return SettingsError(
        f"TIDEWIRE_ALLOWED_ORIGINS has an entry that is no origin: {shown}.",
        required_action="Write each as scheme://host or scheme://host:port, for example https://app.example.com.",
        will_not="Tidewire will not allow origins by pattern, path or guess.",
    )
