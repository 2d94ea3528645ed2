"""A lab to which everything is deployed, and what each run on the way there said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.lab.hosts import Lab
from tests.lab.playbooks import PlaybookRun


@dataclass(frozen=True, slots=True)
class Deployment:
    """`playbooks/site.yml` on fresh hosts: foretold, done, and done again."""

    lab: Lab
    foretold: PlaybookRun
    first: PlaybookRun
    second: PlaybookRun

    @property
    def secrets(self) -> dict[str, str]:
        """The lab's secrets by name."""
        return {file.name: file.read_text().split()[0] for file in Path(self.lab.directory, "secrets").iterdir()}


def deploy(lab: Lab) -> Deployment:
    """Deploy to a booted lab; every run is kept for the tests to judge."""
    return Deployment(
        lab,
        foretold=lab.playbook("site.yml", "--check", "--diff", check=False),
        first=lab.playbook("site.yml", "--diff"),
        second=lab.playbook("site.yml", "--diff"),
    )
