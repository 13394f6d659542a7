"""What tests of quotes share: a quote made over HTTP, and a page that follows one as docs/quotes.md tells it to."""

from __future__ import annotations

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


async def rate(site: Served, quote_id: str, amount: str = PREMIUM) -> None:
    """Store a premium as rating does."""
    desk = site.side.quotes.desk
    quote = await desk.quotes.get(quote_id)
    premium = Premium(
        amount=amount,
        currency="USD",
        term_months=6,
        plan="test@1",
        calculation_id="k-1",
        based_on_version=quote.version,
        at=quote.updated_at,
        breakdown=(PremiumLine("coverage_liability", "Liability", amount=amount),),
    )
    await desk.rate(quote_id, premium)
