"""What schemathesis checks beside its own: a valid request may be refused only for what no schema can say."""

import re

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

# A cursor of another question, times and positions in the wrong order, a password that is too simple, a plugin that is
# not installed or not the one in the path, what a plugin's own manifest says, a package that is none.
_BEYOND_SCHEMAS = re.compile(
    r"cursor|from|since|expires_at|password|(payload\.)?steps.*|(payload\.)?parameters.*|package|signature|plugin_id|"
    r"id|operation|last_event_id|Last-Event-ID"
)


@schemathesis.check
def valid_requests_are_accepted(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> bool | None:
    """Let a valid request fail only with the name of a field that a schema can't judge."""
    if response.status_code == 400:
        errors = response.json().get("errors", ())
        if errors and all(_is_beyond_schemas(error) for error in errors):
            return None
    return positive_data_acceptance(ctx, response, case)


def _is_beyond_schemas(error: dict[str, str]) -> bool:
    # JSON Schema takes 2.0 for an integer; this API wants a whole number to be written as one.
    written_otherwise = error["message"].startswith("expected int") and error["message"].endswith("got float")
    return written_otherwise or _BEYOND_SCHEMAS.fullmatch(error["field"]) is not None
