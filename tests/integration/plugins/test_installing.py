"""Plugins from packages on a real server: install, replace, remove, and what is refused."""

import secrets
import uuid
from pathlib import Path

import httpx
import pytest

from tests.integration.plugins.conftest import CODE, MANIFEST, PLUGINS, SICK, MakePackage, greet, greeting, node, send
from tests.servers import wait_until
from tests.unit.packages.archives import tar_gz, wheel_bytes, whl


def events(client: httpx.Client, plugin_id: str = "greeter") -> list[str]:
    found = client.get("/api/v1/flexcore/events", params={"aggregate_id": plugin_id}).json()["events"]
    return [event["type"] for event in found if "Execution" not in event["type"]]


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_a_package_becomes_a_plugin_and_goes_again(checked: httpx.Client, package: MakePackage) -> None:
    path = package()
    answer = send(checked, path)
    assert answer.status_code == 201, answer.text
    plugin = answer.json()
    assert (plugin["id"], plugin["version"], plugin["status"], plugin["entry_point"]) == (
        "greeter", "1.0", "active", "greeter:Greeter",
    )  # fmt: skip
    assert greeting(checked) == "Hello, Ada"
    assert send(checked, path).status_code == 200
    assert events(checked) == ["PluginRegistered"]
    commands = checked.get(f"{PLUGINS}/greeter/commands").json()
    assert [(command["name"], command["default"]) for command in commands["commands"]] == [
        ("greet", True), ("health", False),
    ]  # fmt: skip
    assert commands["commands"][0]["parameters"]["required"] == ["name"]
    wrong = checked.post(f"{PLUGINS}/greeter/execute", json={"parameters": {"data": {"name": 1}}})
    assert wrong.json()["errors"] == [{"field": "parameters.data.name", "message": "must be a string"}]
    assert checked.post(f"{PLUGINS}/greeter/disable").json()["status"] == "inactive"
    assert checked.delete(f"{PLUGINS}/greeter").status_code == 204
    assert checked.get(f"{PLUGINS}/greeter").status_code == 404
    assert checked.delete(f"{PLUGINS}/greeter").status_code == 404
    assert send(checked, path).status_code == 201
    assert greeting(checked) == "Hello, Ada"
    assert events(checked) == ["PluginRegistered", "PluginDisabled", "PluginRemoved", "PluginRegistered"]


def test_a_wheel_and_bundled_libraries_are_found_by_the_code(checked: httpx.Client, tmp_path: Path) -> None:
    code = CODE.format(word="Hello", more="").replace('"Hello, "', "words.HELLO")
    manifest = MANIFEST.format(id="greeter", version="1.0", more="")
    python = {"greeter.py": f"import words\n{code}", "words/__init__.py": 'HELLO = "Hi, "'}
    wheel = whl(tmp_path / "greeter.whl", {"flexcore-plugin.toml": manifest, **python})
    assert send(checked, wheel).status_code == 201
    assert greeting(checked) == "Hi, Ada"
    library = wheel_bytes(tmp_path, {"words/__init__.py": 'HELLO = "Ahoy, "'})
    files = {"flexcore-plugin.toml": manifest.replace("1.0", "1.1"), "greeter.py": f"import words\n{code}"}
    bundle = tar_gz(tmp_path / "greeter.tar.gz", {**files, "wheels/words.whl": library})
    assert send(checked, bundle, replace="greeter").status_code == 200
    assert greeting(checked) == "Ahoy, Ada"


def test_the_log_says_where_a_version_came_from(checked: httpx.Client, package: MakePackage) -> None:
    send(checked, package())
    (event,) = checked.get("/api/v1/flexcore/events", params={"aggregate_id": "greeter"}).json()["events"]
    assert event["data"]["source"] == "upload"
    assert len(event["data"]["digest"]) == 64
    assert event["data"]["signed_by"] is None
    assert event["metadata"]["user_id"] == "api_token"


def test_another_version_is_put_in_its_place(checked: httpx.Client, package: MakePackage) -> None:
    send(checked, package())
    newer = package(version="1.1", word="Servus")
    assert "PUT /api/v1/flexcore/plugins/greeter" in problem(send(checked, newer), 409)
    same_version = package(word="Moin")
    assert "another package of the same version" in problem(send(checked, same_version), 409)
    answer = send(checked, newer, replace="greeter")
    assert (answer.status_code, answer.json()["version"]) == (200, "1.1")
    assert greeting(checked) == "Servus, Ada"
    assert send(checked, newer, replace="greeter").status_code == 200
    older = send(checked, package(), replace="greeter")
    assert (older.status_code, older.json()["version"]) == (200, "1.0")
    assert greeting(checked) == "Hello, Ada"
    assert events(checked) == ["PluginRegistered", "PluginUpgraded", "PluginUpgraded"]


