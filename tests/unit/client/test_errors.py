"""An error says what was asked, why it failed and what to do, in one sentence and in its parts."""

from __future__ import annotations

from flexcore_client.errors import ClientError, FailureKind


def test_an_error_in_full() -> None:
    facts = {"fields": ["name"]}
    error = ClientError(
        FailureKind.API_ERROR,
        what="POST http://core1:8080/x",
        reason="answered 422: the name may not be X.",
        next_step="Check the request.",
        transient=True,
        phase="body",
        http_status=422,
        facts=facts,
    )
    assert str(error) == "POST http://core1:8080/x: answered 422: the name may not be X. Check the request."
    assert (error.what, error.reason) == ("POST http://core1:8080/x", "answered 422: the name may not be X.")
    assert (error.kind, error.next_step) == (FailureKind.API_ERROR, "Check the request.")
    assert (error.transient, error.phase, error.http_status, error.facts) == (True, "body", 422, facts)


def test_what_nobody_said_of_an_error_is_open() -> None:
    error = ClientError(FailureKind.TLS, what="GET x", reason="no", next_step="Look.")
    assert (error.transient, error.phase, error.http_status, error.facts) == (False, None, None, {})
