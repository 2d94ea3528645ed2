"""Loads the settings: defaults, then config.yaml, then the environment; every value remembers where it came from.

Whatever is wrong ends in one `SettingsError` whose single line names the setting, its source and what is allowed.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
import yaml

from flexcore.declarations import Declaration, declarations
from flexcore.settings import DEVELOPMENT_PASSWORD, Secret, Settings

DEFAULT: Final = "default"
"""Source of a value that nobody gave."""

_CREDENTIALS: Final = re.compile(r"//[^\s'\"]*@")


class SettingsError(Exception):
    """A setting is wrong, unknown or missing; the text is one line without any secret."""


class _StrictLoader(yaml.SafeLoader):
    """YAML without the trap that a key given twice silently loses its first value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The effective settings and, by dotted key, where each value came from."""

    settings: Settings
    sources: Mapping[str, str]

    def values(self) -> Iterator[tuple[str, Any, str]]:
        """Key, value and source of every setting, secrets as `***`; None is one that is not set."""
        for declaration in declarations():
            value = _lookup(self.settings, declaration.key)
            yield declaration.key, "***" if isinstance(value, Secret) else value, self.sources[declaration.key]

    def lines(self) -> Iterator[str]:
        """`key = value  (source)` for every setting, secrets as `***`."""
        secrets = {declaration.key for declaration in declarations() if declaration.is_secret}
        for key, value, source in self.values():
            shown = value if key in secrets else msgspec.json.encode(value).decode()
            yield f"{key} = {'not set' if value is None else shown}  ({source})"

    def unused(self) -> Iterator[str]:
        """One line for every setting that somebody gave although this version does nothing with it."""
        for declaration in declarations():
            reason, source = declaration.extra["unused"], self.sources[declaration.key]
            if reason and source != DEFAULT:
                yield f"{declaration.key} from {source} is not used: {reason}"


def load(path: Path | None, environ: Mapping[str, str], *, required: Collection[str]) -> Configuration:
    """Read the settings from `path` (None: no file) and `environ`.

    `required` are the keys of the secrets without which the caller cannot work. Raises `SettingsError`.
    """
    declared = {declaration.key: declaration for declaration in declarations()}
    # An empty variable counts as unset: process managers pass those on for "not configured".
    environ = {name: value for name, value in environ.items() if value}
    _refuse_unknown_variables(environ, declared)
    values = {key: declaration.default for key, declaration in declared.items()}
    sources = dict.fromkeys(declared, DEFAULT)
    for key, value, source in (*_from_file(path, declared), *_from_environment(declared, environ)):
        values[key], sources[key] = value, source
    _apply_connection(values, sources)
    if values["environment"] == "development":
        _apply_development_defaults(declared, values, sources)
    _check_rules(values, sources)
    for key in required:
        if values[key] is None and not (key == "auth.token" and values["auth.mode"] == "off"):
            raise SettingsError(_missing(declared[key]))
    return Configuration(_build(Settings, values), sources)


def _from_file(path: Path | None, declared: Mapping[str, Declaration]) -> Iterator[tuple[str, Any, str]]:
    if path is None:
        return
    for key, value in _flatten(path, _read_yaml(path), declared):
        declaration = declared[key]
        source = str(path)
        if declaration.is_secret:
            raise SettingsError(
                f"{key} from {source}: a secret does not belong in this file; set {declaration.env}, "
                f"{declaration.env}_FILE or the systemd credential {declaration.extra['credential']}"
            )
        yield key, _convert(declaration, value, source, strict=True), source


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise SettingsError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"cannot read the configuration {path}: it is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(
            f"cannot read the configuration {path}: not valid YAML{where}: {getattr(error, 'problem', 'unreadable')}"
        ) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"cannot read the configuration {path}: expected settings by name, not a {_kind(document)}")
    return document


def _flatten(
    path: Path, node: dict[str, Any], declared: Mapping[str, Declaration], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    known = {key[len(prefix) :].split(".")[0] for key in declared if key.startswith(prefix)}
    for name, value in node.items():
        key = f"{prefix}{name}"
        if name not in known:
            place = f"{prefix.rstrip('.')}: " if prefix else ""
            raise SettingsError(f"{key} from {path}: unknown setting; {place}allowed are {', '.join(sorted(known))}")
        if key in declared:
            yield key, value
        elif isinstance(value, dict):
            yield from _flatten(path, value, declared, f"{key}.")
        else:
            raise SettingsError(f"{key} from {path}: expected settings by name below it, not a {_kind(value)}")


def _from_environment(
    declared: Mapping[str, Declaration], environ: Mapping[str, str]
) -> Iterator[tuple[str, Any, str]]:
    for key, declaration in declared.items():
        if declaration.is_secret:
            found = _find_secret(declaration, environ)
            if found is None:
                continue
            text, source = found
            if len(text) < declaration.extra["minimum"] or "\n" in text:
                raise SettingsError(f"{key} from {source}: expected {declaration.allowed}")
            yield key, Secret(text), source
        elif declaration.env is not None and declaration.env in environ:
            source = f"environment {declaration.env}"
            yield key, _convert(declaration, environ[declaration.env], source, strict=False), source


def _find_secret(declaration: Declaration, environ: Mapping[str, str]) -> tuple[str, str] | None:
    name, credential = declaration.extra["env"], declaration.extra["credential"]
    if name in environ:
        return environ[name], f"environment {name}"
    if f"{name}_FILE" in environ:
        path = Path(environ[f"{name}_FILE"])
        return _read_secret(declaration.key, path), f"file {path} named by {name}_FILE"
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        path = Path(directory, credential)
        if path.exists():
            return _read_secret(declaration.key, path), f"credential {credential}"
    return None


def _read_secret(key: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise SettingsError(f"{key}: cannot read the secret from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{key}: cannot read the secret from {path}: it is not UTF-8 text") from error


def _refuse_unknown_variables(environ: Mapping[str, str], declared: Mapping[str, Declaration]) -> None:
    known = set()
    for declaration in declared.values():
        if declaration.env:
            known |= {declaration.env, f"{declaration.env}_FILE"} if declaration.is_secret else {declaration.env}
    for name in environ:
        if name.startswith("FLEXCORE_") and name not in known:
            allowed = ", ".join(sorted(variable for variable in known if variable.startswith("FLEXCORE_")))
            raise SettingsError(f"{name} from environment: unknown setting; allowed are {allowed}")


def _convert(declaration: Declaration, value: Any, source: str, *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, declaration.type, strict=strict)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{declaration.key} from {source}: {_shown(value)} is not allowed; expected {declaration.allowed}"
        ) from error


def _apply_connection(values: dict[str, Any], sources: dict[str, str]) -> None:
    connection, source = values["event_store.connection"], sources["event_store.connection"]
    if connection is None:
        return
    expected = (
        f"event_store.connection from {source}: expected postgres://user:password@host:port/database, "
        "optionally with ?sslmode=disable"
    )
    try:
        url = urlsplit(connection.reveal())
        parts = _connection_parts(url)
    except ValueError:
        raise SettingsError(expected) from None  # the cause would quote the address, and with it the password
    if url.scheme not in {"postgres", "postgresql"} or url.query not in {"", "sslmode=disable"} or not url.hostname:
        raise SettingsError(expected)
    for key, value in parts.items():
        if value:
            values[f"postgres.{key}"], sources[f"postgres.{key}"] = value, source


def _connection_parts(url: SplitResult) -> dict[str, Any]:
    return {
        "host": url.hostname,
        "port": url.port,
        "database": unquote(url.path.removeprefix("/")),
        "user": unquote(url.username or ""),
        "password": Secret(unquote(url.password)) if url.password else None,
    }


def _apply_development_defaults(
    declared: Mapping[str, Declaration], values: dict[str, Any], sources: dict[str, str]
) -> None:
    for key, declaration in declared.items():
        if values[key] is None and declaration.extra.get("development"):
            values[key], sources[key] = Secret(declaration.extra["development"]), "development default"


def _check_rules(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    environment = f"environment is {values['environment']} ({sources['environment']})"
    if values["environment"] == "production":
        if values["debug"]:
            raise SettingsError(f"debug from {sources['debug']}: not allowed in production, and {environment}")
        for key in ("postgres.password", "postgres.owner_password"):
            if values[key] is not None and values[key].reveal() == DEVELOPMENT_PASSWORD:
                raise SettingsError(
                    f"{key} from {sources[key]}: the development password is not allowed in production, "
                    f"and {environment}"
                )
    if values["auth.mode"] == "off" and (values["environment"] != "development" or not _loopback(values["http.host"])):
        raise SettingsError(
            f"auth.mode from {sources['auth.mode']}: off is allowed only in development on a loopback address, "
            f"and {environment}, http.host is {values['http.host']} ({sources['http.host']})"
        )
    if (values["http.tls_cert_file"] is None) != (values["http.tls_key_file"] is None):
        given = "http.tls_cert_file" if values["http.tls_cert_file"] else "http.tls_key_file"
        raise SettingsError(f"{given} from {sources[given]}: TLS needs both http.tls_cert_file and http.tls_key_file")


def _missing(declaration: Declaration) -> str:
    name, credential = declaration.env, declaration.extra["credential"]
    return (
        f"{declaration.key} is not set; give {declaration.allowed} "
        f"by {name}, {name}_FILE or the systemd credential {credential}"
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _build(struct: type[Any], values: Mapping[str, Any], prefix: str = "") -> Any:
    arguments = {}
    for field in msgspec.structs.fields(struct):
        key = prefix + field.name
        arguments[field.name] = values[key] if key in values else _build(field.type, values, f"{key}.")
    return struct(**arguments)


def _lookup(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def _kind(value: Any) -> str:
    return {"list": "list", "str": "text", "int": "number", "float": "number"}.get(type(value).__name__, "value")


def _shown(value: Any) -> str:
    # Settings that are URLs take none with credentials, and so are refused with them.
    text = _CREDENTIALS.sub("//***@", repr(value))
    return text if len(text) <= 60 else f"{text[:57]}…"
