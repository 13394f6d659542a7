"""What tests of quotes share: a quote made over HTTP, and a page that follows one as docs/quotes.md tells it to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.platform import Served
from tests.support.ws_client import RawClient
from tidewire.quotes.model import Premium, PremiumLine

BASIC = {"customer_name": "Grace Hopper", "state": "CA", "product": "personal_auto"}
PREMIUM = "1204.00"


async def make_quote(site: Served, username: str = "bob", **fields: Any) -> str:
    """Make a quote over HTTP; return its number."""
    async with site.http(username) as http:
        answer = await http.post("/api/v1/quotes", json={"fields": {**BASIC, **fields}})
    assert answer.status_code == 201, answer.text
    number: str = answer.json()["quote_id"]
    return number


async def open_quote(client: RawClient, quote_id: str) -> dict[str, Any]:
    """Subscribe; return the state."""
    client.say("quote_subscribe", id="open", quote_id=quote_id)
    state = await client.expect("quote_state", quote_id=quote_id)
    await client.expect("reply", id="open", ok=True)
    return state


async def edit(client: RawClient, quote_id: str, field: str, value: Any, base: int, op_id: str) -> dict[str, Any]:
    """Edit a field; return the reply."""
    client.say("field_edit", id=op_id, quote_id=quote_id, field=field, value=value, base_revision=base, op_id=op_id)
    return await client.expect("reply", id=op_id)


# Everything that rating needs; with the shipped plan.
RATEABLE: dict[str, Any] = {
    "effective_date": (datetime.now(UTC).date() + timedelta(days=14)).isoformat(),
    "coverage_liability": "50/100/50",
    "coverage_collision": "500",
    "discount_paid_in_full": True,
    "vehicle_year": 2021,
    "vehicle_value": "25000.00",
    "annual_mileage": 12_000,
    "driver_birth_date": "1990-03-16",
    "driver_licensed_years": 10,
    "driver_incidents": 1,
}


async def calculate(site: Served, quote_id: str, username: str = "bob") -> dict[str, Any]:
    """Ask for a calculation over HTTP, again while too many others wait for the database; return the answer."""
    async with site.http(username) as http:
        while (answer := await http.post(f"/api/v1/quotes/{quote_id}/calculate")).status_code == 503:
            # Nothing has begun then: that is promised, and what a client is told to do is to ask again.
            assert answer.json()["code"] == "storage_overloaded", answer.text
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/api/v1/quotes/{quote_id}/calculation"
    document: dict[str, Any] = answer.json()
    return document


async def rate(site: Served, quote_id: str, amount: str = PREMIUM) -> None:
    """Store a premium as rating does."""
    desk = site.side.quotes.desk
    quote = await desk.quotes.get(quote_id)
    premium = Premium(
        amount=amount,
        currency="USD",
        term_months=6,
        plan="test@1",
        # Each is another calculation: the same one is stored once.
        calculation_id=f"k-{quote.version}",
        based_on_version=quote.version,
        at=quote.updated_at,
        breakdown=(PremiumLine("coverage_liability", "Liability", amount=amount),),
    )
    await desk.rate(quote_id, premium)
