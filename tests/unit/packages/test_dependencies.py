"""Dependencies between plugins: what is installed along, and what is refused with which chain."""

from collections.abc import Mapping

import pytest

from flexcore.application.plugin_dependencies import Offer, dependents, plan
from flexcore.domain.errors import NotInstallable
from flexcore.domain.plugin import Plugin


def plugin(plugin_id: str, version: str = "1.0", **requires: str) -> Plugin:
    return Plugin(plugin_id, version=version, requires=requires, registered={version})


def offer(plugin_id: str, version: str = "1.0", **requires: str) -> Offer:
    return Offer(plugin_id, version, requires)


def planned(wanted: Offer, *installed: Plugin, offers: Mapping[str, list[Offer]] | None = None) -> list[str]:
    return [str(each) for each in plan(wanted, installed, lambda plugin_id: (offers or {}).get(plugin_id, ()))]


def refused(wanted: Offer, *installed: Plugin, offers: Mapping[str, list[Offer]] | None = None) -> str:
    with pytest.raises(NotInstallable) as caught:
        planned(wanted, *installed, offers=offers)
    return str(caught.value)


def test_what_is_there_is_not_installed_again() -> None:
    assert planned(offer("a")) == ["a 1.0"]
    assert planned(offer("a", b=">=1", c=""), plugin("b", "1.5"), plugin("c")) == ["a 1.0"]


def test_what_lacks_is_installed_along_dependencies_first() -> None:
    offers = {"b": [offer("b", "1.0"), offer("b", "1.2", c="<3"), offer("b", "2.0")], "c": [offer("c", "2.0")]}
    assert planned(offer("a", b="<2"), offers=offers) == ["c 2.0", "b 1.2", "a 1.0"]


def test_an_older_version_is_taken_where_the_newest_fits_nobody() -> None:
    offers = {"b": [offer("b", "1.0"), offer("b", "1.1", c=">=2")], "c": [offer("c", "1.0")]}
    assert planned(offer("a", b="", c=""), offers=offers) == ["b 1.0", "c 1.0", "a 1.0"]


def test_versions_before_a_release_are_taken_only_where_they_are_asked_for() -> None:
    offers = {"b": [offer("b", "1.0"), offer("b", "2.0rc1")]}
    assert planned(offer("a", b=">=1"), offers=offers) == ["b 1.0", "a 1.0"]
    assert planned(offer("a", b=">=2.0rc1"), offers=offers) == ["b 2.0rc1", "a 1.0"]


def test_what_is_missing_is_named_with_the_way_to_it() -> None:
    assert "a 1.0 → b >=1 ('b' is not installed)" in refused(offer("a", b=">=1"))
    offers = {"b": [offer("b", c="")]}
    assert "a 1.0 → b 1.0 → c ('c' is not installed)" in refused(offer("a", b=""), offers=offers)
    offers = {"b": [offer("b", "1.0"), offer("b", "1.5")]}
    assert "a 1.0 → b >=2 (there are only versions 1.0, 1.5)" in refused(offer("a", b=">=2"), offers=offers)


def test_what_is_installed_is_never_replaced_on_the_way() -> None:
    offers = {"b": [offer("b", "2.0")]}
    found = refused(offer("a", b=">=2"), plugin("b", "1.0"), offers=offers)
    assert "a 1.0 → b >=2 (installed is version 1.0)" in found


def test_ranges_that_contradict_each_other_are_both_named() -> None:
    offers = {"b": [offer("b", d="<2")], "c": [offer("c", d=">=2")], "d": [offer("d", "1.0"), offer("d", "2.0")]}
    found = refused(offer("a", b="", c=""), offers=offers)
    assert "its dependencies contradict each other" in found
    assert "a 1.0 → b 1.0 → d <2" in found
    assert "a 1.0 → c 1.0 → d >=2" in found


def test_those_that_depend_on_a_plugin_have_a_say_in_its_version() -> None:
    needy = plugin("needy", "3.0", a=">=1,<2")
    assert planned(offer("a", "1.9"), plugin("a", "1.0"), needy) == ["a 1.9"]
    found = refused(offer("a", "2.0"), plugin("a", "1.0"), needy)
    assert found == "a 2.0 does not fit those that depend on it: needy 3.0 → a >=1,<2"


def test_circles_are_refused() -> None:
    assert "plugins would depend on each other, a → a" in refused(offer("a", a=""))
    found = refused(offer("a", b=""), plugin("b", c=""), plugin("c", a=""), plugin("a"))
    assert "would depend on each other" in found
    names = found.rpartition(", ")[2].split(" → ")
    assert names[0] == names[-1]
    assert {*names} == {"a", "b", "c"}


def test_a_search_that_is_too_hard_is_given_up() -> None:
    offers = {f"p{n}": [offer(f"p{n}", f"1.{v}", **{f"p{n + 1}": f"=={v}.0"}) for v in range(60)] for n in range(60)}
    assert "can't be installed" in refused(offer("a", p0=""), offers=offers)


def test_dependents_are_found_in_the_order_to_remove_them() -> None:
    plugins = [plugin("a"), plugin("b", a=""), plugin("c", b="", a=""), plugin("d", x=""), plugin("x")]
    assert [each.id for each in dependents("a", plugins)] == ["c", "b"]
    assert dependents("c", plugins) == []
