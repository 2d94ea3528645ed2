"""Labs for the tests: real hosts, booted once for the whole run and removed at its end, also when tests fail.

Their names and subnets are the tests' own, so a developer's lab on the same machine is never touched.
FLEXCORE_LAB_NAME (at most 9 characters) and FLEXCORE_LAB_SUBNET move them, for two runs at a time on one machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.deployments import Deployment, deploy
from tests.lab.hosts import Lab

HERE = Path(__file__).parent
NAME = os.environ.get("FLEXCORE_LAB_NAME", "test")
SUBNET = os.environ.get("FLEXCORE_LAB_SUBNET", "10.77.100")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip where no lab can be booted, in one line for all. In CI that is an error: there the lab must be shown."""
    if os.geteuid() == 0:
        return
    reason = "the lab tests boot real hosts, which needs root: run `sudo make test`"
    if os.environ.get("CI"):
        raise pytest.UsageError(reason)
    first, *others = [item for item in items if item.path.is_relative_to(HERE)]
    first.add_marker(pytest.mark.skip(reason=reason))
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


def lab_number(number: int, inventory: str) -> Lab:
    """Describe one of the tests' labs; numbers make names and subnets differ."""
    network, octet = SUBNET.rsplit(".", 1)
    return Lab(inventory, f"{NAME}-{number}", f"{network}.{int(octet) + number}")


@contextmanager
def standing(lab: Lab) -> Iterator[Lab]:
    """Boot a lab for a while, after removing what an interrupted run left of it."""
    lab.down()
    try:
        lab.up()
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One host that carries everything (inventories/lab), booted and otherwise as Debian made it."""
    with standing(lab_number(1, "inventories/lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def cluster() -> Iterator[Lab]:
    """Three hosts (inventories/lab_cluster), booted and otherwise as Debian made them."""
    with standing(lab_number(2, "inventories/lab_cluster")) as lab:
        yield lab


@pytest.fixture(scope="session")
def deployment(lab: Lab) -> Deployment:
    """The one host with everything deployed to it."""
    return deploy(lab)


@pytest.fixture(scope="session")
def cluster_deployment(cluster: Lab) -> Deployment:
    """The three hosts with everything deployed to them."""
    return deploy(cluster)
