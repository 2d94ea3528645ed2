"""Executions of every kind through HTTP, kills of what runs them, and what has to be true when all of it is over."""

import asyncio
import itertools
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.bench.flexcore import served
from tests.bench.memory import descendants
from tests.crash.verdict import read_log
from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess
from tests.servers import wait_until
from tests.unit.packages.archives import tar_gz

PLUGINS: Final = "/api/v1/flexcore/plugins"
EXECUTIONS: Final = "/api/v1/flexcore/executions"
EXECUTE: Final = f"{PLUGINS}/soak/execute"
AT_ONCE: Final = 24
MEMORY_MB: Final = 64
# Beyond this growth, between an early moment of the load and its end, something is kept that should not be.
MOST_GROWTH_MB: Final = 48
# Connections to PostgreSQL and Redis that are kept for a while; one left over of each execution would be thousands.
MOST_KEPT_CONNECTIONS: Final = 12
REST_SECONDS: Final = 60.0
MANIFEST: Final = f"""\
id = "soak"
name = "Soak"
version = "1.0"
type = "processor"
entry_point = "soak:Soak"
[commands.work]
[commands.crash]
[commands.vanish]
[commands.take_memory]
[commands.sleep]
[limits]
memory_mb = {MEMORY_MB}
processes = 1
"""
CODE: Final = f"""\
import os
import time


class Soak:
    def __init__(self, configuration):
        pass

    def work(self, number):
        with open("file", "w") as file:
            file.write("x" * 4096)
        return {{"number": number}}

    def crash(self):
        raise RuntimeError("it crashed")

    def vanish(self):
        os._exit(3)

    def take_memory(self):
        return {{"bytes": len(bytearray(b"x") * ({2 * MEMORY_MB} << 20))}}

    def sleep(self):
        time.sleep(60)
"""
# In turn; all that runs ends with the supervisor, so that it is the last.
VICTIMS: Final = ("fork server", "launcher", "fork server", "launcher", "fork server", "supervisor")
STARTED: Final = {"PluginExecutionStarted", "PluginExecutionQueued"}
ENDED: Final = {"PluginExecutionCompleted", "PluginExecutionFailed"}


