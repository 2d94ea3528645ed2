"""The reference of the built-in plugins from their manifests."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from docs.generate.markdown import NOTICE, page, table, value
from flexcore.domain.manifest import HEALTH, PluginCommand, PluginManifest
from flexcore.infrastructure.sandbox.catalogue import BuiltinPlugins
from flexcore_plugins.data_transformer import expressions
from flexcore_plugins.data_transformer.functions import FUNCTIONS

_MOST_DEPTH = 4
_LIMITS = (
    ("cpu_seconds", "CPU time", "s"),
    ("wall_seconds", "time", "s"),
    ("memory_mb", "memory", "MB"),
    ("output_mb", "answer", "MB"),
    ("file_size_mb", "file", "MB"),
)


def reference() -> str:
    """Write the page of the plugins that come with FlexCore."""
    manifests = [code.manifest for _, code in sorted(BuiltinPlugins().all().items())]
    contents = table(
        ("Plugin", "Version", "What it does"),
        ((f"[{each.id}](#{each.id})", each.version, each.description) for each in manifests),
    )
    blocks = [
        NOTICE.format(source="the manifests in src/flexcore_plugins/"),
        "# Built-in plugins",
        "They come with every release and run in the sandbox like any other plugin. The parameters of a command are "
        "checked against its JSON Schema before it runs; a command that could not do its work answers "
        "`success: false` with an `error` that names the place.",
        contents,
    ]
    for manifest in manifests:
        blocks.extend(_plugin(manifest))
    return page(*blocks)


def _plugin(manifest: PluginManifest) -> Iterator[str]:
    yield f"## {manifest.id}"
    yield f"{manifest.description}."
    limits = [f"{name} {getattr(manifest.limits, limit)} {unit}" for limit, name, unit in _LIMITS]
    yield f"Limits of one execution: {', '.join(limits)}."
    for command in manifest.commands:
        yield from _command(manifest, command)
    if HEALTH not in {command.name for command in manifest.commands}:
        yield f"`{HEALTH}` says whether the plugin can be loaded."
    if manifest.id == "data-transformer":
        yield from _expressions()


def _command(manifest: PluginManifest, command: PluginCommand) -> Iterator[str]:
    yield f"### {manifest.id}: {command.name}"
    yield f"{command.description}.{' This is the default command.' if command.default else ''}"
    rows = list(_parameters(command.parameters))
    if rows:
        yield table(("Parameter", "Type", "Default", "Meaning"), rows)
    elif command.parameters.get("additionalProperties", True):
        yield "It takes any parameters."
    else:
        yield "It takes no parameters."


def _parameters(schema: Mapping[str, Any], parent: str = "", depth: int = 1) -> Iterator[tuple[str, str, str, str]]:
    for name, inner in schema.get("properties", {}).items():
        default = "**required**" if name in schema.get("required", ()) else value(inner.get("default"))
        yield f"`{parent}{name}`", _kind(inner), default, inner.get("description", "")
        # What is described elsewhere has no descriptions of its own, and is not said again.
        described = any("description" in each for each in inner.get("properties", {}).values())
        if depth < _MOST_DEPTH and described:
            yield from _parameters(inner, f"{parent}{name}.", depth + 1)


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(value(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    kind = schema.get("type", "any JSON value")
    if kind == "array" and "items" in schema:
        return f"array of {_kind(schema['items'])}"
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), Mapping):
        return f"object of {_kind(inner)}"
    return " or ".join(kind) if isinstance(kind, list) else kind


def _expressions() -> Iterator[str]:
    yield "### Expressions"
    yield _documented(expressions.__doc__ or "")
    yield table(("Function", "What it gives"), _functions())


def _functions() -> Iterable[tuple[str, str]]:
    return ((f"`{name}`", f"{function.meaning}; {function.signature()}") for name, function in FUNCTIONS.items())


def _documented(text: str) -> str:
    """Take what a module says about itself, without what only its reader has to know."""
    return "\n\n".join(part.replace("\n", " ") for part in text.strip().split("\n\n"))
