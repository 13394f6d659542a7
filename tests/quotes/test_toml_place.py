"""Keys of a TOML text have lines."""

from __future__ import annotations

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.quotes.toml_place import places_of

# How long one example takes says something about the machine, not about the code.
RELAXED = settings(deadline=None)

TEXT = '''\
# [not] = a header
top = 1
[a]
x = """
[b]
y = 2
"""
list = [
  "]", # ]
  { inside = 1 },
]
"quo.ted" = 1
d . e = 2
[[rows]]
n = 1
[[rows]]
n = 2
[rows.deep]
z = '#"'
'''


def test_each_key_has_its_own_line() -> None:
    """Strings, lists, comments and tables of tables do not move a key to a wrong line."""
    tomllib.loads(TEXT)
    places = places_of(TEXT)
    assert places.lines == {
        ("top",): 2,
        ("a",): 3,
        ("a", "x"): 4,
        ("a", "list"): 8,
        ("a", "quo.ted"): 12,
        ("a", "d", "e"): 13,
        ("rows", 0): 14,
        ("rows", 0, "n"): 15,
        ("rows", 1): 16,
        ("rows", 1, "n"): 17,
        ("rows", "deep"): 18,
        ("rows", "deep", "z"): 19,
    }
    assert places.repeated == []


def test_what_has_no_line_has_that_of_what_it_stands_in() -> None:
    """A key inside braces is told with the line of the nearest thing around it; nothing at all is line 1."""
    places = places_of(TEXT)
    assert places.line_of(("a", "list", "inside")) == 8
    assert places.line_of(("nowhere", "x")) == 1


def test_a_repeated_key_or_table_is_told_with_both_lines() -> None:
    """The standard library says only "at end of document" for some of these."""
    assert places_of("a = 1\n\na = 2").repeated == [(("a",), 3, 1)]
    assert places_of("[t]\n[u]\n[t]\n").repeated == [(("t",), 3, 1)]


@RELAXED
@given(st.text(alphabet="[]{}=\"'#\\\n. a1", max_size=80))
def test_any_text_has_places_and_none_beyond_its_end(text: str) -> None:
    """A text that is no TOML breaks nothing, and no line is named that is not there."""
    last = text.count("\n") + 1
    assert all(1 <= line <= last for line in places_of(text).lines.values())


_LEAF = st.integers() | st.text(alphabet="ab\"#[]{}'", max_size=8)


def _written(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{name} = [\n" + "".join(f"  {_value(item)}, # ]\n" for item in value) + "]"
    return f"{name} = {_value(value)}"


def _value(value: object) -> str:
    return str(value) if isinstance(value, int) else '"' + str(value).replace('"', '\\"') + '"'


@RELAXED
@given(
    st.dictionaries(
        st.text("ab_", min_size=1, max_size=4),
        st.dictionaries(st.text("xyz", min_size=1, max_size=3), _LEAF | st.lists(_LEAF, max_size=3), max_size=5),
        max_size=5,
    )
)
def test_every_key_that_the_parser_finds_is_where_it_was_written(tables: dict[str, dict[str, object]]) -> None:
    """For any written tables the line of each key begins with that key, and the parser agrees on the keys."""
    text = "\n".join(
        [
            f"[{name}]\n" + "\n".join(_written(key, value) for key, value in table.items())
            for name, table in tables.items()
        ]
    )
    parsed = tomllib.loads(text)
    places, lines = places_of(text), text.split("\n")
    expected = {(name,) for name in parsed} | {(name, key) for name, table in parsed.items() for key in table}
    assert set(places.lines) == expected
    for path, line in places.lines.items():
        assert lines[line - 1].startswith(f"[{path[0]}]" if len(path) == 1 else f"{path[1]} =")
