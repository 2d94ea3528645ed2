"""Reads `flexcore-plugin.toml`, and names everything that is wrong with one at once."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from types import NoneType
from typing import Any, Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from flexcore.domain.errors import FieldError, InvalidInput
from flexcore.domain.identifiers import check_plugin_id
from flexcore.domain.manifest import Limits, Permissions, PluginCommand, PluginManifest
from flexcore.infrastructure.json_schema import JsonSchemaRules
from flexcore.infrastructure.packages.archive import refused

FILE_NAME: Final = "flexcore-plugin.toml"
LARGEST_BYTES: Final = 256 << 10
LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "cpu_seconds": (1, 3600),
    "memory_mb": (16, 65536),
    "processes": (1, 256),
    "file_size_mb": (0, 4096),
    "wall_seconds": (1, 300),
    "output_mb": (1, 64),
}
"""What an author may ask for, at least and at most."""

_MOST_ITEMS: Final = 100
_TYPE: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_COMMAND: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_CAPABILITY: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SECRET: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_EVENT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")
_ENTRY_POINT: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?):(\d{1,5})")
_LAST_PORT: Final = 65535


def parse_manifest(content: bytes) -> PluginManifest:
    """Read a manifest; raises InvalidInput, with fields named from the manifest's top."""
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput.field(FILE_NAME, "is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput.field(FILE_NAME, f"is not TOML: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput.field(FILE_NAME, "is not TOML that can be read") from error
    reading = _Reading()
    manifest = reading.manifest(document)
    if reading.errors or manifest is None:
        raise refused(reading.errors)
    return manifest


class _Reading:
    """Collects what is wrong while it reads; what it returns counts only if nothing is."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def manifest(self, document: Mapping[str, Any]) -> PluginManifest | None:
        top = _Table(self, "", document)
        values: dict[str, Any] = {
            "id": top.text("id", _plugin_id),
            "name": top.text("name", longest=255),
            "version": top.text("version", _version),
            "type": top.text("type", _matching(_TYPE, "a lower-case word")),
            "description": top.text("description", longest=4000, required=False),
            "capabilities": top.texts("capabilities", _matching(_CAPABILITY, "lower-case words")),
            "dependencies": self._dependencies(top.table("dependencies")),
            "permissions": self._permissions(top.table("permissions")),
            "limits": self._limits(top.table("limits")),
            "commands": tuple(self._commands(top.table("commands"))),
            **self._code(top),
        }
        top.end()
        return None if self.errors else PluginManifest(**values)

    def wrong(self, field: str, message: str) -> None:
        self.errors.append(FieldError(field, message))

    def _code(self, top: "_Table") -> dict[str, str | None]:
        if ("entry_point" in top) == ("executable" in top):
            top.take("entry_point"), top.take("executable")
            self.wrong("entry_point", "or executable must be given, and not both")
            return {}
        if "entry_point" in top:
            kind = _matching(_ENTRY_POINT, "of the form module:class")
            return {"entry_point": top.text("entry_point", kind, longest=255)}
        return {"executable": top.text("executable", _inner_path, longest=255)}

    def _dependencies(self, table: "_Table") -> dict[str, str]:
        found = {}
        for name in list(table):
            range_text = table.text(name, _range, required=False)
            try:
                found[check_plugin_id(name)] = range_text
            except InvalidInput as error:
                self.wrong(table.field(name), str(error).removeprefix("plugin_id "))
        return found

    def _permissions(self, table: "_Table") -> Permissions:
        permissions = Permissions(
            network=table.texts("network", _host_and_port),
            read=table.texts("read", _outer_path),
            write=table.texts("write", _outer_path),
            secrets=table.texts("secrets", _matching(_SECRET, "lower-case names")),
            events=table.texts("events", _matching(_EVENT, "names of event types")),
        )
        table.end()
        return permissions

    def _limits(self, table: "_Table") -> Limits:
        given = {name: table.integer(name, *bounds) for name, bounds in LIMITS.items() if name in table}
        table.end()
        return Limits(**given)

    def _commands(self, commands: "_Table") -> Iterator[PluginCommand]:
        if not len(commands):
            self.wrong("commands", "must have at least one command")
        defaults = 0
        for name in list(commands):
            if _COMMAND.fullmatch(name) is None:
                self.wrong(commands.field(name), "must be named by lower-case letters, digits, _ and -, a letter first")
            table = commands.table(name)
            schema = table.take("parameters") or {}
            field = table.field("parameters")
            for problem in JsonSchemaRules().schema_problems(schema):
                self.wrong(f"{field}.{problem.field}" if problem.field else field, problem.message)
            description = table.text("description", longest=4000, required=False)
            default = table.boolean("default")
            defaults += default
            table.end()
            yield PluginCommand(name, description, schema, default=default)
        if defaults > 1:
            self.wrong("commands", "must not have more than one with default = true")


Check = Callable[[str], str]
"""Returns the text, or another that means the same; raises ValueError saying what it must be."""


class _Table:
    """One table of the document, from which values are taken until nothing is left."""

    def __init__(self, reading: _Reading, prefix: str, values: Mapping[str, Any]) -> None:
        self._reading = reading
        self._prefix = prefix
        self._left = dict(values)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def __iter__(self) -> Iterator[str]:
        return iter(self._left)

    def __len__(self) -> int:
        return len(self._left)

    def field(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def end(self) -> None:
        for name in self._left:
            self._wrong(name, "is unknown")

    def table(self, name: str) -> "_Table":
        value = self.take(name)
        if value is not None and not isinstance(value, dict):
            self._wrong(name, "must be a table")
        return _Table(self._reading, f"{self.field(name)}.", value if isinstance(value, dict) else {})

    def text(self, name: str, check: Check = str, *, longest: int = 255, required: bool = True) -> str:
        if name not in self._left:
            if required:
                self._wrong(name, "is required")
            return ""
        return self._checked(name, self.take(name), check, longest, empty=not required)

    def texts(self, name: str, check: Check) -> tuple[str, ...]:
        values = self.take(name)
        if values is None:
            return ()
        if not isinstance(values, list) or len(values) > _MOST_ITEMS:
            self._wrong(name, f"must be a list of at most {_MOST_ITEMS} texts")
            return ()
        found = [self._checked(f"{name}[{index}]", value, check, 1024) for index, value in enumerate(values)]
        if any(text in found[:index] for index, text in enumerate(found) if text):
            self._wrong(name, "must not say the same twice")
        return tuple(found)

    def integer(self, name: str, least: int, most: int) -> int:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._wrong(name, f"must be a whole number from {least} to {most}")
            return least
        return value

    def boolean(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, (bool, NoneType)):
            self._wrong(name, "must be true or false")
        return value is True

    def _checked(self, name: str, value: Any, check: Check, longest: int, *, empty: bool = False) -> str:
        if not isinstance(value, str) or len(value) > longest or "\0" in value or not (value or empty):
            self._wrong(name, f"must be a text of {0 if empty else 1} to {longest} characters")
            return ""
        try:
            return check(value)
        except ValueError as error:
            self._wrong(name, f"must be {error}")
            return ""

    def _wrong(self, name: str, message: str) -> None:
        self._reading.wrong(self.field(name), message)


def _matching(pattern: re.Pattern[str], what: str) -> Check:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(what)
        return text

    return check


def _plugin_id(text: str) -> str:
    try:
        return check_plugin_id(text)
    except InvalidInput as error:
        raise ValueError(str(error).removeprefix("plugin_id must be ")) from error


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion as error:
        raise ValueError("a version by PEP 440, such as 1.2.0") from error


def _range(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError("a range of versions by PEP 440, such as >=1.0,<2") from error
    return text


def _host_and_port(text: str) -> str:
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 1 <= int(match[3]) <= _LAST_PORT:
        raise ValueError("host:port, the host in lower case")
    return text


def _outer_path(text: str) -> str:
    path = PurePosixPath(text)
    if not path.is_absolute() or str(path) != text or ".." in path.parts or text in ("/", "//"):
        raise ValueError("an absolute path below /, without '..' and without a slash at its end")
    return text


def _inner_path(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or str(path) != text or ".." in path.parts or text == ".":
        raise ValueError("a path inside the package")
    return text
