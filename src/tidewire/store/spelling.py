"""Functions that SQLite and Postgres spell each in its own way. It must not know which statements use them.

SQLite keeps moments as 'YYYY-MM-DD HH:MM:SS.ffffff', UTC.
Source: SQLAlchemy manual, "Custom SQL Constructs and Compilation Extension".
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import BigInteger, Float, FunctionElement, String
from sqlalchemy.ext.compiler import compiles

_T = TypeVar("_T")


class _Spelt(FunctionElement[_T]):
    """One function; ``{}`` is what it is called with."""

    inherit_cache = True
    sqlite: str
    postgresql: str


@compiles(_Spelt)
def _spell(element: _Spelt[Any], compiler: Any, **more: Any) -> str:
    text: str = getattr(element, compiler.dialect.name)
    return text.replace("{}", compiler.process(element.clauses, **more))


class WholeSeconds(_Spelt[int]):
    """A stored moment as whole Unix seconds, rounded down."""

    type = BigInteger()
    inherit_cache = True
    sqlite = "CAST(strftime('%s', {}) AS INTEGER)"
    postgresql = "CAST(floor(EXTRACT(epoch FROM {})) AS bigint)"


class Seconds(_Spelt[float]):
    """A stored moment as Unix seconds, to the microsecond."""

    type = Float()
    inherit_cache = True
    sqlite = f"({WholeSeconds.sqlite} + CAST('0' || substr({{}}, 20) AS REAL))"
    postgresql = "CAST(EXTRACT(epoch FROM {}) AS double precision)"


class HourOf(_Spelt[Any]):
    """The hour of a stored moment, as what is quick to group by; ``HourBegins`` says which it is."""

    type = String()
    inherit_cache = True
    # A date of SQLite's is worked out from its text each time: one per hour instead of one per row.
    sqlite = "substr({}, 1, 13)"
    postgresql = "date_trunc('hour', {}, 'UTC')"


class HourBegins(_Spelt[int]):
    """The beginning of what ``HourOf`` made, Unix seconds."""

    type = BigInteger()
    inherit_cache = True
    sqlite = WholeSeconds.sqlite.replace("{}", "{} || ':00:00'")
    postgresql = "CAST(EXTRACT(epoch FROM {}) AS bigint)"


# On SQLite word for word as in the index ``ix_quotes_priced``, which has them ready.
class Currency(_Spelt[str]):
    """What a quote's premium is in."""

    type = String()
    inherit_cache = True
    sqlite = "json_extract(quotes.premium, '$.currency')"
    postgresql = "(quotes.premium ->> 'currency')"


class Cents(_Spelt[int]):
    """How much a quote's premium is, in cents."""

    type = BigInteger()
    inherit_cache = True
    sqlite = "CAST(round(CAST(json_extract(quotes.premium, '$.amount') AS NUMERIC) * 100) AS INTEGER)"
    postgresql = "CAST(round(CAST(quotes.premium ->> 'amount' AS numeric(14, 2)) * 100) AS bigint)"
