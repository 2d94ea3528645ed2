"""The system's resolver cannot be interrupted, and a name that hangs in it holds up nothing but its own check."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flexcore_client.event_loop import _Lookups, run
from flexcore_client.fanout import CheckOptions, check
from flexcore_client.targets import parse_targets

from tests.doubles import dialects
from tests.doubles.http_double import serving

CLIENT = Path(__file__).resolve().parents[3] / "module_utils"
# Its resolver never comes back, and no thread of it ends.
HANGING = """
import socket, threading
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
from flexcore_client.fanout import CheckOptions, check
from flexcore_client.targets import parse_targets
result = check(parse_targets([{"url": "http://core1:8080"}]), CheckOptions(timeout=0.2))[0]
print(result.details["failure"], result.details["cause"])
"""


@pytest.fixture
def hanging_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let names below .invalid hang until the test is over."""
    over, resolve = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **more: Any) -> Any:
        if host.endswith(".invalid"):
            over.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "nobody answered")
        return resolve(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    over.set()


def test_neither_the_client_nor_its_process_waits_for_a_name() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGING],
        env={"PYTHONPATH": str(CLIENT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == "timeout no answer within 0.2 s (while connecting)\n"


def test_names_that_hang_keep_no_other_name_waiting(hanging_names: None) -> None:
    with serving(dialects.flexcore_v1()) as double:
        urls = [f"http://core{number}.invalid:8080" for number in range(60)]
        urls.append(double.url.replace("127.0.0.1", "localhost"))
        results = check(parse_targets([{"url": url} for url in urls]), CheckOptions(timeout=5))
    assert [result.healthy for result in results] == [False] * 60 + [True]


def test_what_fails_in_a_thread_fails_where_it_was_awaited() -> None:
    async def look_up() -> None:
        await asyncio.get_running_loop().run_in_executor(None, int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        run(look_up())


def test_a_look_up_has_a_thread_that_no_process_waits_for() -> None:
    lookups = _Lookups()
    assert lookups.submit(lambda: threading.current_thread().daemon).result(10) is True
    assert lookups.submit(int, "ff", base=16).result(10) == 255


def test_a_look_up_that_was_given_up_before_it_began_does_not_take_place(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: began.append(thread))
    asked: list[str] = []
    future = _Lookups().submit(asked.append, "core1")
    assert future.cancel()
    began[0].run()
    assert asked == []
