"""Coroutine tests (`pytest.mark.anyio`) run on asyncio."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The only event loop the project uses."""
    return "asyncio"
