"""The libraries of a deployed FlexCore, which a host's own Python may borrow where it is of the same version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from flexcore_client import deployed


@pytest.mark.parametrize(
    ("python", "fits"), [("python{}.{}".format(*sys.version_info), True), ("python3.6", False), ("", False)]
)
def test_only_those_of_the_same_python_are_borrowed(
    python: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed, "ENVIRONMENT", str(tmp_path))
    libraries = tmp_path / "lib" / python / "site-packages"
    libraries.mkdir(parents=True)
    assert deployed.packages() == (str(libraries) if fits else None)
