"""Looks at a Redis or Valkey server before rooms are kept on it: fit for use, and what its word is worth.

It must not know rooms. Source: reliability.md 1 (finding 6) and 4 ("OOM / maxmemory"); Redis manual, "INFO", "Key
eviction", "Persistence".
"""

from __future__ import annotations

import re
from typing import cast

import msgspec

from tidewire.bus.redis_commands import Ask
from tidewire.bus.wire import Refusal
from tidewire.core.errors import SettingsError

OLDEST_REDIS, OLDEST_VALKEY = 7, 8
_NOBODY = "0" * 40


class Server(msgspec.Struct, frozen=True):
    """One server process.

    Attributes:
        run_id: Its name; another one after every restart, and on every other server.
        durable: Whether everything it has confirmed is there after a kill: it fsyncs before it answers, and did not
            take over from another server (which may have confirmed more than it had passed on).
    """

    run_id: bytes
    durable: bool
    version: str = ""


async def inspect(ask: Ask, *, sharded: bool = False) -> Server:
    """Return what kind of server it is.

    Args:
        sharded: Whether it is used as one of the shards of a cluster.

    Raises:
        SettingsError: It is too old, forgets keys when memory is short, or is in a cluster and Tidewire was not told,
            or the reverse.
        ConnectionError: It takes no writes now (a replica).
    """
    facts = _facts(cast(bytes, await ask(b"INFO")))
    _require_version(facts)
    _require_noeviction(facts.get("maxmemory_policy", ""))
    if sharded:
        _require_cluster(facts)
    elif facts.get("cluster_enabled") == "1":
        await _require_one_shard(ask)
    if facts.get("role") != "master":
        raise ConnectionResetError("the server is a replica and takes no writes")
    fsync = await _fsync(ask)
    durable = facts.get("aof_enabled") == "1" and fsync == "always" and facts.get("master_replid2", _NOBODY) == _NOBODY
    return Server(facts["run_id"].encode(), durable, facts.get("valkey_version") or facts.get("redis_version", ""))


async def _fsync(ask: Ask) -> str:
    """Return ``appendfsync``, empty if it may not be asked: then the server's word is worth less, not more."""
    try:
        answer = cast(list[bytes], await ask(b"CONFIG", b"GET", b"appendfsync"))
    except Refusal:
        return ""
    return answer[1].decode() if len(answer) == 2 else ""


def _facts(info: bytes) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name: value.strip() for name, value in pairs}


def _require_version(facts: dict[str, str]) -> None:
    valkey = facts.get("valkey_version")
    number, oldest = (valkey, OLDEST_VALKEY) if valkey else (facts.get("redis_version", ""), OLDEST_REDIS)
    match = re.match(r"\d+", number)
    if match is None or int(match.group()) < oldest:
        raise SettingsError(
            f"The server at TIDEWIRE_REDIS_URL is too old ({'Valkey' if valkey else 'Redis'} {number or '?'}).",
            required_action=f"Use Redis {OLDEST_REDIS} or Valkey {OLDEST_VALKEY}, or a later one.",
            will_not="Tidewire does not start with a server whose scripts behave otherwise.",
        )


def _require_noeviction(policy: str) -> None:
    if policy != "noeviction":
        raise SettingsError(
            f"The server at TIDEWIRE_REDIS_URL deletes keys when memory is short (maxmemory-policy {policy or '?'}).",
            required_action="Set maxmemory-policy noeviction on it, or give Tidewire a server of its own.",
            will_not="Tidewire does not start where messages that were acknowledged may vanish without a word.",
        )


async def _require_one_shard(ask: Ask) -> None:
    shards = cast(list[object], await ask(b"CLUSTER", b"SHARDS"))
    if len(shards) > 1:
        raise SettingsError(
            f"The server at TIDEWIRE_REDIS_URL is one of {len(shards)} shards of a cluster.",
            required_action="Set TIDEWIRE_REDIS_CLUSTER=true, or use a single server (with replicas if you like).",
            will_not="Tidewire does not start with rooms that it could reach only in part.",
        )


def _require_cluster(facts: dict[str, str]) -> None:
    if facts.get("cluster_enabled") != "1":
        raise SettingsError(
            "TIDEWIRE_REDIS_CLUSTER is true, but the server at TIDEWIRE_REDIS_URL is not in a cluster.",
            required_action="Remove TIDEWIRE_REDIS_CLUSTER, or start the servers with cluster-enabled yes.",
            will_not="Tidewire does not treat one server as a cluster whose slots it cannot know.",
        )
