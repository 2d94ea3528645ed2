"""Verification of running hosts: `pytest tests/infra --inventory <inventory>`.

A directory here is named after an inventory group, and its tests run on each host of that group; a group without a host
in the inventory is not collected. The suite never ends green for want of something to check: no inventory, no host that
is verified, or no host that answers is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.infra.connection import Connections
from tests.infra.inventory import ROOT, Inventory, InventoryError
from tests.infra.node import Node, ProbeError

HERE = Path(__file__).parent
REACHABILITY = HERE / "test_reachability.py"
GROUPS = ("postgresql", "redis", "flexcore", "monitoring")
RUN = pytest.StashKey["Run"]()


class Run:
    """What one run of the suite knows: the inventory, the connections, and which hosts answer."""

    def __init__(self, source: str) -> None:
        path = Path(source)
        self.inventory = Inventory(path if path.is_absolute() or path.exists() else ROOT / path)
        self.names = tuple(dict.fromkeys(name for group in GROUPS for name in self.inventory.hosts(group)))
        if not self.names:
            raise InventoryError(f"inventory {source}: has no host in any of the groups {', '.join(GROUPS)}")
        variables = {name: self.inventory.variables(name) for name in self.names}
        self.connections = Connections(variables)
        self.nodes = {name: Node(name, variables[name], self.connections) for name in self.names}
        self.unreachable: dict[str, str] = {}
        self.unverified: set[str] = set()
        self.explained: set[str] = set()

    def group(self, name: str) -> list[Node]:
        """The hosts of a group, in inventory order."""
        return [self.nodes[host] for host in self.inventory.hosts(name)]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("flexcore verification")
    group.addoption("--inventory", help="Ansible inventory whose hosts are verified")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unit(name): the systemd unit whose journal explains a failure")
    source = config.getoption("inventory")
    if not source:
        raise pytest.UsageError("tests/infra verifies the hosts of an inventory: add --inventory inventories/lab")
    try:
        config.stash[RUN] = Run(source)
    except InventoryError as error:
        raise pytest.UsageError(str(error)) from None
    if config.getoption("tbstyle") == "auto":
        config.option.tbstyle = "short"


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash:
        config.stash[RUN].connections.close()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    group = collection_path.name
    if collection_path.parent == HERE and group in GROUPS and not config.stash[RUN].group(group):
        return True
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "node" not in metafunc.fixturenames:
        return
    run = metafunc.config.stash[RUN]
    directory = metafunc.definition.path.parent
    names = run.names if directory == HERE else run.inventory.hosts(directory.name)
    metafunc.parametrize("node", [run.nodes[name] for name in names], ids=names, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Ask which hosts answer, once; on the others only the check that says so remains."""
    if config.option.collectonly or not items:
        return
    run = config.stash[RUN]
    run.unreachable = run.connections.unreachable()
    if len(run.unreachable) == len(run.names):
        reasons = "\n".join(f"  {host}: {reason}" for host, reason in run.unreachable.items())
        raise pytest.UsageError(f"no host of {run.inventory.source} answers\n{reasons}")
    dropped = [item for item in items if _node(item).name in run.unreachable and item.path != REACHABILITY]
    run.unverified = {_node(item).name for item in dropped}
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


def _node(item: pytest.Item) -> Node:
    return item.callspec.params["node"]  # type: ignore[attr-defined] # every test here is parametrized by node


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let the unit that a failed check is about say what happened to it; where nothing was judged, say just why."""
    report = yield
    if call.excinfo and call.excinfo.errisinstance((ProbeError, InventoryError)):
        report.longrepr = str(call.excinfo.value)
    marker = item.get_closest_marker("unit")
    if report.failed and marker:
        node, unit = _node(item), marker.args[0]
        title = f"last lines of {unit} on {node.name}"
        explained = item.config.stash[RUN].explained
        # Once for all checks that fail: it is the same journal.
        if title not in explained:
            explained.add(title)
            report.sections.append((title, node.journal(unit)))
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that selected checks of a host that does not answer, also when it left out the one that says so."""
    if session.config.stash[RUN].unverified and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    run = config.stash[RUN]
    for host in sorted(run.unverified):
        reason = run.unreachable[host]
        terminalreporter.write_line(f"{host}: unreachable, so nothing else about it was checked ({reason})", red=True)


@pytest.fixture
def host(node: Node) -> Host:
    """testinfra's host for the node under test."""
    return node.testinfra


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """The whole run, for checks about how hosts see each other."""
    return request.config.stash[RUN]
