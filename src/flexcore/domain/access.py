"""Who calls, and what a caller may do: three roles, each with the rights of those before it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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


MACHINE_NAME: Final = "api_token"
"""The holder of the token that the node was given as a credential."""
ANONYMOUS_NAME: Final = "anonymous"
"""Whoever did not prove who they are."""
DEVELOPER_NAME: Final = "development"
"""Everybody, where nobody is asked."""
