"""Installing on nodes that share a log: what is recorded when, and what becomes of what fails."""

import itertools
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flexcore.application import plugin_installation
from flexcore.application.command_bus import CommandLog, Request
from flexcore.application.commands import DisablePlugin, EnablePlugin, RegisterPlugin, RemovePlugin, ReplacePlugin
from flexcore.application.events import Events
from flexcore.application.package_trust import PackageTrust
from flexcore.application.plugin_codes import NodePlugins
from flexcore.application.plugin_installation import PluginInstallation
from flexcore.application.plugin_lifecycle import CREATED, PluginLifecycle
from flexcore.application.plugin_packages import PackageFile
from flexcore.application.plugin_registry import PluginRegistry
from flexcore.application.plugin_sources import PackageSources, Upload
from flexcore.application.ports import PluginCode, PluginRequest, PluginResult
from flexcore.domain.errors import Conflict, NotFound, NotInstallable, PluginFailed, Unavailable
from flexcore.infrastructure.marketplace.signatures import TrustedKeys
from flexcore.infrastructure.marketplace.sources import NoMarketplace
from tests.unit.application.cluster_doubles import Channel
from tests.unit.application.doubles import START, Log, Runner, manifest

pytestmark = pytest.mark.anyio


class Store:
    """PackageStore."""

    def __init__(self) -> None:
        self.packages: dict[str, PackageFile] = {}

    async def put(self, package: PackageFile) -> None:
        self.packages[package.digest] = package

    async def fetch(self, digest: str, into: Path) -> None:
        if digest not in self.packages:
            raise NotFound("no such package")


class Shelf:
    """PackageShelf; a path is "<id>-<version>", and so is the digest of its package."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.unpacked: dict[str, PluginCode] = {}

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        yield Path("/scratch")

    async def read(self, path: Path) -> PackageFile:
        if path.name == "package":
            return next(reversed(self._store.packages.values()))
        plugin_id, _, version = path.name.rpartition("-")
        described = manifest(plugin_id, version)
        if plugin_id == "needy":
            described = replace(described, dependencies={"a": ">=1"})
        return PackageFile(path, described, path.name, 1)

    async def unpack(self, package: PackageFile) -> PluginCode:
        code = PluginCode(package.manifest, package.digest, Path("/shelf", package.digest))
        return self.unpacked.setdefault(package.digest, code)

    async def find(self, plugin_id: str, digest: str) -> PluginCode | None:
        return self.unpacked.get(digest)

    async def clean(self, keep: Collection[PluginCode]) -> None:
        kept = {code.digest for code in keep}
        self.unpacked = {digest: code for digest, code in self.unpacked.items() if digest in kept}


class HealthRunner(Runner):
    """A runner that says what it was asked and has let go of."""

    def __init__(self) -> None:
        super().__init__(manifest("builtin"))
        self.sick: set[str] = set()
        self.away = False
        self.asked: list[tuple[str, str]] = []
        self.retired: list[str] = []

    async def run(self, request: PluginRequest) -> PluginResult:
        self.asked.append((request.code.digest, request.operation))
        if self.away:
            raise Unavailable("plugin_runtime", "the sandbox is away")
        if request.code.digest in self.sick:
            raise PluginFailed("it fell over", request.execution_id)
        return self.answer if isinstance(self.answer, PluginResult) else PluginResult(True, {})

    async def retire(self, code: PluginCode) -> None:
        self.retired.append(code.digest)


class Node:
    """One node's plugins."""

    def __init__(self, log: Log, store: Store, channel: Channel, name: str) -> None:
        numbers = itertools.count(1)

        def new_id() -> str:
            return f"{name}-{next(numbers)}"

        events = Events(log, new_id)
        self.runner = HealthRunner()
        self.codes = NodePlugins(self.runner)
        self.registry = PluginRegistry(
            events=events, history=log, builtins=self.codes.builtins, new_id=new_id, node_id=name
        )
        self.shelf = Shelf(store)
        self.installation = PluginInstallation(
            registry=self.registry,
            codes=self.codes,
            shelf=self.shelf,
            store=store,
            runner=self.runner,
            channel=channel,
            new_id=new_id,
        )
        trust = PackageTrust(TrustedKeys({}), require_signature=False, allow_unsigned=False)
        self.lifecycle = PluginLifecycle(
            log=CommandLog(events, log, lambda: START),
            registry=self.registry,
            installation=self.installation,
            sources=PackageSources(self.shelf, NoMarketplace(), trust),
        )

    async def add(self, name: str) -> bool:
        """Install a package; whether it was new."""
        outcome = await self.lifecycle.add(RegisterPlugin(None, Upload(Path(name))), Request("c"))
        return bool(outcome.facts[CREATED])

    async def replace(self, plugin_id: str, name: str) -> None:
        await self.lifecycle.replace(ReplacePlugin(plugin_id, Upload(Path(name))), Request("c"))

    def runs(self, plugin_id: str) -> str | None:
        code = self.codes.find(plugin_id)
        return None if code is None else code.digest


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def nodes(log: Log) -> tuple[Node, Node]:
    store, channel = Store(), Channel()
    return Node(log, store, channel, "one"), Node(log, store, channel, "two")


