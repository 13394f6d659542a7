"""The hot loop: the same bytes to many connections, one write each, waiting for nobody.

Everything that depends on the message is made before the loop; in it only the sequence at the head of the shared buffer
changes, and only when it differs from the one before. It must not know rooms' rules or what the bytes mean.
Source: architecture.md, "One port, two speeds", points 1-3.
"""

from __future__ import annotations

from tidewire.core.protocol import batch_head, plain_head
from tidewire.hub.frame import HEADROOM_BYTES, text_header, with_headroom
from tidewire.hub.room import Share
from tidewire.hub.session import Session


def deliver(share: Share[Session]) -> list[Session]:
    """Write a share to every member that can take it. Returns those that cannot: hold it for them."""
    lines = [publication.encoded[share.audience] for publication in share.publications]
    if not share.batch and len(lines) > 1:
        return _deliver_frames(share, lines)
    make_head = batch_head if share.batch else plain_head
    buffer = with_headroom(b"\n".join(lines) if share.batch else lines[0][1:])
    size = len(buffer) - HEADROOM_BYTES
    count = len(lines)
    behind: list[Session] = []
    head_of = -1
    start = HEADROOM_BYTES
    for session in share.members:
        if not session.fast:
            behind.append(session)
            continue
        sequence = session.sequence
        if sequence != head_of:
            head = make_head(sequence + 1)
            start = HEADROOM_BYTES - len(head)
            buffer[start:HEADROOM_BYTES] = head
            head_of = sequence
        session.sequence = sequence + count
        session.bytes_out += size
        session.send(buffer, start)
    return behind


def _deliver_frames(share: Share[Session], lines: list[bytes]) -> list[Session]:
    """Several messages in plain mode: a frame each, joined; members with the same sequence share the whole write."""
    tails = [line[1:] for line in lines]
    behind: list[Session] = []
    joined = b""
    joined_for = -1
    for session in share.members:
        if not session.fast:
            behind.append(session)
            continue
        sequence = session.sequence
        if sequence != joined_for:
            parts: list[bytes] = []
            for number, tail in enumerate(tails, sequence + 1):
                head = plain_head(number)
                parts += (text_header(len(head) + len(tail)), head, tail)
            joined = b"".join(parts)
            joined_for = sequence
        session.sequence = sequence + len(tails)
        session.bytes_out += len(joined)
        session.socket.write(joined)
    return behind
