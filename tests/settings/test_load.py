"""Settings are read, checked as a whole, and every problem is named with what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidewire.core.errors import SettingsError
from tidewire.settings import Settings, known_keys, load_settings

SECRET = "0123456789abcdef0123456789abcdef0123"
GOOD = {
    "USE_SYNTHETIC_DATA": "true",
    "TIDEWIRE_SECRET_KEY": SECRET,
    "WEBSOCKET_CONNECTION_1_ENABLED": "true",
    "WEBSOCKET_CONNECTION_1_SYMBOLS": "aapl, MSFT,aapl",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with none of our keys, then the smallest good one."""
    for key in list(os.environ):
        if key.startswith(("TIDEWIRE_", "WEBSOCKET_", "USE_", "MASSIVE_")):
            monkeypatch.delenv(key)
    for key, value in GOOD.items():
        monkeypatch.setenv(key, value)
    return monkeypatch


def load(**values: object) -> Settings:
    """Load without a .env file."""
    return load_settings(env_file=None, **values)


def refusal() -> str:
    """Load, expect a refusal, return its text."""
    with pytest.raises(SettingsError) as caught:
        load()
    assert caught.value.required_action
    assert caught.value.will_not
    return caught.value.message


@pytest.mark.usefixtures("environment")
def test_smallest_good_environment_gives_defaults() -> None:
    """Two keys and one connection are enough; everything else has the contract's default."""
    settings = load()
    assert settings.websocket_connections_max == 3
    assert [c.enabled for c in settings.connections] == [True, False, False]
    assert settings.connections[0].symbols == ("AAPL", "MSFT")
    assert settings.redis_url is None
    assert settings.feed_url == "wss://socket.massive.com/stocks"
    assert settings.base_url == "http://127.0.0.1:8000"


@pytest.mark.usefixtures("environment")
def test_settings_are_frozen() -> None:
    """Nobody changes a setting after the start."""
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"USE_SYNTHETIC_DATA": "false"}, "neither is true"),
        ({"USE_MASSIVE_API": "true", "MASSIVE_API_KEY": "k"}, "both are true"),
        ({"USE_SYNTHETIC_DATA": "false", "USE_MASSIVE_API": "1"}, "MASSIVE_API_KEY"),
        ({"TIDEWIRE_PROT": "1"}, "Did you mean TIDEWIRE_PORT?"),
        ({"WEBSOCKET_CONNECTION_1_SYMBOL": "A"}, "Did you mean WEBSOCKET_CONNECTION_1_SYMBOLS?"),
        ({"WEBSOCKET_CONNECTION_17_ENABLED": "true"}, "slots are 1..16"),
        ({"WEBSOCKET_CONNECTION_1_ENABLED": "maybe"}, "WEBSOCKET_CONNECTION_1_ENABLED=maybe"),
        ({"WEBSOCKET_CONNECTIONS_MAX": "0"}, "WEBSOCKET_CONNECTIONS_MAX=0"),
        ({"WEBSOCKET_CONNECTIONS_MAX": "17"}, "WEBSOCKET_CONNECTIONS_MAX=17"),
        ({"WEBSOCKET_CONNECTION_4_ENABLED": "true"}, "beyond WEBSOCKET_CONNECTIONS_MAX=3"),
        ({"WEBSOCKET_CONNECTION_1_ENABLED": "false"}, "no connection is enabled"),
        ({"WEBSOCKET_CONNECTION_2_ENABLED": "true"}, "WEBSOCKET_CONNECTION_2_UNIVERSE_KEY"),
        ({"WEBSOCKET_CONNECTION_1_SYMBOLS": "A B"}, "is not a ticker"),
        ({"TIDEWIRE_PORT": "99999"}, "TIDEWIRE_PORT=99999"),
        ({"TIDEWIRE_FEED_URL": "http://x"}, "is not a ws:// or wss:// URL"),
        ({"TIDEWIRE_FEED_URL": "ws://feed.example/stocks"}, "unencrypted"),
        ({"TIDEWIRE_DATABASE_URL": "mysql://u:hunter2@h/d"}, "unknown database"),
        ({"TIDEWIRE_REDIS_URL": "http://h"}, "is not a Redis URL"),
        ({"TIDEWIRE_ALLOWED_ORIGINS": "*"}, "is not an origin"),
        ({"TIDEWIRE_ALLOWED_ORIGINS": "https://a.example/path"}, "is not an origin"),
        ({"TIDEWIRE_SECRET_KEY": ""}, "TIDEWIRE_SECRET_KEY: is required"),
        ({"TIDEWIRE_SECRET_KEY": "short"}, "too short"),
        ({"TIDEWIRE_HOST": "0.0.0.0"}, "unencrypted beyond this machine"),  # noqa: S104
        ({"TIDEWIRE_METRICS_PORT": "9100", "TIDEWIRE_METRICS_HOST": "0.0.0.0"}, "show metrics to anybody"),  # noqa: S104
        ({"TIDEWIRE_TLS_CERTIFICATE": "c.pem"}, "only one of them"),
        ({"TIDEWIRE_FEED_CHANNELS": "T,Q"}, "is not a channel with prices"),
        (
            {
                "USE_MULTI_CONNECTION": "false",
                "WEBSOCKET_CONNECTION_2_ENABLED": "1",
                "WEBSOCKET_CONNECTION_2_SYMBOLS": "IBM",
            },
            "contradicts 2 enabled connections",
        ),
        ({"TIDEWIRE_REDIS_CLUSTER": "true"}, "needs a TIDEWIRE_REDIS_URL over TCP"),
        (
            {"TIDEWIRE_REDIS_CLUSTER": "true", "TIDEWIRE_REDIS_URL": "unix:///run/v.sock"},
            "needs a TIDEWIRE_REDIS_URL over TCP",
        ),
        ({"TIDEWIRE_REDIS_MIN_REPLICAS": "1"}, "needs a TIDEWIRE_REDIS_URL"),
        ({"TIDEWIRE_REDIS_MIN_REPLICAS": "-1"}, "TIDEWIRE_REDIS_MIN_REPLICAS"),
        ({"TIDEWIRE_REDIS_URL": "redis://u:p@a:1,b:2/0"}, "names several servers"),
    ],
)
def test_bad_setting_is_refused_with_its_key(
    environment: pytest.MonkeyPatch, changes: dict[str, str], expected: str
) -> None:
    """Each wrong value, unknown key or contradiction ends the start and names itself."""
    for key, value in changes.items():
        environment.setenv(key, value)
    assert expected in refusal()


