"""What every module has from its base: options, secrets that are hidden, warnings, and failures that explain."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.yaml import yaml_load

from plugins.doc_fragments.flexcore import ModuleDocFragment
from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import Reply, serving
from tests.unit.modules.conftest import RunMain
from tests.unit.modules.documentation import plain

Work = Callable[[Any, Any], Any]
RunWork = Callable[..., dict[str, Any]]
SOMEWHERE = "http://127.0.0.1:1"


@pytest.fixture
def base(project_modules: None) -> Any:
    return importlib.import_module("ansible.module_utils.flexcore_client.ansible_module")


@pytest.fixture
def run_work(base: Any, run_main: RunMain) -> RunWork:
    """Return a function that runs a module that does ``work`` and takes anything as ``data``."""

    def run(work: Work, **arguments: Any) -> dict[str, Any]:
        async def working(module: Any, client: Any) -> dict[str, Any]:
            found: dict[str, Any] = work(module, client) or {}
            return found

        spec = base.argument_spec(data={"type": "raw"})
        return run_main(lambda: base.FlexCoreModule(spec).run(working), **{"url": SOMEWHERE, **arguments})

    return run


def test_the_options_that_all_modules_share_are_those_documented(base: Any) -> None:
    shared = base.argument_spec()
    documented = yaml_load(ModuleDocFragment.CONNECTION)["options"]
    assert plain(shared, "options") == plain(documented, "suboptions")
    # Of an option whose name sounds of a secret Ansible wants to know whether it is one.
    assert {name: option["no_log"] for name, option in shared.items() if "no_log" in option} == {
        "token": True,
        "token_file": False,
        "password": True,
        "client_key": False,
        "proxy": True,
    }


def test_an_option_of_a_module_goes_before_a_shared_one(base: Any) -> None:
    assert base.argument_spec(api={"type": "int"}, own={"type": "bool"}) == {
        **base.argument_spec(),
        "api": {"type": "int"},
        "own": {"type": "bool"},
    }


def test_what_a_module_demands_of_its_options_together_is_asked_for(base: Any, run_main: RunMain) -> None:
    together = [("token", "username")]
    result = run_main(lambda: base.FlexCoreModule(base.argument_spec(), required_one_of=together), url=SOMEWHERE)
    assert result["msg"] == "one of the following is required: token, username"


@pytest.mark.parametrize(("found", "changed"), [({}, False), ({"changed": True}, True)])
def test_a_module_says_whether_it_changed_anything(found: dict[str, Any], changed: bool, run_work: RunWork) -> None:
    result = run_work(lambda _module, _client: found)
    assert result.keys() == {"changed", "invocation"}
    assert result["changed"] is changed


@pytest.mark.parametrize(
    ("data", "said", "shown"),
    [
        ({"api_key": "wxyz"}, "wxyz", "********"),
        ({"api_key": "xyz"}, "xyz", "xyz"),
        ({"a": [{"b": {"Client-Secret": "wxyz"}}]}, "wxyz", "********"),
        ({"a": {"password": "wxyz"}}, "wxyz", "********"),
        ({"secrets": {"a": ["wxyz", {"b": "stuv"}]}}, "wxyz stuv", "******** ********"),
        ({"token": {"a": {"b": 4711}}}, "4711", "********"),
        ({"token": None, "secret": [True, None]}, "None True", "None True"),
        ({"name": "wxyz"}, "wxyz", "wxyz"),
        (["wxyz", {"passphrase": "stuv"}], "wxyz stuv", "wxyz ********"),
    ],
)
def test_what_stands_under_the_name_of_a_secret_is_hidden(
    data: Any, said: str, shown: str, run_work: RunWork, host_log: list[str]
) -> None:
    result = run_work(lambda _module, _client: {"said": f"it is {said}."}, data=data)
    assert result["said"] == f"it is {shown}."
    hidden = set(said.split()) - set(shown.split())
    assert not [secret for secret in hidden if secret in "".join(host_log)]


@pytest.mark.parametrize(
    "environment",
    [
        {"FLEXCORE_TOKEN": "canary"},
        {"FLEXCORE_USERNAME": "me", "FLEXCORE_PASSWORD": "canary"},
        {"FLEXCORE_PROXY": "http://me:canary@127.0.0.1:1"},
        {"FLEXCORE_TOKEN_FILE": "{file}"},
    ],
    ids=lambda given: next(reversed(given)),
)
def test_a_secret_that_no_argument_gives_is_hidden(
    environment: Mapping[str, str], run_work: RunWork, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("canary\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(file=tmp_path / "token"))
    said = " ".join(environment.values())
    result = run_work(lambda _module, _client: {"said": f"{said} canary"})
    assert result["said"].endswith(" ********")
    assert "canary" not in result["said"]


PLAIN = [f"http://core{number}:8080" for number in range(1, 6)]
TRAVELS = "unencrypted to {}: use https, or run on that host itself."


@pytest.mark.parametrize(
    ("urls", "where"),
    [
        (PLAIN[:1], "http://core1:8080"),
        ([PLAIN[0], PLAIN[1], PLAIN[0]], "http://core1:8080, http://core2:8080"),
        (["no address", *PLAIN[:3]], "http://core1:8080, http://core2:8080, http://core3:8080"),
        (PLAIN[:4], "http://core1:8080, http://core2:8080, http://core3:8080 and 1 more"),
        (PLAIN, "http://core1:8080, http://core2:8080, http://core3:8080 and 2 more"),
        (["https://core1", SOMEWHERE], None),
    ],
    ids=["one", "one of them twice", "three", "four", "five", "none"],
)
def test_what_travels_in_the_clear_is_warned_about(urls: list[str], where: str | None, run_work: RunWork) -> None:
    result = run_work(lambda module, _client: module.warn_of_plain_http(urls))
    told = [warning["event"]["msg"] for warning in result.get("warnings", ())]
    assert told == ([] if where is None else ["What is asked and answered travels " + TRAVELS.format(where)])


@pytest.mark.parametrize("given", [{"token": "canary"}, {"token_file": "{file}"}, {"username": "a", "password": "b"}])
def test_a_secret_that_travels_in_the_clear_is_warned_about_before_it_does(
    given: dict[str, str], run_work: RunWork, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("canary\n")
    secret = {name: value.format(file=tmp_path / "token") for name, value in given.items()}
    result = run_work(lambda _module, _client: None, url=PLAIN[0], **secret)
    assert [warning["event"]["msg"] for warning in result["warnings"]] == [
        "The token or password travels " + TRAVELS.format(PLAIN[0])
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "url is missing: give it, or set FLEXCORE_URL, for example http://127.0.0.1:8080"),
        ("redis://10.0.0.1", "url is redis://10.0.0.1:6379: FlexCore is asked over http:// or https://"),
    ],
)
def test_what_is_no_address_of_a_flexcore_is_refused(url: str | None, words: str, run_work: RunWork) -> None:
    result = run_work(lambda _module, _client: None, url=url)
    assert (result["failure"], result["msg"]) == ("input", words)


def test_a_password_in_an_address_is_refused_and_hidden(run_work: RunWork) -> None:
    result = run_work(lambda _module, _client: None, url="http://me:canary@core1")
    assert result["failure"] == "input"
    assert result["invocation"]["module_args"]["url"] == "http://me:********@core1"
    assert "canary" not in repr(result)


def test_a_server_that_keeps_failing_is_left_alone(
    base: Any, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(base, "SystemClock", lambda: clock)

    async def ask(_module: Any, client: Any) -> Any:
        return await client.get("/x")

    with serving({"/x": Reply("", 503)}) as double:
        arguments = {"url": double.url, "retries": 9, "timeout": 60}
        result = run_main(lambda: base.FlexCoreModule(base.argument_spec()).run(ask), **arguments)
        assert (len(double.seen), len(clock.slept)) == (5, 5)
    assert "not asked after 5 failures in a row" in result["msg"]


@pytest.mark.parametrize(
    ("error", "library"), [(ImportError("no", name="idna"), "idna"), (ImportError("no name"), "h11")]
)
def test_a_library_that_is_missing_is_named(
    error: ImportError, library: str, base: Any, run_work: RunWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for: list[Any] = []
    monkeypatch.setattr(base, "probe_interpreters_for_module", lambda *wanted: looked_for.append(wanted))

    def fail(_module: Any, _client: Any) -> None:
        raise error

    result = run_work(fail)
    assert looked_for == [(["/opt/flexcore/current/bin/python"], "h11")]
    assert result["msg"].startswith(f"Failed to import the required Python library ({library}) on ")
    assert result["msg"].endswith(
        " Debian has it as python3-h11. A deployed FlexCore brings it under /opt/flexcore/current/bin/python, which is "
        "missing or has none: deploy FlexCore or install it."
    )


def test_a_failure_is_told_with_all_that_is_known_of_it(run_work: RunWork, base: Any) -> None:
    errors = importlib.import_module("ansible.module_utils.flexcore_client.errors")

    def fail(_module: Any, _client: Any) -> None:
        raise errors.ClientError(
            errors.FailureKind.TIMEOUT,
            what="GET x",
            reason="nothing came",
            next_step="Wait.",
            phase="total",
            http_status=503,
            facts={"node": 7},
        )

    result = run_work(fail)
    del result["invocation"]
    assert result == {
        "failed": True,
        "msg": "GET x: nothing came. Wait.",
        "failure": "timeout",
        "phase": "total",
        "http_status": 503,
        "node": 7,
    }
