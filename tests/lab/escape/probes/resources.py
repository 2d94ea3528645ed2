"""Probes that take more than is theirs, or never end."""

import mmap
import os
import signal
import time

MIB = 1 << 20


def bomb_with_memory(host):
    """Twice what the plugin may have, and touched, because what nobody touches costs nothing."""
    held = []
    for _ in range(int(host["memory_mb"]) * 2):
        held.append(bytearray(os.urandom(4096)) * 256)
    return f"holds {len(held)} MiB"


def bomb_with_shared_memory(host):
    """Memory that belongs to no process of its own."""
    shared = mmap.mmap(-1, int(host["memory_mb"]) * 2 * MIB)
    for place in range(0, len(shared), 4096):
        shared[place] = 1
    return f"shares {len(shared) // MIB} MiB"


def fill_a_file(host):
    written = 0
    with open("filler", "wb", buffering=0) as file:
        while written < 1024 * MIB:
            written += file.write(bytes(MIB))
    return f"wrote {written // MIB} MiB into one file"


def fill_the_disk(host):
    """With many small files, since a single one has a limit of its own."""
    for number in range(1024):
        with open(f"filler-{number}", "wb", buffering=0) as file:
            if file.write(bytes(MIB)) < MIB:
                raise OSError("written in part")
    return "wrote 1 GiB"


def fill_the_directory(host):
    """Empty files take no space, and yet memory."""
    for number in range(500_000):
        os.close(os.open(f"empty-{number}", os.O_CREAT | os.O_WRONLY))
    return "made 500000 files"


def open_descriptors_without_end(host):
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(20_000)]
    return f"holds {len(held)} descriptors"


def recurse_without_end(host):
    def deeper(level):
        return deeper(level + 1)

    return deeper(0)


def recurse_in_c(host):
    """Without the interpreter's own limit: the stack itself gives way."""
    import sys

    sys.setrecursionlimit(10**9)
    value: list = []
    for _ in range(10**6):
        value = [value]
    return f"compared {value == _copy(10**6)}"


def _copy(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def compute_without_end(host):
    while True:
        pass


def sleep_without_end(host):
    while True:
        time.sleep(3600)


def refuse_to_end(host):
    """Ignores every signal that can be ignored."""
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    while True:
        time.sleep(3600)


def print_without_end(host):
    line = "x" * 1000
    while True:
        print(line)


def crash(host):
    import ctypes

    return f"read {ctypes.string_at(8)!r} at address 8"
