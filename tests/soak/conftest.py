"""The long proofs use the same labs as the short ones."""

from tests.lab.conftest import deployment, lab

__all__ = ["deployment", "lab"]
