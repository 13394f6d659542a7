"""Where a Redis or Valkey server is, read from a URL. Pure; it must not know redis-py or connect anywhere.

Only what says *where* and *who* is accepted. Deadlines, retries and pool sizes are Tidewire's own and cannot be set by
URL, so that a copied URL cannot bring the 40 s hang of the default client back (reliability.md 1, finding 5).
No message of this module contains the URL, because its password may stand anywhere in a malformed one.
"""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import parse_qsl, unquote, urlsplit

from tidewire.core.errors import SettingsError

TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """A parsed URL.

    Attributes:
        scheme: ``redis``, ``rediss`` (TLS) or ``unix``.
        host, port: TCP address; unused for ``unix``.
        seeds: Further TCP addresses of the same cluster, for when the first does not answer.
        path: Socket file; only for ``unix``.
        db: Database number.
        username, password: Credentials, empty if none; never shown.
        tls: Options for TLS by redis-py's names (``ssl_ca_certs``, ...).
    """

    scheme: str
    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str = dataclasses.field(default="", repr=False)
    password: str = dataclasses.field(default="", repr=False)
    tls: dict[str, str] = dataclasses.field(default_factory=dict)
    seeds: tuple[tuple[str, int], ...] = ()

    def at(self, host: str, port: int) -> Address:
        """Return another server of the same cluster: same credentials, other place."""
        return dataclasses.replace(self, host=host, port=port, seeds=())

    def __str__(self) -> str:
        where = f"//{self.path}" if self.scheme == "unix" else f"//{self.host}:{self.port}/{self.db}"
        return f"{self.scheme}:{where}"


def parse_address(url: str) -> Address:
    """Read ``redis://``, ``rediss://`` or ``unix://`` with optional ``user:password@``, ``/db`` and TLS options.

    Several ``host:port`` with commas between them are servers of one cluster.

    Raises:
        SettingsError: It cannot be read; the message never contains the URL.
    """
    try:
        url, seeds = _split_seeds(url)
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Not chained: urlsplit's text quotes what it took for the port, which may be half a password.
        raise _wrong("the address or port cannot be read (percent-encode / # ? @ in the password)") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise _wrong("it must begin with redis://, rediss:// or unix://")
    if parts.fragment:
        raise _wrong("it contains a # (percent-encode it in the password as %23)")
    options = dict(parse_qsl(parts.query))
    path_db = parts.path.strip("/") if parts.scheme != "unix" else ""
    db = options.pop("db", path_db) or "0"
    unknown = [name for name in options if name not in TLS_OPTIONS]
    if unknown:
        raise _wrong(f"it has an option that Tidewire does not take; known are db, {', '.join(TLS_OPTIONS)}")
    if options and parts.scheme != "rediss":
        raise _wrong("TLS options need rediss://")
    if not (db.isascii() and db.isdecimal()):
        raise _wrong("the database must be a number")
    if parts.scheme == "unix" and not parts.path:
        raise _wrong("unix:// needs the path of the socket file")
    return Address(
        scheme=parts.scheme,
        host=parts.hostname or "localhost",
        port=port or 6379,
        path=unquote(parts.path) if parts.scheme == "unix" else "",
        db=int(db),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=options,
        seeds=seeds,
    )


def _split_seeds(url: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return the URL of the first server, and the places of the others. Raises ValueError."""
    parts = re.fullmatch(r"([^:/?#]*://)([^/?#]*)(.*)", url, re.DOTALL)
    if parts is None:
        return url, ()
    scheme, where, rest = parts.groups()
    credentials, at, hosts = where.rpartition("@")
    if re.search("@.*,", credentials):
        raise ValueError("credentials stand once, before the first server")
    first, *others = hosts.split(",")
    seeds = []
    for other in others:
        place = urlsplit(f"//{other}")
        if not place.hostname or place.username is not None or place.path or place.query or place.fragment:
            raise ValueError("a further server is not host:port")
        seeds.append((place.hostname, place.port or 6379))
    return f"{scheme}{credentials}{at}{first}{rest}", tuple(seeds)


def _wrong(what: str) -> SettingsError:
    return SettingsError(
        f"The Redis URL is wrong: {what}.",
        required_action="Set TIDEWIRE_REDIS_URL to redis://[user:password@]host:port[/db], or remove it.",
        will_not="Tidewire does not start with a guess, and does not print the URL because it may hold a password.",
    )
