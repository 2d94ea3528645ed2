"""What the server and the sandbox supervisor say to each other.

One JSON object a line over a unix stream socket. A `start` carries two descriptors (SCM_RIGHTS, with the first byte of
its line): the child's end of the execution channel, then the write end of the log pipe. The supervisor opens every
connection with one `hello`, answers every `start` with exactly one `ended`, and every `warm` with one `warmed` or
`not_warmed`. A line that is not one of these messages ends the connection, and with it the executions it started.
"""

from typing import Annotated, Final, Literal

import msgspec

PROTOCOL_VERSION: Final = 1
LONGEST_LINE: Final = 1 << 20
DESCRIPTORS_OF_START: Final = 2

Positive = Annotated[int, msgspec.Meta(ge=1)]

How = Literal["exited", "signalled", "out_of_memory", "timed_out", "killed", "not_started"]
"""How an execution ended.

- `exited`: with `exit_code`.
- `signalled`: killed by `signal`, sent neither by us nor for memory. SIGXCPU means: the CPU seconds are used up.
- `out_of_memory`: the kernel killed it at its memory limit.
- `timed_out`: we killed it after `wall_seconds`.
- `killed`: we killed it: as a `kill` message asked, because its connection broke, or because of what `error` says.
- `not_started`: it never ran a line of the plugin; `error` says why.
"""


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """Code to run, and what of the host it may see; every path is absolute unless said otherwise.

    `key` names this very content (a digest): the same key is the same fork server. Either `entry_point`
    (`module:class`, run by the interpreter `python`) or `executable` (relative to `directory`) is set. `directory` and
    `search_path` are read-only for the plugin, as is `read`; `write` is shared with the host. Python code is found in
    `<directory>/site-packages`, `directory` and `search_path`, in this order.
    """

    key: str
    id: str
    version: str
    directory: str
    python: str | None = None
    entry_point: str | None = None
    executable: str | None = None
    search_path: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one execution may use at most; one process means threads only, `work_mb` is for its work directory."""

    cpu_seconds: Positive
    memory_mb: Positive
    processes: Positive
    file_size_mb: Positive
    open_files: Positive = 256
    work_mb: Positive = 64


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Run one execution; two descriptors come with it. `execution_id` is unique among those that run."""

    execution_id: str
    plugin: Plugin
    limits: Limits
    wall_seconds: Annotated[float, msgspec.Meta(gt=0)]


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag="kill"):
    """Kill an execution with all its processes. Nothing happens if it has ended."""

    execution_id: str


class Warm(msgspec.Struct, frozen=True, kw_only=True, tag="warm"):
    """Start the fork server of a plugin ahead of its first execution."""

    plugin: Plugin
    limits: Limits


class Retire(msgspec.Struct, frozen=True, kw_only=True, tag="retire"):
    """Stop the fork server of this key once its executions have ended."""

    key: str


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One means of isolation, whether it was proven to work on this host, and how or why not."""

    name: str
    enforced: bool
    detail: str


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The supervisor's first message on every connection."""

    measures: tuple[Measure, ...]
    version: int = PROTOCOL_VERSION


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A system call that a plugin has no business with was tried this often, and refused."""

    syscall: str
    count: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """The execution and all its processes are gone. `peak_memory_bytes` is 0 where nothing was measured."""

    execution_id: str
    how: How
    exit_code: int | None = None
    signal: int | None = None
    cpu_ms: int = 0
    peak_memory_bytes: int = 0
    wall_ms: int = 0
    refused: tuple[Refused, ...] = ()
    error: str | None = None


class Warmed(msgspec.Struct, frozen=True, kw_only=True, tag="warmed"):
    """The fork server of this key has imported the plugin, and took this long; 0 if it ran already."""

    key: str
    ms: int
    refused: tuple[Refused, ...] = ()


class NotWarmed(msgspec.Struct, frozen=True, kw_only=True, tag="not_warmed"):
    """The plugin can't be run, because of `error`: what its import raised, for instance."""

    key: str
    error: str
    refused: tuple[Refused, ...] = ()


class Using(msgspec.Struct, frozen=True, kw_only=True, tag="using"):
    """What a running execution has used of the processor until now, and what memory it holds; told every second."""

    execution_id: str
    cpu_ms: int
    memory_bytes: int
    wall_ms: int


ToSupervisor = Start | Kill | Warm | Retire
ToServer = Hello | Ended | Using | Warmed | NotWarmed
