"""Reports that put together what several FlexCore nodes returned: their plugins and their logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .text import printable


def plugins_report(nodes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Build the report from ``{host, result}`` per node, in the order of plugin and node."""
    answered, failures = _divided(nodes, "plugins")
    plugins = [{**plugin, "host": host} for host, result in answered for plugin in result["plugins"]]
    plugins.sort(key=lambda plugin: (plugin["id"], plugin["host"]))
    return {"report": "plugins", "complete": not failures, "plugins": plugins, "failures": failures}


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
