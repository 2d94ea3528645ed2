"""Probes of the kernel: system calls that a plugin has no business with."""

import ctypes
import os
import resource

from .system import call

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
PR_GET_NO_NEW_PRIVS = 39


def make_user_namespace(host):
    call("unshare", CLONE_NEWUSER)
    return "has a user namespace of its own, and every capability in it"


def clone_into_a_namespace(host):
    """The same by clone, whose flags a filter has to look into."""
    pid = call("clone", CLONE_NEWUSER | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a child has a user namespace of its own"


def clone3_into_a_namespace(host):
    """clone3 takes its flags in memory, where no filter can look."""
    arguments = (ctypes.c_uint64 * 11)(CLONE_NEWUSER, 0, 0, 0, 17)
    pid = call("clone3", ctypes.byref(arguments), ctypes.sizeof(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a child has a user namespace of its own"


def make_mount_namespace(host):
    call("unshare", CLONE_NEWNS)
    return "has a mount namespace of its own"


def mount_a_file_system(host):
    os.makedirs("mounted", exist_ok=True)
    call("mount", b"none", b"mounted", b"tmpfs", 0, None)
    call("umount2", b"mounted", 0)
    return "mounted a file system"


def mount_proc(host):
    os.makedirs("mounted", exist_ok=True)
    call("mount", b"proc", b"mounted", b"proc", 0, None)
    call("umount2", b"mounted", 0)
    return "mounted /proc"


def mount_the_new_way(host):
    os.close(call("fsopen", b"tmpfs", 0))
    return "began a mount"


def unmount_what_hides(host):
    """What was mounted over the host's files must not come off; the first that does is evidence."""
    with open("/proc/self/mountinfo") as mounts:
        places = [line.split()[4] for line in mounts]
    call("umount2", places[-1].encode(), 2)
    return f"unmounted {places[-1]}"


def change_root(host):
    os.makedirs("root", exist_ok=True)
    os.chroot("root")
    return "changed its root, from which there are ways out"


def enter_a_namespace(host):
    descriptor = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    call("setns", descriptor, 0)
    return "entered the first process's namespaces"


def open_by_handle(host):
    """Opens a directory by its number, past every root: how containers were left before."""
    refusal = None
    for place in ("/run", "/", "."):
        handle = ctypes.create_string_buffer(8 + 128)
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_uint))[0] = 128
        mount = ctypes.c_int()
        try:
            call("name_to_handle_at", -100, place.encode(), handle, ctypes.byref(mount), 0)
            directory = os.open(place, os.O_RDONLY)
            os.close(call("open_by_handle_at", directory, handle, os.O_RDONLY))
        except OSError as error:
            refusal = refusal or error
            continue
        return f"opened {place} by its handle"
    raise refusal


def use_keyring(host):
    payload = b"escaped"
    key = call("add_key", b"user", b"flexcore-escape", payload, len(payload), -2)
    return f"keeps key {key} in the kernel"


def read_session_keyring(host):
    return f"its session's keyring is {call('keyctl', 0, -3, 0)}"


def load_bpf(host):
    attributes = (ctypes.c_uint32 * 18)(2, 4, 8, 1)
    os.close(call("bpf", 0, attributes, ctypes.sizeof(attributes)))
    return "made a BPF map"


def use_io_uring(host):
    """Its operations pass by every filter of system calls."""
    parameters = ctypes.create_string_buffer(120)
    os.close(call("io_uring_setup", 1, parameters))
    return "has an io_uring"


def use_userfaultfd(host):
    os.close(call("userfaultfd", os.O_CLOEXEC | 1))
    return "handles page faults"


def measure_performance(host):
    attributes = (ctypes.c_uint32 * 32)(1, 128)
    os.close(call("perf_event_open", attributes, 0, -1, -1, 0))
    return "measures the kernel"


def read_kernel_log(host):
    size = call("syslog", 10, None, 0)
    return f"the kernel's log is {size} bytes long"


def load_a_module(host):
    """With no file at all: whoever may load modules is told of the bad descriptor."""
    try:
        call("finit_module", -1, b"", 0)
    except OSError as error:
        if error.errno in (9, 8):
            return "may load modules"
        raise
    return "loaded a module"


def set_the_clock(host):
    """To what it says already."""
    import time

    time.clock_settime(time.CLOCK_REALTIME, time.time())
    return "set the clock"


def name_the_host(host):
    name = os.uname().nodename.encode()
    call("sethostname", name, len(name))
    return "named the host"


def account_processes(host):
    call("acct", None)
    return "may switch accounting"


def watch_every_file(host):
    os.close(call("fanotify_init", 0, 0))
    return "may watch file systems"


def change_personality(host):
    """Switches the randomised addresses off, for whatever is run next."""
    call("personality", 0x0040000)
    return "addresses are not random any more"


def become_another_user(host):
    before = os.getresuid()
    os.setresuid(61000, 61000, 61000)
    return f"was {before}, is {os.getresuid()}"


def become_root(host):
    """As whom a namespace may call itself root counts for nothing: only having been someone else before does."""
    if os.getuid() == 0:
        raise PermissionError("it is 0 in its own namespace only")
    os.setuid(0)
    return "is root"


def join_another_group(host):
    os.setgroups([0, 6])
    return f"is in groups {os.getgroups()}"


def use_capabilities(host):
    """To hold one in a namespace of one's own is nothing; to pass by the mode of a file is something."""
    name = f"closed-{os.getpid()}"
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0))
    os.close(os.open(name, os.O_RDWR))
    os.unlink(name)
    return "opened a file that nobody may open"


def gain_privileges_by_a_program(host):
    """Whether programs that run as root (su, mount, sudo) would be obeyed; they need not even be there."""
    return "setuid programs are obeyed" if call("prctl", PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 else None


def run_in_real_time(host):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "goes before every other process"


def be_nicer_to_itself(host):
    os.nice(-5)
    return "has a higher priority"


def raise_a_limit(host):
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        soft, hard = resource.getrlimit(limit)
        if hard == resource.RLIM_INFINITY:
            return f"has no limit {limit}"
        try:
            resource.setrlimit(limit, (soft, hard + 1))
        except (OSError, ValueError):
            continue
        return f"raised limit {limit} above {hard}"
    return None


def share_memory_by_number(host):
    """System V shared memory is found by number, by anyone in the same namespace."""
    return f"has shared memory {call('shmget', 0xF1EC, 4096, 0o1666)}"


def run_program_from_memory(host):
    """A program that stands in no file, so that no list of files holds it."""
    with open(host["program"], "rb") as file:
        program = file.read()
    descriptor = os.memfd_create("escape")
    os.write(descriptor, program)
    child = os.fork()
    if child == 0:
        try:
            os.execve(descriptor, ["true"], {})
        except OSError:
            os._exit(99)
    return "ran a program from memory" if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 else None
