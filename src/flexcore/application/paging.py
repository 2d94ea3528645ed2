"""The pages of short lists, which `limit` and `offset` cut out."""

from collections.abc import Iterable
from typing import Final

from flexcore.domain.errors import FieldError, InvalidInput

MAX_PAGE: Final = 200


def check_page(status: str | None, statuses: Iterable[str], limit: int, offset: int) -> None:
    """Raise InvalidInput naming each of the three that is not allowed; `statuses` are the known ones."""
    errors = []
    if status is not None and status not in set(statuses):
        errors.append(FieldError("status", f"must be one of {', '.join(statuses)}"))
    if not 1 <= limit <= MAX_PAGE:
        errors.append(FieldError("limit", f"must be 1 to {MAX_PAGE}"))
    if offset < 0:
        errors.append(FieldError("offset", "must be 0 or more"))
    if errors:
        raise InvalidInput.fields(errors)
