"""Servers that the meta tests ask."""

from __future__ import annotations

from tests.support.valkey import valkey, valkey_url

__all__ = ["valkey", "valkey_url"]