async def test_a_plugin_is_registered_after_it_answered(log: Log, nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    types: list[str] = []
    log.before_append = lambda: types.extend(digest for digest, _ in one.runner.asked)
    await one.registry.register_builtins()
    log.before_append = lambda: types.extend(digest for digest, _ in one.runner.asked)
    assert await one.add("a-1.0")
    assert (types, one.runner.asked) == (["a-1.0"], [("a-1.0", "health")])
    assert one.runs("a") == "a-1.0"
    assert not await one.add("a-1.0")
    assert log.types().count("PluginRegistered") == 2
    assert two.runs("a") is None
    await two.installation.look()
    assert (two.runs("a"), two.runner.asked) == ("a-1.0", [("a-1.0", "health")])


async def test_what_does_not_answer_leaves_nothing(log: Log, nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    one.runner.sick = {"a-1.0"}
    with pytest.raises(NotInstallable, match=r"plugin 'a' 1\.0 does not answer its health operation: it fell over"):
        await one.add("a-1.0")
    one.runner.sick, one.runner.answer = set(), PluginResult(False, {"error": "no licence"})
    with pytest.raises(NotInstallable, match="no licence"):
        await one.add("a-1.0")
    assert "a" not in [event.aggregate_id for event in log.events]
    assert (one.runs("a"), one.runner.retired) == (None, ["a-1.0", "a-1.0"])


async def test_the_version_before_serves_until_the_new_one_answers(log: Log, nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    await one.add("a-1.0")
    one.runner.sick = {"a-2.0"}
    with pytest.raises(NotInstallable):
        await one.replace("a", "a-2.0")
    assert (one.runs("a"), one.runner.retired) == ("a-1.0", ["a-2.0"])
    one.runner.sick = set()
    await one.replace("a", "a-2.0")
    assert (one.runs("a"), one.runner.retired) == ("a-2.0", ["a-2.0", "a-1.0"])
    assert log.events[-1].data["previous_version"] == "1.0"


async def test_the_files_of_the_version_before_stay_until_nobody_can_use_them(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = nodes
    await one.add("a-1.0")
    await one.replace("a", "a-2.0")
    await one.installation.look()
    assert set(one.shelf.unpacked) == {"a-1.0", "a-2.0"}
    monkeypatch.setattr(plugin_installation, "LONGEST_EXECUTION_SECONDS", -1.0)
    await one.replace("a", "a-1.0")
    await one.installation.look()
    assert set(one.shelf.unpacked) == {"a-1.0"}


async def test_who_was_slower_is_refused(log: Log, nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    await one.registry.register_builtins()
    await two.registry.register_builtins()
    others = two.add("a-2.0")

    def quicker() -> None:
        with pytest.raises(StopIteration):
            others.send(None)

    log.before_append = quicker
    with pytest.raises(Conflict, match=r"installed as version 2\.0"):
        await one.add("a-1.0")
    assert (one.runs("a"), two.runs("a")) == (None, "a-2.0")
    await one.installation.look()
    assert (one.runs("a"), set(one.shelf.unpacked)) == ("a-2.0", {"a-1.0", "a-2.0"})


async def test_a_dependency_that_goes_meanwhile_is_missed(log: Log, nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    await one.add("a-1.0")
    await one.add("needy-1.0")
    assert [each.requires for each in await one.registry.all() if each.id == "needy"] == [{"a": ">=1"}]
    await one.lifecycle.remove(RemovePlugin("needy"), Request("c"))

    async def removes(request: PluginRequest) -> PluginResult:
        await two.lifecycle.remove(RemovePlugin("a"), Request("c"))
        return PluginResult(True, {})

    one.runner.run = removes  # type: ignore[method-assign]
    with pytest.raises(NotInstallable, match="'a' is not installed"):
        await one.add("needy-1.0")
    assert [each.id for each in await one.registry.all()] == ["builtin"]


async def test_a_node_where_it_does_not_answer_says_why_and_tries_again(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = nodes
    two.runner.sick = {"a-1.0"}
    await one.add("a-1.0")
    await two.installation.look()
    assert two.runs("a") is None
    assert "it fell over" in str(two.codes.failure("a"))
    await two.installation.look()
    assert len(two.runner.asked) == 1
    monkeypatch.setattr(plugin_installation, "RETRY_SECONDS", 0.0)
    await one.replace("a", "a-1.1")
    two.runner.sick = {"a-1.1"}
    await two.installation.look()
    two.runner.sick = set()
    await two.installation.look()
    assert (two.runs("a"), two.codes.failure("a")) == ("a-1.1", None)


async def test_a_sandbox_that_is_away_is_nobodys_fault(log: Log, nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    one.runner.away = True
    with pytest.raises(Unavailable, match="the sandbox is away"):
        await one.add("a-1.0")
    one.runner.away = False
    await one.add("a-1.0")
    two.runner.away = True
    with pytest.raises(Unavailable):
        await two.installation.look()
    assert two.codes.failure("a") is None
    two.runner.away = False
    await two.installation.look()
    assert two.runs("a") == "a-1.0"


async def test_what_lies_here_is_served_from_the_start_on(log: Log, nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    await one.add("a-1.0")
    two.shelf.unpacked = dict(one.shelf.unpacked)
    await two.installation.load()
    assert (two.runs("a"), two.runner.asked) == ("a-1.0", [])


async def test_what_is_removed_is_gone_everywhere(log: Log, nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    await one.add("a-1.0")
    await two.installation.look()
    await one.lifecycle.disable(DisablePlugin("a"), Request("c"))
    await one.lifecycle.enable(EnablePlugin("a"), Request("c"))
    await two.lifecycle.remove(RemovePlugin("a"), Request("c"))
    for node in nodes:
        await node.installation.look()
        assert node.runs("a") is None
        assert node.runner.retired == ["a-1.0"]
    with pytest.raises(NotFound):
        await one.lifecycle.remove(RemovePlugin("a"), Request("c"))
    with pytest.raises(Conflict, match="comes with FlexCore and can't be removed; disable it instead"):
        await one.lifecycle.remove(RemovePlugin("builtin"), Request("c"))
    with pytest.raises(Conflict, match="comes with FlexCore and is there already"):
        await one.add("builtin-2.0")
    with pytest.raises(Conflict, match="comes with FlexCore and can't be replaced"):
        await one.replace("builtin", "builtin-2.0")
