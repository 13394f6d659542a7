"""What a dashboard may contain: widgets with figures, each at its place in a grid of twelve columns. Pure.

A document is read strictly: an unknown field, a place outside the grid or two widgets on one place refuse all of it. It
must not know who asks, where dashboards are kept, or what a figure is worth.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Annotated, Literal

import msgspec

from tidewire.core.errors import InvalidFields, InvalidRequest
from tidewire.core.unreadable import UNREADABLE

COLUMNS = 12
ROWS = 200
WIDGETS_MAX = 24
FIGURES_MAX = 6
NAME_CHARS = 80
LABELS_MAX, LABEL_CHARS = 8, 200
# What the nodes remember (vitals: a quarter of an hour), and shorter.
RANGES_S = (60, 300, 900)

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,127}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Kind = Literal["figure", "chart", "table"]
Total = Literal["sum", "max", "min", "mean"]
Shown = Literal["value", "per_second"]


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a chart, one row of a table.

    Attributes:
        metric: Its name in ``/metrics``.
        labels: Only samples with these label values.
        total: How the samples that are left, of all nodes, become one value.
        shown: A counter is read by how fast it rises.
    """

    metric: str
    labels: dict[str, str] = {}
    total: Total = "sum"
    shown: Shown = "value"


class Widget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of a dashboard: ``x`` and ``y`` are its upper left corner, ``w`` and ``h`` its size, in grid cells."""

    id: str
    kind: Kind
    figures: list[Figure]
    x: Annotated[int, msgspec.Meta(ge=0, lt=COLUMNS)]
    y: Annotated[int, msgspec.Meta(ge=0, lt=ROWS)]
    w: Annotated[int, msgspec.Meta(ge=1, le=COLUMNS)]
    h: Annotated[int, msgspec.Meta(ge=1, le=12)]
    title: str = ""
    range_s: int = 300


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants a dashboard to be.

    Attributes:
        shared: All operators may see it; only its owner may change it.
        version: The one that was changed; 0 for a new one.
    """

    name: str
    widgets: list[Widget]
    shared: bool = False
    version: Annotated[int, msgspec.Meta(ge=0)] = 0


def read(raw: bytes, known: Collection[str]) -> Draft:
    """Read a document.

    Args:
        known: The names of metrics that there are.

    Raises:
        InvalidRequest: Not JSON, or not of this shape; the message says where.
        InvalidFields: Of this shape, with values that cannot be.
    """
    try:
        draft = msgspec.json.decode(raw, type=Draft)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"This is not a dashboard: {exc}"[:300],
            required_action="Send name, widgets, shared and version as docs/operations.md describes them.",
            will_not="Tidewire will not guess what was meant; nothing was stored.",
        ) from exc
    problems = check(draft, known)
    if problems:
        raise InvalidFields(problems, {name: {"code": "cannot_be"} for name in problems})
    return draft


def check(draft: Draft, known: Collection[str]) -> dict[str, str]:
    """Return what is wrong with a document: place -> one sentence."""
    problems: dict[str, str] = {}
    name = draft.name.strip()
    if not name or len(name) > NAME_CHARS or _CONTROL.search(name):
        problems["name"] = f"A name has 1 to {NAME_CHARS} characters on one line."
    if len(draft.widgets) > WIDGETS_MAX:
        problems["widgets"] = f"A dashboard has at most {WIDGETS_MAX} widgets."
        return problems
    seen: set[str] = set()
    for i, widget in enumerate(draft.widgets):
        for part, text in _widget_problems(widget, known):
            problems[f"widgets.{i}{part}"] = text
        if widget.id in seen:
            problems[f"widgets.{i}.id"] = "Two widgets have this id."
        seen.add(widget.id)
    problems.update(_overlaps(draft.widgets))
    return problems


def _widget_problems(widget: Widget, known: Collection[str]) -> list[tuple[str, str]]:
    found = []
    if _ID.fullmatch(widget.id) is None:
        found.append((".id", "An id has 1 to 32 characters: a to z, 0 to 9 and hyphens."))
    if len(widget.title) > NAME_CHARS or _CONTROL.search(widget.title):
        found.append((".title", f"A title has at most {NAME_CHARS} characters on one line."))
    if widget.x + widget.w > COLUMNS:
        found.append((".w", f"The widget ends beyond column {COLUMNS}."))
    if widget.range_s not in RANGES_S:
        found.append((".range_s", f"The range is one of {', '.join(map(str, RANGES_S))} seconds."))
    most = 1 if widget.kind == "figure" else FIGURES_MAX
    if not 1 <= len(widget.figures) <= most:
        found.append((".figures", f"A {widget.kind} has 1 to {most} figures."))
    for i, figure in enumerate(widget.figures[:most]):
        wrong = figure_problems(figure)
        if not wrong and figure.metric not in known:
            wrong = [(".metric", "No node has a metric of this name.")]
        found += [(f".figures.{i}{part}", text) for part, text in wrong]
    return found


def figure_problems(figure: Figure) -> list[tuple[str, str]]:
    """Return what is wrong with a figure, wherever it stands: part and one sentence."""
    if _METRIC.fullmatch(figure.metric) is None:
        return [(".metric", "This is no name of a metric.")]
    if len(figure.labels) > LABELS_MAX:
        return [(".labels", f"At most {LABELS_MAX} labels can be asked for.")]
    for name, value in figure.labels.items():
        if _LABEL.fullmatch(name) is None or len(value) > LABEL_CHARS or _CONTROL.search(value):
            return [(".labels", f"A label is a name and a value of at most {LABEL_CHARS} characters.")]
    return []


def _overlaps(widgets: Sequence[Widget]) -> dict[str, str]:
    """Return the widgets that lie on another one before them."""
    taken: dict[tuple[int, int], int] = {}
    found: dict[str, str] = {}
    for i, widget in enumerate(widgets):
        for x in range(widget.x, min(COLUMNS, widget.x + widget.w)):
            for y in range(widget.y, widget.y + widget.h):
                other = taken.setdefault((x, y), i)
                if other != i:
                    found[f"widgets.{i}"] = f"The widget lies on widget {other}."
    return found
