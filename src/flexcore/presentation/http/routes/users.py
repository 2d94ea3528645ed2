"""Users: list, create, change, take away."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from flexcore.application.access.accounts import User, Users
from flexcore.domain.access import LONGEST_PASSWORD, SHORTEST_PASSWORD, USER_NAME, Role
from flexcore.presentation.http.operations import MAX_OFFSET, Answer, Call, Content, NoParameters, Operation

MAX_PAGE: Final = 200
_USERS: Final = "/api/v1/flexcore/users"
_ONE: Final = _USERS + "/{name}"
_Password = Annotated[str, Meta(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]


class UsersQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET users."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Users a page")] = 50
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Users to leave out at the start")] = 0


class UserPage(Struct, frozen=True):
    """Part of the users, by name."""

    users: tuple[User, ...]
    total: int
    limit: int
    offset: int


class NewUserBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new user."""

    name: Annotated[str, Meta(pattern=USER_NAME)]
    password: _Password
    role: Role


class UserBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be another; what is left out stays. A new password, or being disabled, ends the user's sessions."""

    role: Role | None = None
    disabled: bool | None = None
    password: _Password | None = None


class UserRoutes:
    """/api/v1/flexcore/users and below."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path=_USERS,
                name="listUsers",
                summary="The users, by name",
                tag="access",
                handler=self._list,
                query=UsersQuery,
                answers={200: Content(UserPage, "One page of users")},
                problems=(429, 503),
            ),
            Operation(
                method="POST",
                path=_USERS,
                name="createUser",
                summary="Add a user",
                tag="access",
                handler=self._create,
                body=NewUserBody,
                answers={201: Content(User, "The new user")},
                problems=(409, 429, 503),
                target=lambda call: f"{_USERS}/{call.body.name}",
            ),
            Operation(
                method="GET",
                path=_ONE,
                name="getUser",
                summary="One user",
                tag="access",
                handler=self._get,
                answers={200: Content(User, "The user")},
                problems=(404, 429, 503),
            ),
            Operation(
                method="PUT",
                path=_ONE,
                name="changeUser",
                summary="Change a user's role or password, or whether it is disabled",
                tag="access",
                handler=self._change,
                body=UserBody,
                answers={200: Content(User, "The user")},
                problems=(404, 409, 429, 503),
            ),
            Operation(
                method="DELETE",
                path=_ONE,
                name="deleteUser",
                summary="Take a user away, with all API tokens of the user",
                tag="access",
                handler=self._delete,
                answers={204: Content(None, "It is gone", media_type="")},
                problems=(404, 409, 429, 503),
            ),
        )

    async def _list(self, call: Call[UsersQuery, None]) -> Answer:
        limit, offset = call.query.limit, call.query.offset
        users, total = await self._users.page(limit, offset)
        return Answer(UserPage(tuple(users), total, limit, offset))

    async def _create(self, call: Call[NoParameters, NewUserBody]) -> Answer:
        body = call.body
        user = await self._users.create(body.name, body.password, body.role)
        return Answer(user, 201, {"location": f"{_USERS}/{user.name}"})

    async def _get(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(await self._users.get(call.path["name"]))

    async def _change(self, call: Call[NoParameters, UserBody]) -> Answer:
        body = call.body
        name = call.path["name"]
        return Answer(await self._users.change(name, role=body.role, disabled=body.disabled, password=body.password))

    async def _delete(self, call: Call[Any, None]) -> Answer:
        await self._users.remove(call.path["name"])
        return Answer(None, 204)
