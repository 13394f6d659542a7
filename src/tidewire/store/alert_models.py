"""The tables of alerts, as SQLAlchemy 2 models. It must not know queries, sessions or who asks.

Source: contract.md section 7.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tidewire.store.models import Base, Json, Moment


class SystemAlert(Base):
    """Something that a rule has found. ``alert_type`` is the rule's key, ``group_key`` which of its groups."""

    __tablename__ = "system_alerts"
    __table_args__ = (
        Index(None, "resolved", "opened_at", "id"),
        Index(None, "opened_at", "id"),
        Index(None, "alert_type", "opened_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    alert_type: Mapped[str] = mapped_column(String(48))
    group_key: Mapped[str] = mapped_column(String(400))
    severity: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(Json)
    opened_at: Mapped[float] = mapped_column(Moment)
    updated_at: Mapped[float] = mapped_column(Moment)
    resolved: Mapped[bool] = mapped_column()
    resolved_at: Mapped[float | None] = mapped_column(Moment)
    resolved_by: Mapped[str | None] = mapped_column(String(64))
    resolved_why: Mapped[str | None] = mapped_column(String(500))
    acknowledged_at: Mapped[float | None] = mapped_column(Moment)
    acknowledged_by: Mapped[str | None] = mapped_column(String(64))
    acknowledged_note: Mapped[str | None] = mapped_column(String(500))


class AlertRule(Base):
    """A rule of an admin's, or a shipped one as an admin has changed it."""

    __tablename__ = "alert_rules"

    key: Mapped[str] = mapped_column(String(48), primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(Json)
    version: Mapped[int] = mapped_column()
    updated_at: Mapped[float] = mapped_column(Moment)
    updated_by: Mapped[str] = mapped_column(String(64))


class AlertSilence(Base):
    """Whose messages are not sent until when. ``group_key`` null: all groups of the rule."""

    __tablename__ = "alert_silences"
    __table_args__ = (Index(None, "until"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    alert_type: Mapped[str] = mapped_column(String(48))
    group_key: Mapped[str | None] = mapped_column(String(400))
    reason: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[float] = mapped_column(Moment)
    created_by: Mapped[str] = mapped_column(String(64))
    until: Mapped[float] = mapped_column(Moment)
    ended_at: Mapped[float | None] = mapped_column(Moment)
    ended_by: Mapped[str | None] = mapped_column(String(64))
