"""Nodes and services: who is told what, how long is waited for a node, and what is returned."""

from __future__ import annotations

from typing import Any

import pytest
from flexcore_client.cluster_calls import ClusterCalls
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.node_work import bring_about, read_nodes, read_services

from tests.doubles.fake_clock import FakeClock
from tests.doubles.flexcore_double import API, FlexCoreDouble, problem
from tests.doubles.http_double import Reply, Routes, serving
from tests.unit.client.asking import ask

NODES = f"{API}/cluster/nodes"


def listing(*nodes: dict[str, Any]) -> Reply:
    return Reply({"nodes": list(nodes), "total": len(nodes), "limit": 50, "offset": 0})


def node(node_id: str, status: str, busy: int = 0) -> dict[str, Any]:
    return {**FlexCoreDouble.node(node_id, status), "active_executions": busy}


@pytest.mark.parametrize(
    ("status", "state", "changed", "written", "ends"),
    [
        ("active", "drained", True, [f"POST {NODES}/core2/drain"], "drained"),
        ("drained", "drained", False, [], "drained"),
        ("drained", "active", True, [f"POST {NODES}/core2/resume"], "active"),
        ("draining", "active", True, [f"POST {NODES}/core2/resume"], "active"),
        ("active", "active", False, [], "active"),
        ("lost", "active", True, [f"POST {NODES}/core2/resume"], "active"),
    ],
)
def test_a_node_is_told_only_what_it_is_not_yet(
    status: str, state: str, changed: bool, written: list[str], ends: str
) -> None:
    served = FlexCoreDouble()
    served.nodes["core2"] = node("core2", status)
    works = state == "active"
    with serving(served) as double:  # type: ignore[arg-type]  # it is asked with get() only
        predicted = ask(double, lambda client: bring_about(client, "core2", state, 5, dry=True))
        assert double.writes == []
        done = ask(double, lambda client: bring_about(client, "core2", state, 5, dry=False))
        assert double.writes == written
    diff = {
        "before": {"node_id": "core2", "works": works is not changed},
        "after": {"node_id": "core2", "works": works},
    }
    assert predicted == {"changed": changed, "diff": diff, "node": node("core2", status)}
    assert done == {"changed": changed, "diff": diff, "node": node("core2", ends)}


def test_it_is_waited_for_twice_a_second_until_it_is_drained() -> None:
    looks = iter([node("core2", "draining", 2), node("core2", "draining", 1), node("core2", "drained")])
    routes: Routes = {NODES: lambda _seen: listing(next(looks))}
    clock = FakeClock()
    with serving(routes) as double:
        done = ask(double, lambda client: bring_about(client, "core2", "drained", 300, dry=False), clock)
        assert double.writes == []
    assert (done["changed"], done["node"]) == (False, node("core2", "drained"))
    assert clock.slept == [0.5]


@pytest.mark.parametrize(
    ("status", "seconds"), [("draining", None), ("lost", 300), ("drained", 300)], ids=["not asked to", "down", "there"]
)
def test_it_is_not_waited_for(status: str, seconds: float | None) -> None:
    with serving({NODES: listing(node("core2", status))} | drained_as(status)) as double:
        done = ask(double, lambda client: bring_about(client, "core2", "drained", seconds, dry=False))
        assert double.paths.count(NODES) == 1
    assert done["node"] == node("core2", status)


def drained_as(status: str) -> dict[str, Reply]:
    return {f"POST {NODES}/core2/drain": Reply(node("core2", status))}


def test_a_node_that_does_not_come_to_rest_in_time() -> None:
    clock = FakeClock()
    with serving({NODES: listing(node("core2", "draining", 3))}) as double:
        with pytest.raises(ClientError) as caught:
            ask(double, lambda client: bring_about(client, "core2", "drained", 1.2, dry=False), clock)
        assert str(caught.value) == (
            f"Waiting for node core2 at {double.url}: it is still draining after 1.2 s, with 3 executions under way. "
            "Wait longer (wait_timeout), or cancel what runs on it."
        )
    assert (caught.value.kind, caught.value.phase) == (FailureKind.TIMEOUT, "total")
    assert caught.value.facts == {"node": node("core2", "draining", 3)}
    assert clock.slept == [0.5, 0.5, pytest.approx(0.2)]


@pytest.mark.parametrize(("known", "words"), [(("core1", "core2"), "core1, core2"), ((), "none")])
def test_a_node_that_nobody_knows(known: tuple[str, ...], words: str) -> None:
    with serving({NODES: listing(*(node(name, "active") for name in known))}) as double:
        with pytest.raises(ClientError) as caught:
            ask(double, lambda client: ClusterCalls(client).node("core9"))
        assert str(caught.value) == (
            f"Looking for node core9 at {double.url}: nobody knows such a node. Known are: {words}."
        )
    assert (caught.value.kind, caught.value.http_status) == (FailureKind.API_ERROR, 404)


def test_an_order_is_given_again_to_a_server_that_says_not_now() -> None:
    replies = iter([Reply("", 503), Reply(node("core 2/b", "drained"))])
    with serving({f"POST {NODES}/core%202%2Fb/drain": lambda _seen: next(replies)}) as double:
        assert ask(double, lambda client: ClusterCalls(client).order("core 2/b", drain=True))["status"] == "drained"
        assert len(double.seen) == 2


@pytest.mark.parametrize(
    ("node_id", "status", "found"),
    [
        (None, None, ["core1", "core2", "core3"]),
        ("core2", None, ["core2"]),
        (None, "active", ["core1", "core3"]),
        ("core3", "active", ["core3"]),
        ("core2", "active", []),
        ("core9", None, []),
    ],
)
def test_nodes_are_read_by_name_and_status(node_id: str | None, status: str | None, found: list[str]) -> None:
    nodes = [node("core1", "active"), "no node", node("core2", "lost"), node("core3", "active")]
    answer = {"cluster": "lab", "leader": "core1", "nodes": nodes}
    with serving({f"{API}/cluster/status": Reply(answer)}) as double:
        result = ask(double, lambda client: read_nodes(client, node_id, status))
    assert [one["node_id"] for one in result["nodes"]] == found
    assert {**result, "nodes": ()} == {"cluster": "lab", "leader": "core1", "nodes": ()}


def service(name: str, status: str) -> dict[str, str]:
    return {"service_name": name, "status": status}


@pytest.mark.parametrize(
    ("name", "status", "found"),
    [
        (None, None, ["auth", "web/a"]),
        (None, "healthy", ["auth"]),
        ("web/a", None, ["web/a"]),
        ("web/a", "healthy", []),
        ("none", None, []),
    ],
)
def test_services_are_read_by_name_and_status(name: str | None, status: str | None, found: list[str]) -> None:
    routes = {
        f"{API}/services": Reply({"services": [service("auth", "healthy"), 7, service("web/a", "unhealthy")]}),
        f"{API}/services/web%2Fa": Reply(service("web/a", "unhealthy")),
        f"{API}/services/none": problem(404, "no such service"),
    }
    with serving(routes) as double:
        services = ask(double, lambda client: read_services(client, name, status))
        assert len(double.seen) == 1
    assert [one["service_name"] for one in services] == found
