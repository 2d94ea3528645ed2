"""Of what a server of another generation does not have, every module says so, and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flexcore_client.client import LOG_ROUTES
from flexcore_client.dialects import DIALECTS, Dialect

from tests.doubles import dialects
from tests.doubles.http_double import Reply, serving
from tests.unit.modules.conftest import RunModule
from tests.unit.modules.scenarios import SCENARIOS, package

# What is asked of each module that other generations serve too, as the routes that any one of has to be there.
ELSEWHERE = {
    "flexcore_health": lambda _: {"/health"},
    "flexcore_info": lambda _: {"/info", "/health"},
    "flexcore_logs": lambda _: set(LOG_ROUTES),
    "flexcore_plugin_info": lambda dialect: {dialect.plugins},
    "flexcore_plugin_execute": lambda dialect: {f"POST {dialect.execute}"},
}
CALLS: Mapping[str, Mapping[str, Any]] = {
    **{scenario.module: scenario.arguments for scenario in reversed(SCENARIOS)},
    "flexcore_info": {},
    "flexcore_info: gather": {"gather": ["runtime"]},
    "flexcore_plugin": {"id": "p1"},
    "flexcore_plugin: src": {"src": "a package"},
    "flexcore_plugin_execute": {"id": "p1", "operation": "go"},
    "flexcore_plugin_info: id": {"id": "p1"},
    "flexcore_token": {"name": "monitoring", "role": "viewer"},
}
# In whose words a module is refused that our own server alone serves.
OFFERS = {
    "flexcore_event": "its event log",
    "flexcore_event_info": "its event log",
    "flexcore_info": "its runtime",
    "flexcore_node": "a cluster of nodes",
    "flexcore_node_info": "a cluster of nodes",
    "flexcore_pipeline": "pipelines",
    "flexcore_pipeline_info": "pipelines",
    "flexcore_pipeline_run": "pipelines",
    "flexcore_plugin": "changes of its plugins",
    "flexcore_services_info": "a list of services",
    "flexcore_token": "API tokens",
}
SERVERS = {
    "seed-2025": dialects.seed_2025(),
    "legacy-2025": dialects.legacy_2025(),
    "gin-2025": dialects.gin_2025(),
    "gin-2025, first build": dialects.gin_2025_first_build(),
    "s0-client": dialects.s0_client(),
}


def table(server: str, dialect: Dialect) -> dict[str, Any]:
    """The routes that a server has; where there are plugins, one of them can be executed."""
    # What was recorded holds also what a real server answered to routes that it has not.
    routes = {path: reply for path, reply in SERVERS[server].items() if getattr(reply, "status", 200) != 404}
    if dialect.plugins in routes and dialect.execute is not None:
        routes[f"POST {dialect.execute.format(id='p1')}"] = Reply({"rows": 3})
    return routes


@pytest.mark.parametrize("check_mode", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_not_offered_is_said(
    call: str, server: str, check_mode: bool, run_module: RunModule, tmp_path: Path
) -> None:
    dialect = DIALECTS[server.partition(",")[0]]
    module, _, more = call.partition(":")
    routes = table(server, dialect)
    served = ELSEWHERE.get(module) if more != " gather" else None
    needed = {route.format(id="p1") for route in served(dialect)} if served else set()
    arguments = dict(CALLS[call])
    if "src" in arguments:
        arguments["src"] = package(tmp_path)
    with serving(routes) as double:
        result = run_module(module, check_mode=check_mode, url=double.url, retries=0, **arguments)
        if needed & routes.keys():
            assert "failed" not in result, result["msg"]
            return
        # Whether a plugin can be executed is for the server to say; check mode alone looks for itself.
        assert double.writes == [] or (module == "flexcore_plugin_execute" and not check_mode)
    assert (result["failed"], result["failure"]) == (True, "unsupported")
    assert f"Asking {double.url}: this server" in result["msg"]
    offer = " does not offer " if served else f" ({dialect.name}) does not offer {OFFERS[module]}."
    assert offer in result["msg"]


def test_every_module_is_called() -> None:
    assert {call.partition(":")[0] for call in CALLS} == {scenario.module for scenario in SCENARIOS}
