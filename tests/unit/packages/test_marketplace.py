"""The marketplace: which version is meant, whose packages are taken, and what an index may say."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from flexcore.application.marketplace import OfferedPlugin, OfferedVersion, choose
from flexcore.application.package_trust import PackageTrust
from flexcore.domain.errors import FlexCoreError, InvalidInput, NotFound, NotInstallable, Unavailable
from flexcore.infrastructure.marketplace.signatures import TrustedKeys, make_key, public_text, sign
from flexcore.infrastructure.marketplace.sources import DirectoryMarketplace, NoMarketplace, open_marketplace

DIGEST = "0" * 64


def plugin(plugin_id: str, *versions: str) -> OfferedPlugin:
    return OfferedPlugin(
        plugin_id, "", "", "", tuple(OfferedVersion(each, "file", DIGEST, 1, {}, None) for each in versions)
    )


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [(None, "1.10"), ("1.2", "1.2"), ("v1.2.0", "1.2"), (">=1,<1.3", "1.2"), ("<1.2", "1.0"), ("2.0rc1", "2.0rc1")],
)
def test_the_newest_version_that_is_allowed_is_meant(wanted: str | None, chosen: str) -> None:
    assert choose([plugin("a", "1.0", "1.10", "1.2", "2.0rc1")], "a", wanted).version == chosen


@pytest.mark.parametrize(
    ("plugin_id", "wanted", "kind", "message"),
    [
        ("b", None, NotFound, "the marketplace has no plugin 'b'"),
        ("a", "9", NotFound, "the marketplace has no version 9 of plugin 'a'; it has 1.1, 1.0"),
        ("a", "newest", InvalidInput, "version must be a version, or a range"),
    ],
)
def test_what_it_does_not_have_is_named(
    plugin_id: str, wanted: str | None, kind: type[FlexCoreError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        choose([plugin("a", "1.0", "1.1")], plugin_id, wanted)


@pytest.mark.parametrize("require_signature", [True, False])
@pytest.mark.parametrize("allow_unsigned", [True, False])
@pytest.mark.parametrize("keys", ["ours", "none"])
@pytest.mark.parametrize("signed_by", ["us", "stranger", None])
def test_whose_packages_are_taken(
    tmp_path: Path, require_signature: bool, allow_unsigned: bool, keys: str, signed_by: str | None
) -> None:
    made = {name: make_key(tmp_path / name) for name in ("us", "stranger")}
    signature = None if signed_by is None else sign(made[signed_by], "a", "1.0", DIGEST)
    trusted = TrustedKeys({"us": public_text(made["us"])} if keys == "ours" else {})
    trust = PackageTrust(trusted, require_signature=require_signature, allow_unsigned=allow_unsigned)
    known = signed_by == "us" and keys == "ours"

    def judged(check: Any) -> Any:
        try:
            return check("a", "1.0", DIGEST, signature)
        except (InvalidInput, NotInstallable):
            return "refused"

    upload, offer = judged(trust.check_upload), judged(trust.check_offer)
    if known:
        assert (upload, offer) == ("us", "us")
    elif signed_by is None:
        assert (upload, offer) == ("refused" if require_signature else None, None if allow_unsigned else "refused")
    else:
        assert upload == "refused"
        assert offer == (None if allow_unsigned and keys == "none" else "refused")
    assert trust.signer("a", "1.0", DIGEST, signature) == ("us" if known else None)


def index(tmp_path: Path, **changes: Any) -> None:
    version = {"version": "1.0", "file": "a.whl", "sha256": DIGEST, "size": 1, **changes}
    plugins = [{"id": "a", "name": "A", "type": "t", "description": "", "versions": [version]}]
    (tmp_path / "index.json").write_text(json.dumps({"format": 1, "plugins": plugins}))


def test_a_directory_is_read(tmp_path: Path) -> None:
    index(tmp_path, dependencies={"b": ">=1"})
    (tmp_path / "a.whl").write_bytes(b"x")
    market = open_marketplace(str(tmp_path), 10)
    (found,) = asyncio.run(market.plugins())
    assert (found.id, found.versions[0].dependencies) == ("a", {"b": ">=1"})
    asyncio.run(market.download(found.versions[0], tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"x"


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../../etc/passwd"},
        {"file": "/etc/passwd"},
        {"file": ".hidden"},
        {"sha256": "x"},
        {"version": "one"},
        {"dependencies": {"b": "about 1"}},
        {"signature": "x" * 1000},
        {"size": -1},
    ],
)
def test_an_index_that_makes_no_sense_is_no_index(tmp_path: Path, changes: dict[str, Any]) -> None:
    index(tmp_path, **changes)
    with pytest.raises(Unavailable, match="index is not valid"):
        asyncio.run(DirectoryMarketplace(tmp_path, 10).plugins())


def test_what_is_not_there_or_too_large_is_named(tmp_path: Path) -> None:
    market = DirectoryMarketplace(tmp_path, 10)
    with pytest.raises(Unavailable, match="index can't be read: No such file"):
        asyncio.run(market.plugins())
    version = OfferedVersion("1.0", "a.whl", DIGEST, 1, {}, None)
    with pytest.raises(NotFound, match=r"lists 'a\.whl' and does not have it"):
        asyncio.run(market.download(version, tmp_path / "copy"))
    (tmp_path / "a.whl").write_bytes(b"x" * 11)
    with pytest.raises(NotInstallable, match="larger than 10 bytes"):
        asyncio.run(market.download(version, tmp_path / "copy"))


def test_without_a_marketplace_there_is_nothing(tmp_path: Path) -> None:
    market = open_marketplace(None, 10)
    assert isinstance(market, NoMarketplace)
    assert asyncio.run(market.plugins()) == ()
