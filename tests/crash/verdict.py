"""Judges a log by a journal."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.crash.clients import AGGREGATE_TYPE, EVENTS
from tests.crash.journal import Attempt, Journal, Outcome, Place

_PAGE = 1000


@dataclass(frozen=True)
class Verdict:
    """What became of the attempts; a verdict is only there when no promise was broken."""

    events: int
    acknowledged: int
    refused: int
    unknown_recorded: int
    unknown_not_recorded: int

    def __str__(self) -> str:
        return (
            f"{self.events} events, chain verified; appends: {self.acknowledged} acknowledged and there once, "
            f"{self.refused} refused and not there, unanswered: {self.unknown_recorded} there once, "
            f"{self.unknown_not_recorded} not there"
        )


def judge(journal: Journal, api: httpx.Client) -> Verdict:
    """Read the whole log from a node, have it verify the chain, and hold both against the journal.

    Raises AssertionError that names the first broken promise.
    """
    log = list(read_log(api))
    verified = api.get(f"{EVENTS}/verify", params={"to": len(log)}, timeout=120).raise_for_status().json()
    assert (verified["verified"], verified["checked"]) == (True, len(log)), verified
    return weigh(journal, log)


def weigh(journal: Journal, log: Sequence[Mapping[str, Any]]) -> Verdict:
    """Hold a log against the journal; raises AssertionError that names the first broken promise."""
    _check_order(log)
    recorded = _by_attempt(log)
    attempts = journal.attempts
    strangers = recorded.keys() - attempts.keys()
    assert not strangers, f"the log holds events of attempts that nobody made: {sorted(strangers)[:3]}"
    counts: Counter[tuple[Outcome, bool]] = Counter()
    for attempt in attempts.values():
        events = recorded.get(attempt.name, [])
        _check(attempt, events)
        counts[attempt.outcome, bool(events)] += 1
    return Verdict(
        events=len(log),
        acknowledged=counts[Outcome.ACKNOWLEDGED, True],
        refused=counts[Outcome.REFUSED, False],
        unknown_recorded=counts[Outcome.UNKNOWN, True],
        unknown_not_recorded=counts[Outcome.UNKNOWN, False],
    )


def read_log(api: httpx.Client) -> Iterable[dict[str, Any]]:
    """Every event there is, in the order of the feed."""
    cursor: dict[str, str] = {}
    more = True
    while more:
        page = api.get(EVENTS, params={"limit": _PAGE, **cursor}).raise_for_status().json()
        yield from page["events"]
        more = page["has_more"]
        cursor = {"cursor": page["next_cursor"]}


def _check_order(log: Iterable[Mapping[str, Any]]) -> None:
    """Positions count all events, and versions those of each stream, both from 1 without a gap; ids do not repeat."""
    versions: Counter[tuple[str, str]] = Counter()
    ids = set()
    for position, event in enumerate(log, start=1):
        assert event["position"] == position, f"position {event['position']} stands where {position} should"
        stream = (event["aggregate_type"], event["aggregate_id"])
        versions[stream] += 1
        assert event["version"] == versions[stream], f"version {event['version']} at position {position} of {stream}"
        assert event["id"] not in ids, f"id {event['id']} stands twice"
        ids.add(event["id"])


def _by_attempt(log: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found = defaultdict(list)
    for event in log:
        if event["aggregate_type"] == AGGREGATE_TYPE:
            found[event["data"]["attempt"]].append(event)
    return found


def _check(attempt: Attempt, events: list[Mapping[str, Any]]) -> None:
    if not events:
        assert attempt.outcome is not Outcome.ACKNOWLEDGED, f"{attempt} was acknowledged and is lost"
        return
    assert attempt.outcome is not Outcome.REFUSED, f"{attempt} was refused and is recorded"
    assert tuple(event["aggregate_id"] for event in events) == attempt.aggregates, f"{attempt} is there as {events}"
    assert [event["data"]["index"] for event in events] == list(range(len(events))), f"{attempt} is out of order"
    positions = [event["position"] for event in events]
    assert positions == list(range(positions[0], positions[0] + len(events))), f"{attempt} is torn apart"
    assert positions[0] > attempt.after, f"{attempt} stands before what was acknowledged before it was sent"
    if attempt.outcome is Outcome.ACKNOWLEDGED:
        found = tuple(Place(event["id"], event["position"], event["version"]) for event in events)
        assert found == attempt.places, f"{attempt} was acknowledged as something else than {found}"
