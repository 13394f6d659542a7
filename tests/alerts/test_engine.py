"""The engine by hand-driven time: when alerts open and close, and what absent figures mean."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.alerts.stage import DAY, NOON, Stage, rule, samples
from tidewire.alerts.engine import NO_DATA
from tidewire.alerts.readings import AGE_METRIC, STALE_S
from tidewire.alerts.rule import Figure
from tidewire.core.sample import Sample


def test_it_opens_only_after_its_time_without_a_break() -> None:
    """Bad for ten seconds opens; one good value or one absent value in between begins the time anew."""
    for breaking in (1.0, None):
        stage = Stage(rule(for_s=10))
        assert [stage.see(11) for _ in range(2)] == [[], []]
        assert stage.see(breaking) == []
        assert [stage.see(11) for _ in range(3)] == [[], [], ["opened"]]


def test_between_bad_and_good_nothing_flaps() -> None:
    """Above 10 is bad, 5 or less good: in between an open one stays open, a closed one closed."""
    stage = Stage(rule(for_s=0, clear=5))
    assert stage.see(7) == []
    assert stage.see(11) == ["opened"]
    assert [stage.see(value) for value in (9, 11, 6, 10, 5.1)] == [[]] * 5
    assert stage.see(5) == ["closed good"]
    assert stage.see(9) == []


def test_it_closes_only_after_its_time_without_a_break() -> None:
    """With clear_for_s a short good moment closes nothing."""
    stage = Stage(rule(for_s=0, clear_for_s=10))
    assert stage.see(11) == ["opened"]
    assert [stage.see(1), stage.see(1), stage.see(11), stage.see(1), stage.see(1)] == [[]] * 5
    assert stage.see(1) == ["closed good"]


def test_absent_figures_never_read_as_fine() -> None:
    """An open alert stays open without figures and says so; a closed rule is shown as no_data."""
    stage = Stage(rule(for_s=0))
    assert stage.see(11) == ["opened"]
    assert stage.see(None) == ["moved"]
    assert stage.state() == "no_data"
    assert [stage.see(None) for _ in range(3)] == [[], [], []]
    assert stage.see(1) == ["closed good"]
    assert stage.see(None) == []
    assert stage.state() == "no_data"


def test_what_is_no_number_is_absent() -> None:
    """NaN and infinity are neither bad nor good: what is open stays open."""
    stage = Stage(rule(for_s=0))
    assert stage.see(11) == ["opened"]
    assert [stage.see(value) for value in (float("nan"), float("-inf"), float("inf"))] == [["moved"], [], []]
    assert stage.state() == "no_data"
    assert stage.see(1) == ["closed good"]


def test_a_rule_whose_figures_are_absent_alerts_if_asked_to() -> None:
    """``no_data: alert``: after for_s there is an alert of its own, and it closes when the figures are back."""
    stage = Stage(rule(for_s=10, no_data="alert"))
    assert [stage.see(None) for _ in range(3)] == [[], [], ["opened"]]
    ((_, state, groups),) = stage.engine.watched()
    assert (state, list(groups)) == ("no_data", [NO_DATA])
    assert stage.see(1) == ["closed good"]


def test_a_long_pause_of_the_engine_is_an_interruption() -> None:
    """Bad before and after five minutes in which nobody looked is not bad for five minutes."""
    stage = Stage(rule(for_s=60))
    assert stage.see(11) == []
    assert stage.see(11, after=300) == []
    assert [stage.see(11, after=20) for _ in range(3)] == [[], [], ["opened"]]


def test_a_node_that_stands_still_is_not_believed() -> None:
    """The same sample for longer than STALE_S is absent; what it had open stays open, and its age is a figure."""
    stage = Stage(rule(for_s=0), rule(key="age", figure=Figure(metric=AGE_METRIC), threshold=STALE_S, for_s=0))
    still = samples("a", NOON, {"m": 11.0})
    assert [change.rule.key for change in stage.step(still)] == ["r"]
    later = [change for _ in range(8) for change in stage.step(still)]
    assert [(change.rule.key, change.kind, change.note) for change in later] == [
        ("r", "moved", "no_data"), ("age", "opened", ""),
    ]  # fmt: skip
    assert stage.see(1) == ["closed good", "closed good"]


def test_what_was_bad_on_a_silent_node_does_not_clear_by_the_others() -> None:
    """The bad node falls silent: that another is fine proves nothing. Once it has ended it is not waited for."""
    stage = Stage(rule(for_s=0))
    bad, good = samples("b", NOON, {"m": 11}), {"m": 1.0}
    (opened,) = stage.step(bad, samples("a", NOON, good))
    assert opened.members == ("b",)
    changes = [
        change for n in range(1, 12) for change in stage.step(samples("a", NOON + n, good), silent=[("b", "b-1")])
    ]
    assert [(change.kind, change.note) for change in changes] == [("moved", "no_data")]
    (closed,) = stage.step(samples("a", NOON + 20, good))
    assert (closed.kind, closed.why) == ("closed", "good")


def test_one_alert_per_group_with_its_members() -> None:
    """Three nodes see line 2 down and one sees line 3: two alerts, with three members and one."""
    stage = Stage(rule(for_s=0, by=("line",), threshold=0))

    def seen(node: str, *down: str) -> object:
        return samples(node, NOON, [Sample("m", float(line in down), (("line", line),)) for line in "123"])

    changes = stage.step(seen("a", "2"), seen("b", "2", "3"), seen("c", "2"))  # type: ignore[arg-type]
    assert [(change.group, change.members) for change in changes] == [
        ("line=2", ("a line=2", "b line=2", "c line=2")), ("line=3", ("b line=3",)),
    ]  # fmt: skip


def test_figures_are_combined_as_the_rule_says() -> None:
    """Of 4 and 20 on two nodes: max 20, min 4, sum 24, any the worst for its comparison."""
    for combine, compare, value in (
        ("max", ">", 20), ("min", ">", 4), ("sum", ">", 24), ("any", ">", 20), ("any", "<", 4),
    ):  # fmt: skip
        stage = Stage(rule(combine=combine, compare=compare, for_s=0))
        stage.step(samples("a", NOON, {"m": 4.0}), samples("b", NOON, {"m": 20.0}))
        ((_, _, groups),) = stage.engine.watched()
        assert groups[""].value == value


def test_a_rate_counts_what_a_counter_has_risen() -> None:
    """Two per second, through a restart of the counter; not known before half the window is."""
    stage = Stage(rule(figure=Figure(metric="m", read="rate", window_s=20), threshold=1.5, for_s=0))
    counted = [stage.see(value) for value in (100, 110, 120, 5, 15)]
    assert counted == [[], [], ["opened"], [], []]
    ((_, _, groups),) = stage.engine.watched()
    # Up to the restart ten and ten, five from zero after it, then ten: 35 in 20 s.
    assert groups[""].value == 35 / 20


def test_a_counter_by_label_rises_from_zero_when_it_appears() -> None:
    """The first answer with 500 counts: before, others of the metric were there and it was not."""
    figure = Figure(metric="m", where={"status": "500"}, read="rate", window_s=10, absent="zero")
    stage = Stage(rule(figure=figure, threshold=0.5, for_s=0))
    fine = [Sample("m", 7, (("status", "200"),))]
    for n in range(3):
        assert stage.step(samples("a", NOON + 5 * n, fine)) == []
    assert stage.state() == "fine"
    (opened,) = stage.step(samples("a", NOON + 15, [*fine, Sample("m", 10, (("status", "500"),))]))
    assert (opened.value, opened.members) == (1.0, ("a status=500",))


def test_a_ratio_is_known_only_where_there_is_enough() -> None:
    """Delivered by published; below the least denominator nothing opens, and nothing clears."""
    stage = Stage(rule(over=Figure(metric="below"), least=2.0, for_s=0))
    assert stage.see(100, below=1) == []
    assert stage.see(100, below=2) == ["opened"]
    assert stage.see(1, below=1) == ["moved"]
    assert stage.see(1, below=2) == ["closed good"]


def test_a_collapse_is_a_rate_against_its_own_past() -> None:
    """A minute at a tenth of the quarter of an hour before opens; the same at a steady low rate does not."""
    last, before = (Figure(metric="m", read="rate", window_s=w) for w in (60.0, 900.0))
    for drop, expected in ((0.05, ["opened"]), (0.5, [])):
        stage, total, changes = Stage(rule(figure=last, over=before, compare="<", threshold=0.1, for_s=30)), 0.0, []
        for n in range(240):
            total += 5 * 10 * (drop if n >= 200 else 1.0)
            changes += stage.see(total)
        assert changes == expected


def test_outside_the_session_a_feed_rule_rests() -> None:
    """At the weekend nothing opens, what is open is closed as resting, and the rule says that it rests."""
    stage = Stage(rule(for_s=0, hours="session"))
    assert stage.see(11) == ["opened"]
    assert stage.see(11, after=3 * DAY) == ["closed resting"]
    assert (stage.see(11), stage.state()) == ([], "resting")


def test_while_the_feed_is_paused_its_rules_rest() -> None:
    """``unless``: a metric above zero on any node."""
    stage = Stage(rule(for_s=0, unless="paused"))
    assert stage.see(11, paused=1) == []
    assert stage.state() == "resting"
    assert stage.see(11, paused=0) == ["opened"]
    assert stage.see(11, paused=1) == ["closed resting"]


def test_a_rule_that_is_disabled_or_changed_takes_its_alerts_with_it() -> None:
    """Disabled: closed. Another threshold: judged by the new one. Other groups: closed, because they are no groups."""
    for change, told in (
        ({"enabled": False}, ["closed rule_off"]), ({"threshold": 20.0}, ["closed good"]), ({"threshold": 9.0}, []),
        ({"by": ("node",)}, ["closed rule_off", "opened"]),
    ):  # fmt: skip
        stage = Stage(rule(for_s=0))
        assert stage.see(11) == ["opened"]
        stage.rules = [rule(**{"for_s": 0, **change})]
        assert stage.see(11) == told


def test_an_adopted_alert_is_not_told_again() -> None:
    """After a restart: still bad is silent, good closes, without figures it stays."""
    stage = Stage(rule(for_s=0))
    stage.engine.adopt(stage.rules[0], "", ["a"], NOON)
    assert stage.see(None) == []
    assert stage.see(11) in ([], ["moved"])
    assert stage.see(1) == ["closed good"]


VALUES = st.lists(st.one_of(st.none(), st.floats(0, 20)), max_size=60)


@settings(deadline=None)
@given(values=VALUES, for_steps=st.integers(0, 5), clear=st.floats(0, 10), clear_steps=st.integers(0, 4))
def test_it_opens_and_closes_exactly_as_promised(
    values: list[float | None], for_steps: int, clear: float, clear_steps: int
) -> None:
    """Any series: opened iff bad without a break for for_s; closed iff good without a break for clear_for_s."""
    stage = Stage(rule(for_s=5.0 * for_steps, clear=clear, clear_for_s=5.0 * clear_steps))
    is_open, bad, good = False, 0, 0
    for value in values:
        told = [one for one in stage.see(value) if one != "moved"]
        bad = bad + 1 if value is not None and value > 10 else 0
        good = good + 1 if value is not None and value <= clear else 0
        if not is_open and bad > for_steps:
            is_open, expected = True, ["opened"]
        elif is_open and good > clear_steps:
            is_open, expected, bad = False, ["closed good"], 0
        else:
            expected = []
        assert told == expected
        if expected == ["opened"]:
            good = 0
        assert stage.state() == ("no_data" if value is None else stage.state())


@settings(deadline=None)
@given(values=st.lists(st.floats(5.0, 10.0, exclude_min=True), min_size=1, max_size=40), was_open=st.booleans())
def test_inside_the_band_nothing_ever_changes(values: list[float], was_open: bool) -> None:
    """Whatever the values between clear and threshold, an open alert stays open and a closed one closed."""
    stage = Stage(rule(for_s=0, clear=5))
    stage.see(11 if was_open else 1)
    assert [told for value in values for told in stage.see(value)] == []
