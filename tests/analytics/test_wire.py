"""Analytics' messages, and the document that promises them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.wire_examples import check_client_example, check_server_example, examples, tags, tags_of
from tidewire.accounts.grants import resolve
from tidewire.analytics import wire
from tidewire.analytics.rules import Choices, View
from tidewire.core.errors import InvalidRequest
from tidewire.quotes.model import PRODUCTS, STATES

TO_SERVER, FROM_SERVER = examples("Analytics")
CHOICES = Choices(STATES, PRODUCTS)


@pytest.mark.parametrize("example", FROM_SERVER)
def test_every_server_example_is_what_its_struct_encodes(example: str) -> None:
    """A documented message decodes into its struct and encodes to the same object again."""
    check_server_example(example, wire.SERVER_TYPES)


@pytest.mark.parametrize("example", TO_SERVER)
def test_every_client_example_is_understood(example: str) -> None:
    """A documented client message decodes into its struct, with every documented field known to it."""
    message = check_client_example(example, wire.CLIENT_TYPES)
    if isinstance(message, wire.StartAnalytics):
        assert CHOICES.view(message.dashboard, message.filters).room_id == "analytics:quotes.h72.s-ca"


def test_every_message_has_an_example() -> None:
    """No message exists that the document does not show."""
    assert (tags(TO_SERVER), tags(FROM_SERVER)) == (tags_of(wire.CLIENT_TYPES), tags_of(wire.SERVER_TYPES))


VIEWS = st.one_of(
    st.builds(
        View,
        st.sampled_from(["quotes", "conversion"]),
        st.integers(1, 720),
        st.sampled_from(["", *STATES]),
        st.sampled_from(["", *PRODUCTS]),
    ),
    st.builds(View, st.just("performance"), st.integers(1, 720)),
)


@given(VIEWS, VIEWS)
def test_a_view_has_one_room_and_a_room_one_view(one: View, other: View) -> None:
    """Equal views meet in one room, others never do; each room's name is one that can be entered."""
    assert resolve(one.room_id).family == "analytics"
    assert CHOICES.of_room(one.room_id) == one
    assert (one.room_id == other.room_id) is (one == other)


@given(st.text(alphabet="abchpqs.-0123456789_", max_size=24))
def test_a_name_that_no_view_has_is_none(text: str) -> None:
    """Whatever can be entered is a view under its only name, or known to be none."""
    for dashboard in ("quotes", "performance"):
        room_id = f"analytics:{dashboard}{text}"
        try:
            resolve(room_id)
        except InvalidRequest:
            continue
        view = CHOICES.of_room(room_id)
        assert view is None or view.room_id == room_id
