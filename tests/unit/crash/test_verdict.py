"""The judge of the crash tests: every promise that a log can break is one that it finds broken."""

from typing import Any

import pytest

from tests.crash.clients import AGGREGATE_TYPE
from tests.crash.journal import Journal, Place
from tests.crash.verdict import Verdict, weigh


def event(position: int, version: int, attempt: str, index: int = 0, aggregate: str = "a") -> dict[str, Any]:
    return {
        "id": f"id{position}",
        "position": position,
        "version": version,
        "aggregate_type": AGGREGATE_TYPE,
        "aggregate_id": aggregate,
        "data": {"attempt": attempt, "index": index},
    }


@pytest.fixture
def journal() -> Journal:
    """One append of each kind: acknowledged, an acknowledged batch, refused, and two without an answer."""
    journal = Journal()
    journal.acknowledge(journal.begin("one", ("a",)), (Place("id1", 1, 1),))
    journal.begin("unanswered", ("a",))
    journal.begin("unanswered too", ("a", "a"))
    journal.acknowledge(journal.begin("batch", ("b", "a")), (Place("id2", 2, 1), Place("id3", 3, 2)))
    journal.refuse(journal.begin("refused", ("a",)))
    return journal


@pytest.fixture
def log() -> list[dict[str, Any]]:
    """A log that keeps every promise; one unanswered append is there, the other is not."""
    return [
        event(1, 1, "one"),
        event(2, 1, "batch", 0, "b"),
        event(3, 2, "batch", 1),
        event(4, 3, "unanswered"),
    ]


def test_a_log_that_keeps_its_promises(journal: Journal, log: list[dict[str, Any]]) -> None:
    assert weigh(journal, log) == Verdict(
        events=4, acknowledged=2, refused=1, unknown_recorded=1, unknown_not_recorded=1
    )


def test_a_lost_event(journal: Journal, log: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match=r"'one'.* was acknowledged and is lost"):
        weigh(journal, [event(1, 1, "unanswered")])


def test_an_event_that_is_there_twice(journal: Journal, log: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match=r"'unanswered'.* is there as"):
        weigh(journal, [*log, event(5, 4, "unanswered")])


def test_half_a_batch(journal: Journal, log: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match=r"'unanswered too'.* is there as"):
        weigh(journal, [*log, event(5, 4, "unanswered too")])


def test_a_batch_with_another_event_in_between(journal: Journal, log: list[dict[str, Any]]) -> None:
    journal.begin("between", ("c",))
    log += [event(5, 4, "unanswered too", 0), event(6, 1, "between", 0, "c"), event(7, 5, "unanswered too", 1)]
    with pytest.raises(AssertionError, match=r"'unanswered too'.* is torn apart"):
        weigh(journal, log)


def test_a_refused_event(journal: Journal, log: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match=r"'refused'.* was refused and is recorded"):
        weigh(journal, [*log, event(5, 4, "refused")])


def test_an_event_elsewhere_than_the_answer_said(journal: Journal, log: list[dict[str, Any]]) -> None:
    log[0] |= {"id": "another"}
    with pytest.raises(AssertionError, match="was acknowledged as something else"):
        weigh(journal, log)


def test_an_event_before_what_was_known_when_it_was_sent() -> None:
    journal = Journal()
    journal.acknowledge(journal.begin("one", ("a",)), (Place("id2", 2, 2),))
    journal.begin("late", ("a",))
    with pytest.raises(AssertionError, match=r"'late'.* stands before what was acknowledged"):
        weigh(journal, [event(1, 1, "late"), event(2, 2, "one")])


def test_a_gap(journal: Journal, log: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match="position 3 stands where 2 should"):
        weigh(journal, [log[0], *log[2:]])


def test_a_wrong_version(journal: Journal, log: list[dict[str, Any]]) -> None:
    log[3] |= {"version": 4}
    with pytest.raises(AssertionError, match="version 4 at position 4"):
        weigh(journal, log)


def test_an_event_that_nobody_sent(journal: Journal, log: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match="attempts that nobody made"):
        weigh(journal, [*log, event(5, 4, "stranger")])