def test_all_problems_are_reported_at_once(environment: pytest.MonkeyPatch) -> None:
    """Nobody has to start five times to learn of five mistakes."""
    environment.setenv("TIDEWIRE_PROT", "1")
    environment.setenv("TIDEWIRE_HOTS", "x")
    environment.setenv("USE_SYNTHETIC_DATA", "false")
    assert refusal().startswith("The configuration has 3 problems")


def test_secrets_are_never_shown(environment: pytest.MonkeyPatch) -> None:
    """A refused secret is described by its length, and repr hides what was accepted."""
    environment.setenv("TIDEWIRE_SECRET_KEY", "hunter2")
    environment.setenv("TIDEWIRE_DATABASE_URL", "mysql://u:swordfish@h/d")
    message = refusal()
    assert "hunter2" not in message
    assert "swordfish" not in message
    environment.setenv("TIDEWIRE_SECRET_KEY", SECRET)
    environment.setenv("TIDEWIRE_DATABASE_URL", "postgresql+asyncpg://u:swordfish@h/d")
    settings = load()
    assert SECRET not in repr(settings)
    assert "swordfish" not in repr(settings)
    assert set(settings.secrets) == {SECRET, "swordfish"}


def test_secret_from_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Container platforms mount secrets as files; KEY_FILE reads them, and contradicting KEY is refused."""
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    environment.setenv("TIDEWIRE_SECRET_KEY_FILE", str(path))
    assert "contradicts TIDEWIRE_SECRET_KEY" in refusal()
    environment.delenv("TIDEWIRE_SECRET_KEY")
    secret = load().secret_key
    assert secret is not None
    assert secret.get_secret_value() == SECRET
    environment.setenv("TIDEWIRE_SECRET_KEY_FILE", str(tmp_path / "absent"))
    assert "cannot be read" in refusal()


def test_env_file_is_read_and_checked_for_unknown_keys(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .env file counts like the environment, which wins over it."""
    path = tmp_path / ".env"
    path.write_text("TIDEWIRE_PORT=9001\nTIDEWIRE_NODE_NAME=file\n")
    environment.setenv("TIDEWIRE_PORT", "9002")
    settings = load_settings(env_file=path)
    assert (settings.port, settings.node_name) == (9002, "file")
    path.write_text("TIDEWIRE_PROT=9001\n")
    with pytest.raises(SettingsError, match="TIDEWIRE_PROT"):
        load_settings(env_file=path)


@pytest.mark.usefixtures("environment")
def test_arguments_override_and_demo_needs_no_secret() -> None:
    """The demo passes its own values and makes its own secret."""
    settings = load_settings(env_file=None, demo=True, secret_key=None, port=0)
    assert (settings.secret_key, settings.port) == (None, 0)


def test_every_contract_key_is_known() -> None:
    """The keys of contract section 2 exist under exactly those names."""
    keys = set(known_keys())
    assert keys >= {
        *("USE_MASSIVE_API", "USE_SYNTHETIC_DATA", "MASSIVE_API_KEY", "USE_MULTI_CONNECTION"),
        *("WEBSOCKET_CONNECTIONS_MAX", "TIDEWIRE_FEED_URL", "TIDEWIRE_DATABASE_URL", "TIDEWIRE_REDIS_URL"),
        *("TIDEWIRE_SECRET_KEY", "TIDEWIRE_HOST", "TIDEWIRE_PORT", "TIDEWIRE_ALLOWED_ORIGINS"),
        "TIDEWIRE_ALLOW_ANONYMOUS",
    }
    for suffix in ("ENABLED", "NAME", "UNIVERSE_KEY", "SYMBOLS"):
        assert f"WEBSOCKET_CONNECTION_16_{suffix}" in keys
