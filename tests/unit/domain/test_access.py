"""Roles are a ladder: each has the rights of those below it."""

import pytest

from flexcore.domain.access import Role


@pytest.mark.parametrize(
    ("role", "covered"),
    [
        (Role.VIEWER, {Role.VIEWER}),
        (Role.OPERATOR, {Role.VIEWER, Role.OPERATOR}),
        (Role.ADMIN, {Role.VIEWER, Role.OPERATOR, Role.ADMIN}),
    ],
)
def test_a_role_covers_itself_and_those_below(role: Role, covered: set[Role]) -> None:
    assert {needed for needed in Role if role.covers(needed)} == covered


def test_the_lesser_of_two_roles() -> None:
    assert Role.ADMIN.at_most(Role.VIEWER) is Role.VIEWER
    assert Role.VIEWER.at_most(Role.ADMIN) is Role.VIEWER
    assert Role.OPERATOR.at_most(Role.OPERATOR) is Role.OPERATOR
