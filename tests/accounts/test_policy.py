"""What usernames and passwords must be like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.accounts.policy import COMMON, PASSWORD_MIN, check_password, check_username
from tidewire.core.errors import InvalidRequest


@pytest.mark.parametrize("name", ["a", "ada", "Ada Lovelace", "ada@example.com", "愛", "o'neil", "<b>x</b>", "x" * 64])
def test_names_that_do(name: str) -> None:
    """Any script and punctuation; a page must show them as text anyway."""
    assert check_username(name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ada", "ada ", "a\x00b", "a\nb", "a\u200bb", "a\u202eb", "a\ud800", "x" * 65, "a\u2028b", "\ufdfa" * 4],
)
def test_names_that_do_not(name: str) -> None:
    """Invisible, control and over-long ones are refused with the reason."""
    with pytest.raises(InvalidRequest) as refused:
        check_username(name)
    assert refused.value.code == "invalid_username"
    assert refused.value.required_action


@pytest.mark.parametrize(
    "password",
    ["", "short", "x" * 9, "x" * 300, "aaaaaaaaaaaa", "abababababab", "PASSWORD123", "Ada.Lovelace", "ａda.lovelace"],
)
def test_passwords_that_do_not(password: str) -> None:
    """Too short, too long, too common, the username, or one sign repeated."""
    with pytest.raises(InvalidRequest) as refused:
        check_password(password, "ada.lovelace")
    assert refused.value.code == "weak_password"
    assert password not in refused.value.message or not password


@pytest.mark.parametrize("password", ["four unrelated words", "Tr0ub4dor&3", "пароль-длинный", "x7" * 5 + "yz"])
def test_passwords_that_do(password: str) -> None:
    """Length decides, not composition."""
    check_password(password, "ada")


def test_the_common_list_is_worth_its_bytes() -> None:
    """Every entry is long enough that the length rule alone would let it pass."""
    assert all(len(word) >= PASSWORD_MIN and word == word.casefold() for word in COMMON)


@given(st.text(max_size=80))
def test_a_checked_name_checks_again(name: str) -> None:
    """Whatever passes comes out in a form that passes unchanged; whatever fails is a named error."""
    try:
        checked = check_username(name)
    except InvalidRequest:
        return
    assert check_username(checked) == checked
    assert checked.isprintable()
