"""Who sees the inner figures of a running server that has a metrics token."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.platform import served

TOKEN = "a token that is long enough to be one"


@pytest.mark.parametrize(("username", "status"), [("ada", 200), ("bob", 403), (None, 403)])
async def test_an_administrator_needs_no_token_for_metrics(tmp_path: Path, username: str | None, status: int) -> None:
    """The login of an administrator opens /metrics and the reasons of /healthz; nobody else's does."""
    async with served(tmp_path, metrics_token=TOKEN) as server, server.http(username) as http:
        assert (await http.get("/metrics")).status_code == status
        checks = (await http.get("/healthz?verbose")).json()["checks"]
        assert ("reason" in checks["database"]) is (status == 200)
