"""What a node tells about itself: what runs in it, what it uses, what it counts and how it is configured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flexcore.application.executions import Executions
from flexcore.application.leadership import LeaderElection
from flexcore.application.membership import Membership, NodeView


@dataclass(frozen=True, slots=True)
class Slots:
    """Room for executions; `free` is 0 while the node takes nothing new, whatever is busy. `waiting` stand in line."""

    total: int
    busy: int
    free: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Worker:
    """Something that works beside the requests. A failing one says why; `busy` and `capacity` are of jobs."""

    name: str
    status: Literal["running", "failing"]
    message: str
    busy: int | None = None
    capacity: int | None = None

    @classmethod
    def of(
        cls, name: str, trouble: str | None, fine: str, *, busy: int | None = None, capacity: int | None = None
    ) -> "Worker":
        """Tell of one by its trouble, or by what is `fine` if it has none."""
        return cls(name, "running" if trouble is None else "failing", trouble or fine, busy, capacity)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory: of the server now and at its most, and of the plugins that run."""

    resident_mb: float
    peak_resident_mb: float
    plugins_mb: float


@dataclass(frozen=True, slots=True)
class Process:
    """The server's process; `cpu_seconds` is processor time since its start."""

    pid: int
    python: str
    threads: int
    cpu_seconds: float
    memory: Memory


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of the metrics."""

    name: str
    type: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """A setting as it is in force, and where its value came from; a secret is `***`."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class SandboxMeasure:
    """A means of keeping plugins to what they may, whether this host enforces it, and how or why not."""

    name: str
    enforced: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How plugins are isolated. While its supervisor is away, `problem` says why and nothing is known of measures.

    A `strict` one enforces all of them, or the node does not start.
    """

    mode: Literal["enforced", "strict"]
    problem: str | None
    measures: tuple[SandboxMeasure, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """The node as the cluster sees it, and what it has to work with. `term` is None while it does not lead."""

    node: NodeView
    term: int | None
    slots: Slots
    workers: tuple[Worker, ...]
    process: Process
    sandbox: Sandbox


class Runtime:
    """One node. Asking it reads what is there and waits for nobody."""

    def __init__(
        self,
        *,
        membership: Membership,
        leadership: LeaderElection,
        executions: Executions,
        workers: Callable[[], tuple[Worker, ...]],
        process: Callable[[], Process],
        sandbox: Callable[[], Sandbox],
        samples: Callable[[], Sequence[Sample]],
        settings: Sequence[EffectiveSetting],
    ) -> None:
        self._membership = membership
        self._leadership = leadership
        self._executions = executions
        self._workers = workers
        self._process = process
        self._sandbox = sandbox
        self._samples = samples
        self._settings = tuple(settings)

    def condition(self) -> Condition:
        """Tell what runs here, and what it uses."""
        admission = self._executions.admission
        slots = Slots(admission.slots, admission.active, max(admission.free, 0), admission.waiting)
        return Condition(
            self._membership.me(), self._leadership.token, slots, self._workers(), self._process(), self._sandbox()
        )

    def samples(self) -> Sequence[Sample]:
        """Every figure that this node counts."""
        return self._samples()

    def settings(self) -> tuple[EffectiveSetting, ...]:
        """Every setting, in the order of their declaration."""
        return self._settings
