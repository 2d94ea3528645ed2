"""`flext login` and `flext logout`."""

from __future__ import annotations

import os
from dataclasses import replace

import click
from flexcore_client.connection import ENVIRONMENT, read_connection, with_environment
from flexcore_client.credentials import Login
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.event_loop import run
from flexcore_client.targets import Target

from .sessions import Sessions
from .targets import Selection, named

DONE = 0
LOGOUT_PATH = "/auth/logout"
_ENDED = frozenset({204, 401})
"""Statuses that say that the session is good for nothing any more."""


def log_in(url: str | None, username: str) -> int:
    """Begin a session that later commands use, and return the exit code."""
    server = _server(url)
    target = server.flexcore()
    if target.address.is_open_to_others:
        click.echo(f"flext: the password travels unencrypted to {target.address.url}: use https", err=True)
    password = os.environ.get(ENVIRONMENT["password"]) or click.prompt("Password", hide_input=True, err=True)
    token, seconds = run(_granted(server, target, Login(username, password)))
    Sessions().keep(target.address, token, seconds)
    click.echo(f"{username} is logged in at {target.address.url} for {seconds / 60:.0f} minutes")
    return DONE


def log_out(url: str | None) -> int:
    """End the sessions of whoever is logged in, on the server too, and return the exit code."""
    server = _server(url)
    target = server.flexcore()
    sessions = Sessions()
    token = sessions.token(target.address)
    sessions.forget(target.address)
    if token is None:
        click.echo(f"nobody is logged in at {target.address.url}")
        return DONE
    run(_ended(server, replace(target, token=token)))
    click.echo(f"logged out at {target.address.url}")
    return DONE


async def _granted(server: Selection, target: Target, login: Login) -> tuple[str, float]:
    async with server.transport(target) as transport:
        return await transport.log_in(login)


async def _ended(server: Selection, target: Target) -> None:
    async with server.transport(target) as transport:
        answer = await transport.request("POST", LOGOUT_PATH, idempotent=True)
    if answer.status not in _ENDED:
        raise ClientError(
            FailureKind.HTTP_STATUS,
            what=f"Logging out at {target.address.url}",
            reason=f"answered {answer.status}, so the session may still be good",
            next_step="Change the password, which ends all sessions, or wait until it expires.",
            http_status=answer.status,
        )


def _server(url: str | None) -> Selection:
    """Say which server is meant, and how to reach it as nobody yet: no credentials of the environment."""
    nobody = dict.fromkeys(("token", "token_file", "username", "password"), "")
    return Selection(named((url,) if url else ()), read_connection(with_environment(nobody, os.environ)))
