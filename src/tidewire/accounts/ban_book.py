"""The bans that are in force, as every door asks them: a user by number, an address by its text. Pure.

An address is looked up once per length of network that is banned, so a list of thousands costs as much as one of ten.
An IPv4 address in IPv6 form is the IPv4 address. It must not know where bans are kept or who closes the door.
Source: RFC 4291 section 2.5.5.2 (IPv4-mapped addresses), RFC 4632 (prefixes).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from tidewire.core.errors import InvalidRequest
from tidewire.store.ban_records import Ban

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Wider than this is no longer somebody's network but a part of the world: a /8 is the largest block ever given to one
# holder of IPv4 addresses, a /16 more than any registry gives in IPv6 (RFC 7020; IANA's registries give /12 to RIRs).
WIDEST = {4: 8, 6: 16}
_MAPPED_BITS = 96
_WILL_NOT = "Tidewire will not guess which addresses were meant; nobody was banned."


class BanBook:
    """See the module's text. Bounded by who puts bans in."""

    def __init__(self) -> None:
        self._bans: dict[int, Ban] = {}
        self._users: dict[int, dict[int, Ban]] = {}
        # (version, length of the prefix) -> the prefix as a number -> bans by id.
        self._networks: dict[tuple[int, int], dict[int, dict[int, Ban]]] = {}

    def __len__(self) -> int:
        return len(self._bans)

    def all(self) -> list[Ban]:
        """Return every ban in the book, oldest first."""
        return sorted(self._bans.values(), key=lambda ban: ban.id)

    def put(self, ban: Ban, now: float) -> bool:
        """Note a ban as it is now, one that is over by leaving it out; whether somebody may be kept out by it anew."""
        self.drop(ban.id)
        if not ban.holds(now):
            return False
        self._bans[ban.id] = ban
        if ban.user_id is not None:
            self._users.setdefault(ban.user_id, {})[ban.id] = ban
        if ban.network:
            key, prefix = _place(ipaddress.ip_network(ban.network))
            self._networks.setdefault(key, {}).setdefault(prefix, {})[ban.id] = ban
        return True

    def drop(self, ban_id: int) -> None:
        """Leave a ban out. Idempotent."""
        ban = self._bans.pop(ban_id, None)
        if ban is None:
            return
        if ban.user_id is not None:
            self._users[ban.user_id].pop(ban_id)
            if not self._users[ban.user_id]:
                del self._users[ban.user_id]
        if ban.network:
            key, prefix = _place(ipaddress.ip_network(ban.network))
            level = self._networks[key]
            level[prefix].pop(ban_id)
            if not level[prefix]:
                del level[prefix]
            if not level:
                del self._networks[key]

    def replace(self, bans: Iterable[Ban], now: float) -> list[Ban]:
        """Hold these and no others; return those that were not in the book before."""
        wanted = {ban.id: ban for ban in bans}
        for ban_id in [ban_id for ban_id in self._bans if ban_id not in wanted]:
            self.drop(ban_id)
        fresh = [ban for ban in wanted.values() if ban.id not in self._bans]
        for ban in wanted.values():
            self.put(ban, now)
        return [ban for ban in fresh if ban.id in self._bans]

    def of_user(self, user_id: int, now: float) -> Ban | None:
        """Return the ban that keeps a user out longest, None if none does."""
        found = self._users.get(user_id)
        return _longest(found.values(), now) if found else None

    def of_address(self, text: str, now: float) -> Ban | None:
        """Return the ban that keeps an address out longest; None if none does or the text is no address."""
        if not self._networks:
            return None
        address = read_address(text)
        if address is None:
            return None
        number, bits, found = int(address), address.max_prefixlen, list[Ban]()
        for (version, length), level in self._networks.items():
            if version == address.version:
                found += level.get(number >> (bits - length), {}).values()
        return _longest(found, now) if found else None


def read_address(text: str) -> Address | None:
    """Return an address in normal form, None if the text is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id:
            return ipaddress.IPv6Address(int(address))
    return address


def read_network(text: str) -> Network:
    """Return the addresses that a text names, in normal form. Raises InvalidRequest, with a code for each fault."""
    given = text.strip()
    if "%" in given:
        raise _refused(
            "address_with_zone", given, "has a zone, which means something on one machine only", "Leave the zone out."
        )
    host, slash, length = given.partition("/")
    address = _address_of(host, given)
    if slash and not (length.isascii() and length.isdecimal()):
        raise _refused("prefix_unreadable", given, "has no number behind the slash", "Write it as 10.0.0.0/24.")
    if slash and int(length[:6]) > address.max_prefixlen:
        raise _refused(
            "prefix_too_long",
            given,
            f"has a prefix of {length[:6]} bits, and an IPv{address.version} address has {address.max_prefixlen}",
            f"Use 0 to {address.max_prefixlen}.",
            most=address.max_prefixlen,
        )
    bits = int(length) if slash else address.max_prefixlen
    # By its class: a small IPv6 number would be taken for an IPv4 one.
    network: Network = (
        ipaddress.IPv4Network((int(address), bits), strict=False)
        if isinstance(address, ipaddress.IPv4Address)
        else ipaddress.IPv6Network((int(address), bits), strict=False)
    )
    if network.network_address != address:
        raise _refused(
            "host_bits_set",
            given,
            f"is an address inside the network {network}, not the network",
            f"Ban {network} or the one address {address}.",
            network=str(network),
            address=str(address),
        )
    return _not_too_wide(_unmapped(network), given)


def _address_of(host: str, given: str) -> Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        raise _refused(
            "address_unreadable",
            given,
            "is no address or network",
            "Write it as 10.0.0.7, 10.0.0.0/24 or 2001:db8::/48.",
        ) from None


def _unmapped(network: Network) -> Network:
    """Return the IPv4 network that an IPv6 one in mapped form stands for."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))
    return network


def _not_too_wide(network: Network, given: str) -> Network:
    if network.prefixlen == 0:
        raise _refused(
            "network_is_everybody",
            given,
            f"is every IPv{network.version} address there is, yours included",
            "Stop the service if nobody shall come in; otherwise ban the networks that do harm.",
        )
    if network.prefixlen < WIDEST[network.version]:
        raise _refused(
            "network_too_wide",
            given,
            f"is {network.num_addresses:,} addresses",
            f"Ban /{WIDEST[network.version]} or narrower; several bans together may cover more.",
            most=WIDEST[network.version],
        )
    return network


def _refused(code: str, given: str, what: str, action: str, **named: str | int) -> InvalidRequest:
    return InvalidRequest(
        f"{given[:64]!r} {what}.",
        required_action=action,
        will_not=_WILL_NOT,
        code=code,
        details={"given": given[:64], **named},
    )


def _place(network: Network) -> tuple[tuple[int, int], int]:
    shift = network.max_prefixlen - network.prefixlen
    return (network.version, network.prefixlen), int(network.network_address) >> shift


def _longest(bans: Iterable[Ban], now: float) -> Ban | None:
    """Return the ban that ends last: that is what somebody who is kept out must know."""
    holding = [ban for ban in bans if ban.holds(now)]
    return max(holding, key=lambda ban: float("inf") if ban.expires_at is None else ban.expires_at, default=None)
