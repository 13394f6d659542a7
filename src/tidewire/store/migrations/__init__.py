"""Alembic's folder: one set of migrations for SQLite and Postgres, carried inside the wheel."""
