"""The messages between server and supervisor, on the wire."""

import msgspec
import pytest

from flexcore.infrastructure.sandbox.messages import Ended, Kill, Limits, Plugin, Refused, Start, ToServer, ToSupervisor

START = (
    b'{"type":"start","execution_id":"e1","wall_seconds":5,'
    b'"plugin":{"key":"k","id":"greeter","version":"1.0","directory":"/p","python":"/usr/bin/python3",'
    b'"entry_point":"greeter:Greeter"},'
    b'"limits":{"cpu_seconds":1,"memory_mb":64,"processes":1,"file_size_mb":1}}'
)


def test_a_start_is_read() -> None:
    assert msgspec.json.decode(START, type=ToSupervisor) == Start(
        execution_id="e1",
        plugin=Plugin(
            key="k",
            id="greeter",
            version="1.0",
            directory="/p",
            python="/usr/bin/python3",
            entry_point="greeter:Greeter",
        ),
        limits=Limits(cpu_seconds=1, memory_mb=64, processes=1, file_size_mb=1),
        wall_seconds=5.0,
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"start"', b'"stop"'),
        (b'"wall_seconds":5,', b""),
        (b'"wall_seconds":5,', b'"wall_seconds":0,'),
        (b'"memory_mb":64', b'"memory_mb":0'),
        (b'"processes":1', b'"processes":"1"'),
    ],
)
def test_what_is_no_message_is_refused(old: bytes, new: bytes) -> None:
    assert old in START
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(START.replace(old, new), type=ToSupervisor)


def test_messages_survive_the_way() -> None:
    ended = Ended(execution_id="e1", how="killed", cpu_ms=3, refused=(Refused(syscall="ptrace", count=2),), error="why")
    assert msgspec.json.decode(msgspec.json.encode(ended), type=ToServer) == ended
    assert msgspec.json.encode(Kill(execution_id="e1")) == b'{"type":"kill","execution_id":"e1"}'
