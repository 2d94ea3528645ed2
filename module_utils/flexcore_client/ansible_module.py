"""Everything that ties the client to Ansible; no other file of this package imports it.

Shared options, the start under FlexCore's interpreter when this one lacks httpx, and the one place where an error
becomes ``fail_json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

# Ansible ships no type information.
from ansible.module_utils.basic import (  # type: ignore[import-untyped]
    AnsibleModule,
    env_fallback,
    missing_required_lib,
)
from ansible.module_utils.common.respawn import (  # type: ignore[import-untyped]
    has_respawned,
    probe_interpreters_for_module,
    respawn_module,
)

from .address import parse_address, password_in
from .dialects import API_CHOICES, AUTO
from .errors import ClientError, InputError
from .http_library import HTTPX_IMPORT_ERROR
from .targets import Target, parse_targets
from .transport import TlsOptions

FLEXCORE_INTERPRETER = "/opt/flexcore/current/bin/python"


def connection_options() -> dict[str, Any]:
    """Return the argument spec that all modules share; times are in seconds."""
    return {
        "url": {"type": "str", "fallback": (env_fallback, ["FLEXCORE_URL"])},
        "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["FLEXCORE_TOKEN"])},
        "api": {"type": "str", "choices": list(API_CHOICES), "default": AUTO},
        "timeout": {"type": "float", "default": 5.0},
        "ca_path": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
    }


def tls_options(module: AnsibleModule) -> TlsOptions:
    """Return what the options say about certificates."""
    return TlsOptions(ca_path=module.params["ca_path"], validate=module.params["validate_certs"])


def require_httpx(module: AnsibleModule) -> None:
    """Go on under an interpreter that has httpx, or fail and say what is missing."""
    if HTTPX_IMPORT_ERROR is None:
        return
    if not has_respawned():
        interpreter = probe_interpreters_for_module([FLEXCORE_INTERPRETER], "httpx")
        if interpreter:
            respawn_module(interpreter)
    module.fail_json(
        msg=f"{missing_required_lib('httpx')}. A deployed FlexCore brings it under {FLEXCORE_INTERPRETER}, "
        "which is not there: deploy FlexCore first, or run the task where httpx is installed.",
        exception=HTTPX_IMPORT_ERROR,
    )


def protect(module: AnsibleModule, urls: Iterable[str]) -> None:
    """Hide passwords that stand in addresses, and warn before a token travels in the clear."""
    for url in urls:
        if password := password_in(url):
            module.no_log_values.add(password)
        if not module.params["token"]:
            continue
        try:
            address = parse_address(url)
        except InputError:
            continue
        if address.scheme == "http" and not address.is_this_machine:
            module.warn(f"The token travels unencrypted to {address.url}: use https, or run on that host itself.")


def flexcore_target(module: AnsibleModule) -> Target:
    """Return the FlexCore that the options name; raises InputError when they name none."""
    url = module.params["url"]
    if not url:
        raise InputError("url is missing: give it, or set FLEXCORE_URL, for example http://127.0.0.1:8080")
    protect(module, [url])
    target = parse_targets([{"url": url}], module.params["token"], module.params["api"])[0]
    if target.address.service != "flexcore":
        raise InputError(f"url is {target.address.url}: FlexCore is asked over http:// or https://")
    return target


@contextmanager
def reporting_errors(module: AnsibleModule) -> Iterator[None]:
    """Turn the client's errors into ``fail_json``; ``failure`` says which kind it was."""
    try:
        yield
    except InputError as error:
        module.fail_json(msg=str(error), failure="input")
    except ClientError as error:
        module.fail_json(msg=str(error), failure=error.kind.value, phase=error.phase, http_status=error.http_status)
