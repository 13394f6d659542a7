"""Bytes from strangers, by hypothesis: whatever they are, what the contract names comes out and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fuzz_targets import TARGETS, mutated, room_name, server_frame
from tidewire.accounts.grants import FAMILIES
from tidewire.feed.massive import decode_frame
from tidewire.hub.frame import text_frames

EXAMPLES = 300


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.__name__))
def test_any_bytes_are_dealt_with(target: Callable[[bytes], None]) -> None:
    """Random bytes, and valid input that was damaged."""
    inputs = st.one_of(
        st.binary(max_size=300),
        st.builds(
            lambda seed, number: mutated(seed, random.Random(number)),
            st.sampled_from(TARGETS[target]),
            st.integers(0, 2**32),
        ),
    )

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(inputs)
    def attack(data: bytes) -> None:
        target(data)

    attack()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.__name__))
def test_the_seeds_are_good_input(target: Callable[[bytes], None]) -> None:
    """A fuzzer that starts from nonsense finds nothing."""
    for seed in TARGETS[target]:
        target(seed)


def test_a_sequence_of_absurd_length_is_a_fault_of_the_frame() -> None:
    """Found by fuzzing: Python refuses to read a number of more than 4,300 digits with an error of its own."""
    server_frame(b"1" * 5_000 + b'\n{"type":"pong"}')


def test_a_time_of_absurd_size_costs_one_event() -> None:
    """Found by fuzzing: an integer of 400 digits cannot be divided, and the whole frame was lost to that."""
    decoded = decode_frame(b'[{"ev":"T","sym":"A","p":1,"s":1,"t":%b},{"ev":"T","sym":"B","p":1,"s":1,"t":%d}]' % (
        b"1" * 400, 1_705_853_696_000
    ))  # fmt: skip
    assert (len(decoded.rejects), len(decoded.events)) == (1, 1)


@given(st.sampled_from(sorted(FAMILIES)), st.text("AaZz09.-_:*/%{} \n\x00é", max_size=12) | st.text(max_size=200))
def test_any_key_of_a_family_is_judged(family: str, key: str) -> None:
    """What comes through has plain characters only."""
    room_name(f"{family}:{key}".encode("utf-8", "surrogatepass"))


# Around every border of the length's encoding.
SIZES = (0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537)


@given(st.lists(st.sampled_from(SIZES), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_frames_written_are_frames_read(sizes: list[int]) -> None:
    """What the frame codec writes is what any reader of RFC 6455 section 5.2 takes apart again."""
    payloads = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    data, found = text_frames(payloads), []
    while data:
        assert data[0] == 0x81
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
            assert size > (125 if start == 4 else 65_535)
        found.append(data[start : start + size])
        data = data[start + size :]
    assert found == payloads
