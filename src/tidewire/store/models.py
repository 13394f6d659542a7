"""The tables, as SQLAlchemy 2 models. It must not know queries, sessions or who asks.

Every change here needs a migration beside it; a test compares the two on SQLite and on Postgres.
Source: contract.md section 7.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import JSON

# Every constraint has a name, because Alembic can only drop or alter what it can name.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# JSONB on Postgres can be indexed and compared; SQLite keeps JSON as text.
Json = JSON().with_variant(JSONB(), "postgresql")
NullableJson = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
# SQLite numbers rows by itself only for a column whose type is exactly INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")


class Moment(TypeDecorator[float]):
    """A point in time: Unix seconds in Python, ``timestamptz`` on Postgres, UTC text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> datetime | None:
        """Turn Unix seconds into an aware datetime."""
        return None if value is None else datetime.fromtimestamp(value, UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> float | None:
        """Turn the stored time into Unix seconds. SQLite returns it without zone; it was written in UTC."""
        if value is None:
            return None
        moment: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.timestamp()


class Base(DeclarativeBase):
    """Holds the metadata of all tables."""

    metadata = MetaData(naming_convention=NAMING)


class User(Base):
    """Somebody who can log in. ``username_key`` is the folded name, so that names differ by more than case."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("username_key"),
        Index(None, "created_at", "id"),
        Index(None, "role", "username_key"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    username: Mapped[str] = mapped_column(String(64))
    # Folding can lengthen a name ("ß" becomes "ss"), at most threefold.
    username_key: Mapped[str] = mapped_column(String(192))
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    disabled: Mapped[bool] = mapped_column(default=False)
    grants: Mapped[list[str]] = mapped_column(Json, default=list)
    denials: Mapped[list[str]] = mapped_column(Json, default=list)
    created_at: Mapped[float] = mapped_column(Moment)
    password_changed_at: Mapped[float] = mapped_column(Moment)
    must_change_password: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Rises with every change, so that of two who edit a user the second is told.
    version: Mapped[int] = mapped_column(default=1, server_default="1")


class Session(Base):
    """One login. The cookie's secret is not here, only a keyed digest of it."""

    __tablename__ = "sessions"
    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    user_id: Mapped[int] = mapped_column(RowId, ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[float] = mapped_column(Moment)
    last_seen: Mapped[float] = mapped_column(Moment)
    expires_at: Mapped[float] = mapped_column(Moment)
    ip: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(256), default="")
    revoked_at: Mapped[float | None] = mapped_column(Moment)


class Universe(Base):
    """A named list of tickers."""

    __tablename__ = "universes"
    __table_args__ = (UniqueConstraint("key"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(String(128))
    source: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[float] = mapped_column(Moment)
    updated_at: Mapped[float] = mapped_column(Moment)


class UniverseMember(Base):
    """One ticker of a universe; ``position`` keeps the order of the import."""

    __tablename__ = "universe_members"

    universe_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("universes.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    symbol: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column()


class AdminActivityLog(Base):
    """Who did what, when, from where. Rows are only ever added. ``search``: folded text of all of it."""

    __tablename__ = "admin_activity_logs"
    __table_args__ = (
        Index(None, "at", "id"),
        Index(None, "actor_id"),
        *(Index(None, column, "at", "id") for column in ("actor_key", "action", "target", "ip")),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[float] = mapped_column(Moment)
    actor_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("users.id", ondelete="SET NULL"))
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(255), default="")
    details: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    ip: Mapped[str] = mapped_column(String(64), default="")
    actor_key: Mapped[str] = mapped_column(String(192), default="", server_default=text("''"))
    search: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))


class ApiKey(Base):
    """A key with which a program acts as a user. The key itself is not here, only a keyed digest of it."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("key_hash"), Index(None, "user_id"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    user_id: Mapped[int] = mapped_column(RowId, ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    # SQL NULL, not JSON null: the key may do all that its user may.
    permissions: Mapped[list[str] | None] = mapped_column(NullableJson)
    created_at: Mapped[float] = mapped_column(Moment)
    expires_at: Mapped[float] = mapped_column(Moment)
    last_used_at: Mapped[float | None] = mapped_column(Moment)
    revoked_at: Mapped[float | None] = mapped_column(Moment)


class WebsocketConnection(Base):
    """One client connection of the hub, from its authentication to its end."""

    __tablename__ = "websocket_connections"
    __table_args__ = (
        UniqueConstraint("connection_id"),
        Index(None, "user_id"),
        Index(None, "connected_at"),
        Index(None, "disconnected_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    connection_id: Mapped[str] = mapped_column(String(32))
    node: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("users.id", ondelete="SET NULL"))
    session_id: Mapped[str | None] = mapped_column(String(40))
    ip_address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(256))
    path: Mapped[str] = mapped_column(String(64))
    protocol: Mapped[str] = mapped_column(String(32))
    connected_at: Mapped[float] = mapped_column(Moment)
    disconnected_at: Mapped[float | None] = mapped_column(Moment)
    last_activity: Mapped[float] = mapped_column(Moment)
    close_code: Mapped[int | None] = mapped_column()
    messages_in: Mapped[int] = mapped_column(BigInteger)
    messages_out: Mapped[int] = mapped_column(BigInteger)
    bytes_in: Mapped[int] = mapped_column(BigInteger)
    bytes_out: Mapped[int] = mapped_column(BigInteger)


class Quote(Base):
    """One insurance quote. ``search``: folded text that the list is searched in."""

    __tablename__ = "quotes"
    __table_args__ = (
        Index(None, "updated_at", "id"),
        Index(None, "status", "expires_at"),
        # All that analytics read of a quote but its premium; by id, so that its changes can be laid beside it in order.
        # SQLite has one more, of expressions: ``ix_quotes_priced``, see migration 0012.
        Index(None, "created_at", "id", "state", "product", "status", "customer"),
        # Whether a change is of a quote of that state, without the quote.
        Index(None, "id", "state", "product"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    version: Mapped[int] = mapped_column()
    fields: Mapped[dict[str, Any]] = mapped_column(Json)
    premium: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    state: Mapped[str] = mapped_column(String(2))
    product: Mapped[str] = mapped_column(String(40))
    customer: Mapped[str] = mapped_column(String(160))
    search: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Moment)
    created_by: Mapped[str] = mapped_column(String(64))
    updated_at: Mapped[float] = mapped_column(Moment)
    expires_at: Mapped[float | None] = mapped_column(Moment)


class QuoteChange(Base):
    """One change of a quote. Rows are only ever added: a trigger refuses all else.

    No foreign key to users: deleting one would have to alter rows.
    """

    __tablename__ = "quote_changes"
    __table_args__ = (
        UniqueConstraint("quote_id", "version"),
        UniqueConstraint("quote_id", "actor_id", "op_id", "field"),
        # Of all changes the few that analytics ask for, by time and by quote. They have all that is read; ``field``,
        # too, because SQLite looks it up in the row otherwise.
        *(
            Index(
                f"ix_quote_changes_status_{name}",
                *columns,
                "after",
                "field",
                sqlite_where=text("field = 'status'"),
                postgresql_where=text("field = 'status'"),
            )
            for name, columns in (("at", ("at", "quote_id")), ("of", ("quote_id", "at")))
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    quote_id: Mapped[str] = mapped_column(String(36), ForeignKey("quotes.id"))
    version: Mapped[int] = mapped_column()
    field: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int] = mapped_column()
    before: Mapped[Any] = mapped_column(NullableJson, nullable=True)
    after: Mapped[Any] = mapped_column(NullableJson, nullable=True)
    at: Mapped[float] = mapped_column(Moment)
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(64))
    op_id: Mapped[str | None] = mapped_column(String(64))
    connection: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String(160))


class QuoteCalculation(Base):
    """The newest calculation of a quote; a newer one takes the row. ``told``: its end has been published."""

    __tablename__ = "quote_calculations"
    __table_args__ = (Index(None, "told", "deadline_at"),)

    quote_id: Mapped[str] = mapped_column(String(36), ForeignKey("quotes.id"), primary_key=True)
    serial: Mapped[int] = mapped_column()
    calculation_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16))
    based_on_version: Mapped[int] = mapped_column()
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(64))
    node: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[float] = mapped_column(Moment)
    deadline_at: Mapped[float] = mapped_column(Moment)
    ended_at: Mapped[float | None] = mapped_column(Moment)
    told: Mapped[bool] = mapped_column()
    error: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)


class QuoteCalculationRequest(Base):
    """What a request with an Idempotency-Key began. ``digest``: of the request's body, SHA-256 in hex."""

    __tablename__ = "quote_calculation_requests"

    quote_id: Mapped[str] = mapped_column(String(36), ForeignKey("quotes.id"), primary_key=True)
    actor_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    op_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    serial: Mapped[int] = mapped_column()
    calculation_id: Mapped[str] = mapped_column(String(40))
    based_on_version: Mapped[int] = mapped_column()
    actor: Mapped[str] = mapped_column(String(64))
    node: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[float] = mapped_column(Moment)
    deadline_at: Mapped[float] = mapped_column(Moment)


class AdminDashboard(Base):
    """A page that an operator has composed."""

    __tablename__ = "admin_dashboards"
    __table_args__ = (Index(None, "owner_id"), Index(None, "shared"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("users.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(String(80))
    shared: Mapped[bool] = mapped_column()
    version: Mapped[int] = mapped_column()
    widgets: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    created_at: Mapped[float] = mapped_column(Moment)
    updated_at: Mapped[float] = mapped_column(Moment)


class AdminDashboardDefault(Base):
    """Which dashboard a user begins with; user 0 is everybody who has chosen none."""

    __tablename__ = "admin_dashboard_defaults"
    __table_args__ = (Index(None, "dashboard_id"),)

    user_id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    dashboard_id: Mapped[str] = mapped_column(ForeignKey("admin_dashboards.id", ondelete="CASCADE"))


class Ban(Base):
    """Somebody (``user_id``) or some addresses (``network``) kept out. ``search``: folded text that it is found by."""

    __tablename__ = "bans"
    __table_args__ = (Index(None, "lifted_at", "expires_at"), Index(None, "user_id"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("users.id", ondelete="SET NULL"))
    username: Mapped[str] = mapped_column(String(64))
    network: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(500))
    search: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Moment)
    created_by: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[float | None] = mapped_column(Moment)
    lifted_at: Mapped[float | None] = mapped_column(Moment)
    lifted_by: Mapped[str] = mapped_column(String(64), default="")


class AnalyticsTiming(Base):
    """How often and how long something took within one step of time on one node, as a histogram.

    ``b0``..``b12``: how many were in each bucket; where the buckets end is in ``store/timing_records.py``.
    """

    __tablename__ = "analytics_timings"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    step_at: Mapped[float] = mapped_column(Moment, primary_key=True)
    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    total_ms: Mapped[float] = mapped_column(Double)
    b0: Mapped[int] = mapped_column(BigInteger)
    b1: Mapped[int] = mapped_column(BigInteger)
    b2: Mapped[int] = mapped_column(BigInteger)
    b3: Mapped[int] = mapped_column(BigInteger)
    b4: Mapped[int] = mapped_column(BigInteger)
    b5: Mapped[int] = mapped_column(BigInteger)
    b6: Mapped[int] = mapped_column(BigInteger)
    b7: Mapped[int] = mapped_column(BigInteger)
    b8: Mapped[int] = mapped_column(BigInteger)
    b9: Mapped[int] = mapped_column(BigInteger)
    b10: Mapped[int] = mapped_column(BigInteger)
    b11: Mapped[int] = mapped_column(BigInteger)
    b12: Mapped[int] = mapped_column(BigInteger)
