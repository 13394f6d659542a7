"""A message that is sent twice under one name, in rooms of one process."""

from __future__ import annotations

from tests.hub.conftest import Stage
from tidewire.hub.repetition import Repetitions


def test_the_oldest_answers_are_forgotten() -> None:
    """Five minutes after it was given, or when too many came since; never those of another room or person."""
    known = Repetitions(answers_max=2)
    known.remember("app:x", "1/a", b"one", 0.0)
    assert known.recall("app:x", "1/a", 299.0) == b"one"
    assert known.recall("app:y", "1/a", 299.0) is None
    assert known.recall("app:x", "2/a", 299.0) is None
    assert known.recall("app:x", "1/a", 300.0) is None
    assert len(known) == 0
    for n in range(3):
        known.remember("app:x", f"1/{n}", b"%d" % n, 301.0)
    assert [known.recall("app:x", f"1/{n}", 301.0) for n in range(3)] == [None, b"1", b"2"]


async def test_the_same_name_is_published_once(stage: Stage) -> None:
    """Sent again on another connection of the user it has the first one's place; another user's is another message."""
    first, second, other = await stage.client("admin-1"), await stage.client("admin-1"), await stage.client("admin-2")
    answers = []
    for client in (first, second, other):
        client.send("publish", id=1, room_id="app:x", data="x", op_id="m-1")
        answers.append(client.read("reply")[0]["data"]["offset"])
    assert answers == [1, 1, 2]
    stage.clock.jump(300.0)
    first.send("publish", id=2, room_id="app:x", data="x", op_id="m-1")
    assert first.read("reply")[0]["data"]["offset"] == 3
