"""Logging in and out, and who one is."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from flexcore.application.access.accounts import Users
from flexcore.application.access.directory import Directory
from flexcore.application.access.login import Login
from flexcore.domain.access import LONGEST_PASSWORD, SHORTEST_PASSWORD, Actor, ActorKind, Role
from flexcore.presentation.http.operations import UNCACHED, Answer, Call, Content, NoParameters, Operation

_AUTH: Final = "/auth"
_GONE: Final = {204: Content(None, "Done", media_type="")}
# Nobody has proved anything yet, so nobody gets to send more.
_MAX_LOGIN_BYTES: Final = 8192
# Longer than a password may be: whoever sends one learns that it is wrong, and not how long it is.
_Given = Annotated[str, Meta(min_length=1, max_length=1024)]


class LoginBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who, and the proof of it."""

    username: Annotated[str, Meta(min_length=1, max_length=255)]
    password: _Given


class LoggedIn(Struct, frozen=True):
    """A session; send `Authorization: Bearer <access_token>` for `expires_in` seconds."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: Annotated[int, Meta(description="Seconds")]


class Me(Struct, frozen=True):
    """The caller."""

    name: str
    role: Role
    kind: ActorKind


class PasswordBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new password in place of the present one."""

    present_password: _Given
    new_password: Annotated[str, Meta(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]


class AuthRoutes:
    """/auth."""

    def __init__(self, login: Login, users: Users, directory: Directory) -> None:
        self._login = login
        self._users = users
        self._directory = directory

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="POST",
                path=_AUTH + "/login",
                name="login",
                summary="Begin a session with a user's password",
                tag="access",
                handler=self._log_in,
                body=LoginBody,
                answers={200: Content(LoggedIn, "The session")},
                problems=(401, 429, 503),
                open=True,
                target=self._who,
                max_body_bytes=_MAX_LOGIN_BYTES,
            ),
            Operation(
                method="GET",
                path=_AUTH + "/me",
                name="getMe",
                summary="Who the caller is",
                tag="access",
                handler=self._me,
                answers={200: Content(Me, "The caller")},
            ),
            Operation(
                method="POST",
                path=_AUTH + "/logout",
                name="logout",
                summary="End all sessions of the caller, on all nodes",
                tag="access",
                handler=self._log_out,
                role=Role.VIEWER,
                answers=_GONE,
                problems=(409, 429, 503),
            ),
            Operation(
                method="POST",
                path=_AUTH + "/password",
                name="changeOwnPassword",
                summary="Change the caller's password, which ends all sessions of the caller",
                tag="access",
                handler=self._change_password,
                body=PasswordBody,
                role=Role.VIEWER,
                answers=_GONE,
                problems=(403, 409, 429, 503),
                max_body_bytes=_MAX_LOGIN_BYTES,
            ),
        )

    async def _log_in(self, call: Call[NoParameters, LoginBody]) -> Answer:
        body, source = call.body, call.actor.source
        token, seconds, role = await self._login.login(body.username, body.password, source)
        actor = Actor(body.username, role, ActorKind.USER, source)
        return Answer(LoggedIn(token, "bearer", seconds), headers=UNCACHED, actor=actor)

    async def _me(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(Me(call.actor.name, call.actor.role, call.actor.kind), headers=UNCACHED)

    async def _log_out(self, call: Call[NoParameters, None]) -> Answer:
        await self._users.end_sessions(call.actor)
        return Answer(None, 204)

    async def _change_password(self, call: Call[NoParameters, PasswordBody]) -> Answer:
        await self._login.change_own_password(call.actor, call.body.present_password, call.body.new_password)
        return Answer(None, 204)

    def _who(self, call: Call[Any, LoginBody]) -> str:
        # What is no user's name may be a password that was typed in the wrong place.
        name = call.body.username
        return f"user {name}" if self._directory.knows_user(name) else "a user that there is not"
