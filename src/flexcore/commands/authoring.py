"""The commands of those who make plugins: `flexcore plugin` and `flexcore marketplace`. They need no configuration."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from flexcore.domain.errors import InvalidInput
from flexcore.infrastructure.marketplace.index import INDEX_FILE, write_index
from flexcore.infrastructure.marketplace.signatures import SIGNATURE_ENDING, make_key, public_text, read_key, sign
from flexcore.infrastructure.packages.build import build_package
from flexcore.infrastructure.packages.package import ReadPackage, read_package

_directory = click.Path(exists=True, file_okay=False, path_type=Path)
_output = click.Path(file_okay=False, path_type=Path)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def plugin() -> None:
    """Make plugin packages: build, check, sign."""


@plugin.command()
@click.argument("directory", type=_directory)
@click.option("--output", type=_output, default=".", show_default=True, help="Directory to write the package to.")
def build(directory: Path, output: Path) -> None:
    """Pack DIRECTORY, with its flexcore-plugin.toml, as a .tar.gz; the same files always make the same package."""
    with _told(directory):
        path, package = build_package(directory, output)
    click.echo(f"{path}: {_described(package)}")


@plugin.command()
@click.argument("file", type=_file)
def check(file: Path) -> None:
    """Check a package as a server does before it installs it, and name everything that is wrong."""
    with _told(file):
        package = read_package(file)
    click.echo(f"{file}: {_described(package)}")


@plugin.command()
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> None:
    """Make a key to sign packages with, and print the public half for marketplace.trusted_keys."""
    with _told(file):
        made = make_key(file)
    click.echo(public_text(made))


@plugin.command("sign")
@click.argument("file", type=_file)
@click.option("--key", "key_file", type=_file, required=True, help="Ed25519 private key in PEM.")
def sign_package(file: Path, key_file: Path) -> None:
    """Sign a package; the signature is written beside it."""
    with _told(file):
        package = read_package(file)
        signature = sign(read_key(key_file), package.manifest.id, package.manifest.version, package.digest)
        target = file.with_name(file.name + SIGNATURE_ENDING)
        target.write_text(signature + "\n", "ascii")
    click.echo(target)


@click.group()
def marketplace() -> None:
    """Make a marketplace: a directory of packages with an index."""


@marketplace.command()
@click.argument("directory", type=_directory)
def index(directory: Path) -> None:
    """Write DIRECTORY's index.json, from the packages and signatures in it."""
    with _told(directory):
        made = write_index(directory)
    number = sum(len(plugin.versions) for plugin in made.plugins)
    click.echo(f"{directory / INDEX_FILE}: {number} packages of {len(made.plugins)} plugins")


def _described(package: ReadPackage) -> str:
    manifest = package.manifest
    return f"{manifest.id} {manifest.version}, {package.size} bytes, sha256 {package.digest}"


@contextmanager
def _told(what: Path) -> Iterator[None]:
    """End with one line for everything that is wrong."""
    try:
        yield
    except InvalidInput as error:
        for wrong in error.errors:
            click.echo(f"{what}: {wrong.field} {wrong.message}", err=True)
        sys.exit(os.EX_DATAERR)
    except OSError as error:
        click.echo(f"flexcore: {error.filename or what}: {error.strerror}", err=True)
        sys.exit(os.EX_IOERR)
