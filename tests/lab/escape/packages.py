"""Plugin packages, made on the spot: those that carry the probes, and those that are attacks themselves."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MIB = 1 << 20
MEMORY_MB = 128
WALL_SECONDS = 3
OUTPUT_MB = 1

LIMITS = f"""
[limits]
cpu_seconds = 2
memory_mb = {MEMORY_MB}
processes = 1
file_size_mb = 4
wall_seconds = {WALL_SECONDS}
output_mb = {OUTPUT_MB}
"""


def manifest(plugin_id: str, code: str, more: str = "", version: str = "1.0.0") -> str:
    """The text of a manifest; `code` is its line `entry_point = …` or `executable = …`."""
    commands = "[commands.attempt]\ndefault = true\nparameters = { type = 'object' }\n"
    top = f'id = "{plugin_id}"\nname = "{plugin_id}"\nversion = "{version}"\ntype = "processor"\n{code}\n'
    return top + commands + (more if "[limits]" in more else LIMITS + more)


def tar_gz(files: Mapping[str, bytes | str], also: Iterable[tuple[tarfile.TarInfo, bytes]] = ()) -> bytes:
    """A gzipped tar with `files` by name and `also` entries that no honest program makes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755 if name.startswith("bin/") else 0o644
            archive.addfile(info, io.BytesIO(data))
        for info, data in also:
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def probes() -> dict[str, bytes]:
    """The probes as files of a package."""
    return {f"probes/{file.name}": file.read_bytes() for file in sorted((HERE / "probes").glob("*.py"))}


def hostile() -> bytes:
    """The plugin that runs a probe when it is asked to."""
    files = {"flexcore-plugin.toml": manifest("escape", 'entry_point = "plugin:Escape"')}
    return tar_gz({**files, "plugin.py": (HERE / "plugin.py").read_bytes(), **probes()})


def importing(names: list[str], host: Mapping[str, str]) -> bytes:
    """The plugin that runs the probes `names` while it is imported."""
    more = "[commands.report]\nparameters = { type = 'object' }\n"
    return tar_gz(
        {
            "flexcore-plugin.toml": manifest("escape-import", 'entry_point = "import_plugin:Importer"', LIMITS + more),
            "import_plugin.py": (HERE / "import_plugin.py").read_bytes(),
            "plan.json": json.dumps({"names": names, "host": host}),
            **probes(),
        }
    )


def program() -> bytes:
    """The plugin that is a program, and so writes to the server what it likes. It may have several processes."""
    limits = LIMITS.replace("processes = 1", "processes = 8")
    return tar_gz(
        {
            "flexcore-plugin.toml": manifest("escape-program", 'executable = "bin/attack"', limits),
            "bin/attack": (HERE / "program.py").read_bytes(),
        }
    )


def keeping_a_secret() -> bytes:
    """The honest neighbour that a secret is for: it holds it in its memory for as long as it is told."""
    more = LIMITS.replace(f"wall_seconds = {WALL_SECONDS}", "wall_seconds = 30") + '[permissions]\nsecrets = ["key"]\n'
    return tar_gz(
        {
            "flexcore-plugin.toml": manifest("escape-keeper", 'entry_point = "keeper:Keeper"', more),
            "keeper.py": KEEPER,
        }
    )


@dataclass(frozen=True, slots=True)
class HostilePackage:
    """A package that is the attack: what it tries, and the file on the host that would show its success."""

    name: str
    tries: str
    make: Callable[[], bytes]
    witness: str | None = None
    file: str = "package.tar.gz"


KEEPER = """\
import time

import flexcore_plugin


class Keeper:
    def __init__(self, configuration): ...

    def attempt(self, seconds):
        key = flexcore_plugin.secret("key")
        time.sleep(seconds)
        return {"length": len(key)}
"""
PLANTED = "/tmp/flexcore-escape-planted"
HONEST = {
    "flexcore-plugin.toml": manifest("escape-package", 'entry_point = "honest:Honest"'),
    "honest.py": "class Honest:\n    def __init__(self, configuration): ...\n    def attempt(self): ...\n",
}


def entry(name: str, **attributes: object) -> tarfile.TarInfo:
    """A tar's entry with unusual attributes."""
    info = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info


def with_entries(*entries: tuple[tarfile.TarInfo, bytes]) -> Callable[[], bytes]:
    """An honest package with these entries in it."""
    return lambda: tar_gz(HONEST, entries)


def with_manifest(text: str) -> Callable[[], bytes]:
    """An honest package with another manifest."""
    return lambda: tar_gz({**HONEST, "flexcore-plugin.toml": text})


