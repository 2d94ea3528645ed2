"""What a plugin says about itself: identity, capabilities and the operations it answers, with typed parameters."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flexcore.domain.errors import FieldError, InvalidInput
from flexcore.domain.identifiers import check_plugin_id

ParameterType = Literal["string", "integer", "number", "boolean", "object", "array", "any"]

_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation. `choices`, where given, lists every allowed value of a string."""

    name: str
    type: ParameterType
    description: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()

    def problem(self, value: Any) -> str | None:
        """Say what is wrong with `value` for this parameter, or None."""
        if self.type != "any" and not self._fits(value):
            article = "an" if self.type[0] in "aio" else "a"
            return f"must be {article} {self.type}"
        if self.choices and value not in self.choices:
            return f"must be one of {', '.join(self.choices)}"
        return None

    def _fits(self, value: Any) -> bool:
        # In Python True is an int; in JSON it is not a number.
        if isinstance(value, bool):
            return self.type == "boolean"
        return isinstance(value, _PYTHON_TYPES[self.type])


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a plugin does. `open` ones take any other parameter beside those declared."""

    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    open: bool = False

    def check(self, data: Mapping[str, Any], field: str, later: Collection[str] = ()) -> None:
        """Raise InvalidInput naming every parameter in `data` that is missing, unknown or of the wrong type.

        Of the parameters in `later` only the names are looked at: their values are not known yet.
        """
        declared = {parameter.name: parameter for parameter in self.parameters}
        errors = [
            FieldError(f"{field}.{name}", "is required")
            for name, parameter in declared.items()
            if parameter.required and name not in data
        ]
        for name, value in data.items():
            parameter = declared.get(name)
            if parameter is None:
                problem = None if self.open else f"is unknown; {self._allowed()}"
            elif name in later:
                continue
            else:
                problem = parameter.problem(value)
            if problem is not None:
                errors.append(FieldError(f"{field}.{name}", problem))
        if errors:
            summary = "; ".join(f"{error.field} {error.message}" for error in errors)
            raise InvalidInput(f"operation '{self.name}': {summary}", tuple(errors))

    def _allowed(self) -> str:
        names = ", ".join(parameter.name for parameter in self.parameters)
        return f"allowed are: {names}" if names else "the operation takes no parameters"


@dataclass(frozen=True, slots=True)
class PluginManifest:
    """A plugin's own description. `entry_point` is "module:class"; each operation is a method of that class."""

    id: str
    name: str
    version: str
    type: str
    description: str
    entry_point: str
    operations: tuple[Operation, ...]
    default_operation: str
    capabilities: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_plugin_id(self.id)
        if self.default_operation not in {operation.name for operation in self.operations}:
            raise InvalidInput.field(
                "default_operation", f"'{self.default_operation}' is not an operation of {self.id}"
            )

    def operation(self, name: str | None) -> Operation:
        """Find the operation called `name`, or the default one for None; raises InvalidInput with the allowed names."""
        wanted = self.default_operation if name is None else name
        for operation in self.operations:
            if operation.name == wanted:
                return operation
        allowed = ", ".join(operation.name for operation in self.operations)
        message = f"'{wanted}' is not an operation of plugin '{self.id}'; allowed are: {allowed}"
        raise InvalidInput(message, (FieldError("operation", message),))