def test_a_version_that_does_not_answer_leaves_the_present_one_in_place(
    checked: httpx.Client, package: MakePackage
) -> None:
    assert "it was never well" in problem(send(checked, package(code=SICK)), 422)
    assert checked.get(f"{PLUGINS}/greeter").status_code == 404
    send(checked, package())
    found = problem(send(checked, package(version="2.0", code=SICK), replace="greeter"), 422)
    assert "plugin 'greeter' 2.0 does not answer its health operation" in found
    assert greeting(checked) == "Hello, Ada"
    assert events(checked) == ["PluginRegistered"]


def test_what_can_not_be_installed_is_refused_with_every_reason(
    checked: httpx.Client, package: MakePackage, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(b"no package")
    answer = send(checked, bad)
    assert "is neither a .whl nor a .tar.gz" in problem(answer, 400)
    assert answer.json()["errors"][0]["field"] == "package"
    text = package().read_bytes()
    for files, data, field in (
        ({"parcel": ("a", text)}, {}, "parcel"),
        ({"signature": (None, "x")}, {}, "package"),
        ([("package", ("a", text)), ("package", ("b", text))], {}, "package"),
        ({"package": ("a", b"")}, {}, "package"),
        ({"package": ("a", text)}, {"signature": "x" * 300}, "signature"),
        ({"package": ("a", text)}, {"signature": "no base64!"}, "signature"),
    ):
        answer = checked.post(PLUGINS, files=files, data=data)
        problem(answer, 400)
        assert answer.json()["errors"][0]["field"] == field
    unfinished = b'--b\r\ncontent-disposition: form-data; name="package"\r\n\r\nabc'
    for content, kind in ((unfinished, "multipart/form-data; boundary=b"), (b"x", "multipart/form-data")):
        problem(checked.post(PLUGINS, content=content, headers={"content-type": kind}), 400)
    other = checked.post(PLUGINS, content=b"x", headers={"content-type": "text/plain"})
    assert "application/json or multipart/form-data" in problem(other, 415)
    assert "'simple-processor' comes with FlexCore" in problem(send(checked, package("simple-processor")), 409)
    send(checked, package())
    assert "holds plugin 'other', not 'greeter'" in problem(send(checked, package("other"), replace="greeter"), 400)
    assert "there is no plugin 'other'" in problem(send(checked, package("other"), replace="other"), 404)


def test_dependencies_have_to_be_there(checked: httpx.Client, package: MakePackage) -> None:
    needy = package("needy", requires={"greeter": ">=1.0,<2", "json-processor": ">=1"})
    found = problem(send(checked, needy), 422)
    assert "needy 1.0 → greeter >=1.0,<2 ('greeter' is not installed)" in found
    send(checked, package())
    assert send(checked, needy).json()["dependencies"] == ["greeter", "json-processor"]
    found = problem(send(checked, package(version="2.0"), replace="greeter"), 422)
    assert "greeter 2.0 does not fit those that depend on it: needy 1.0 → greeter >=1.0,<2" in found
    circle = problem(send(checked, package(version="1.5", requires={"needy": ""}), replace="greeter"), 422)
    assert "plugins would depend on each other" in circle
    assert "is needed by needy 1.0" in problem(checked.delete(f"{PLUGINS}/greeter"), 409)
    assert checked.delete(f"{PLUGINS}/greeter", params={"cascade": "true"}).status_code == 204
    ids = [plugin["id"] for plugin in checked.get(PLUGINS).json()["plugins"]]
    assert not {"greeter", "needy"} & set(ids)


def test_the_same_request_again_gets_the_same_answer(checked: httpx.Client, package: MakePackage) -> None:
    path, key = package(), str(uuid.uuid4())
    first, again = send(checked, path, key=key), send(checked, path, key=key)
    assert (first.status_code, again.status_code) == (201, 201)
    problem(send(checked, package(version="9.0"), key=key), 409)
    assert events(checked) == ["PluginRegistered"]
    headers = {"idempotency-key": key}
    for _ in range(2):
        assert checked.delete(f"{PLUGINS}/greeter", headers=headers).status_code == 204
    assert events(checked) == ["PluginRegistered", "PluginRemoved"]


def test_packages_may_be_larger_than_other_bodies_and_are_bounded(
    environ: dict[str, str], package: MakePackage, tmp_path: Path
) -> None:
    limits = {"FLEXCORE_MAX_BODY_BYTES": "1024", "FLEXCORE_PLUGINS_MAX_PACKAGE_BYTES": "20000"}
    with node({**environ, **limits}, tmp_path / "plugins") as client:
        large = tmp_path / "large.tar.gz"
        large.write_bytes(b"\x1f\x8b" + bytes(30_000))
        assert "20000 bytes" in problem(send(client, large), 413)
        large.write_bytes(b"\x1f\x8b" + bytes(300_000))
        assert "20000 bytes" in problem(send(client, large), 413)
        path = package(code=f"# {secrets.token_hex(2000)}\n")
        assert path.stat().st_size > 1024
        assert send(client, path).status_code == 201
        assert list((tmp_path / "plugins" / ".incoming").iterdir()) == []


def test_commands_do_the_same(checked: httpx.Client, package: MakePackage) -> None:
    send(checked, package())
    send(checked, package("needy", requires={"greeter": ">=1"}))

    def command(kind: str, **more: object) -> httpx.Response:
        body = {"command_type": kind, "command_id": str(uuid.uuid4()), "aggregate_id": "greeter", **more}
        return checked.post("/api/v1/flexcore/commands", json=body)

    assert command("RegisterPlugin").json()["result"]["events_generated"] == 0
    assert command("RegisterPlugin", payload={"source": "marketplace"}).status_code == 404
    assert command("RemovePlugin").status_code == 409
    assert command("RemovePlugin", payload={"cascade": True}).json()["result"]["events_generated"] == 2
    assert command("RegisterPlugin").status_code == 404


def test_guide_routes_know_installed_plugins(checked: httpx.Client, package: MakePackage) -> None:
    send(checked, package())
    assert checked.get("/api/v1/plugins/greeter").json() == {
        "name": "greeter", "version": "1.0", "status": "active", "dependencies": [], "entry_point": "greeter:Greeter",
    }  # fmt: skip
    assert checked.post("/api/v1/plugins/greeter/execute", json={"name": "Ada"}).json() == {"greeting": "Hello, Ada"}


@pytest.mark.parametrize("words", [["Hello"], ["Hello", "Servus"]])
def test_a_restart_keeps_everything(
    environ: dict[str, str], package: MakePackage, tmp_path: Path, words: list[str]
) -> None:
    directory = tmp_path / "plugins"
    with node(environ, directory) as client:
        for number, word in enumerate(words):
            path = package(version=f"1.{number}", word=word)
            assert send(client, path, replace="greeter" if number else None).status_code in (200, 201)
    (directory / "greeter" / "0123456789abcdef").mkdir()
    (directory / "leftover" / "0123456789abcdef").mkdir(parents=True)
    (directory / ".incoming" / "half").mkdir()
    with node(environ, directory) as client:
        assert greeting(client) == f"{words[-1]}, Ada"
        # Whatever no plugin uses goes, with the versions of before.
        wait_until(lambda: len(list((directory / "greeter").iterdir())) == 1, 20, "one version on the disk")
        assert not (directory / "leftover").exists()
        assert list((directory / ".incoming").iterdir()) == []


def test_a_node_without_its_files_installs_them_again(
    environ: dict[str, str], package: MakePackage, tmp_path: Path
) -> None:
    with node(environ, tmp_path / "one") as client:
        send(client, package())
    with node(environ, tmp_path / "two") as client:
        wait_until(lambda: greet(client).status_code == 200, 20, "the plugin on an empty node")


def test_a_directory_that_can_not_be_used_is_said_to_be_and_used_later(
    environ: dict[str, str], package: MakePackage, tmp_path: Path
) -> None:
    directory = tmp_path / "plugins"
    directory.write_text("a file where the directory should be")
    with node(environ, directory) as client:
        assert "to this node's disk" in problem(send(client, package()), 503)
        directory.unlink()
        wait_until(lambda: send(client, package()).status_code == 201, 30, "the directory being used")
        assert greeting(client) == "Hello, Ada"
