"""Landlock: a second wall behind the mounts, which holds even where a mount would be writable by mistake."""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from flexcore.infrastructure.sandbox.launcher import linux

_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_AND_MAKE: Final = 0x1FF << 4
_MAKE_DEVICES: Final = (1 << 6) | (1 << 11)  # character and block devices
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
# What each version of Landlock added, from the first on.
_FILE_RIGHTS: Final = (0x1FFF, _REFER, _TRUNCATE, 0, _IOCTL_DEVICE)
_NETWORK_SINCE: Final = 4
_BIND_AND_CONNECT_TCP: Final = 0b11
_SCOPES_SINCE: Final = 6
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("files", "network", "scopes")]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """Ask the kernel for its version of Landlock; 0 if it has none."""
    try:
        return linux.syscall("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def confine(*, writable: Iterable[str], devices: Iterable[str]) -> None:
    """Allow this process and all it starts to read what there is, and to write beneath `writable` and to `devices`.

    Where the kernel knows them, TCP and abstract sockets and signals to others are denied as well. Does nothing without
    Landlock; raises OSError.
    """
    found = version()
    if not found:
        return
    handled = 0
    for rights in _FILE_RIGHTS[:found]:
        handled |= rights
    ruleset = _Ruleset(
        handled,
        _BIND_AND_CONNECT_TCP if found >= _NETWORK_SINCE else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if found >= _SCOPES_SINCE else 0,
    )
    # Before the version that knows the network, and the one that knows scopes, the structure was shorter.
    fields = 1 + (found >= _NETWORK_SINCE) + (found >= _SCOPES_SINCE)
    descriptor = linux.syscall("landlock_create_ruleset", ctypes.byref(ruleset), 8 * fields, 0)
    read = _EXECUTE | _READ_FILE | _READ_DIRECTORY
    write = read | _WRITE_FILE | _TRUNCATE | _REFER | (_REMOVE_AND_MAKE & ~_MAKE_DEVICES)
    try:
        _allow(descriptor, "/", read & handled)
        for path in writable:
            _allow(descriptor, path, write & handled)
        for path in devices:
            _allow(descriptor, path, (_READ_FILE | _WRITE_FILE) & handled)
        linux.syscall("landlock_restrict_self", descriptor, 0)
    finally:
        os.close(descriptor)


def _allow(ruleset: int, path: str, rights: int) -> None:
    if not Path(path).is_dir():
        rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(rights, parent)
        linux.syscall("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)
