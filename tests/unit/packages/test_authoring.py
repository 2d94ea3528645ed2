"""What authors do: build, check, sign, list; and what a signature proves."""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flexcore.cli import main
from flexcore.domain.errors import InvalidInput
from flexcore.infrastructure.marketplace.signatures import TrustedKeys, make_key, public_text, sign
from tests.unit.packages.archives import FILES, tar_gz

DIGEST = "0" * 64


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "greeter"
    directory.mkdir()
    for name, content in FILES.items():
        (directory / name).write_text(content)
    return directory


def test_from_a_directory_to_a_signed_marketplace(tmp_path: Path, source: Path) -> None:
    market = tmp_path / "market"
    built = run("plugin", "build", source, "--output", market).output
    package = market / "greeter-1.2.0.tar.gz"
    assert built.startswith(f"{package}: greeter 1.2.0, {package.stat().st_size} bytes, sha256 ")
    assert run("plugin", "check", package).output == built
    public = run("plugin", "key", tmp_path / "key.pem").output.strip()
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert run("plugin", "sign", package, "--key", tmp_path / "key.pem").output.strip() == f"{package}.sig"
    assert "1 packages of 1 plugins" in run("marketplace", "index", market).output
    (plugin,) = json.loads((market / "index.json").read_text())["plugins"]
    (version,) = plugin["versions"]
    assert (plugin["id"], version["version"], version["file"]) == ("greeter", "1.2.0", package.name)
    keys = TrustedKeys({"us": public})
    assert keys.signer("greeter", "1.2.0", version["sha256"], version["signature"]) == "us"


def test_what_is_wrong_is_told_line_by_line(tmp_path: Path, source: Path) -> None:
    (source / "flexcore-plugin.toml").write_text('id = "greeter"\nversion = "1"\nentry_point = "greeter:G"\n')
    errors = run("plugin", "build", source, "--output", tmp_path, code=65).stderr.splitlines()
    assert f"{source}: name is required" in errors
    assert f"{source}: commands must have at least one command" in errors
    bad = tar_gz(tmp_path / "bad.tar.gz", {"x": ""})
    assert "must have one flexcore-plugin.toml" in run("plugin", "check", bad, code=65).stderr
    assert "bad.tar.gz package must have one" in run("marketplace", "index", tmp_path, code=65).stderr
    run("plugin", "key", tmp_path / "key.pem")
    assert "File exists" in run("plugin", "key", tmp_path / "key.pem", code=74).stderr
    (tmp_path / "no-key.pem").write_text("x")
    run("plugin", "build", tmp_path / "greeter", code=65)


def test_the_same_version_twice_makes_no_index(tmp_path: Path) -> None:
    for name in ("a.tar.gz", "b.tar.gz"):
        tar_gz(tmp_path / name, {**FILES, name: ""})
    assert "greeter 1.2.0 is there more than once" in run("marketplace", "index", tmp_path, code=65).stderr


def test_a_signature_is_for_one_package_of_one_version_of_one_plugin(tmp_path: Path) -> None:
    key, other = make_key(tmp_path / "key"), make_key(tmp_path / "other")
    signature = sign(key, "greeter", "1.2.0", DIGEST)
    keys = TrustedKeys({"other": public_text(other), "us": public_text(key)})
    assert keys.signer("greeter", "1.2.0", DIGEST, signature + "\n") == "us"
    refused = [
        ("greeter2", "1.2.0", DIGEST, signature),
        ("greeter", "1.2.1", DIGEST, signature),
        ("greeter", "1.2.0", "1" * 64, signature),
        ("greeter", "1.2.0", DIGEST, base64.b64encode(bytes(64)).decode()),
        ("greeter", "1.2.0", DIGEST, ""),
    ]
    for statement in refused:
        with pytest.raises(InvalidInput, match="by no trusted key; trusted are: other, us"):
            keys.signer(*statement)
    with pytest.raises(InvalidInput, match="is not base64"):
        keys.signer("greeter", "1.2.0", DIGEST, "ä")
    with pytest.raises(InvalidInput, match="trusted are: none"):
        TrustedKeys({}).signer("greeter", "1.2.0", DIGEST, signature)


@pytest.mark.parametrize("text", ["", "AAAA", "ä", base64.b64encode(bytes(33)).decode()])
def test_what_is_no_public_key_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="key 'us' is not the base64"):
        TrustedKeys({"us": text})
