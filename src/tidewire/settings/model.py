"""Every setting with its key, kind, bounds and default. It must not read the environment or judge combinations.

Source: contract.md section 2; keys beyond it are additions.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, create_model, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SLOTS_MAX = 16
DEFAULT_FEED_URL = "wss://socket.massive.com/stocks"
DEFAULT_DATABASE_URL = "sqlite+aiosqlite:///tidewire.db"


def _csv(text: object) -> object:
    """Split ``a, b`` into a tuple; leave anything that is not text alone."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


_Csv = Annotated[tuple[str, ...], NoDecode]


class _Base(BaseSettings):
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=True, populate_by_name=True
    )


def _slot_fields() -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for n in range(1, SLOTS_MAX + 1):
        for suffix, kind, default in (
            ("enabled", bool, False),
            ("name", str | None, None),
            ("universe_key", str | None, None),
            ("symbols", _Csv, ()),
        ):
            alias = f"WEBSOCKET_CONNECTION_{n}_{suffix.upper()}"
            fields[f"connection_{n}_{suffix}"] = (kind, Field(default, validation_alias=alias))
    return fields


# 16 slots times 4 keys; generated so that every one of them is a known, validated key like any other.
_Slots = cast(type[_Base], create_model("_Slots", __base__=_Base, **_slot_fields()))


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One configured upstream connection; ``symbols`` are upper-cased and free of repeats."""

    connection_id: str
    name: str
    enabled: bool
    universe_key: str | None
    symbols: tuple[str, ...]


class Settings(_Slots):  # type: ignore[misc,valid-type]
    """All settings. Attribute names are the keys in lower case without ``TIDEWIRE_``."""

    use_massive_api: bool = Field(False, validation_alias="USE_MASSIVE_API")
    use_synthetic_data: bool = Field(False, validation_alias="USE_SYNTHETIC_DATA")
    massive_api_key: SecretStr | None = Field(None, validation_alias="MASSIVE_API_KEY")
    use_multi_connection: bool = Field(True, validation_alias="USE_MULTI_CONNECTION")
    websocket_connections_max: int = Field(3, ge=1, le=SLOTS_MAX, validation_alias="WEBSOCKET_CONNECTIONS_MAX")
    feed_url: str = Field(DEFAULT_FEED_URL, validation_alias="TIDEWIRE_FEED_URL")
    feed_channels: _Csv = Field(("T",), validation_alias="TIDEWIRE_FEED_CHANNELS")
    synthetic_ticks_per_second: float = Field(
        100.0, gt=0, le=50_000, validation_alias="TIDEWIRE_SYNTHETIC_TICKS_PER_SECOND"
    )
    database_url: str = Field(DEFAULT_DATABASE_URL, repr=False, validation_alias="TIDEWIRE_DATABASE_URL")
    redis_url: str | None = Field(None, repr=False, validation_alias="TIDEWIRE_REDIS_URL")
    redis_cluster: bool = Field(False, validation_alias="TIDEWIRE_REDIS_CLUSTER")
    redis_min_replicas: int = Field(0, ge=0, le=16, validation_alias="TIDEWIRE_REDIS_MIN_REPLICAS")
    secret_key: SecretStr | None = Field(None, validation_alias="TIDEWIRE_SECRET_KEY")
    host: str = Field("127.0.0.1", validation_alias="TIDEWIRE_HOST")
    port: int = Field(8000, ge=0, le=65535, validation_alias="TIDEWIRE_PORT")
    public_url: str | None = Field(None, validation_alias="TIDEWIRE_PUBLIC_URL")
    allowed_origins: _Csv = Field((), validation_alias="TIDEWIRE_ALLOWED_ORIGINS")
    allow_anonymous: bool = Field(False, validation_alias="TIDEWIRE_ALLOW_ANONYMOUS")
    trusted_proxies: _Csv = Field((), validation_alias="TIDEWIRE_TRUSTED_PROXIES")
    tls_certificate: Path | None = Field(None, validation_alias="TIDEWIRE_TLS_CERTIFICATE")
    tls_private_key: Path | None = Field(None, validation_alias="TIDEWIRE_TLS_PRIVATE_KEY")
    rating_plans: Path | None = Field(None, validation_alias="TIDEWIRE_RATING_PLANS")
    export: bool = Field(True, validation_alias="TIDEWIRE_EXPORT")
    export_mask_addresses: bool = Field(False, validation_alias="TIDEWIRE_EXPORT_MASK_ADDRESSES")
    activity_export: bool = Field(True, validation_alias="TIDEWIRE_ACTIVITY_EXPORT")
    activity_mask_addresses: bool = Field(False, validation_alias="TIDEWIRE_ACTIVITY_MASK_ADDRESSES")
    metrics_token: SecretStr | None = Field(None, validation_alias="TIDEWIRE_METRICS_TOKEN")
    metrics_host: str = Field("127.0.0.1", validation_alias="TIDEWIRE_METRICS_HOST")
    metrics_port: int | None = Field(None, ge=0, le=65535, validation_alias="TIDEWIRE_METRICS_PORT")
    otel_endpoint: str | None = Field(None, validation_alias="TIDEWIRE_OTEL_ENDPOINT")
    node_name: str = Field(default_factory=socket.gethostname, validation_alias="TIDEWIRE_NODE_NAME")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", validation_alias="TIDEWIRE_LOG_LEVEL")
    log_format: Literal["auto", "json", "console"] = Field("auto", validation_alias="TIDEWIRE_LOG_FORMAT")

    @field_validator("*", mode="before")
    @classmethod
    def _split_lists(cls, value: object, info: Any) -> object:
        annotation = cls.model_fields[info.field_name].annotation
        return _csv(value) if annotation == tuple[str, ...] else value

    @property
    def connections(self) -> tuple[ConnectionSettings, ...]:
        """The slots 1..``websocket_connections_max``, in order."""
        return tuple(self._slot(n) for n in range(1, self.websocket_connections_max + 1))

    def _slot(self, n: int) -> ConnectionSettings:
        symbols = tuple(dict.fromkeys(s.upper() for s in getattr(self, f"connection_{n}_symbols")))
        return ConnectionSettings(
            connection_id=f"connection_{n}",
            name=getattr(self, f"connection_{n}_name") or f"connection {n}",
            enabled=getattr(self, f"connection_{n}_enabled"),
            universe_key=getattr(self, f"connection_{n}_universe_key"),
            symbols=symbols,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must never be logged or shown."""
        found = [s.get_secret_value() for s in (self.massive_api_key, self.secret_key, self.metrics_token) if s]
        found += [p for url in (self.database_url, self.redis_url) if url and (p := urlsplit(url).password)]
        return tuple(found)

    @property
    def tls(self) -> bool:
        """Whether browsers reach Tidewire over TLS, here or at a proxy named by the public URL."""
        return self.tls_certificate is not None or (self.public_url or "").startswith("https://")

    @property
    def base_url(self) -> str:
        """The URL people open; the public one if set."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"
