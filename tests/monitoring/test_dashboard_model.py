"""What a dashboard may contain: sound documents are read, all others are refused by the place that is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.errors import InvalidFields, InvalidRequest, RequestError
from tidewire.monitoring.dashboard_builtin import OVERVIEW
from tidewire.monitoring.dashboard_model import COLUMNS, Draft, Widget, check, read

KNOWN = {"tidewire_hub_connections", "process_open_fds"}


def widget(**more: Any) -> dict[str, Any]:
    """Return a sound widget, changed."""
    figure = {"metric": "tidewire_hub_connections", "labels": {}, "total": "sum", "shown": "value"}
    return {"id": "w1", "kind": "chart", "figures": [figure], "x": 0, "y": 0, "w": 6, "h": 3, **more}


def document(*widgets: dict[str, Any], **more: Any) -> bytes:
    """Return a document."""
    return msgspec.json.encode({"name": "Night", "widgets": list(widgets), **more})


def figure(**more: Any) -> dict[str, Any]:
    """Return a widget whose figure is changed."""
    return widget(figures=[{"metric": "tidewire_hub_connections", **more}])


def test_a_sound_document_is_read() -> None:
    """What was sent is what is kept, with the values that were left out."""
    draft = read(document(widget(), widget(id="w2", x=6), shared=True, version=3), KNOWN)
    assert (draft.name, draft.shared, draft.version, len(draft.widgets)) == ("Night", True, 3, 2)
    assert draft.widgets[1].range_s == 300


SHAPES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b"\xff",
    b'{"name":"x"}',
    document(widget(), color="red"),
    document(widget(color="red")),
    document(widget(kind="pie")),
    document(widget(x=-1)),
    document(widget(x=12)),
    document(widget(y=200)),
    document(widget(w=0)),
    document(widget(w=13)),
    document(widget(h=1e9)),
    document(widget(x="0")),
    document(figure(total="median")),
    document(figure(labels=["a"])),
    document(figure(sql="1; DROP TABLE users")),
    document(widget(), version=-1),
    b"[" * 100_000,
]


@pytest.mark.parametrize("raw", SHAPES)
def test_another_shape_is_refused_with_three_sentences(raw: bytes) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidRequest) as caught:
        read(raw, KNOWN)
    assert caught.value.code == "bad_request"
    assert caught.value.required_action
    assert "nothing was stored" in caught.value.will_not


VALUES = [
    ("name", document(name="")),
    ("name", document(name="x" * 81)),
    ("name", document(name="two\nlines")),
    ("widgets", document(*(widget(id=f"w{i}", y=i * 3) for i in range(25)))),
    ("widgets.0.id", document(widget(id="W 1"))),
    ("widgets.0.title", document(widget(title="x" * 81))),
    ("widgets.0.w", document(widget(x=8))),
    ("widgets.0.range_s", document(widget(range_s=0))),
    ("widgets.0.range_s", document(widget(range_s=1_000_000_000))),
    ("widgets.0.figures", document(widget(figures=[]))),
    ("widgets.0.figures", document(widget(kind="figure", figures=[{"metric": "process_open_fds"}] * 2))),
    ("widgets.0.figures.0.metric", document(figure(metric="no such"))),
    ("widgets.0.figures.0.metric", document(figure(metric="tidewire_wishes"))),
    ("widgets.0.figures.0.metric", document(figure(metric="x' OR '1'='1"))),
    ("widgets.0.figures.0.labels", document(figure(labels={"a-b": "1"}))),
    ("widgets.0.figures.0.labels", document(figure(labels={"a": "x" * 201}))),
    ("widgets.0.figures.0.labels", document(figure(labels={f"l{i}": "1" for i in range(9)}))),
    ("widgets.1.id", document(widget(), widget(x=6))),
    ("widgets.1", document(widget(), widget(id="w2", x=5))),
]


@pytest.mark.parametrize(("place", "raw"), VALUES)
def test_a_value_that_cannot_be_is_named(place: str, raw: bytes) -> None:
    """The answer says where, and nothing else is wrong."""
    with pytest.raises(InvalidFields) as caught:
        read(raw, KNOWN)
    assert list(caught.value.problems) == [place]


boxes = st.builds(
    Widget,
    id=st.from_regex(r"[a-z]{1,6}", fullmatch=True),
    kind=st.just("table"),
    figures=st.just([]),
    x=st.integers(0, 11),
    y=st.integers(0, 12),
    w=st.integers(1, 12),
    h=st.integers(1, 6),
)


@given(st.lists(boxes, max_size=6, unique_by=lambda box: box.id))
def test_a_document_passes_exactly_if_no_two_widgets_share_a_cell(widgets: list[Widget]) -> None:
    """By the model of painting every cell."""
    cells = [(x, y) for box in widgets for x in range(box.x, box.x + box.w) for y in range(box.y, box.y + box.h)]
    inside = [(x, y) for x, y in cells if x < COLUMNS]
    problems = check(Draft(name="x", widgets=widgets), KNOWN)
    assert any(place.count(".") == 1 for place in problems) == (len(inside) != len(set(inside)))


@given(st.binary(max_size=200))
def test_no_bytes_at_all_are_anything_but_read_or_refused(raw: bytes) -> None:
    """No other error comes out; none of them is a document by chance."""
    with pytest.raises(RequestError):
        read(raw, KNOWN)


def test_the_overview_is_sound() -> None:
    """The built-in dashboard keeps to the rules for all others."""
    assert check(OVERVIEW, {figure.metric for widget in OVERVIEW.widgets for figure in widget.figures}) == {}
