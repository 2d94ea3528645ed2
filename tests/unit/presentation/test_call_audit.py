"""Every call that changes something, and every refusal, is told to the audit trail; before the answer if it worked."""

from collections.abc import Callable

import httpx
import pytest

from flexcore.application.audit import AuditOutcome
from flexcore.domain.errors import Conflict, Unavailable
from tests.unit.presentation.conftest import MADE_ID, VIEWER_TOKEN, RecordedAudit

Send = Callable[..., httpx.Response]


def test_a_change_that_worked(send: Send, audit: RecordedAudit) -> None:
    assert send("POST", "/things/a", json={"name": "secret words"}).status_code == 200
    (record,) = audit.records
    assert (record.actor, record.action, record.target) == ("api_token", "post", "/things/a")
    assert (record.outcome, record.detail, record.correlation_id) == (AuditOutcome.SUCCEEDED, "200", MADE_ID)
    assert record.source == "127.0.0.1"
    assert "secret words" not in repr(record)


def test_a_change_that_did_not_work_is_told_without_its_words(
    send: Send, audit: RecordedAudit, fail_with: Callable[[Exception], None]
) -> None:
    fail_with(Conflict("the words of the caller"))
    assert send("POST", "/touch").status_code == 409
    assert send("POST", "/touch", json={"x": 1}).status_code == 400
    outcomes = [(record.outcome, record.detail) for record in audit.records]
    assert outcomes == [(AuditOutcome.FAILED, "409 conflict"), (AuditOutcome.FAILED, "400 invalid-request")]
    fail_with(RuntimeError("a defect"))
    assert send("POST", "/touch").status_code == 500
    assert (audit.records[-1].outcome, audit.records[-1].detail) == (AuditOutcome.FAILED, "broken off")


def test_reading_leaves_nothing_and_refusals_do(send: Send, audit: RecordedAudit) -> None:
    assert send("GET", "/things/a").status_code == 200
    assert send("GET", "/open", authorized=False).status_code == 200
    assert audit.records == []
    assert send("GET", "/things/a", authorized=False).status_code == 401
    assert send("POST", "/touch", token=VIEWER_TOKEN).status_code == 403
    refusals = [(record.actor, record.action, record.outcome, record.detail) for record in audit.records]
    assert refusals == [
        ("anonymous", "get", AuditOutcome.REFUSED, "401 unauthorized"),
        ("vera", "touch", AuditOutcome.REFUSED, "403 forbidden"),
    ]


@pytest.mark.parametrize("status", [200, 409])
def test_a_record_that_is_not_safe(
    send: Send, audit: RecordedAudit, fail_with: Callable[[Exception], None], status: int
) -> None:
    """What was done is not answered as done before its record is safe; what failed is answered as it failed."""
    audit.down = Unavailable("postgresql", "the request was carried out, but its record is not safe")
    if status == 409:
        fail_with(Conflict("no"))
    answer = send("POST", "/touch")
    assert answer.status_code == (503 if status == 200 else 409)
    if status == 200:
        assert "was carried out" in answer.json()["detail"]
