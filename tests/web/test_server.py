"""The listening port: chosen by the kernel, refused when taken, closed on stop."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import FastAPI

from tidewire.core.errors import SettingsError
from tidewire.web.server import WebServer


def application() -> FastAPI:
    """An application with one route."""
    app = FastAPI()

    @app.get("/")
    async def home() -> str:
        return "here"

    return app


async def test_serves_on_a_port_of_the_kernels_choice_until_stopped() -> None:
    """Port 0 gives a real port; after stop nobody answers there."""
    server = WebServer(host="127.0.0.1", port=0)
    await server.start(application())
    url = f"http://127.0.0.1:{server.port}/"
    async with httpx2.AsyncClient(timeout=60) as http:
        assert (await http.get(url)).json() == "here"
        assert "server" not in (await http.get(url)).headers
    await server.stop()
    await server.stop()
    async with httpx2.AsyncClient(timeout=60) as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get(url)


async def test_taken_port_is_refused_with_what_to_do() -> None:
    """A second server on the same port ends with a sentence, not with another port."""
    first = WebServer(host="127.0.0.1", port=0)
    await first.start(application())
    second = WebServer(host="127.0.0.1", port=first.port)
    with pytest.raises(SettingsError, match="Cannot listen") as caught:
        await second.start(application())
    assert "TIDEWIRE_PORT" in caught.value.required_action
    await first.stop()
