"""flexcore-plugin.toml: what it can say, and that everything wrong with it is named at once."""

from pathlib import Path

import pytest

from flexcore.domain.errors import InvalidInput
from flexcore.domain.manifest import Limits, Permissions
from flexcore.infrastructure.packages.manifest_file import parse_manifest
from tests.unit.packages.archives import MANIFEST

FULL = """
id = "greeter"
name = "Greeter"
version = "1.2"
type = "processor"
description = "Greets people"
executable = "bin/greet"
capabilities = ["text"]
[dependencies]
json-processor = ">=1.0,<2"
[permissions]
network = ["api.example.com:443", "[::1]:80"]
read = ["/usr/share/zoneinfo"]
secrets = ["api_key"]
events = ["GreetingSent"]
[limits]
cpu_seconds = 10
memory_mb = 256
output_mb = 1
[commands.greet]
description = "Say hello"
default = true
[commands.greet.parameters]
type = "object"
required = ["name"]
additionalProperties = false
properties = { name = { type = "string" } }
[commands.wave-goodbye]
"""


def wrong(text: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse_manifest(text.encode())
    return {error.field: error.message for error in caught.value.errors}


def test_a_manifest_can_say_all_of_this() -> None:
    found = parse_manifest(FULL.encode())
    assert (found.id, found.version, found.executable, found.entry_point) == ("greeter", "1.2", "bin/greet", None)
    assert found.dependencies == {"json-processor": ">=1.0,<2"}
    assert found.permissions == Permissions(
        ("api.example.com:443", "[::1]:80"), ("/usr/share/zoneinfo",), (), ("api_key",), ("GreetingSent",)
    )
    assert found.limits == Limits(cpu_seconds=10, memory_mb=256, output_mb=1)
    assert [(command.name, command.default) for command in found.commands] == [("greet", True), ("wave-goodbye", False)]
    assert found.commands[0].parameters["required"] == ["name"]


def test_versions_are_written_in_one_way() -> None:
    assert parse_manifest(MANIFEST.replace("1.2.0", "v1.2.0-rc.1").encode()).version == "1.2.0rc1"


def test_everything_wrong_is_named_at_once() -> None:
    assert wrong(
        """
        id = "Not A Slug"
        version = "one"
        type = "Processor"
        colour = "red"
        entry_point = "greeter"
        capabilities = ["text", "text"]
        [dependencies]
        Other = ">=1"
        json-processor = "about 1"
        [permissions]
        network = ["api.example.com", "x:0", "X:1"]
        read = ["relative", "/"]
        write = ["/a/../b", "/a/"]
        secrets = ["API KEY"]
        events = "all"
        root = true
        [limits]
        memory_mb = 1
        cpu_seconds = "10"
        gpus = 1
        [commands.Greet]
        default = 1
        parameters = { properties = { a = { type = "text" } } }
        """
    ).keys() == {
        "id", "name", "version", "type", "colour", "entry_point", "capabilities", "dependencies.Other",
        "dependencies.json-processor", "permissions.network[0]", "permissions.network[1]", "permissions.network[2]",
        "permissions.read[0]", "permissions.read[1]", "permissions.write[0]", "permissions.write[1]",
        "permissions.secrets[0]", "permissions.events", "permissions.root", "limits.memory_mb", "limits.cpu_seconds",
        "limits.gpus", "commands.Greet", "commands.Greet.default", "commands.Greet.parameters.properties.a.type",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ('id = "greeter"', 'id = "execute"', "id"),
        ('entry_point = "greeter:Greeter"', "", "entry_point"),
        ('entry_point = "greeter:Greeter"', 'entry_point = "a:B"\nexecutable = "b"', "entry_point"),
        ('entry_point = "greeter:Greeter"', 'executable = "../b"', "executable"),
        ('entry_point = "greeter:Greeter"', 'executable = "/bin/sh"', "executable"),
        ("[commands.greet]\ndefault = true", "", "commands"),
        ("default = true", "default = true\n[commands.b]\ndefault = true", "commands"),
        ("default = true", "parameters = 3", "commands.greet.parameters"),
        ('name = "Greeter"', "name = 3", "name"),
        ('name = "Greeter"', 'name = "a\\u0000b"', "name"),
        ("[commands.greet]\ndefault = true", "commands = 3", "commands"),
        ("default = true", "default = true\n[limits]\nprocesses = true", "limits.processes"),
    ],
)
def test_each_rule_holds(before: str, after: str, field: str) -> None:
    assert before in MANIFEST
    assert field in wrong(MANIFEST.replace(before, after))


@pytest.mark.parametrize("content", [b"\xff", b"id =", b"x = " + b"[" * 100_000, b"x = " + b"9" * 10_000, b"a.b" * 3])
def test_what_is_no_toml_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="is not"):
        parse_manifest(content)


def test_the_documented_example_is_a_manifest() -> None:
    for path in Path("examples").glob("*/flexcore-plugin.toml"):
        parse_manifest(path.read_bytes())
