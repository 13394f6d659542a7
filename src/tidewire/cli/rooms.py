"""``tidewire watch`` and ``tidewire publish``: rooms of a running server from the shell. It must not know the hub.

The secret comes from a file or stdin, never from an argument (those are in every process list) and not from a
``TIDEWIRE_`` variable (the server refuses those that it does not know).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import typer

from tidewire.cli.output import print_json
from tidewire.cli.running import run, run_service
from tidewire.client import Client, ClientError, Failure, Json, Link, Message, Presence, Reset, Room, RoomEvent, Since
from tidewire.core.telemetry import configure_logging

URL = typer.Option("ws://127.0.0.1:8000/ws", "--url", help="Address of the hub.")
TOKEN_FILE = typer.Option(None, "--token-file", help="File with an API key or token; - reads stdin.")
AS_JSON = typer.Option(False, "--json", help="Print JSON.")
STDIN = "-"
# Close code of a server that waited for somebody to say who they are.
AUTH_TIMEOUT = 4105


def watch(
    room: str = typer.Argument(..., help="The room, such as market:AAPL."),
    url: str = URL,
    token_file: str | None = TOKEN_FILE,
    since: str | None = typer.Option(None, "--since", help="EPOCH:OFFSET of the last message you have."),
    count: int | None = typer.Option(None, "--count", min=1, help="End after so many messages."),
    presence: bool = typer.Option(False, "--presence", help="Show who comes and goes."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Print the messages of ROOM as they come, across reconnects; Ctrl-C ends it.

    A loss that cannot be made good is printed, too. Exit code 1: the server refused, or took the room away.
    """
    place = _place(since)
    secret = _secret(token_file)
    configure_logging(level="error")
    try:
        run_service(_watch(url, secret, room, place, count, presence, as_json))
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted; nothing may be written to it while the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def publish(
    room: str = typer.Argument(..., help="The room, such as app:lobby."),
    data: str = typer.Argument(..., help="Any JSON; - reads stdin."),
    url: str = URL,
    token_file: str | None = TOKEN_FILE,
    volatile: bool = typer.Option(False, "--volatile", help="May be dropped and is not kept."),
    timeout_s: float = typer.Option(10.0, "--timeout", min=0.1, help="Seconds to wait for the answer."),
    as_json: bool = AS_JSON,
) -> None:
    """Send DATA to ROOM and print its place. Exit code 1: refused, not sent, or sent without an answer."""
    if data == token_file == STDIN:
        raise typer.BadParameter("stdin can hold the data or the token, not both")
    try:
        value: Json = json.loads(sys.stdin.read() if data == STDIN else data)
    except json.JSONDecodeError as exc:
        raise typer.BadParameter(f"DATA is not JSON: {exc}") from exc
    secret = _secret(token_file)
    configure_logging(level="error")
    done = run(_publish(url, secret, room, value, volatile, timeout_s))
    if as_json:
        print_json(done)
    elif done["offset"] is None:
        typer.echo(f"{room}: sent to {done['reached']} connections.")
    else:
        typer.echo(f"{room}: {done['epoch']}:{done['offset']}, sent to {done['reached']} connections.")


async def _watch(
    url: str, secret: str | None, room_id: str, since: Since | None, count: int | None, presence: bool, as_json: bool
) -> None:
    client = Client(url, bearer=secret, on_link=_Narrator(secret).tell)
    async with client:
        room = client.subscribe(room_id, since=since, presence=presence)
        await _print_events(room, count, as_json)


async def _print_events(room: Room, count: int | None, as_json: bool) -> None:
    left = count
    async for event in room:
        if as_json:
            print_json(_plain(event))
        else:
            sys.stdout.write(_line(event) + "\n")
            sys.stdout.flush()
        if left is not None and isinstance(event, Message):
            left -= 1
            if left == 0:
                return


async def _publish(
    url: str, secret: str | None, room: str, data: Json, volatile: bool, timeout_s: float
) -> dict[str, Any]:
    narrator = _Narrator(secret)
    async with Client(url, bearer=secret, on_link=narrator.tell) as client:
        try:
            async with asyncio.timeout(timeout_s):
                done = await client.publish(room, data, volatile=volatile)
        except TimeoutError as exc:
            raise ClientError(_late(client, narrator, timeout_s)) from exc
    return {"room_id": done.room_id, "reached": done.reached, "epoch": done.epoch, "offset": done.offset}


def _late(client: Client, narrator: _Narrator, timeout_s: float) -> Failure:
    if client.link.state == "connected":
        return Failure(
            "outcome_unknown",
            f"The message was sent, but not answered within {timeout_s:g} s.",
            "Look into the room to see whether it arrived.",
            "Tidewire will not send it a second time.",
        )
    return Failure(
        "not_sent",
        f"There was no connection within {timeout_s:g} s ({narrator.last}).",
        "Check --url and --token-file, and whether the server runs.",
        "Tidewire will not send the message later.",
    )


class _Narrator:
    """Says on stderr how the connection is, once per change."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret
        self.last = "not yet connected"

    def tell(self, link: Link) -> None:
        if link.state != "waiting":
            return
        reason = link.reason or str(link.code)
        if link.code == AUTH_TIMEOUT and self._secret is None:
            reason = "the server wants to know who you are: use --token-file"
        self.last = reason
        sys.stderr.write(f"not connected ({reason}); next attempt in {(link.retry_in_ms or 0) / 1000:.1f} s\n")


def _plain(event: RoomEvent) -> dict[str, Any]:
    if isinstance(event, Message):
        head: dict[str, Any] = {"type": event.kind, "room_id": event.room_id, "timestamp": event.timestamp}
        place = {} if event.offset is None else {"epoch": event.epoch, "offset": event.offset}
        return head | place | dict(event.fields)
    kind = "reset" if isinstance(event, Reset) else event.change
    plain: dict[str, Any] = msgspec.to_builtins(event)
    plain.pop("change", None)
    return {"type": kind} | plain


def _line(event: RoomEvent) -> str:
    if isinstance(event, Message):
        at = datetime.fromtimestamp(event.timestamp, UTC).strftime("%H:%M:%S.%f")[:-3]
        place = "~" if event.offset is None else f"{event.epoch}:{event.offset}"
        return f"{at}  {place}  {event.kind}  {json.dumps(event.fields, ensure_ascii=False)}"
    if isinstance(event, Presence):
        names = [f"+{member.username}" for member in event.joined] + [f"-{member.username}" for member in event.left]
        return f"{event.change}: {event.count} inside {' '.join(names)}"
    missed = "an unknown number of" if event.missed_at_least is None else f"at least {event.missed_at_least}"
    return f"LOST {missed} messages ({event.reason}); the room is at {event.epoch}:{event.offset}"


def _place(text: str | None) -> Since | None:
    if text is None:
        return None
    epoch, _, offset = text.rpartition(":")
    if not epoch or not offset.isdigit():
        raise typer.BadParameter("--since is EPOCH:OFFSET, as `tidewire watch` prints it")
    return Since(epoch, int(offset))


def _secret(token_file: str | None) -> str | None:
    if token_file is None:
        return None
    try:
        text = sys.stdin.readline() if token_file == STDIN else Path(token_file).read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(f"the token file cannot be read: {exc}") from exc
    if not text.strip():
        raise typer.BadParameter("the token file is empty")
    return text.strip()
