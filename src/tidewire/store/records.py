"""What the queries hand up: frozen rows without any SQL type. Pure; it must not know how they are stored.

All times are Unix seconds, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What may stand in the details of an audit row: plain JSON values.
JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One row of ``users``.

    Attributes:
        password_hash: Encoded hash with its parameters; never shown or logged.
        role: The role's label, lower case.
        grants, denials: Permissions beyond and taken from the role's default set.
        version: Rises with every change.
        must_change_password: The password was chosen by somebody else, and nothing else may be done with it.
    """

    id: int
    username: str
    password_hash: str = field(repr=False)
    role: str
    disabled: bool
    grants: frozenset[str]
    denials: frozenset[str]
    created_at: float
    password_changed_at: float
    version: int = 1
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One row of ``sessions``.

    Attributes:
        id: Public id; may be logged and shown.
        token_hash: Keyed digest of the cookie's secret, 32 bytes.
        last_seen: When the session was last used, to the grain of the caller's touches.
        expires_at: Absolute end.
        revoked_at: When it was ended early; None while it may be used.
    """

    id: str
    token_hash: bytes = field(repr=False)
    user_id: int
    created_at: float
    last_seen: float
    expires_at: float
    ip: str
    user_agent: str
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class UniverseRecord:
    """One row of ``universes`` with the number of its members."""

    key: str
    member_count: int
    created_at: float
    updated_at: float
    source: str


@dataclass(frozen=True, slots=True)
class UniverseChange:
    """What an import changed.

    Attributes:
        created: Whether the key was new.
        added, removed: Symbols that came and went.
        total: Members now.
    """

    key: str
    created: bool
    added: int
    removed: int
    total: int


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """An audit row to be written: who did what to which target.

    Attributes:
        actor: Name of who acted (a username, or ``cli`` / ``system``), kept even if the user is deleted.
        action: ``noun.verb``, such as ``user.login_failed``.
        details: JSON values; never a password, token or cookie.
    """

    at: float
    actor: str
    action: str
    actor_id: int | None = None
    target: str = ""
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    ip: str = ""


@dataclass(frozen=True, slots=True)
class ActivityRecord:
    """An audit row as read back; ``id`` rises in the order of writing."""

    id: int
    entry: ActivityEntry


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """One row of ``api_keys``.

    Attributes:
        id: Public id; may be logged and shown.
        key_hash: Keyed digest of the key, 32 bytes.
        permissions: What the key may do at most; None: all that its user may.
    """

    id: str
    key_hash: bytes = field(repr=False)
    user_id: int
    name: str
    permissions: frozenset[str] | None
    created_at: float
    expires_at: float
    last_used_at: float | None = None
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One row of ``websocket_connections``.

    Attributes:
        disconnected_at: None while it is open.
        close_code: None while it is open, and if it was lost without a close frame.
    """

    connection_id: str
    node: str
    user_id: int | None
    session_id: str | None
    ip_address: str
    user_agent: str
    path: str
    protocol: str
    connected_at: float
    last_activity: float
    disconnected_at: float | None = None
    close_code: int | None = None
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
