"""The settings as a list: what `flexcore.settings` declares, for whoever loads, explains or documents them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from flexcore.settings import Settings


@dataclass(frozen=True, slots=True)
class Declaration:
    """One setting as `flexcore.settings` declares it; `key` is its dotted path in config.yaml."""

    key: str
    type: Any
    description: str
    extra: Mapping[str, Any]
    default: Any

    @property
    def env(self) -> str | None:
        """Environment variable that overrides the file."""
        return self.extra["env"]  # type: ignore[no-any-return]  # Meta.extra is untyped

    @property
    def is_secret(self) -> bool:
        """Whether the value is never shown, and never read from config.yaml."""
        return "credential" in self.extra

    @property
    def allowed(self) -> str:
        """What a value may be, in words."""
        if self.is_secret:
            return f"a secret of at least {self.extra['minimum']} characters on one line"
        kind = get_args(self.type)[0]
        if get_origin(kind) is Literal:
            # In the order of declaration, which msgspec does not keep.
            return "one of " + ", ".join(get_args(kind))
        return self.extra["allowed"] or _describe(msgspec.inspect.type_info(self.type))


def declarations(struct: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[Declaration]:
    """Every setting, depth first in the order of declaration."""
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        annotation, key = hints[field.name], prefix + field.name
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            yield from declarations(annotation, f"{key}.")
            continue
        meta = next(
            item for item in get_args(annotation)[1:] if isinstance(item, msgspec.Meta) and item.extra is not None
        )
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        yield Declaration(key, annotation, meta.description or "", meta.extra or {}, default)


def _describe(info: msgspec.inspect.Type) -> str:
    match info:
        case msgspec.inspect.Metadata():
            return _describe(info.type)
        case msgspec.inspect.UnionType():
            return " or ".join(_describe(kind) for kind in info.types if not isinstance(kind, msgspec.inspect.NoneType))
        case msgspec.inspect.IntType():
            return f"a whole number from {info.ge} to {info.le}"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.StrType(max_length=int(longest)):
            return f"a text of 1 to {longest} characters"
        case _:
            return "a text"
