"""What a plugin says about itself: identity, commands with typed parameters, what it may do and use."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from flexcore.domain.errors import FieldError, InvalidInput
from flexcore.domain.identifiers import check_plugin_id

HEALTH: Final = "health"
"""The command that every plugin answers, by itself or by being importable."""

Place = tuple[str | int, ...]
"""A way into a JSON document: names of members and indexes of items."""


class ParameterRules(Protocol):
    """Judges parameters by JSON Schema."""

    def problems(
        self, schema: Mapping[str, Any], data: Mapping[str, Any], later: Collection[Place] = ()
    ) -> list[FieldError]:
        """Say what is wrong with `data`; fields are named from its top, the whole of it is "".

        The values at the places `later` are not known yet, and nothing that depends on them is wrong.
        """
        ...


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a plugin may do beside computing; nothing, unless it says so.

    `network` holds "host:port" it may connect to, `read` and `write` absolute paths, `secrets` names of secrets it is
    given, `events` types of events it may record.
    """

    network: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may use at most. A caller's own time limit holds as well as `wall_seconds`."""

    cpu_seconds: int = 60
    memory_mb: int = 512
    processes: int = 1
    file_size_mb: int = 16
    wall_seconds: int = 300
    output_mb: int = 10


@dataclass(frozen=True, slots=True)
class PluginCommand:
    """One thing a plugin does. `parameters` is the JSON Schema of the object it takes."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    default: bool = False

    def check(
        self, data: Mapping[str, Any], rules: ParameterRules, *, field_name: str, later: Collection[Place] = ()
    ) -> None:
        """Raise InvalidInput naming everything in `data` that is missing, unknown or wrong.

        Nothing is said about the places in `later`, whose values are not known yet.
        """
        problems = rules.problems(self.parameters, data, later)
        errors = [FieldError(_below(field_name, problem.field), problem.message) for problem in problems]
        if errors:
            summary = "; ".join(f"{error.field} {error.message}" for error in errors)
            raise InvalidInput(f"operation '{self.name}': {summary}", tuple(errors))


@dataclass(frozen=True, slots=True)
class PluginManifest:
    """A plugin's own description.

    Its code is either `entry_point`, "module:class" of Python with a method for each command, or `executable`, a path
    in its package. `dependencies` are version ranges of other plugins, by id.
    """

    id: str
    name: str
    version: str
    type: str
    description: str
    commands: tuple[PluginCommand, ...]
    entry_point: str | None = None
    executable: str | None = None
    dependencies: Mapping[str, str] = field(default_factory=dict)
    permissions: Permissions = Permissions()
    limits: Limits = Limits()
    capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_plugin_id(self.id)
        if (self.entry_point is None) == (self.executable is None):
            raise InvalidInput.field("entry_point", "or executable must be given, and not both")
        if sum(command.default for command in self.commands) > 1:
            raise InvalidInput.field("commands", "must not have more than one default")

    @property
    def starts(self) -> str:
        """What is started: the entry point, or the executable."""
        return self.entry_point or self.executable or ""

    def command(self, name: str | None) -> PluginCommand:
        """Find the command called `name`, or the default one for None; raises InvalidInput with the allowed names.

        `health` is one of them, whether or not the plugin has more to say about it.
        """
        for command in self.commands:
            if command.default if name is None else command.name == name:
                return command
        if name == HEALTH:
            return PluginCommand(HEALTH, "Say whether the plugin works", {"additionalProperties": False})
        allowed = ", ".join(command.name for command in self.commands) or HEALTH
        what = f"'{name}' is not an operation of plugin '{self.id}'" if name else f"plugin '{self.id}' has no default"
        message = f"{what}; allowed are: {allowed}"
        raise InvalidInput(message, (FieldError("operation", message),))


def _below(field_name: str, name: str) -> str:
    return f"{field_name}.{name}" if name else field_name