@dataclass(frozen=True, slots=True)
class State:
    """What there is when nothing runs."""

    processes: int
    server_descriptors: int
    server_mb: float
    supervisor_mb: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was done and found; there is only one when nothing was broken."""

    seconds: float
    ends: Counter[str]
    answers: Counter[str]
    kills: Counter[str]
    before: State
    after: State

    def __str__(self) -> str:
        return (
            f"sandbox, {self.seconds:.0f} s: {self.ends.total()} executions, each ended once: {_told(self.ends)}; "
            f"answers: {_told(self.answers)}; killed: {_told(self.kills)}; left over: nothing "
            f"({self.after.processes} processes, {self.after.server_descriptors} descriptors of the server, "
            f"before {self.before.server_descriptors}); memory: server {self.before.server_mb:.0f} -> "
            f"{self.after.server_mb:.0f} MB, supervisor {self.before.supervisor_mb:.0f} -> "
            f"{self.after.supervisor_mb:.0f} MB"
        )


@dataclass
class Load:
    """A server of its own, which runs executions for `seconds`."""

    seconds: float
    kill_every_seconds: float
    answers: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    supervisors: set[int] = field(default_factory=set)

    def survive(self) -> Verdict:
        """Do all of it, and return what was found; raises AssertionError that names the first broken promise."""
        with tempfile.TemporaryDirectory(prefix="flexcore-soak-") as directory:
            environ = {
                "FLEXCORE_EXECUTION_SLOTS": "16",
                "FLEXCORE_EXECUTION_QUEUE": "64",
                "FLEXCORE_PLUGINS_DIRECTORY": directory,
            }
            with served(environ) as process, process.client() as api:
                package = tar_gz(Path(directory, "soak.tar.gz"), {"flexcore-plugin.toml": MANIFEST, "soak.py": CODE})
                parts = {"package": (package.name, package.read_bytes())}
                api.post(PLUGINS, files=parts).raise_for_status()
                return self._survive(process, api)

    def _survive(self, process: FlexCoreProcess, api: httpx.Client) -> Verdict:
        # Not at its very beginning: what is loaded and cached once is no leak.
        asyncio.run(self._all_kinds(process, seconds=min(10.0, self.seconds / 4), kill=False))
        _warm(api)
        before = self._at_rest(process)
        begun = time.monotonic()
        asyncio.run(self._all_kinds(process, seconds=self.seconds, kill=True))
        seconds = time.monotonic() - begun
        ends = self._ends(api)
        _warm(api)
        after = self._at_rest(process)
        assert not self.wrong, self.wrong[:5]
        assert after.processes == before.processes, (before, after)
        assert after.server_descriptors <= before.server_descriptors + MOST_KEPT_CONNECTIONS, (before, after)
        assert after.server_mb <= before.server_mb + MOST_GROWTH_MB, (before, after)
        assert after.supervisor_mb <= before.supervisor_mb + MOST_GROWTH_MB, (before, after)
        return Verdict(seconds, ends, self.answers, self.kills, before, after)

    # The load.

    async def _all_kinds(self, process: FlexCoreProcess, *, seconds: float, kill: bool) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        until = time.monotonic() + seconds
        # A connection for each request: one that idles is closed by the server, perhaps just when it is used again.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with (
            httpx.AsyncClient(base_url=process.url, headers=headers, timeout=60, trust_env=False, limits=limits) as api,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(AT_ONCE):
                tasks.create_task(self._one_after_the_other(api, until))
            if kill:
                tasks.create_task(self._kill_now_and_then(process, until))

    async def _one_after_the_other(self, api: httpx.AsyncClient, until: float) -> None:
        kinds: dict[Callable[[httpx.AsyncClient], Awaitable[None]], int] = {
            self._good: 60,
            self._crashing: 8,
            self._vanishing: 5,
            self._hungry: 4,
            self._cancelled: 10,
            self._abandoned: 12,
            self._too_slow: 1,
        }
        while time.monotonic() < until:
            (kind,) = random.choices(list(kinds), list(kinds.values()))
            await kind(api)

    async def _good(self, api: httpx.AsyncClient) -> None:
        number = random.randrange(1 << 30)
        answer = await self._execute(api, "work", number=number)
        if answer.status_code == 200 and answer.json()["result"]["data"] != {"number": number}:
            self.wrong.append(f"the answer of another execution: {answer.text}")

    async def _crashing(self, api: httpx.AsyncClient) -> None:
        self._expect(await self._execute(api, "crash"), "it crashed")

    async def _vanishing(self, api: httpx.AsyncClient) -> None:
        self._expect(await self._execute(api, "vanish"), "exit code 3")

    async def _hungry(self, api: httpx.AsyncClient) -> None:
        self._expect(await self._execute(api, "take_memory"), f"more than {MEMORY_MB} MiB of memory")

    async def _too_slow(self, api: httpx.AsyncClient) -> None:
        answer = await self._execute(api, "sleep")
        if answer.status_code not in (504, 500, 503, 429):
            self.wrong.append(f"sleep: {answer.status_code} {answer.text}")

    async def _cancelled(self, api: httpx.AsyncClient) -> None:
        body = {"operation": "sleep", "parameters": {"timeout_seconds": 30, "data": {}}}
        answer = await api.post(EXECUTE, params={"async": "true"}, json=body)
        self._count("queue", answer)
        if answer.status_code == 202:
            await asyncio.sleep(random.uniform(0, 0.05))
            cancelled = await api.post(f"{EXECUTIONS}/{answer.json()['execution_id']}/cancel")
            self._count("cancel", cancelled)

    async def _abandoned(self, api: httpx.AsyncClient) -> None:
        """Go away before there is an answer, most often in the middle of the beginning."""
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, 0.03)):
                await self._execute(api, "sleep")
        self.answers["abandoned"] += 1

    async def _execute(self, api: httpx.AsyncClient, operation: str, **data: Any) -> httpx.Response:
        body = {"operation": operation, "parameters": {"timeout_seconds": 1, "data": data}}
        if operation != "sleep":
            body["parameters"] = {"timeout_seconds": 30, "data": data}
        answer = await api.post(EXECUTE, json=body)
        self._count(operation, answer)
        return answer

    def _count(self, what: str, answer: httpx.Response) -> None:
        self.answers[f"{what} {answer.status_code}"] += 1

    def _expect(self, answer: httpx.Response, why: str) -> None:
        """Hold it against what is to happen; it may have been killed, or not have been let in, instead."""
        beside = ("was killed", "could not be started", "can't be run")
        if answer.status_code == 500:
            if not any(text in answer.json()["detail"] for text in (why, *beside)):
                self.wrong.append(answer.text)
        elif answer.status_code not in (429, 503):
            self.wrong.append(f"{why}: {answer.status_code} {answer.text}")

    # The kills.

    async def _kill_now_and_then(self, process: FlexCoreProcess, until: float) -> None:
        for what in itertools.cycle(VICTIMS):
            if until - time.monotonic() < self.kill_every_seconds:
                return
            await asyncio.sleep(self.kill_every_seconds)
            if (pid := self._victim(what, process)) is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills[what] += 1

    def _victim(self, what: str, process: FlexCoreProcess) -> int | None:
        """Choose one that lives; None while there is none."""
        supervisor = self._supervisor(process)
        if what == "supervisor" or supervisor is None:
            return supervisor if what == "supervisor" else None
        launchers = _children(supervisor)
        launcher = random.choice(launchers) if launchers else None
        if what == "launcher" or launcher is None:
            return launcher if what == "launcher" else None
        # After the first process of its namespace.
        return next(iter(_children(launcher)[1:]), None)

    def _supervisor(self, process: FlexCoreProcess) -> int | None:
        for pid in _children(process.pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"flexcore.infrastructure.sandbox.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    self.supervisors.add(pid)
                    return pid
        return None

    # What is there afterwards.

    def _ends(self, api: httpx.Client) -> Counter[str]:
        """Wait for the end of every execution that began, and count how they ended: once each."""
        wait_until(lambda: not _unended(api), REST_SECONDS, "the end of every execution")
        ends: dict[str, list[str]] = {}
        for event in read_log(api):
            if event["type"] in STARTED:
                ends.setdefault(event["data"]["execution_id"], [])
            elif event["type"] in ENDED:
                how = event["data"].get("reason", "completed")
                ends.setdefault(event["data"]["execution_id"], []).append(how)
        several = {execution: how for execution, how in ends.items() if len(how) != 1}
        assert not several, several
        return Counter(how for (how,) in ends.values())

    def _at_rest(self, process: FlexCoreProcess) -> State:
        wait_until(lambda: self._rests(process), REST_SECONDS, "the end of all that belongs to executions")
        supervisor = self._supervisor(process)
        assert supervisor is not None
        return State(
            processes=len(descendants(process.pid)),
            server_descriptors=_descriptors(process.pid),
            server_mb=_megabytes(process.pid),
            supervisor_mb=_megabytes(supervisor),
        )

    def _rests(self, process: FlexCoreProcess) -> bool:
        """Say whether there is one supervisor, whose launchers have what they keep, and no group of an execution."""
        supervisor = self._supervisor(process)
        if supervisor is None or not _children(supervisor):
            return False
        # The first process of its namespace, the fork server, and one that is forked ahead.
        kept = all(len(_children(launcher)) == 3 for launcher in _children(supervisor))
        groups = [group for pid in self.supervisors for base in _bases(pid) for group in base.glob("[0-9]*")]
        abandoned = [base for pid in self.supervisors - {supervisor} for base in _bases(pid) if base.exists()]
        return kept and not groups and not abandoned


def _warm(api: httpx.Client) -> None:
    """Have the fork servers of the two plugins that are executed here."""

    def answers() -> bool:
        body = {"operation": "work", "parameters": {"timeout_seconds": 30, "data": {"number": 1}}}
        echo = {"operation": "echo", "parameters": {"data": {}}}
        return all(
            api.post(f"{PLUGINS}/{plugin}/execute", json=what).status_code == 200
            for plugin, what in (("soak", body), ("simple-processor", echo))
        )

    wait_until(answers, REST_SECONDS, "an answer of every plugin")


def _unended(api: httpx.Client) -> list[Any]:
    found: list[Any] = []
    for status in ("queued", "running"):
        answer = api.get(EXECUTIONS, params={"status": status, "limit": 10}).raise_for_status()
        found += answer.json()["executions"]
    return found


def _bases(pid: int) -> list[Path]:
    """Name the directories of a supervisor's groups, of both versions; it has the control groups that we have."""
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found.append(Path("/sys/fs/cgroup", controllers, path.lstrip("/"), f"flexcore-sandbox-{pid}"))
    return found


def _children(pid: int) -> list[int]:
    """Name those that its threads started, the oldest first."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _megabytes(pid: int) -> float:
    """What a process holds in memory itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
