"""The configuration: wrong values end the start; and keys are never shown."""

from __future__ import annotations

from typing import Any

import pytest

from tidewire.core.errors import SettingsError
from tidewire.feed.simulator import SimulatorConfig
from tidewire.feed.simulator.config import mask


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 70_000),
        ("control_port", -1),
        ("tickers", 0),
        ("tickers", 501),
        ("rate", 0),
        ("rate", 50_001),
        ("rate", 1.5),
        ("rate", True),
        ("rate", "fast"),
        ("quote_share", 1.0),
        ("day_seconds", 0.5),
        ("max_connections", 17),
        ("eviction", "youngest"),
        ("acks", "many"),
        ("auth_timeout_s", 0.0),
        ("close_linger_s", None),
        ("max_buffer_bytes", 10),
        ("max_frame_events", 0),
        ("keys", ()),
        ("keys", ("",)),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(name: str, value: object) -> None:
    """The error names the setting, says what to do, and that no default takes its place."""
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(SettingsError, match=name) as caught:
        SimulatorConfig(**wrong)
    assert all(caught.value.describe().values())


def test_the_defaults_and_the_bounds_are_valid() -> None:
    """The demo's values, and the smallest and largest rate."""
    for rate in (1, 50_000):
        assert SimulatorConfig(rate=rate, control_port=None).max_connections == 3


def test_a_mask_shows_two_letters_at_most() -> None:
    """A short key shows nothing at all, and no mask tells a key's length."""
    assert mask("abcdefgh12345") == "ab***"
    assert mask("abc") == "***"
