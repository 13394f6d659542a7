"""Which settings contradict each other or expose too much. Pure over the settings object; it must not read anything.

Source: contract.md section 2; reliability.md 3.1 (no plain transport beyond this machine, exact origins).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

from tidewire.settings.model import DEFAULT_FEED_URL, SLOTS_MAX, Settings

# Shorter secrets can be guessed offline from a signed cookie; 32 characters of a generator are 128 bits and more.
SECRET_KEY_MIN_CHARS = 32
SECRET_KEYS = frozenset(
    {"MASSIVE_API_KEY", "TIDEWIRE_SECRET_KEY", "TIDEWIRE_DATABASE_URL", "TIDEWIRE_REDIS_URL", "TIDEWIRE_METRICS_TOKEN"}
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration; ``value`` is masked already."""

    key: str
    value: str
    what: str
    action: str

    def __str__(self) -> str:
        shown = f"{self.key}={self.value}" if self.value else self.key
        return f"{shown}: {self.what} {self.action}"


def mask(key: str, value: str) -> str:
    """Return ``value`` as it may be shown: secrets become their length, anything else at most 80 characters.

    Any URL may carry a login before its host, or a key in its query, whatever the setting is for.
    """
    looks_secret = key in SECRET_KEYS or re.search(r"SECRET|TOKEN|PASSW|API_KEY", key) is not None
    if looks_secret:
        return f"<hidden, {len(value)} characters>"
    value = re.sub(r"//[^/,]*@", "//<hidden>@", value)
    return re.sub(r"\?[^,]*", "?<hidden>", value)[:80] if "//" in value else value[:80]


def contradictions(s: Settings, *, demo: bool) -> list[Problem]:
    """Return everything wrong with ``s`` as a whole; the demo makes its own secret key."""
    return [
        *_source_problems(s),
        *_slot_problems(s),
        *_url_problems(s),
        *_exposure_problems(s, demo=demo),
        *_metrics_problems(s),
    ]


def _source_problems(s: Settings) -> Iterable[Problem]:
    if s.use_massive_api == s.use_synthetic_data:
        state = "both are true" if s.use_massive_api else "neither is true"
        yield Problem(
            "USE_MASSIVE_API / USE_SYNTHETIC_DATA",
            "",
            f"{state}; exactly one must be.",
            "Set one true, the other false.",
        )
    if s.use_massive_api and (s.massive_api_key is None or not s.massive_api_key.get_secret_value().strip()):
        yield Problem("MASSIVE_API_KEY", "", "is required with USE_MASSIVE_API=true.", "Set it to your provider key.")
    for channel in s.feed_channels:
        if channel not in ("T", "A", "AM"):
            yield Problem(
                "TIDEWIRE_FEED_CHANNELS", channel, "is not a channel with prices.", "Use T, A, AM, or several."
            )
    if not s.feed_channels:
        yield Problem("TIDEWIRE_FEED_CHANNELS", "", "is empty.", "Use T, A, AM, or several.")


def _slot_problems(s: Settings) -> Iterable[Problem]:
    for n in range(s.websocket_connections_max + 1, SLOTS_MAX + 1):
        if getattr(s, f"connection_{n}_enabled"):
            yield Problem(
                f"WEBSOCKET_CONNECTION_{n}_ENABLED",
                "true",
                f"is beyond WEBSOCKET_CONNECTIONS_MAX={s.websocket_connections_max}.",
                "Raise the maximum or disable the connection.",
            )
    enabled = [c for c in s.connections if c.enabled]
    if not enabled:
        yield Problem(
            "WEBSOCKET_CONNECTION_1_ENABLED",
            "",
            "no connection is enabled.",
            "Enable at least one and name its tickers.",
        )
    for c in enabled:
        prefix = f"WEBSOCKET_{c.connection_id.upper()}"
        if not c.universe_key and not c.symbols:
            yield Problem(
                f"{prefix}_UNIVERSE_KEY", "", "is missing, and so are symbols.", f"Set it, or {prefix}_SYMBOLS."
            )
        for symbol in c.symbols:
            if not re.fullmatch(r"[A-Z][A-Z0-9.\-]{0,14}", symbol):
                yield Problem(
                    f"{prefix}_SYMBOLS", symbol[:40], "is not a ticker.", "Use letters, digits, dot and dash."
                )
    if not s.use_multi_connection and len(enabled) > 1:
        yield Problem(
            "USE_MULTI_CONNECTION",
            "false",
            f"contradicts {len(enabled)} enabled connections.",
            "Enable just one of them.",
        )


