"""System calls, for which the standard library has no function."""

import ctypes
import os
import platform

_NUMBERS = {
    "x86_64": {
        "process_vm_readv": 310,
        "ptrace": 101,
        "mount": 165,
        "umount2": 166,
        "pivot_root": 155,
        "unshare": 272,
        "setns": 308,
        "sethostname": 170,
        "syslog": 103,
        "personality": 135,
        "keyctl": 250,
        "add_key": 248,
        "bpf": 321,
        "perf_event_open": 298,
        "userfaultfd": 323,
        "io_uring_setup": 425,
        "pidfd_open": 434,
        "pidfd_getfd": 438,
        "open_by_handle_at": 304,
        "name_to_handle_at": 303,
        "finit_module": 313,
        "kexec_load": 246,
        "swapon": 167,
        "clone": 56,
        "clone3": 435,
        "shmget": 29,
        "msgget": 68,
        "iopl": 172,
        "fsopen": 430,
        "open_tree": 428,
        "acct": 163,
        "quotactl": 179,
        "settimeofday": 164,
        "fanotify_init": 300,
        "modify_ldt": 154,
        "kcmp": 312,
        "vmsplice": 278,
        "prctl": 157,
    }
}
NUMBERS = _NUMBERS.get(platform.machine(), {})
_libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    """Make a system call; its result, or OSError."""
    result = _libc.syscall(ctypes.c_long(NUMBERS[name]), *(_word(argument) for argument in arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _word(argument):
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