def wheel(name: str, attributes: int = 0) -> Callable[[], bytes]:
    """A wheel with one more file, of this name and these attributes."""

    def make() -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for file, content in HONEST.items():
                archive.writestr(file, content)
            archive.writestr(
                "escape_package-1.0.0.dist-info/WHEEL",
                "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes << 16
            archive.writestr(info, b"/etc")
        return packed.getvalue()

    return make


def honest_with(**changes: str) -> str:
    """The honest manifest with some lines replaced."""
    lines = HONEST["flexcore-plugin.toml"].splitlines()
    return "\n".join(changes.get(line.partition(" ")[0], line) for line in lines)


def pattern_manifest(plugin_id: str, pattern: str) -> str:
    """The honest manifest, with a text among its parameters that has to match `pattern`."""
    parameters = f"parameters = {{ type = 'object', properties = {{ text = {{ pattern = '{pattern}' }} }} }}"
    return honest_with(id=f'id = "{plugin_id}"', parameters=parameters)


UP = "../" * 12
LINK = {"type": tarfile.SYMTYPE}
HOSTILE_PACKAGES = (
    HostilePackage("climb", "unpack a file above", with_entries((entry(UP + PLANTED[1:]), b"x")), PLANTED),
    HostilePackage("absolute", "unpack a file elsewhere", with_entries((entry(PLANTED), b"x")), PLANTED),
    HostilePackage(
        "through_link",
        "unpack a file through a link that it brings",
        with_entries((entry("out", linkname="/tmp", **LINK), b""), (entry("out/flexcore-escape-planted"), b"x")),
        PLANTED,
    ),
    HostilePackage(
        "link_to_shadow", "bring a link to /etc/shadow", with_entries((entry("a", linkname="/etc/shadow", **LINK), b""))
    ),
    HostilePackage(
        "hard_link",
        "bring a hard link to a file of the host",
        with_entries((entry("a", type=tarfile.LNKTYPE, linkname="/etc/shadow"), b"")),
    ),
    HostilePackage(
        "device",
        "bring a device node of the first disk",
        with_entries((entry("sda", type=tarfile.BLKTYPE, devmajor=8, devminor=0, mode=0o666), b"")),
    ),
    HostilePackage(
        "fifo", "bring a pipe that whoever opens it waits at", with_entries((entry("pipe", type=tarfile.FIFOTYPE), b""))
    ),
    HostilePackage("setuid", "bring a setuid program", with_entries((entry("bin/su", mode=0o4755), b"#!/bin/sh\n"))),
    HostilePackage(
        "bomb",
        "unpack to 1 GiB",
        # When it is needed only: it is as large here.
        lambda: with_entries((entry("zeros"), bytes(MIB) * 512), (entry("more"), bytes(MIB) * 512))(),
    ),
    HostilePackage(
        "wheel_climb",
        "the same with a wheel",
        wheel(UP + PLANTED[1:]),
        PLANTED,
        "escape_package-1.0.0-py3-none-any.whl",
    ),
    HostilePackage(
        "wheel_link",
        "a link in a wheel",
        wheel("link", stat.S_IFLNK | 0o777),
        None,
        "escape_package-1.0.0-py3-none-any.whl",
    ),
    HostilePackage("id_climbs", "have an id that is a path", with_manifest(honest_with(id='id = "../escape"'))),
    HostilePackage(
        "version_climbs", "have a version that is a path", with_manifest(honest_with(version='version = "../../1"'))
    ),
    HostilePackage(
        "no_such_code",
        "name code that it does not bring",
        with_manifest(honest_with(entry_point='entry_point = "nothing:There"')),
    ),
    HostilePackage(
        "hosts_program",
        "run a program of the host",
        with_manifest(honest_with(entry_point='executable = "../../../../bin/sh"')),
    ),
    HostilePackage(
        "takes_a_built_ins_place", "be a built-in plugin", with_manifest(honest_with(id='id = "json-processor"'))
    ),
    HostilePackage("named_execute", "take the place of a route", with_manifest(honest_with(id='id = "execute"'))),
    HostilePackage(
        "everything",
        "be permitted every host and port",
        with_manifest(HONEST["flexcore-plugin.toml"] + '[permissions]\nnetwork = ["*:*"]\n'),
    ),
    HostilePackage(
        "unlimited", "have limits above all", with_manifest(honest_with(memory_mb="memory_mb = 1000000000"))
    ),
    HostilePackage(
        "huge_manifest", "bring a manifest of 5 MB", with_manifest(HONEST["flexcore-plugin.toml"] + "#" * 5 * MIB)
    ),
    HostilePackage(
        "deep_manifest",
        "bring a manifest nested 5000 deep",
        with_manifest(HONEST["flexcore-plugin.toml"] + "[x]\ny = " + "[" * 5000 + "]" * 5000 + "\n"),
    ),
    HostilePackage(
        "schema_reads_files",
        "have the schema of its parameters read from the host",
        with_manifest(honest_with(parameters="parameters = { '$ref' = 'file:///etc/passwd' }")),
    ),
    HostilePackage(
        "schema_that_backtracks",
        "have its parameters matched by a pattern that only an engine with backtracking knows",
        with_manifest(pattern_manifest("escape-package", r"^(a*)*\1$")),
    ),
    HostilePackage(
        "schema_that_unfolds",
        "have its parameters matched by a pattern that is a million long when it is unfolded",
        with_manifest(pattern_manifest("escape-package", "(a{1,1000}){1,1000}")),
    ),
    HostilePackage("not_a_package", "be no archive at all", lambda: b"\x7fELF" + bytes(MIB)),
    HostilePackage("cut_off", "be half an archive", lambda: tar_gz(HONEST)[:-40]),
)
