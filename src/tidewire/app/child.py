"""One child process and the line it talks on: it says when it is ready, and then every second that it lives.

The parent says where the child is to accept connections for another one, and hands over the socket. The line is a
socket pair; its end, seen by the child, means that the parent is gone. It must not know what the child does or whether
it is to be started again. Source: unix(7), ``SCM_RIGHTS``.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import structlog

from tidewire.app.slot import cause_of
from tidewire.core.background import background

log = structlog.get_logger(__name__)

# A child says something every second; one line is well below a kilobyte.
BEAT_EVERY_S = 1.0
MAX_LINE_BYTES = 16_384
# One comes with a word; several words may be read at once.
MAX_SOCKETS = 16


class ChildWord(msgspec.Struct, frozen=True, kw_only=True):
    """What a child says.

    Attributes:
        kind: ``ready`` once, ``beat`` every second.
        facts: What the start has brought, with ``ready``.
    """

    kind: str
    facts: dict[str, Any] = {}


class ParentWord(msgspec.Struct, frozen=True, kw_only=True):
    """What the parent says.

    Attributes:
        kind: ``cover``: accept on the socket that comes with this word too; ``uncover``: no more.
        place: Number of the worker whose socket that is.
    """

    kind: Literal["cover", "uncover"]
    place: int


class Child:
    """A running process. Make it with ``spawn``.

    Attributes:
        facts: What it said with ``ready``.
    """

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket, heard: Callable[[], None]) -> None:
        self.facts: dict[str, Any] = {}
        self._process = process
        self._heard = heard
        self._line = line
        self._ready = asyncio.Event()
        self._reading = background(self._read(line), f"child-{process.pid}")

    @classmethod
    async def spawn(cls, arguments: Sequence[str], *, fds: Sequence[int], heard: Callable[[], None]) -> Child:
        """Start ``tidewire ARGUMENTS --control-fd N``.

        Args:
            fds: File descriptors that it inherits under the same numbers.
            heard: Called each time it shows that it lives.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tidewire",
                *arguments,
                "--control-fd",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *fds),
                # A terminal's Ctrl-C goes to the parent alone, which ends its children in order.
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, ours, heard)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def cause(self) -> str:
        """How it ended, in words; only after ``ended``."""
        return cause_of(self._process.returncode or 0)

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        return self._process.returncode

    async def ready(self) -> bool:
        """Return whether it got ready, as soon as it has or has ended."""
        ready = asyncio.create_task(self._ready.wait())
        ended = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            return self._ready.is_set() and not ended.done()
        finally:
            ready.cancel()
            ended.cancel()

    async def ended(self) -> None:
        """Return when it has ended and all it said is read."""
        await self._process.wait()
        await asyncio.gather(self._reading, return_exceptions=True)

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal; one that has ended already gets none."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signum)

    def cover(self, place: int, listener: socket.socket) -> bool:
        """Let it accept on another worker's socket too; False if it could not be told."""
        return self._tell(ParentWord(kind="cover", place=place), listener.fileno())

    def uncover(self, place: int) -> None:
        """Let it leave another worker's socket alone again."""
        self._tell(ParentWord(kind="uncover", place=place))

    def _tell(self, word: ParentWord, *fds: int) -> bool:
        try:
            socket.send_fds(self._line, [msgspec.json.encode(word) + b"\n"], fds)
        except OSError as exc:
            # It is dead or frozen; both are noticed, told and mended elsewhere.
            log.warning("child_not_told", pid=self.pid, word=word.kind, what_happened=str(exc))
            return False
        return True

    async def _read(self, line: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=line, limit=MAX_LINE_BYTES)
        decoder = msgspec.json.Decoder(ChildWord)
        try:
            # A dead child's line ends; ValueError is a line beyond the limit.
            with contextlib.suppress(ConnectionError):
                while said := await reader.readline():
                    word = decoder.decode(said)
                    if word.kind == "ready":
                        self.facts = word.facts
                        self._ready.set()
                    self._heard()
        except (ValueError, msgspec.DecodeError) as exc:
            log.warning("child_unintelligible", pid=self.pid, error=str(exc))
        finally:
            writer.close()


class ParentLine:
    """The child's end of the line.

    Args:
        fd: The inherited descriptor.
        parent_gone: Called when the parent has ended; not when we end.
        told: Called with each word of the parent, and the socket that came with it.
    """

    def __init__(
        self,
        fd: int,
        parent_gone: Callable[[], None],
        told: Callable[[ParentWord, socket.socket | None], None],
    ) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._parent_gone = parent_gone
        self._told = told
        self._decoder = msgspec.json.Decoder(ParentWord)
        self._begun = b""
        self._sockets: deque[socket.socket] = deque()
        self._beating: asyncio.Task[None] | None = None

    def ready(self, facts: dict[str, Any]) -> None:
        """Say that this process serves, and from now on every second that it lives. Call with a running loop."""
        self._say(ChildWord(kind="ready", facts=facts))
        self._beating = background(self._beat(), "beat")
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def close(self) -> None:
        """Say and hear nothing more. Idempotent; call with the loop that ran."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
            asyncio.get_running_loop().remove_reader(self._socket)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            self._say(ChildWord(kind="beat"))

    def _say(self, word: ChildWord) -> None:
        # A parent that is gone is noticed below; one that does not read for hours misses beats only.
        with contextlib.suppress(OSError):
            self._socket.send(msgspec.json.encode(word) + b"\n")

    def _hear(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, MAX_LINE_BYTES, MAX_SOCKETS, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except ConnectionError:
            data, fds = b"", []
        if not data:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._parent_gone()
            return
        self._sockets.extend(socket.socket(fileno=fd) for fd in fds)
        *words, self._begun = (self._begun + data).split(b"\n")
        for said in words:
            word = self._decoder.decode(said)
            self._told(word, self._sockets.popleft() if word.kind == "cover" else None)
