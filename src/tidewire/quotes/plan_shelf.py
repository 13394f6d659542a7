"""The rating plans of this installation: read from files when the program starts, one for each product.

A plan that is wrong ends the start; it is never skipped. It must not know what a plan says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tidewire.core.errors import SettingsError
from tidewire.quotes.plan import Plan
from tidewire.quotes.plan_text import MAX_CHARACTERS, parse_plan

SHIPPED = Path(__file__).parent / "plans"
# UTF-8 needs four bytes for a character at most.
MAX_BYTES = 4 * MAX_CHARACTERS


def load_plan(file: Path) -> Plan:
    """Return the plan of a file.

    Raises:
        SettingsError: It cannot be read, or is not a good plan: file, line and reason are in the message.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as exc:
        raise _unreadable(file, exc.strerror or str(exc)) from exc
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise _unreadable(file, f"line {line} is not UTF-8") from exc
    return parse_plan(text.replace("\r\n", "\n"), file.name)


def load_plans(place: Path | None = None) -> Mapping[str, Plan]:
    """Return product -> plan.

    Args:
        place: A plan's file, or a directory of ``*.toml``; None for those that Tidewire is shipped with.

    Raises:
        SettingsError: There is none, one is wrong, or two are for one product.
    """
    place = place or SHIPPED
    files = sorted(place.glob("*.toml")) if place.is_dir() else [place]
    if not files:
        raise _unreadable(place, "there is no *.toml in this directory")
    return _by_product((file, load_plan(file)) for file in files)


def _by_product(plans: Iterable[tuple[Path, Plan]]) -> dict[str, Plan]:
    found: dict[str, Plan] = {}
    files: dict[str, Path] = {}
    for file, plan in plans:
        if plan.product in found:
            raise SettingsError(
                f"{files[plan.product].name} and {file.name} are both rating plans for {plan.product}.",
                required_action="Keep the one that is to be used.",
                will_not="Tidewire will not choose between two plans.",
                code="rating_plan_invalid",
            )
        found[plan.product], files[plan.product] = plan, file
    return found


def _unreadable(file: Path, reason: str) -> SettingsError:
    return SettingsError(
        f"The rating plan {file} cannot be read: {reason}.",
        required_action="Correct TIDEWIRE_RATING_PLANS, or the file's rights or encoding.",
        will_not="Tidewire will not rate by another plan than the one it was given.",
        code="rating_plan_unreadable",
    )
