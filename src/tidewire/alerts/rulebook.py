"""The rules in force: the shipped ones, as admins have changed them, and those of their own. Pure.

It must not know where they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tidewire.alerts.defaults import DEFAULTS
from tidewire.alerts.rule import Rule
from tidewire.store.alert_records import RuleRecord

# Each is judged every few seconds and sent to all nodes.
RULES_MAX = 200


class Rulebook:
    """See the module's text.

    Attributes:
        rules: Every rule that can be judged, by key, disabled ones too.
        broken: Keys of stored rules that are none of this version.
        source: ``stored``; ``shipped`` while the stored ones are not known.
    """

    def __init__(self, shipped: Sequence[Rule] = DEFAULTS) -> None:
        self._shipped = {rule.key: rule for rule in shipped}
        self.rules = dict(self._shipped)
        self.broken: list[str] = []
        self.source = "shipped"

    def take(self, records: Iterable[RuleRecord]) -> None:
        """Take what is stored."""
        self.rules, self.broken, self.source = dict(self._shipped), [], "stored"
        for record in records:
            rule = rule_of(record)
            if rule is None:
                # A shipped one is not judged either: an admin has wanted it otherwise.
                self.rules.pop(record.key, None)
                self.broken.append(record.key)
            else:
                self.rules[record.key] = rule

    def is_shipped(self, key: str) -> bool:
        """Whether Tidewire comes with a rule of that name."""
        return key in self._shipped


def rule_of(record: RuleRecord) -> Rule | None:
    """Return a stored rule; None if it is none of this version."""
    try:
        return msgspec.convert(record.document, Rule)
    except msgspec.ValidationError:
        return None


def document_of(rule: Rule) -> dict[str, object]:
    """Return a rule as plain JSON, to be stored."""
    return msgspec.json.decode(msgspec.json.encode(rule), type=dict[str, object])
