"""A plugin is brought to the state that is wanted, in as few steps as it takes, and check mode predicts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flexcore_client.errors import ClientError, InputError
from flexcore_client.plugin_work import bring_about

from tests.doubles import dialects
from tests.doubles.fake_clock import FakeClock
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import HttpDouble, Reply, serving
from tests.unit.client.asking import API, ask, keeping, told
from tests.unit.modules.scenarios import package

PLUGINS = f"{API}/plugins"


def bring(double: HttpDouble, clock: FakeClock | None = None, api: str = "flexcore-v1", **wanted: Any) -> Any:
    plain = {"plugin_id": None, "state": "present", "version": None, "src": None, "cascade": False}
    order = {**plain, "wait_seconds": None, "dry": False, **wanted}
    return ask(double, lambda client: bring_about(client, **order), clock, api)


def holding(version: str, status: str = "active") -> FlexCoreDouble:
    state = FlexCoreDouble()
    state.plugins["greeter"] = state.plugin("greeter", version, status)
    return state


def shown(version: str, status: str = "active") -> dict[str, Any]:
    return {"id": "greeter", "version": version, "status": status}


def changed(before: dict[str, Any], after: dict[str, Any], *actions: str) -> dict[str, Any]:
    diff = {"before": before, "after": after}
    return {"changed": before != after, "diff": diff, "plugin": after, "actions": list(actions)}


@pytest.mark.parametrize("dry", [False, True])
def test_a_plugin_comes_from_the_marketplace(dry: bool) -> None:
    with keeping(FlexCoreDouble()) as double:
        result = bring(double, plugin_id="greeter", dry=dry)
    assert result == changed({}, shown("1.3.0"), "install")
    assert double.paths[:2] == [f"{PLUGINS}/greeter", f"{API}/marketplace"]
    assert double.writes == ([] if dry else [f"POST {PLUGINS}"])
    assert dry or double.seen[-1].json == {"source": "marketplace", "id": "greeter", "version": "1.3.0"}


@pytest.mark.parametrize("dry", [False, True])
def test_another_version_takes_its_place_and_is_enabled_after_that(dry: bool) -> None:
    with keeping(holding("1.2.0", "inactive")) as double:
        result = bring(double, plugin_id="greeter", state="enabled", version="1.3.0", dry=dry)
    assert result == changed(shown("1.2.0", "inactive"), shown("1.3.0"), "upgrade", "enable")
    assert double.writes == ([] if dry else [f"PUT {PLUGINS}/greeter", f"POST {PLUGINS}/greeter/enable"])
    assert dry or double.seen[-2].json == {"source": "marketplace", "id": "greeter", "version": "1.3.0"}


@pytest.mark.parametrize(("installed", "method"), [(False, "POST"), (True, "PUT")])
def test_a_plugin_comes_from_a_package_which_names_it(installed: bool, method: str, tmp_path: Path) -> None:
    state = holding("1.2.0") if installed else FlexCoreDouble()
    with keeping(state) as double:
        bring(double, src=package(tmp_path))
    assert [seen.method for seen in double.seen] == ["GET", method]
    assert double.seen[-1].headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'filename="greeter-1.5.0.tar.gz"' in double.seen[-1].body
    assert state.plugins["greeter"]["version"] == "1.5.0"


def test_a_package_may_be_named_as_what_it_is(tmp_path: Path) -> None:
    with keeping(holding("1.5.0")) as double:
        result = bring(double, plugin_id="greeter", src=package(tmp_path), version="~=1.5")
    assert result == changed(shown("1.5.0"), shown("1.5.0"))
    assert double.writes == []


@pytest.mark.parametrize(
    ("wanted", "query"),
    [({}, {}), ({"cascade": True}, {"cascade": "true"}), ({"src": "/nowhere/greeter.whl"}, {})],
    ids=["alone", "with those that depend on it", "whose package is gone"],
)
@pytest.mark.parametrize("dry", [False, True])
def test_a_plugin_is_removed(wanted: dict[str, Any], query: dict[str, str], dry: bool) -> None:
    with keeping(holding("1.2.0")) as double:
        result = bring(double, plugin_id="greeter", state="absent", wait_seconds=5.0, dry=dry, **wanted)
    assert result == changed(shown("1.2.0"), {}, "remove")
    assert double.writes == ([] if dry else [f"DELETE {PLUGINS}/greeter"])
    assert double.seen[-1].query == ({} if dry else query)


def test_a_plugin_is_disabled_and_not_waited_for() -> None:
    with keeping(holding("1.2.0")) as double:
        result = bring(double, plugin_id="greeter", state="disabled", wait_seconds=5.0)
    assert result == changed(shown("1.2.0"), shown("1.2.0", "inactive"), "disable")
    assert double.paths[1:] == [f"{PLUGINS}/greeter/disable"]


def answering(state: FlexCoreDouble, *replies: Reply) -> FlexCoreDouble:
    """Let the plugins of ``state`` answer so when they are executed, the last reply for ever."""
    left = list(replies)
    state._execute = lambda seen, name: left.pop(0) if len(left) > 1 else left[0]  # type: ignore[method-assign]
    state._routes.clear()
    state._add_plugins()
    return state


WELL = Reply({"result": {"success": True}})
STARTING = Reply({"detail": "it starts"}, 409)


@pytest.mark.parametrize(
    ("wanted", "method"), [({"version": "1.3.0"}, "PUT"), ({"state": "enabled", "version": "1.2.0"}, "POST")]
)
def test_a_plugin_that_was_changed_is_waited_for_until_it_answers(wanted: dict[str, str], method: str) -> None:
    clock = FakeClock()
    with keeping(answering(holding("1.2.0", "inactive" if method == "POST" else "active"), STARTING, WELL)) as double:
        bring(double, clock, plugin_id="greeter", wait_seconds=5.0, **wanted)
    assert clock.slept == [0.5]
    assert [write.partition(" ")[0] for write in double.writes] == [method, "POST", "POST"]
    assert double.writes[1:] == [f"POST {PLUGINS}/greeter/execute"] * 2


def test_one_that_does_not_answer_in_time_is_told_with_what_it_said_last() -> None:
    clock = FakeClock()
    with keeping(answering(holding("1.2.0"), STARTING)) as double, pytest.raises(ClientError) as caught:
        bring(double, clock, plugin_id="greeter", version="1.3.0", wait_seconds=1.25)
    assert clock.slept == [0.5, 0.5, 0.25]
    assert told(caught.value) == {
        "kind": "timeout",
        "text": f"Waiting for plugin greeter at {double.url}: "
        "it does not answer after 1.25 s: answered 409: it starts. "
        "Read the plugin's log on the server, or allow more time (wait_timeout).",
        "phase": "total",
        "http_status": None,
        "facts": {},
    }


def test_a_version_that_the_server_did_not_take_is_waited_for_in_vain() -> None:
    state = answering(holding("1.2.0"), WELL)
    state._source = lambda seen: ("greeter", "1.2.0")  # type: ignore[method-assign]
    with keeping(state) as double, pytest.raises(ClientError, match=r"after 0 s: its version is still 1\.2\.0"):
        bring(double, plugin_id="greeter", version="1.3.0", wait_seconds=0.0)


def test_one_that_is_as_it_is_wanted_is_neither_changed_nor_asked() -> None:
    with keeping(answering(holding("1.2.0"), STARTING)) as double:
        result = bring(double, plugin_id="greeter", wait_seconds=5.0)
    assert result == changed(shown("1.2.0"), shown("1.2.0"))
    assert double.paths == [f"{PLUGINS}/greeter"]


@pytest.mark.parametrize("wanted", [{"wait_seconds": None}, {"wait_seconds": 5.0, "dry": True}])
def test_nobody_waits_who_was_not_told_to(wanted: dict[str, Any]) -> None:
    with keeping(answering(holding("1.2.0"), STARTING)) as double:
        bring(double, plugin_id="greeter", version="1.3.0", **wanted)
    assert f"{PLUGINS}/greeter/execute" not in double.paths


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"plugin_id": "other"}, "id is 'other', but the package in src is of plugin 'greeter'"),
        ({"state": "absent"}, "id is missing: name the plugin to remove"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anybody_is_asked(
    wanted: dict[str, str], words: str, tmp_path: Path
) -> None:
    with serving({}) as double, pytest.raises(InputError) as caught:
        bring(double, src=package(tmp_path), **wanted)
    assert str(caught.value) == words
    assert double.seen == []


def test_other_generations_change_no_plugins() -> None:
    with serving(dialects.legacy_2025()) as double, pytest.raises(ClientError) as caught:
        bring(double, plugin_id="p1", api="legacy-2025")
    assert caught.value.reason == "this server (legacy-2025) does not offer changes of its plugins"
    assert double.seen == []
