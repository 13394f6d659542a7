"""No failure is silent, as far as the source shows it (reliability.md bar R21); every rule is shown to fire."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest

from tests.meta import failure_rules as rules
from tests.meta.source import ROOT, Module, modules
from tidewire.client import failure
from tidewire.core import close_code, errors
from tidewire.feed import conversation, line_state
from tidewire.store import failure as store_failure

Rule = Callable[[Module], Iterator[str]]
# The client's errors take a Failure instead of sentences; its table is looked at below.
ERRORS = {
    name
    for module in (errors, line_state)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, errors.TidewireError)
}
# Its three sentences are its own; who raises it says what is wrong with which field.
SPOKEN = {"InvalidFields"}
unspoken_errors = functools.partial(rules.unspoken_errors, errors=ERRORS - SPOKEN)

TASK_KEPT = "async def f(self):\n    self.task = asyncio.create_task(g())\n    await asyncio.wait([self.task])\n"
TASK_FORGOTTEN = (
    "def f(self):\n    t = create_task(g())\n    self.all.add(t)\n    t.add_done_callback(self.all.discard)\n"
)
HANDED_ON = (
    "def f():\n    try:\n        g()\n    except Exception as e:\n        count(e)\n\ndef count(e):\n    n = 1\n"
)
SHORT = "raise StoreError('The disk is full.', required_action='Free some.')"
EMPTY = "raise StoreError('The disk is full.', required_action='Free some.', will_not='')"
NO_SENTENCE = "raise StoreError('disk_full', required_action='Free some space.', will_not='It will not wait.')"
CUT = "raise StoreError(f'The disk is {x} full', required_action='Free some space.', will_not='It will not wait.')"

BREACHES: list[tuple[Rule, str]] = [
    (rules.bare_handlers, "try:\n    f()\nexcept:\n    raise\n"),
    (rules.silent_handlers, "try:\n    f()\nexcept Exception:\n    pass\n"),
    (rules.silent_handlers, "try:\n    f()\nexcept (OSError, BaseException) as e:\n    x = e\n"),
    (rules.silent_handlers, "try:\n    f()\nexcept Exception:\n    log.debug('nobody sees this')\n"),
    (rules.silent_handlers, "with contextlib.suppress(Exception):\n    f()\n"),
    (rules.silent_handlers, HANDED_ON),
    (rules.half_readers, "try:\n    f()\nexcept (msgspec.DecodeError, UnicodeDecodeError):\n    n = 1\n"),
    (rules.lost_tasks, "asyncio.create_task(f())"),
    (rules.lost_tasks, "self.tasks = [asyncio.ensure_future(f())]"),
    (rules.lost_tasks, TASK_KEPT),
    (rules.lost_tasks, TASK_FORGOTTEN),
    (unspoken_errors, SHORT),
    (unspoken_errors, EMPTY),
    (unspoken_errors, NO_SENTENCE),
    (unspoken_errors, CUT),
]


@pytest.mark.parametrize(("rule", "text"), BREACHES)
def test_each_rule_fires(rule: Rule, text: str) -> None:
    """A breach of the rule is found, so the rule can fail."""
    assert list(rule(Module.parse("breach.py", text)))


RULES = [rules.bare_handlers, rules.silent_handlers, rules.half_readers, rules.lost_tasks, unspoken_errors]


@pytest.mark.parametrize("rule", RULES)
def test_the_product_keeps_each_rule(rule: Rule) -> None:
    """Nothing in the product swallows a failure, loses a task or raises an error without its three sentences."""
    assert len(modules()) > 100
    assert [breach for module in modules() for breach in rule(module)] == []


def test_the_clients_own_errors_are_sentences() -> None:
    """What the client says of itself has the same three sentences."""
    for code, (_, *sentences) in failure.SENTENCES.items():
        assert all(sentence.endswith(".") and len(sentence.split()) > 2 for sentence in sentences), code


def test_every_close_code_is_documented_with_its_name() -> None:
    """An operator finds each close code, its name, its meaning and what to do in the protocol's document."""
    rows = (ROOT / "docs" / "protocol.md").read_text().splitlines()
    for entry in close_code.CLOSE_CODES.values():
        assert f"| {entry.code} | `{entry.name}` | {entry.meaning} | {entry.action} |" in rows


def test_every_error_code_is_documented() -> None:
    """Each code that an error of the product can carry is named in the documents."""
    documents = "".join((ROOT / "docs" / name).read_text() for name in ("protocol.md", "operations.md"))
    tables = [conversation._FATAL, failure.SENTENCES, {code for code, *_ in _storage_failures()}]
    codes = {code for table in tables for code in table}
    codes |= {code for module in modules() for code in rules.codes_of(module, ERRORS)}
    assert {"storage_full", "auth_failed", "http_NNN", "queue_full", "tcp_reset"} <= codes
    assert sorted(code for code in codes if f"`{code}`" not in documents) == []


def _storage_failures() -> list[tuple[str, str, str]]:
    return [*store_failure._STATES.values(), *store_failure._SQLITE.values()]


def test_what_an_error_table_says_is_sentences() -> None:
    """The tables that errors are made from hold sentences: what happened and what to do."""
    rows = [*(words for _, *words in _storage_failures()), *map(list, conversation._FATAL.values())]
    assert [text for row in rows for text in row if not text.endswith(".") or len(text.split()) < 2] == []
