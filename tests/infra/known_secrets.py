"""Which secrets a host's inventory variables hold: those that the roles' argument specs mark with `no_log`."""

from collections.abc import Iterator
from typing import Any

import yaml

from tests.infra.inventory import ROOT, HostVariables, Secret


def secrets(variables: HostVariables) -> dict[str, Secret]:
    """Every secret that is set for a host, by the name of its variable, elements of lists with their position."""
    found = {}
    for file in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(file.read_text())["argument_specs"].values():
            for name, spec in entry.get("options", {}).items():
                if name in variables and _holds_secrets(spec):
                    found |= {path: Secret(path, value) for path, value in _values(name, spec, variables[name])}
    return found


def _holds_secrets(spec: dict[str, Any]) -> bool:
    return bool(spec.get("no_log")) or any(_holds_secrets(inner) for inner in spec.get("options", {}).values())


def _values(path: str, spec: dict[str, Any], value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for position, element in enumerate(value):
            yield from _values(f"{path}[{position}]", spec, element)
    elif isinstance(value, dict):
        for name, inner in spec.get("options", {}).items():
            if name in value and _holds_secrets(inner):
                yield from _values(f"{path}.{name}", inner, value[name])
    elif spec.get("no_log") and value:
        yield path, str(value)
