"""Refusals are counted together: the first of a kind is told at once, a flood costs a bounded number of records."""

from flexcore.application.audit import AuditOutcome, AuditRecord
from flexcore.application.audit_tally import FURTHER_ACTION, MOST_OF_ALL, MOST_OF_ONE, WINDOW_SECONDS, RefusalTally


def refusal(actor: str = "anonymous", target: str = "/x", source: str | None = "192.0.2.1") -> AuditRecord:
    return AuditRecord(actor=actor, action="listPlugins", target=target, outcome=AuditOutcome.REFUSED, source=source)


def begun() -> RefusalTally:
    tally = RefusalTally()
    assert list(tally.due(0.0)) == []
    return tally


def test_the_first_is_told_at_once_and_the_rest_at_the_end_of_the_window() -> None:
    tally = begun()
    tally.add(refusal())
    assert [record.count for record in tally.due(1.0)] == [1]
    for _ in range(500):
        tally.add(refusal())
    assert list(tally.due(2.0)) == []
    assert [(record.target, record.count) for record in tally.due(WINDOW_SECONDS)] == [("/x", 500)]
    assert list(tally.due(WINDOW_SECONDS + 1)) == []


def test_what_differs_is_told_apart() -> None:
    tally = begun()
    for record in (refusal(), refusal(target="/y"), refusal(source="192.0.2.2"), refusal(actor="vera")):
        tally.add(record)
    assert [record.count for record in tally.due(1.0)] == [1, 1, 1, 1]


def test_one_caller_with_many_targets_is_cut_short_and_every_attempt_is_counted() -> None:
    tally = begun()
    for number in range(10_000):
        tally.add(refusal(target=f"/{number}"))
    told = [*tally.due(1.0), *tally.due(WINDOW_SECONDS)]
    assert len(told) <= MOST_OF_ONE + 2
    assert sum(record.count for record in told) == 10_000
    assert told[-1].action == FURTHER_ACTION


def test_strangers_from_many_addresses_leave_a_bounded_number_of_records_and_others_are_still_told() -> None:
    tally = begun()
    for number in range(10_000):
        tally.add(refusal(source=f"2001:db8::{number:x}"))
    tally.add(refusal(actor="plugin:greeter", source=None))
    told = [*tally.due(1.0), *tally.due(WINDOW_SECONDS)]
    assert len(told) <= MOST_OF_ALL + 4
    assert sum(record.count for record in told) == 10_001
    assert [record.target for record in told if record.actor == "plugin:greeter"] == ["/x"]


def test_known_callers_in_any_number_are_bounded_too() -> None:
    tally = begun()
    for number in range(10_000):
        tally.add(refusal(actor=f"plugin:{number}", source=None))
    told = [*tally.due(1.0), *tally.due(WINDOW_SECONDS)]
    assert len(told) <= MOST_OF_ALL + 2
    assert sum(record.count for record in told) == 10_000
