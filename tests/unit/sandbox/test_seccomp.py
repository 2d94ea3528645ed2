"""The seccomp filter: what its program answers, by an interpreter of the kernel's classic BPF."""

import errno
import struct
from collections.abc import Sequence

import pytest

from flexcore.infrastructure.sandbox.launcher import linux, policy
from flexcore.infrastructure.sandbox.launcher.fork_server import SPAWN_FLAGS
from flexcore.infrastructure.sandbox.launcher.seccomp import (
    ALLOW,
    ARCHITECTURES,
    KILL,
    NOTIFY,
    Match,
    Rule,
    compile_filter,
)
from flexcore.infrastructure.sandbox.launcher.seccomp import errno as fail
from flexcore.infrastructure.sandbox.launcher.syscalls import numbers

MACHINES = sorted(ARCHITECTURES)
EPERM, ENOSYS = fail(errno.EPERM), fail(errno.ENOSYS)


def judge(program: bytes, machine: str, number: int, arguments: Sequence[int] = (), architecture: int = 0) -> int:
    """Run the program as the kernel does; longer than a filter may be is an error here too."""
    code = list(struct.iter_unpack("=HBBI", program))
    assert len(code) <= 4096
    padded = [argument & 0xFFFFFFFFFFFFFFFF for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("=iIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *padded)
    at = accumulator = 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, operand)
        elif operation == 0x54:
            accumulator &= operand
        elif operation == 0x15:
            at += if_true if accumulator == operand else if_false
        elif operation == 0x35:
            at += if_true if accumulator >= operand else if_false
        elif operation == 0x06:
            return int(operand)
        else:
            raise AssertionError(f"unknown operation {operation:#x}")


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def decide(machine: str, name: str, *arguments: int, executable: bool = False) -> int:
    program = policy.filter_program(machine, executable=executable)
    return judge(program, machine, numbers(machine)[name], arguments)


def test_every_name_has_one_rule_and_a_number_somewhere() -> None:
    rules = policy.rules(executable=False)
    assert len(rules) == len({*policy.ALLOWED, *policy.REPORTED, *rules})
    assert not set(policy.ALLOWED) & set(policy.REPORTED)
    assert set(rules) == set(numbers("x86_64")) | set(numbers("aarch64")), "and the table holds no other"


def test_numbers_are_those_of_this_machine(machine: str) -> None:
    found = numbers(machine)
    assert len(set(found.values())) == len(found)
    assert max(found.values()) < 600


def test_another_architecture_is_killed(machine: str) -> None:
    program = policy.filter_program(machine, executable=False)
    (other,) = {value for name, value in ARCHITECTURES.items() if name != machine}
    i386 = 0x40000003
    for architecture in (other, i386):
        assert judge(program, machine, numbers(machine)["read"], architecture=architecture) == KILL


def test_the_other_numbers_of_x86_64_are_unknown() -> None:
    program = policy.filter_program("x86_64", executable=False)
    for name in ("read", "ptrace", "clone"):
        assert judge(program, "x86_64", numbers("x86_64")[name] | 0x40000000) == ENOSYS
    assert judge(program, "x86_64", -1) == ENOSYS


def test_what_is_on_no_list_does_not_exist(machine: str) -> None:
    program = policy.filter_program(machine, executable=False)
    listed = {numbers(machine)[name] for name in policy.rules(executable=False) if name in numbers(machine)}
    for number in range(600):
        if number not in listed:
            assert judge(program, machine, number) == ENOSYS, number


def test_lists(machine: str) -> None:
    for names, action in ((policy.ALLOWED, ALLOW), (policy.REPORTED, NOTIFY)):
        for name in names:
            if name in numbers(machine):
                assert decide(machine, name) == action, name
    assert decide(machine, "clone3") == ENOSYS
    assert decide(machine, policy.HAND_OVER) == NOTIFY


@pytest.mark.parametrize("name", ["execve", "execveat"])
def test_only_executables_execute(machine: str, name: str) -> None:
    assert decide(machine, name) == NOTIFY
    assert decide(machine, name, executable=True) == ALLOW


THREAD = 0x3D0F00  # what the C library asks for


@pytest.mark.parametrize(
    ("flags", "action"),
    [
        (THREAD, ALLOW),
        (17, NOTIFY),
        (0, NOTIFY),
        (SPAWN_FLAGS, NOTIFY),
        (0x4111, NOTIFY),  # vfork
        *((THREAD | flag, NOTIFY) for flag in (linux.CLONE_PARENT, 0x2000, linux.CLONE_NEWUSER, linux.CLONE_NEWPID)),
        *((THREAD | flag, NOTIFY) for flag in (linux.CLONE_NEWNS, linux.CLONE_NEWNET, linux.CLONE_NEWCGROUP)),
        # The kernel does not read the upper half, so nothing may hide there or be asked there.
        (THREAD | 1 << 40, ALLOW),
        (17 | THREAD << 32, NOTIFY),
    ],
)
def test_threads_are_allowed_and_other_processes_are_asked_for(machine: str, flags: int, action: int) -> None:
    assert decide(machine, "clone", flags) == action


@pytest.mark.parametrize(
    ("name", "arguments", "action"),
    [
        ("mmap", (0, 4096, 3, 0x22, -1, 0), ALLOW),  # private, anonymous
        ("mmap", (0, 4096, 3, 0x21, -1, 0), NOTIFY),  # shared, anonymous
        ("mmap", (0, 4096, 1, 0x1, 3, 0), NOTIFY),  # shared, of a file
        ("mmap", (0, 4096, 1, 0x3, 3, 0), NOTIFY),  # shared and validated
        ("memfd_create", (0, 0), NOTIFY),
        ("socketpair", (1, 1, 0, 0), ALLOW),
        ("socketpair", (16, 3, 0, 0), NOTIFY),  # netlink
        ("sendto", (3, 0, 0, 0x4000), ALLOW),
        ("sendto", (3, 0, 0, 0x20000000), NOTIFY),  # TCP Fast Open
        ("sendto", (3, 0, 0, 0x20004000), NOTIFY),
        ("sendmsg", (3, 0, 0x20000000), NOTIFY),
        ("sendmmsg", (3, 0, 1, 0x20000000), NOTIFY),
        ("setsockopt", (3, 1, 9), ALLOW),  # SO_KEEPALIVE
        ("setsockopt", (3, 6, 1), ALLOW),  # TCP_NODELAY
        ("setsockopt", (3, 1, 26), EPERM),  # SO_ATTACH_FILTER
        ("setsockopt", (3, 6, 30), EPERM),  # TCP_FASTOPEN_CONNECT
        ("setsockopt", (3, 6, 31), EPERM),  # TCP_ULP
        ("setsockopt", (3, 0, 9), EPERM),
        ("prctl", (15,), ALLOW),  # its name
        ("prctl", (22,), EPERM),  # a filter
        ("prctl", (4,), EPERM),  # whether others may look into it
        ("prctl", (35,), EPERM),  # its memory map
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), fail(errno.ENOTTY)),  # TIOCSTI
        ("ioctl", (0, 0x5412 | 0x5401 << 32), fail(errno.ENOTTY)),
        ("fcntl", (0, 1), ALLOW),
        ("fcntl", (0, 8), fail(errno.EINVAL)),  # F_SETOWN
        ("fcntl", (0, 1024), fail(errno.EINVAL)),  # F_SETLEASE
        ("personality", (0xFFFFFFFF,), ALLOW),
        ("personality", (0x40000,), EPERM),
        ("mknodat", (0, 0, 0o010600), ALLOW),  # a fifo
        ("mknodat", (0, 0, 0o020600), NOTIFY),  # a device
        ("mknodat", (0, 0, 0o060600), NOTIFY),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), EPERM),
        ("sync", (), fail(0)),
    ],
)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], action: int) -> None:
    assert decide(machine, name, *arguments) == action


def test_a_rule_with_two_matches_needs_both() -> None:
    both = Rule(EPERM, ((ALLOW, (Match(0, (1, 2)), Match(2, (0x10, 0x30), 0xF0))),))
    program = compile_filter({5: both}, machine="x86_64", default=ENOSYS)
    for first in range(4):
        for second in range(0, 0x100, 0x8):
            expected = ALLOW if first in (1, 2) and second & 0xF0 in (0x10, 0x30) else EPERM
            assert judge(program, "x86_64", 5, (first, 0, second)) == expected
    assert judge(program, "x86_64", 6) == ENOSYS
