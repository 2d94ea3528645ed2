"""Everything that ties the client to Ansible; no other file of this package imports it.

One base for all modules: the connection options (documented in plugins/doc_fragments/flexcore.py), what is hidden, the
warning before secrets travel in the clear, the start under FlexCore's interpreter, and the one place where an error
becomes ``fail_json``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable

# Ansible ships no type information.
from ansible.module_utils.basic import (  # type: ignore[import-untyped]
    AnsibleModule,
    missing_required_lib,
)
from ansible.module_utils.common.respawn import (  # type: ignore[import-untyped]
    has_respawned,
    probe_interpreters_for_module,
    respawn_module,
)

from . import deployed
from .address import parse_address, password_in
from .breaker import CircuitBreaker
from .client import FlexCoreClient
from .clock import SystemClock
from .connection import SECRETS, Connection, read_connection, with_environment
from .dialects import API_CHOICES, AUTO
from .errors import ClientError, InputError
from .event_loop import run
from .exchange import Timeouts
from .retry import RetryPolicy
from .targets import Target, parse_targets

SECRET_NAME = re.compile(r"pass(word|wd|phrase)|secret|token|credential|api_?key|private_?key", re.IGNORECASE)
# A secret shorter than this would blot out half of every message.
SHORTEST_SECRET = 4


def argument_spec(**own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a module's options together with those that all modules share; times are in seconds.

    None of them has Ansible's own fallback to the environment: see ``connection.with_environment``.
    """
    return {
        "url": {"type": "str"},
        "token": {"type": "str", "no_log": True},
        "token_file": {"type": "path", "no_log": False},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "api": {"type": "str", "choices": list(API_CHOICES), "default": AUTO},
        "timeout": {"type": "float", "default": Timeouts.total},
        "connect_timeout": {"type": "float", "default": Timeouts.connect},
        "read_timeout": {"type": "float"},
        "retries": {"type": "int", "default": RetryPolicy.retries},
        "ca_path": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path", "no_log": False},
        "proxy": {"type": "str", "no_log": True},
        **own,
    }


class FlexCoreModule(AnsibleModule):  # type: ignore[misc]  # Ansible ships no type information
    """A module that speaks with FlexCore, check mode always included."""

    def __init__(self, spec: Mapping[str, Any], **more: Any) -> None:
        super().__init__(argument_spec=dict(spec), supports_check_mode=True, **more)
        self.connection_options = with_environment(self.params, os.environ)
        self.hide(self.connection_options.get(name) for name in SECRETS)
        self.hide(password_in(str(self.connection_options.get(name) or "")) for name in ("url", "proxy"))

    def _load_params(self) -> None:
        """Hide secrets as soon as the arguments are there: Ansible shows those that it does not accept."""
        super()._load_params()
        self._hide_nested_secrets()

    def _log_invocation(self) -> None:
        """Hide also those in a dict that was given as text, before all arguments go to the log of the host."""
        self._hide_nested_secrets()
        super()._log_invocation()

    def run(self, work: Callable[[FlexCoreModule, FlexCoreClient], Awaitable[dict[str, Any]]]) -> None:
        """Let ``work`` speak with the server that the options name, and end the module with what it returns."""
        with self.reporting_errors():
            result = run(self._work(work))
        self.exit_json(**{"changed": False, **result})

    async def _work(self, work: Callable[[FlexCoreModule, FlexCoreClient], Awaitable[dict[str, Any]]]) -> Any:
        target, connection, clock = self.target(), self.connection(), SystemClock()
        async with connection.transport(target.address, clock, breaker=CircuitBreaker(clock)) as transport:
            return await work(self, FlexCoreClient(target, transport))

    def connection(self) -> Connection:
        """Return how to reach FlexCore; raises InputError for options that contradict each other."""
        connection = read_connection(self.connection_options)
        # The token may come from a file, which AnsibleModule knows nothing of.
        self.hide([connection.token])
        return connection

    def target(self) -> Target:
        """Return the FlexCore that the options name; raises InputError when they name none."""
        url = self.connection_options["url"]
        if not url:
            raise InputError("url is missing: give it, or set FLEXCORE_URL, for example http://127.0.0.1:8080")
        self.warn_of_plain_http([url])
        target = parse_targets([{"url": url}], api=self.params["api"])[0]
        if target.address.service != "flexcore":
            raise InputError(f"url is {target.address.url}: FlexCore is asked over http:// or https://")
        return target

    def warn_of_plain_http(self, urls: Iterable[str]) -> None:
        """Warn before anything is said in the clear to a host that is not this one."""
        plain = []
        for url in urls:
            try:
                address = parse_address(url)
            except InputError:
                continue
            if address.is_open_to_others and address.url not in plain:
                plain.append(address.url)
        if plain:
            secret = any(self.connection_options.get(name) for name in ("token", "token_file", "password"))
            what = "The token or password travels" if secret else "What is asked and answered travels"
            more = f" and {len(plain) - 3} more" if len(plain) > 3 else ""
            where = ", ".join(plain[:3]) + more
            self.warn(f"{what} unencrypted to {where}: use https, or run on that host itself.")

    def hide(self, values: Iterable[Any]) -> None:
        """Keep ``values``, and everything in them, out of whatever the module returns."""
        for value in values:
            self.no_log_values.update(text for text in _texts(value) if len(text) >= SHORTEST_SECRET)

    def _hide_nested_secrets(self) -> None:
        for value in self.params.values():
            self._hide_secrets_in(value)

    def _hide_secrets_in(self, data: Any) -> None:
        """Hide what stands under a name such as password or api_key, at any depth of ``data``."""
        if isinstance(data, Mapping):
            for name, value in data.items():
                if SECRET_NAME.search(str(name)):
                    self.hide([value])
                self._hide_secrets_in(value)
        elif isinstance(data, (list, tuple)):
            for value in data:
                self._hide_secrets_in(value)

    @contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Turn the client's errors into ``fail_json``; ``failure`` says which kind it was."""
        try:
            yield
        except ImportError as error:
            self._go_on_elsewhere(error)
        except InputError as error:
            self.fail_json(msg=str(error), failure="input")
        except ClientError as error:
            self.fail_json(
                msg=str(error),
                failure=error.kind.value,
                phase=error.phase,
                http_status=error.http_status,
                **error.facts,
            )

    def _go_on_elsewhere(self, error: ImportError) -> None:
        """Start again under FlexCore's interpreter, if that has h11, or fail and say what is missing.

        The library is looked for when the first server is asked, and until then no module has changed anything.
        """
        if not has_respawned():
            interpreter = probe_interpreters_for_module([deployed.INTERPRETER], "h11")
            if interpreter:
                respawn_module(interpreter)
        self.fail_json(
            msg=f"{missing_required_lib(error.name or 'h11')} Debian has it as python3-h11. A deployed FlexCore brings "
            f"it under {deployed.INTERPRETER}, which is missing or has none: deploy FlexCore or install it."
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