def _url_problems(s: Settings) -> Iterable[Problem]:
    feed, shown = urlsplit(s.feed_url), mask("TIDEWIRE_FEED_URL", s.feed_url)
    if feed.scheme not in ("ws", "wss") or not feed.hostname:
        yield Problem("TIDEWIRE_FEED_URL", shown, "is not a ws:// or wss:// URL.", f"Example: {DEFAULT_FEED_URL}")
    elif feed.scheme == "ws" and not is_loopback(feed.hostname):
        yield Problem(
            "TIDEWIRE_FEED_URL", shown, "would send the key unencrypted.", "Use wss://; ws:// only on loopback."
        )
    if not s.database_url.startswith(("sqlite", "postgres")):
        yield Problem(
            "TIDEWIRE_DATABASE_URL", mask("TIDEWIRE_DATABASE_URL", s.database_url), "names an unknown database.",
            "Use sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER:PASSWORD@HOST/NAME.",
        )  # fmt: skip
    if s.redis_url is not None and not s.redis_url.startswith(("redis://", "rediss://", "unix://")):
        yield Problem(
            "TIDEWIRE_REDIS_URL", mask("TIDEWIRE_REDIS_URL", s.redis_url), "is not a Redis URL.",
            "Use redis://, rediss:// or unix://.",
        )  # fmt: skip
    if s.redis_url is not None and "," in urlsplit(s.redis_url).netloc.rpartition("@")[2] and not s.redis_cluster:
        yield Problem(
            "TIDEWIRE_REDIS_URL", mask("TIDEWIRE_REDIS_URL", s.redis_url), "names several servers.",
            "Name one, or set TIDEWIRE_REDIS_CLUSTER=true if they are a cluster.",
        )  # fmt: skip
    if s.redis_cluster and (s.redis_url is None or s.redis_url.startswith("unix://")):
        yield Problem(
            "TIDEWIRE_REDIS_CLUSTER", "true", "needs a TIDEWIRE_REDIS_URL over TCP.",
            "Set TIDEWIRE_REDIS_URL to redis://host:port of any server of the cluster, or of several with commas.",
        )  # fmt: skip
    if s.redis_min_replicas and s.redis_url is None:
        yield Problem(
            "TIDEWIRE_REDIS_MIN_REPLICAS", str(s.redis_min_replicas), "needs a TIDEWIRE_REDIS_URL.",
            "Set TIDEWIRE_REDIS_URL to the primary of these replicas, or remove TIDEWIRE_REDIS_MIN_REPLICAS.",
        )  # fmt: skip
    for origin in (*s.allowed_origins, *((s.public_url.rstrip("/"),) if s.public_url else ())):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}":
            key = "TIDEWIRE_ALLOWED_ORIGINS" if origin in s.allowed_origins else "TIDEWIRE_PUBLIC_URL"
            yield Problem(
                key, mask(key, origin), "is not an origin.", "Write scheme://host[:port], no path and no wildcard."
            )


def _exposure_problems(s: Settings, *, demo: bool) -> Iterable[Problem]:
    if s.secret_key is None and not demo:
        yield Problem(
            "TIDEWIRE_SECRET_KEY",
            "",
            "is required.",
            "Set it to the output of `openssl rand -base64 48`, or use a file.",
        )
    elif s.secret_key is not None and len(s.secret_key.get_secret_value()) < SECRET_KEY_MIN_CHARS:
        shown = mask("TIDEWIRE_SECRET_KEY", s.secret_key.get_secret_value())
        yield Problem("TIDEWIRE_SECRET_KEY", shown, "is too short.", f"Use {SECRET_KEY_MIN_CHARS} characters or more.")
    if (s.tls_certificate is None) != (s.tls_private_key is None):
        yield Problem(
            "TIDEWIRE_TLS_CERTIFICATE / TIDEWIRE_TLS_PRIVATE_KEY",
            "",
            "only one of them is set.",
            "Set both or neither.",
        )
    if not is_loopback(s.host) and not s.tls:
        yield Problem(
            "TIDEWIRE_HOST", s.host, "would serve logins unencrypted beyond this machine.",
            "Set TIDEWIRE_TLS_CERTIFICATE and _PRIVATE_KEY, or an https:// TIDEWIRE_PUBLIC_URL (your proxy's).",
        )  # fmt: skip


def _metrics_problems(s: Settings) -> Iterable[Problem]:
    if s.metrics_port is not None and s.metrics_token is None and not is_loopback(s.metrics_host):
        yield Problem(
            "TIDEWIRE_METRICS_HOST", s.metrics_host, "would show metrics to anybody who can reach it.",
            "Set TIDEWIRE_METRICS_TOKEN, or listen on 127.0.0.1.",
        )  # fmt: skip

    if s.otel_endpoint is not None:
        parts = urlsplit(s.otel_endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.password:
            yield Problem(
                "TIDEWIRE_OTEL_ENDPOINT", "", "is not the address of a collector.",
                "Use http://host:4318 or https://host:4318, without path, query or password.",
            )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def describe(s: Settings) -> dict[str, str]:
    """Return every key that differs from an unused slot's default, with its value as it may be shown."""
    shown = {}
    for name, field in Settings.model_fields.items():
        value = getattr(s, name)
        if re.fullmatch(r"connection_\d+_\w+", name) and value == field.default:
            continue
        text = ", ".join(value) if isinstance(value, tuple) else _plain(value)
        shown[str(field.validation_alias)] = mask(str(field.validation_alias), text) if text else ""
    return dict(sorted(shown.items()))


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
