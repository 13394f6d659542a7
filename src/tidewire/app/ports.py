"""Listening sockets of the shared port: one for each worker, made and kept by the parent, inherited by the worker.

With SO_REUSEPORT the kernel deals new connections out evenly (docs/decisions/0010). The parent keeps each
socket, so connections that wait on it are not reset when its worker ends: the next worker of the same place takes them.
It must not know what is served.
"""

from __future__ import annotations

import errno
import socket

from tidewire.web.server import cannot_listen, new_listener


class SharedPort:
    """The port.

    Args:
        host, port: Where to listen; port 0 lets the kernel choose.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self.port = port
        self._sockets: dict[int, socket.socket] = {}

    def claim(self) -> None:
        """Make sure that nobody else has the port. Raises SettingsError.

        A socket with SO_REUSEPORT would join another program of the same user that has set it, in silence.
        """
        try:
            new_listener(self._host, self.port, reuse_port=False).close()
        except OSError as exc:
            raise cannot_listen(self._host, self.port, exc) from exc

    def socket_of(self, number: int) -> socket.socket:
        """Return the socket of a worker, made if there is none. Raises SettingsError."""
        if number not in self._sockets:
            try:
                made = new_listener(self._host, self.port, reuse_port=True)
            except OSError as exc:
                raise cannot_listen(self._host, self.port, exc) from exc
            self.port = made.getsockname()[1]
            self._sockets[number] = made
        return self._sockets[number]

    def made(self, number: int) -> socket.socket | None:
        """Return the socket of a worker, None if it has none now."""
        return self._sockets.get(number)

    def close_of(self, number: int) -> None:
        """Take a worker out of the deal: connections that wait for it are reset, later ones go to the others."""
        found = self._sockets.pop(number, None)
        if found is not None:
            # Also a worker that is just ending may hold it; this ends the listening itself.
            try:
                found.shutdown(socket.SHUT_RDWR)
            except OSError as exc:
                if exc.errno != errno.ENOTCONN:
                    raise
            finally:
                found.close()

    def close(self) -> None:
        """Close all of them. Idempotent."""
        for number in list(self._sockets):
            self.close_of(number)
