"""What has to be done so that a plugin is as it is wanted, for every state, and what cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flexcore_client.change import Change
from flexcore_client.errors import InputError
from flexcore_client.plugin_goal import PluginGoal, PluginPlan

OFFERED = ["1.0.0", "1.3.0", "1.2.0", "2.0.0rc1"]


Wanted = Callable[[], PluginGoal]


def goal(state: str, wanted: str | None = None, packaged: str | None = None) -> Wanted:
    """How the plugin is wanted, to be made where a test runs: that may be refused already."""
    return lambda: PluginGoal("greeter", state, packaged, wanted)


def plugin(version: Any, status: str = "active") -> dict[str, Any]:
    return {"id": "greeter", "version": version, "status": status}


@pytest.mark.parametrize(
    ("wanted", "installed", "offered", "after", "steps"),
    [
        # Whatever there is, is present; what is not there, is installed.
        (goal("present"), None, OFFERED, plugin("1.3.0"), {"installs": "1.3.0"}),
        (goal("present", "<1.3"), None, OFFERED, plugin("1.2.0"), {"installs": "1.2.0"}),
        (goal("present", packaged="1.5.0"), None, [], plugin("1.5.0"), {"installs": "1.5.0"}),
        (goal("present"), plugin("0.9"), [], plugin("0.9"), {}),
        (goal("present"), plugin("odd"), [], plugin("odd"), {}),
        (goal("present"), plugin("0.9", "inactive"), [], plugin("0.9", "inactive"), {}),
        (goal("present", "~=1.0"), plugin("1.2.0"), OFFERED, plugin("1.2.0"), {}),
        # Another version takes its place, newer or older; the same one written otherwise does not.
        (goal("present", "1.3.0"), plugin("1.2.0"), OFFERED, plugin("1.3.0"), {"upgrades": "1.3.0"}),
        (goal("present", "<1.2"), plugin("1.2.0"), OFFERED, plugin("1.0.0"), {"upgrades": "1.0.0"}),
        (goal("present", ">=1"), plugin("odd"), OFFERED, plugin("1.3.0"), {"upgrades": "1.3.0"}),
        (goal("present", "1.2.0"), plugin("1.2"), OFFERED, plugin("1.2"), {}),
        (goal("present", packaged="1.2.0"), plugin("1.2"), [], plugin("1.2"), {}),
        (goal("present", packaged="1.2.0"), plugin("1.3.0"), [], plugin("1.2.0"), {"upgrades": "1.2.0"}),
        (goal("present", ">1", packaged="1.5.0"), plugin("1.2.0"), [], plugin("1.5.0"), {"upgrades": "1.5.0"}),
        # The latest is the newest on offer, unless what is there is newer, or nothing better is on offer.
        (goal("latest"), None, OFFERED, plugin("1.3.0"), {"installs": "1.3.0"}),
        (goal("latest"), plugin("1.2.0"), OFFERED, plugin("1.3.0"), {"upgrades": "1.3.0"}),
        (goal("latest"), plugin("1.2.0", "inactive"), OFFERED, plugin("1.3.0", "inactive"), {"upgrades": "1.3.0"}),
        (goal("latest"), plugin("1.3.0"), OFFERED, plugin("1.3.0"), {}),
        (goal("latest"), plugin("3.0"), OFFERED, plugin("3.0"), {}),
        (goal("latest", "<4"), plugin("3.0"), OFFERED, plugin("3.0"), {}),
        (goal("latest", "<2"), plugin("3.0"), OFFERED, plugin("1.3.0"), {"upgrades": "1.3.0"}),
        (goal("latest"), plugin("1.2.0"), [], plugin("1.2.0"), {}),
        (goal("latest", "<1.3"), plugin("1.2.5"), ["1.3.0"], plugin("1.2.5"), {}),
        # A plugin in error is enabled, though this node cannot run it.
        (goal("enabled"), plugin("1.2.0"), [], plugin("1.2.0"), {}),
        (goal("enabled"), plugin("1.2.0", "error"), [], plugin("1.2.0", "error"), {}),
        (goal("enabled"), plugin("1.2.0", "inactive"), [], plugin("1.2.0"), {"switches": True}),
        (goal("enabled", "1.3.0"), None, OFFERED, plugin("1.3.0"), {"installs": "1.3.0"}),
        (
            goal("enabled", "1.3.0"),
            plugin("1.2.0", "inactive"),
            OFFERED,
            plugin("1.3.0"),
            {"upgrades": "1.3.0", "switches": True},
        ),
        (goal("disabled"), plugin("1.2.0", "inactive"), [], plugin("1.2.0", "inactive"), {}),
        (goal("disabled"), plugin("1.2.0"), [], plugin("1.2.0", "inactive"), {"switches": False}),
        (goal("disabled"), plugin("1.2.0", "error"), [], plugin("1.2.0", "inactive"), {"switches": False}),
        (
            goal("disabled", "1.3.0"),
            None,
            OFFERED,
            plugin("1.3.0", "inactive"),
            {"installs": "1.3.0", "switches": False},
        ),
        (goal("absent"), plugin("1.2.0"), [], {}, {"removes": True}),
        (goal("absent"), None, [], {}, {}),
    ],
)
def test_the_plan_is_what_leads_from_what_is_there_to_what_is_wanted(
    wanted: Wanted, installed: Any, offered: list[str], after: dict[str, Any], steps: dict[str, Any]
) -> None:
    assert wanted().plan(installed, offered) == PluginPlan(Change(installed or {}, after), **steps)


@pytest.mark.parametrize(
    ("wanted", "installed", "offered", "words"),
    [
        (
            goal("enabled"),
            None,
            OFFERED,
            "plugin greeter is not installed, so it cannot be enabled: "
            "give src or version to have it installed, or use state present",
        ),
        (
            goal("disabled"),
            None,
            OFFERED,
            "plugin greeter is not installed, so it cannot be disabled: "
            "give src or version to have it installed, or use state present",
        ),
        (
            goal("present"),
            None,
            [],
            "the marketplace has no plugin greeter; the server's setting marketplace.source says where it looks",
        ),
        (
            goal("present", ">9"),
            plugin("1.2.0"),
            ["1.0.0", "1.3.0"],
            "the marketplace has no version of greeter within >9: it has 1.0.0, 1.3.0",
        ),
        (goal("latest"), None, ["odd"], "the marketplace has no version of greeter: it has odd"),
    ],
)
def test_what_cannot_be_had_is_refused(wanted: Wanted, installed: Any, offered: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        wanted().plan(installed, offered)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("latest", None, "1.5.0"), "state is latest and src is given: the package has one version; use state present"),
        (("present", "<1", "1.5.0"), "version is '<1', but the package in src has 1.5.0"),
    ],
)
def test_a_package_that_contradicts_what_is_wanted_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InputError) as caught:
        goal(*arguments)()
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("wanted", "installed", "needed"),
    [
        (goal("present"), None, True),
        (goal("present"), plugin("1.2.0"), False),
        (goal("present", ">=1"), plugin("1.2.0"), False),
        (goal("present", ">=2"), plugin("1.2.0"), True),
        (goal("present", ">=1"), plugin("odd"), True),
        (goal("present"), plugin("odd"), False),
        (goal("present", packaged="1.5.0"), None, False),
        (goal("present", packaged="1.5.0"), plugin("1.2.0"), False),
        (goal("latest"), None, True),
        (goal("latest"), plugin("1.2.0"), True),
        (goal("enabled"), None, False),
        (goal("enabled", "1.2.0"), None, True),
        (goal("enabled", "1.3.0"), plugin("1.2.0"), True),
        (goal("disabled"), plugin("1.2.0"), False),
        (goal("absent"), None, False),
        (goal("absent"), plugin("1.2.0"), False),
    ],
)
def test_the_marketplace_is_asked_only_where_it_takes_it(wanted: Wanted, installed: Any, needed: bool) -> None:
    assert wanted().needs_marketplace(installed) is needed
