"""TLS for tests: a certificate made on the spot, and a front that speaks TLS before a server that does not."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Certificate(NamedTuple):
    """A self-signed certificate for 127.0.0.1 and its key, as files."""

    path: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """Make one with the program ``openssl``, which a test needs or is skipped."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs the program openssl to make a certificate")
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(made.key))
    subprocess.run([program, "req", "-x509", *key, *subject, "-out", str(made.path)], check=True, capture_output=True)
    return made


class TlsFront:
    """Listens on 127.0.0.1 at a free port, speaks TLS, and forwards what it understands to ``target``.

    Attributes:
        target: The port behind it.
    """

    def __init__(self, certificate: Certificate, target: int = 0) -> None:
        self.target = target
        self.port = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.path, certificate.key)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> TlsFront:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._forward(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Return when both directions have ended; the end of one ends the other."""
        pair = [writer]
        self._writers.add(writer)
        try:
            behind, to_server = await asyncio.open_connection("127.0.0.1", self.target)
            pair.append(to_server)
            self._writers.add(to_server)
            await asyncio.gather(_pipe(reader, to_server), _pipe(behind, writer))
        except ConnectionError:
            pass  # nobody is behind: the client finds its connection ended
        finally:
            for each in pair:
                each.transport.abort()
                self._writers.discard(each)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
