"""A seccomp filter: from rules to a program of the kernel's classic BPF, and its installation.

A rule looks at the number of a system call and at the lower half of its arguments. It may only be used on arguments of
which the kernel itself reads no more than that: flags, commands, process ids, descriptors.
"""

import ctypes
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flexcore.infrastructure.sandbox.launcher import linux

ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000
NOTIFY: Final = 0x7FC00000
"""Ask the process that holds the listener."""

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# On x86_64 the same numbers with this bit are another set of system calls (x32).
X32_BIT: Final = 0x40000000

_LOAD, _AND, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16

_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 0x8
# Once its call is being judged, a process is not disturbed by signals that do not kill it. Linux 5.19.
_WAIT_KILLABLE: Final = 0x20
_EINVAL: Final = 22


def errno(number: int) -> int:
    """Give the action that fails with this error number, without doing anything; 0 is a success."""
    return 0x00050000 | number


@dataclass(frozen=True, slots=True)
class Match:
    """Whether argument number `argument`, masked, is one of `values`."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of one system call: `otherwise`, unless every match of one of `exceptions` fits: then its action."""

    otherwise: int
    exceptions: tuple[tuple[int, tuple[Match, ...]], ...] = ()


def compile_filter(rules: Mapping[int, Rule], *, machine: str, default: int) -> bytes:
    """Compile rules by system call number into a filter program for `machine`."""
    program = [
        _instruction(_LOAD, _ARCHITECTURE_OFFSET),
        _instruction(_JUMP_EQUAL, ARCHITECTURES[machine], 1, 0),
        _instruction(_RETURN, KILL),
        _instruction(_LOAD, _NUMBER_OFFSET),
    ]
    if machine == "x86_64":
        program += [_instruction(_JUMP_GREATER_EQUAL, X32_BIT, 0, 1), _instruction(_RETURN, default)]
    for number, rule in rules.items():
        body = _body(rule)
        program += [_instruction(_JUMP_EQUAL, number, 0, len(body)), *body]
    program.append(_instruction(_RETURN, default))
    return b"".join(program)


def _body(rule: Rule) -> list[bytes]:
    body = []
    for action, matches in rule.exceptions:
        block = [_instruction(_RETURN, action)]
        for match in reversed(matches):
            block = [*_match(match, len(block)), *block]
        body += block
    return [*body, _instruction(_RETURN, rule.otherwise)]


def _match(match: Match, rest: int) -> list[bytes]:
    """Go on behind the match if it fits, else behind the `rest` instructions that follow it."""
    last = len(match.values) - 1
    return [
        _instruction(_LOAD, _ARGUMENTS_OFFSET + 8 * match.argument),
        _instruction(_AND, match.mask),
        *(
            _instruction(_JUMP_EQUAL, value, last - index, rest if index == last else 0)
            for index, value in enumerate(match.values)
        ),
    ]


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install(program: bytes) -> int:
    """Confine this process and all it starts, for ever; returns the listener's descriptor. Raises OSError."""
    described = _Program(len(program) // 8, program)
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        try:
            return linux.syscall("seccomp", _SET_MODE_FILTER, flags, ctypes.byref(described))
        except OSError as error:
            if error.errno != _EINVAL or flags == _NEW_LISTENER:
                raise
    raise AssertionError("unreachable")
