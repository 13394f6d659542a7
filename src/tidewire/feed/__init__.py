"""Upstream market-data connections: codec, lines, assignment of tickers, and sources that need no network.

Hands decoded ticks upwards through callbacks; it must not know the bus, SQL, accounts or any page.
"""
