"""The book of bans against a plain model, and every absurd address by its own name."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.accounts.ban_book import BanBook, read_network
from tidewire.core.errors import InvalidRequest
from tidewire.store.ban_records import Ban

START = 1_700_000_000.0


def ban(
    number: int, *, user: int | None = None, network: str = "", ends: float | None = None, lifted: float | None = None
) -> Ban:
    """Return a ban."""
    name = "" if user is None else f"user-{user}"
    return Ban(
        id=number,
        user_id=user,
        username=name,
        network=network,
        reason="spam",
        created_at=START,
        created_by="ada",
        expires_at=ends,
        lifted_at=lifted,
    )


# Few users, and networks within and beside each other, so that bans overlap.
NETWORKS = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "10.1.2.0/24", "2001:db8::/32", "2001:db8:1::/48", "::1/128"]
ADDRESSES = ["10.1.2.3", "10.1.2.4", "10.9.9.9", "11.0.0.1", "::ffff:10.1.2.3", "2001:db8:1::7", "2001:db8:2::7", "::1"]
users = st.integers(1, 3)
targets = st.one_of(users, st.sampled_from(NETWORKS))


@dataclass
class Step:
    """What is done, and to whom."""

    what: str
    target: int | str = 0
    lasts_s: int | None = None
    index: int = 0


steps = st.lists(
    st.one_of(
        st.builds(Step, st.just("ban"), targets, st.one_of(st.none(), st.integers(1, 5))),
        st.builds(Step, st.just("lift"), index=st.integers(0, 20)),
        st.builds(Step, st.just("pass"), lasts_s=st.integers(1, 4)),
        st.builds(Step, st.just("reread")),
    ),
    max_size=25,
)


def hit(bans: list[Ban], who: int | str, now: float) -> bool:
    """Whether the plain model says that somebody is kept out: every ban is looked at."""
    for each in bans:
        if each.lifted_at is not None or (each.expires_at is not None and now >= each.expires_at):
            continue
        if isinstance(who, int):
            if each.user_id == who:
                return True
            continue
        address = ipaddress.ip_address(who)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if each.network and address in ipaddress.ip_network(each.network):
            return True
    return False


@given(steps)
def test_bans_that_overlap_and_end_are_those_of_a_plain_model(plan: list[Step]) -> None:
    """After any bans, liftings, seconds and readings anew, each user and address is kept out just when a list says."""
    book, bans, now = BanBook(), list[Ban](), START
    for step in plan:
        if step.what == "ban":
            user = step.target if isinstance(step.target, int) else None
            network = step.target if isinstance(step.target, str) else ""
            ends = None if step.lasts_s is None else now + step.lasts_s
            bans.append(ban(len(bans) + 1, user=user, network=network, ends=ends))
            assert book.put(bans[-1], now)
        elif step.what == "lift" and step.index < len(bans) and bans[step.index].lifted_at is None:
            old = bans[step.index]
            bans[step.index] = ban(old.id, user=old.user_id, network=old.network, ends=old.expires_at, lifted=now)
            assert not book.put(bans[step.index], now)
        elif step.what == "pass":
            now += step.lasts_s or 0
        else:
            assert book.replace([each for each in bans if each.holds(now)], now) == []
        for who in (1, 2, 3):
            assert (book.of_user(who, now) is not None) == hit(bans, who, now)
        for address in ADDRESSES:
            assert (book.of_address(address, now) is not None) == hit(bans, address, now), address


def test_a_ban_ends_at_its_second_and_the_longest_is_told() -> None:
    """Kept out a moment before the end and not at it; of two bans the one that ends last is shown."""
    book = BanBook()
    for each in (ban(1, network="10.0.0.0/8", ends=START + 5), ban(2, network="10.1.0.0/16", ends=START + 9)):
        book.put(each, START)
    found = book.of_address("10.1.0.1", START + 4.999)
    assert found is not None
    assert found.id == 2
    assert book.of_address("10.9.0.1", START + 4.999) is not None
    assert book.of_address("10.9.0.1", START + 5) is None
    assert book.of_address("10.1.0.1", START + 9) is None
    assert book.of_address("no address", START) is None


def test_reading_anew_says_which_bans_were_missed() -> None:
    """What the table has and the book had not is new; what the table has no more is gone; the rest is no news."""
    book = BanBook()
    book.put(ban(1, user=1), START)
    book.put(ban(2, network="10.0.0.0/8"), START)
    fresh = book.replace([ban(2, network="10.0.0.0/8"), ban(3, user=3), ban(4, user=4, ends=START)], START)
    assert [each.id for each in fresh] == [3]
    assert [each.id for each in book.all()] == [2, 3]
    assert (book.of_user(1, START), book.of_user(4, START)) == (None, None)


@pytest.mark.parametrize(
    ("given_text", "normal"),
    [
        ("10.0.0.7", "10.0.0.7/32"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("2001:DB8::/48", "2001:db8::/48"),
        ("::1", "::1/128"),
        ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::5/128", "::5/128"),
    ],
)
def test_an_address_or_network_is_kept_in_one_form(given_text: str, normal: str) -> None:
    """However it is written, and an IPv4 address in IPv6 form is the IPv4 address."""
    assert str(read_network(given_text)) == normal


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "address_unreadable"),
        ("everybody", "address_unreadable"),
        ("10.0.0", "address_unreadable"),
        ("010.0.0.1", "address_unreadable"),
        ("10.0.0.0/24'; DROP TABLE bans; --", "prefix_unreadable"),
        ("10.0.0.1/", "prefix_unreadable"),
        ("10.0.0.1/-1", "prefix_unreadable"),
        ("10.0.0.0/255.0.0.0", "prefix_unreadable"),
        ("10.0.0.1/33", "prefix_too_long"),
        ("::1/129", "prefix_too_long"),
        ("10.0.0.0/" + "9" * 5_000, "prefix_too_long"),
        ("10.0.0.1/24", "host_bits_set"),
        ("2001:db8::1/48", "host_bits_set"),
        ("0.0.0.0/0", "network_is_everybody"),
        ("::/0", "network_is_everybody"),
        ("::ffff:0:0/96", "network_is_everybody"),
        ("10.0.0.1/0", "host_bits_set"),
        ("0.0.0.0/1", "network_too_wide"),
        ("::ffff:0:0/97", "network_too_wide"),
        ("2000::/3", "network_too_wide"),
        ("fe80::1%eth0", "address_with_zone"),
    ],
)
def test_what_is_no_address_or_absurd_is_refused_by_name(text: str, code: str) -> None:
    """Each has its own code, and all three sentences."""
    with pytest.raises(InvalidRequest) as raised:
        read_network(text)
    described = raised.value.describe()
    assert described["code"] == code
    assert all(described.values())
    assert len(raised.value.message) < 200
