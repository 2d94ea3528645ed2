"""Versions and ranges mean what they mean to the library that the server uses for them."""

from __future__ import annotations

import pytest
from flexcore_client.errors import InputError
from flexcore_client.versions import parse_range, parse_version, same_version
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

small = st.integers(0, 3).map(str)
releases = st.lists(small, min_size=1, max_size=4).map(".".join)
suffixes = st.tuples(
    st.sampled_from(["", "a1", "b2", "rc1", ".alpha.1", "-beta", "c"]),
    st.sampled_from(["", ".post1", "-2", ".rev3"]),
    st.sampled_from(["", ".dev1", "dev2", ".dev"]),
).map("".join)
versions = st.builds(lambda release, suffix: release + suffix, releases, suffixes)
clauses = st.one_of(
    st.builds(
        lambda operator, version: operator + version, st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]), versions
    ),
    st.builds(lambda operator, release: f"{operator}{release}.*", st.sampled_from(["==", "!="]), releases),
    st.builds(lambda release, suffix: f"~={release}.1{suffix}", releases, suffixes),
)


@given(versions, versions)
def test_the_order_is_that_of_the_standard(one: str, other: str) -> None:
    left, right = parse_version(one), parse_version(other)
    assert (left < right, left == right) == (Version(one) < Version(other), Version(one) == Version(other))
    assert left.is_prerelease == Version(one).is_prerelease


@example(">1.dev1", "1.post1")
@example("<1.post1", "1.dev1")
@given(st.lists(clauses, min_size=1, max_size=3).map(",".join), versions)
def test_a_range_holds_what_the_standard_says(text: str, candidate: str) -> None:
    expected = SpecifierSet(text).contains(candidate, prereleases=True)
    assert parse_range(text).allows(parse_version(candidate)) == expected


@pytest.mark.parametrize(
    ("text", "candidate", "allowed"),
    [
        ("~=1.4.2", "1.4.5", True),
        ("~=1.4.2", "1.4.1", False),
        ("~=1.4.2", "1.5", False),
        ("~=1.4", "1.4", True),
        ("~=1.4", "1.9", True),
        ("~=1.4", "2.0", False),
        ("<2", "1.9", True),
        ("<2", "2.0rc1", False),
        ("<2", "2.dev0", False),
        ("<2", "2", False),
        ("<2rc1", "2b1", True),
        ("<2rc1", "2rc1.dev1", True),
        ("<2rc1", "2rc1", False),
        ("<2.post1", "2", True),
        (">1", "1", False),
        (">1", "1.0.post1", False),
        (">1", "1.1", True),
        (">1", "1.1.post1", True),
        (">1.post1", "1.post2", True),
        (">1.dev1", "1.post1", True),
        (">1rc1", "1rc1.post1", False),
        (">1rc1", "1.post1", True),
        ("!=1", "1.0", False),
        ("!=1", "2", True),
        ("<=1", "1", True),
        ("<=1", "1.1", False),
        (">=1", "1", True),
        (">=1", "0.9", False),
        ("==1.0.*", "1", True),
        ("==1.*", "2", False),
        ("!=1.*", "1.9", False),
        ("!=1.*", "2", True),
    ],
)
def test_every_kind_of_range_at_its_limits(text: str, candidate: str, allowed: bool) -> None:
    assert SpecifierSet(text).contains(candidate, prereleases=True) is allowed
    assert parse_range(text).allows(parse_version(candidate)) is allowed


@pytest.mark.parametrize("text", ["1.2", "===1.2"])
def test_a_version_alone_is_the_range_of_just_that_one(text: str) -> None:
    only = parse_range(text)
    assert only.allows(parse_version("1.2.0"))
    assert not only.allows(parse_version("1.2.1"))
    assert not only.allows(parse_version("1.2rc1"))


@pytest.mark.parametrize(
    ("short", "long"), [("1-2", "1.post2"), ("1.post", "1.post0"), ("1rc", "1rc0"), ("1.dev", "1.dev0"), ("v1", "1.0")]
)
def test_a_number_left_out_is_zero(short: str, long: str) -> None:
    assert parse_version(short) == parse_version(long)
    assert parse_version(short) != parse_version("1.post7")
    assert parse_version("1.post0") != parse_version("1")


@pytest.mark.parametrize(
    ("text", "offered", "newest"),
    [
        (">=1", ["1.0", "1.10", "1.9", "2.0rc1"], "1.10"),
        ("==2.0rc1", ["1.0", "2.0rc1"], "2.0rc1"),
        (">=2.0rc1", ["2.0rc1", "2.0"], "2.0"),
        (">=2.0rc1", ["2.0", "2.1rc1"], "2.1rc1"),
        (">=2", ["1.0"], None),
        ("<3", ["2.0rc1"], "2.0rc1"),
        ("<3", ["no version", "1"], "1"),
    ],
)
def test_the_newest_in_a_range(text: str, offered: list[str], newest: str | None) -> None:
    assert parse_range(text).newest(offered) == newest


@pytest.mark.parametrize("text", ["", "newest", "1.x", ">=", "=>1", "~=1", ">=1.*", "1,", "1!2.0", "1.0+local"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(InputError, match="allowed are"):
        parse_range(text)


def test_the_same_version_written_differently() -> None:
    assert same_version("1.0", "1.0.0")
    assert not same_version("1.0", "1.1")
    assert not same_version("odd", "1.0")
    assert same_version("odd", "odd")
    assert not same_version("odd", "other")
