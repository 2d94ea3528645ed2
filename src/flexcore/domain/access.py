"""Who calls, and what a caller may do: three roles, each with the rights of those before it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from flexcore.domain.errors import FieldError, InvalidInput


class Role(StrEnum):
    """A viewer reads; an operator also executes, enables, runs pipelines and drains; an admin may do everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Whether whoever has this role may do what needs `needed`."""
        return _RANK[self] >= _RANK[needed]

    def at_most(self, other: "Role") -> "Role":
        """Return the lesser of two roles."""
        return self if other.covers(self) else other


_RANK: Final = {role: rank for rank, role in enumerate(Role)}


class ActorKind(StrEnum):
    """What a caller proved to be; anonymous ones proved nothing."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a kind of caller
    MACHINE = "machine"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever makes a call.

    `name` is that of a user, `<owner>/<token>` for an API token, or one of the names below. `source` is the network
    address that the call came from, None where there is none.
    """

    name: str
    role: Role
    kind: ActorKind
    source: str | None = None

    def acting_for(self, claimed: str | None) -> str:
        """Return what to record as the cause of something: the caller, and whom the caller says to act for.

        The first word is always proven: no name of an actor has a space in it.
        """
        return self.name if claimed in (None, self.name) else f"{self.name} for {claimed}"


MACHINE_NAME: Final = "api_token"
"""The holder of the token that the node was given as a credential."""
ANONYMOUS_NAME: Final = "anonymous"
"""Whoever did not prove who they are."""
DEVELOPER_NAME: Final = "development"
"""Everybody, where nobody is asked."""

RESERVED_NAMES: Final = frozenset({MACHINE_NAME, ANONYMOUS_NAME, DEVELOPER_NAME, "flexcore", "several"})
USER_NAME: Final = r"^[a-z][a-z0-9._-]{0,62}$"
TOKEN_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"  # noqa: S105 - what a token may be called
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256
"""Far more than anybody remembers; hashing takes longer the longer the password."""


def check_user_name(name: str) -> None:
    """Raise InvalidInput unless a user may have this name."""
    if re.fullmatch(USER_NAME, name) is None:
        raise InvalidInput.field(
            "name", "must be a lower case letter, then up to 62 lower case letters, digits, dots, dashes or underscores"
        )
    if name in RESERVED_NAMES:
        raise InvalidInput.field("name", "is taken by FlexCore itself")


def check_password(password: str, user_name: str) -> None:
    """Raise InvalidInput unless `password` is one that takes some guessing. Its text is never in the error."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise _wrong_password(f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if len(set(password)) < _FEWEST_CHARACTERS or password.lower() == user_name:
        raise _wrong_password(f"must have {_FEWEST_CHARACTERS} different characters and not be the user's name")


_FEWEST_CHARACTERS: Final = 5


def _wrong_password(message: str) -> InvalidInput:
    return InvalidInput(f"password {message}", (FieldError("password", message),))
