"""A role's README from its argument specs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load

from docs.generate.markdown import NOTICE, page, prose, table, value

Options = dict[str, dict[str, Any]]


def specs(role: Path) -> dict[str, Any]:
    """Read the entry points of a role, by name, as its meta/argument_specs.yml describes them."""
    document = yaml_load((role / "meta" / "argument_specs.yml").read_text())
    entries: dict[str, Any] = document["argument_specs"]
    return entries


def readme(role: Path) -> str:
    """Write the README of one role."""
    entries = specs(role)
    main = entries["main"]
    blocks = [
        NOTICE.format(source="meta/argument_specs.yml"),
        f"# Role {role.name}",
        prose(main["short_description"]).rstrip(".") + ".",
        prose(main.get("description", "")),
    ]
    for name, entry in entries.items():
        blocks.append("## Variables" if name == "main" else f"## Entry point `{name}`")
        if name != "main":
            blocks.append(prose(entry["short_description"]).rstrip(".") + ".")
        if name != "main" and entry.get("options") == main.get("options"):
            blocks.append("Takes the variables above.")
        else:
            blocks.extend(variables(entry.get("options", {})))
    return page(*blocks)


def variables(options: Options) -> Iterator[str]:
    """Write a table of variables, then one for each variable that has a structure of its own."""
    if not options:
        yield "None."
        return
    yield table(("Variable", "Type", "Default", "Meaning"), (_variable(name, spec) for name, spec in options.items()))
    for name, spec in options.items():
        if "options" in spec:
            whose = "Each element" if spec["type"] == "list" else "The keys"
            yield f"### `{name}`"
            yield f"{whose} of `{name}`:"
            yield from variables(spec["options"])


def index(roles: list[Path]) -> str:
    """Write the page that lists the roles."""
    rows = (
        (f"[{role.name}](../../roles/{role.name}/README.md)", prose(specs(role)["main"]["short_description"]))
        for role in roles
    )
    return page(
        NOTICE.format(source="the roles' argument specs"),
        "# Roles",
        "Every variable of a role stands in its README.",
        table(("Role", "What it does"), rows),
    )


def _variable(name: str, spec: dict[str, Any]) -> tuple[str, str, str, str]:
    kind = spec.get("type", "str")
    if kind == "list" and "elements" in spec:
        kind = f"list of {spec['elements']}"
    default = "**required**" if spec.get("required") else value(spec.get("default"))
    meaning = prose(spec.get("description", ""))
    if "choices" in spec:
        meaning += "\n\nOne of " + ", ".join(value(choice) for choice in spec["choices"]) + "."
    if spec.get("no_log"):
        meaning += "\n\nSecret."
    return f"`{name}`", kind, default, meaning
