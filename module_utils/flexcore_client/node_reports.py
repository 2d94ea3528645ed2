"""Reports that put together what several FlexCore nodes returned: their plugins and their logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .text import printable


def plugins_report(
    nodes: Iterable[Mapping[str, Any]], brought: Iterable[Mapping[str, Any]] = (), planned: bool = False
) -> dict[str, Any]:
    """Build the report from ``{host, result}`` per node, in the order of plugin and node.

    ``brought`` is what flexcore_plugin returned for each declared plugin, ``planned`` whether that was in check mode.
    """
    answered, failures = _divided(nodes, "plugins")
    plugins = [{**plugin, "host": host} for host, result in answered for plugin in result["plugins"]]
    plugins.sort(key=lambda plugin: (plugin["id"], plugin["host"]))
    changes = [
        f"{action} {_side(result)['id']} {_side(result)['version']}"
        for result in brought
        for action in result.get("actions", ())
    ]
    return {
        "report": "plugins",
        "complete": not failures,
        "plugins": plugins,
        "failures": failures,
        "changes": changes,
        "planned": planned,
    }


def pipelines_report(
    pipelines: Iterable[Mapping[str, Any]], brought: Iterable[Mapping[str, Any]], planned: bool
) -> dict[str, Any]:
    """Build the report from what flexcore_pipeline_info returned, and flexcore_pipeline for each declared one."""
    changes = [_pipeline_change(result["diff"]) for result in brought if result.get("changed")]
    return {"report": "pipelines", "pipelines": list(pipelines), "changes": changes, "planned": planned}


def _side(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a result says of the plugin: as it will be, or, where it goes, as it was."""
    side: Mapping[str, Any] = result["diff"]["after"] or result["diff"]["before"]
    return side


def _pipeline_change(diff: Mapping[str, Any]) -> str:
    before, after = diff["before"], diff["after"]
    if not after:
        return f"remove {before['name']}"
    if not before:
        return f"create {after['name']}, {after['status']}"
    verb = "activate" if {**before, "status": after["status"]} == after else "recreate"
    return f"{verb} {after['name']}"


def logs_report(nodes: Iterable[Mapping[str, Any]], lines: int) -> dict[str, Any]:
    """Build the report from ``{host, result}`` per node: the last ``lines`` records of all, newest last."""
    answered, failures = _divided(nodes, "records")
    records = [{**record, "host": host} for host, result in answered for record in result["records"]]
    # Sorting is stable, so records of one node without a time stay where they were among equals.
    records.sort(key=lambda record: record["timestamp"] or "")
    return {"report": "logs", "complete": not failures, "records": records[-lines:], "failures": failures}


def _divided(
    nodes: Iterable[Mapping[str, Any]], key: str
) -> tuple[list[tuple[str, Mapping[str, Any]]], list[dict[str, str]]]:
    answered, failures = [], []
    for node in nodes:
        host, result = str(node["host"]), node["result"]
        if key in result:
            answered.append((host, result))
        else:
            failures.append({"host": host, "reason": failure_words(result)})
    return answered, failures


def failure_words(result: Mapping[str, Any]) -> str:
    """Return why a task gave no answer, without the layers that Ansible puts before the words of ssh."""
    return printable(str(result.get("msg", "no reason given")).rpartition("via ssh: ")[2])
