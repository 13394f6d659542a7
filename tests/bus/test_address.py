"""Redis URLs: what is understood, what is refused, and that a password is never repeated."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.bus.address import Address, parse_address
from tidewire.core.errors import SettingsError

CANARY = "c4n4ry-Pa55word"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address("redis")),
        ("redis://", Address("redis")),
        ("redis://10.0.0.1:7000/3", Address("redis", "10.0.0.1", 7000, db=3)),
        ("redis://[::1]:7000", Address("redis", "::1", 7000)),
        ("redis://:pw@h", Address("redis", "h", password="pw")),
        ("redis://me:p%40w@h/0?db=2", Address("redis", "h", db=2, username="me", password="p@w")),
        ("rediss://h?ssl_cert_reqs=none", Address("rediss", "h", tls={"ssl_cert_reqs": "none"})),
        (
            "redis://me:p,w@a:7000,b,[::1]:7002",
            Address("redis", "a", 7000, username="me", password="p,w", seeds=(("b", 6379), ("::1", 7002))),
        ),
        ("rediss://a?ssl_ca_certs=x,y", Address("rediss", "a", tls={"ssl_ca_certs": "x,y"})),
        ("unix:///run/v.sock?db=1", Address("unix", path="/run/v.sock", db=1)),
    ],
)
def test_understood(url: str, address: Address) -> None:
    """Host, port, database, user and TLS options are read from where they stand."""
    assert parse_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"redis://u:{CANARY}@a,u:{CANARY}@b",
        f"redis://u:{CANARY}@a,b:x",
        f"redis://u:{CANARY}@a,",
        CANARY,
        f"http://:{CANARY}@host",
        f"redis://:{CANARY}@host:port",
        f"redis://:{CANARY}@host:99999",
        f"redis://:{CANARY}#x@host",
        f"redis://:{CANARY}@host/0?socket_timeout=60",
        f"redis://:{CANARY}@host/0?{CANARY}=1",
        f"redis://:{CANARY}@host/x",
        f"redis://:{CANARY}@host/²",
        f"redis://:{CANARY}@[::1",
        f"redis://:{CANARY}@host?ssl_certfile=x",
        f"redis://user:{CANARY}/rest@host:6379",
        f"redis://user:{CANARY}?rest@host:6379",
        "unix://",
    ],
)
def test_refused_without_being_repeated(url: str) -> None:
    """What cannot be read ends the start with what to set; neither message nor traceback quotes the URL."""
    with pytest.raises(SettingsError) as refusal:
        parse_address(url)
    assert "TIDEWIRE_REDIS_URL" in refusal.value.required_action
    assert refusal.value.will_not
    lines = "".join(traceback.format_exception(refusal.value)).replace("parse_address(url)", "")
    assert CANARY not in lines


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12), st.integers(1, 65535), st.integers(0, 99))
def test_credentials_survive_and_stay_hidden(user: str, password: str, port: int, db: int) -> None:
    """Whatever percent-encoded user and password are, they are read back exactly and not shown."""
    try:
        url = f"redis://{quote(user, safe='')}:{quote(password, safe='')}@cache:{port}/{db}"
    except UnicodeEncodeError:  # a lone surrogate is no text that a URL could carry
        return
    address = parse_address(url)
    assert (address.username, address.password, address.port, address.db) == (user, password, port, db)
    assert str(address) == f"redis://cache:{port}/{db}"
    hidden = Address("redis", "cache", port, db=db)
    assert repr(address) == repr(hidden)
