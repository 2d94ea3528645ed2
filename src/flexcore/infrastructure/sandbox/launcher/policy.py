"""Which system calls a plugin may make: a list of those allowed; whatever is not on it does not exist (ENOSYS).

`REPORTED` calls are refused by the launcher, which counts them: a plugin has no business with them. Those that are
`GUARDED` it allows or refuses by who asks. The others are decided in the kernel.
"""

import errno
from typing import Final

from flexcore.infrastructure.sandbox.launcher.linux import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_PARENT,
    CLONE_THREAD,
)
from flexcore.infrastructure.sandbox.launcher.seccomp import ALLOW, NOTIFY, Match, Rule, compile_filter
from flexcore.infrastructure.sandbox.launcher.seccomp import errno as fail
from flexcore.infrastructure.sandbox.launcher.syscalls import numbers

HAND_OVER: Final = "sched_rr_get_interval"
"""The call by which a new process asks for its execution, of no use to plugins otherwise.

It has to be one that systemd and containers let services make: where an outer filter refuses it, nobody asks us.
"""

NEW_NAMESPACES: Final = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
_CLONE_PTRACE: Final = 0x2000


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ALLOWED: Final = _names("""
read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 lseek open openat openat2 creat close
close_range dup dup2 dup3 stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat
getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link
linkat symlink symlinkat truncate ftruncate fallocate fsync fdatasync chmod fchmod fchmodat fchmodat2 umask
utime utimes futimesat utimensat flock copy_file_range sendfile splice tee fadvise64 readahead statfs fstatfs
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr poll ppoll select pselect6 epoll_create
epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 pipe pipe2 timerfd_create
timerfd_settime timerfd_gettime signalfd signalfd4 recvfrom recvmsg recvmmsg shutdown getsockname getpeername
getsockopt munmap mremap mprotect madvise brk mincore msync mlock mlock2 munlock pkey_alloc pkey_free
pkey_mprotect membarrier get_mempolicy exit exit_group set_tid_address set_robust_list futex futex_waitv rseq
restart_syscall gettid getpid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgid
getpgrp getsid setsid setpgid wait4 waitid kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigreturn
rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack pause alarm setitimer getitimer timer_create
timer_settime timer_gettime timer_getoverrun timer_delete nanosleep clock_gettime clock_getres clock_nanosleep
gettimeofday time times getrusage sysinfo uname getcpu sched_yield sched_getaffinity sched_setaffinity
sched_getscheduler sched_getparam sched_get_priority_max sched_get_priority_min sched_getattr getpriority
getrlimit setrlimit arch_prctl getrandom capget pidfd_open pidfd_send_signal
""")

REPORTED: Final = _names("""
ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd mount umount2 pivot_root chroot
move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr unshare setns bpf keyctl add_key request_key
io_uring_setup io_uring_enter io_uring_register perf_event_open userfaultfd open_by_handle_at name_to_handle_at
socket connect bind listen accept accept4 init_module finit_module delete_module kexec_load kexec_file_load
reboot swapon swapoff sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex acct quotactl
quotactl_fd iopl ioperm syslog fanotify_init fanotify_mark setuid setgid setreuid setregid setresuid setresgid
setgroups capset seccomp shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semop semctl semtimedop mq_open
vhangup
""")

# Without effect for a plugin, but expected to be there: they fail as for any user without rights.
_DENIED: Final = _names("""
chown fchown lchown fchownat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr setpriority
sched_setscheduler sched_setparam sched_setattr ioprio_set vmsplice get_robust_list rt_sigqueueinfo
rt_tgsigqueueinfo setfsuid setfsgid landlock_create_ruleset landlock_add_rule landlock_restrict_self
""")

_AF_UNIX: Final = 1
_MAP_TYPE, _MAP_PRIVATE = 0xF, 0x2
_FILE_TYPE, _REGULAR, _FIFO = 0xF000, 0x8000, 0x1000
# A socket that was connected for a plugin would connect anywhere with this flag on a send.
_MSG_FASTOPEN: Final = 0x20000000
_FCNTL: Final = (
    *range(5),  # duplicating, close-on-exec, status flags
    *range(5, 8),  # locks
    *range(36, 39),  # locks of an open file
    1030,  # duplicating with close-on-exec
    *range(1031, 1035),  # size of a pipe, seals of memory
)
_O_ASYNC: Final = 0x2000
_IOCTL: Final = (
    0x5401,  # TCGETS: is it a terminal?
    0x5413,  # TIOCGWINSZ
    0x541B,  # FIONREAD
    0x5421,  # FIONBIO
    0x5450,  # FIONCLEX
    0x5451,  # FIOCLEX
)
_PRCTL: Final = (
    *(1, 2),  # the signal when the parent dies
    3,  # whether others may look into it
    *(15, 16),  # its name
    21,  # whether it has a seccomp filter
    23,  # whether a capability is in the bounding set
    *(29, 30),  # slack of timers
    *(38, 39),  # no new privileges
    *(41, 42),  # huge pages
    0x53564D41,  # names of memory areas
)
_SOL_SOCKET, _IPPROTO_TCP = 1, 6
# Buffers, timeouts, keep-alive, delays: nothing that says where to or as whom.
_SOL_SOCKET_OPTIONS: Final = (2, 7, 8, 9, 13, 18, 19, 20, 21, 66, 67)
_TCP_OPTIONS: Final = (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 18)
_PER_QUERY: Final = 0xFFFFFFFF


def rules(*, executable: bool) -> dict[str, Rule]:
    """Give the rule of every system call by name; `executable` plugins may exec."""
    return {
        **dict.fromkeys(ALLOWED, Rule(ALLOW)),
        **dict.fromkeys(REPORTED, Rule(NOTIFY)),
        **dict.fromkeys(_DENIED, Rule(fail(errno.EPERM))),
        HAND_OVER: Rule(NOTIFY),
        # A thread is allowed; any other process is for the launcher to allow.
        "clone": _only(
            Match(0, (CLONE_THREAD,), CLONE_THREAD | CLONE_PARENT | _CLONE_PTRACE | NEW_NAMESPACES), else_=NOTIFY
        ),
        # Its arguments are in memory, where no filter can look: libraries fall back to clone.
        "clone3": Rule(fail(errno.ENOSYS)),
        "fork": Rule(NOTIFY),
        "vfork": Rule(NOTIFY),
        "execve": Rule(ALLOW if executable else NOTIFY),
        "execveat": Rule(ALLOW if executable else NOTIFY),
        # Memory that is shared could outlive an execution: the launcher allows it to executions only.
        "mmap": _only(Match(3, (_MAP_PRIVATE,), _MAP_TYPE), else_=NOTIFY),
        "memfd_create": Rule(NOTIFY),
        "prctl": _only(Match(0, _PRCTL), else_=fail(errno.EPERM)),
        "ioctl": _only(Match(1, _IOCTL), else_=fail(errno.ENOTTY)),
        "fcntl": _only(Match(1, _FCNTL), else_=fail(errno.EINVAL)),
        "personality": _only(Match(0, (0, _PER_QUERY)), else_=fail(errno.EPERM)),
        "mknod": _only(Match(1, (0, _REGULAR, _FIFO), _FILE_TYPE), else_=NOTIFY),
        "mknodat": _only(Match(2, (0, _REGULAR, _FIFO), _FILE_TYPE), else_=NOTIFY),
        "prlimit64": _only(Match(0, (0,)), else_=fail(errno.EPERM)),
        "socketpair": _only(Match(0, (_AF_UNIX,)), else_=NOTIFY),
        "sendto": _only(Match(3, (0,), _MSG_FASTOPEN), else_=NOTIFY),
        "sendmsg": _only(Match(2, (0,), _MSG_FASTOPEN), else_=NOTIFY),
        "sendmmsg": _only(Match(3, (0,), _MSG_FASTOPEN), else_=NOTIFY),
        "setsockopt": Rule(
            fail(errno.EPERM),
            (
                (ALLOW, (Match(1, (_SOL_SOCKET,)), Match(2, _SOL_SOCKET_OPTIONS))),
                (ALLOW, (Match(1, (_IPPROTO_TCP,)), Match(2, _TCP_OPTIONS))),
            ),
        ),
        # Both would let a plugin make the host write its disks; what it has to keep is kept by fsync.
        "sync": Rule(fail(0)),
        "syncfs": Rule(fail(0)),
    }


def filter_program(machine: str, *, executable: bool) -> bytes:
    """Compile the rules for `machine`."""
    known = numbers(machine)
    by_number = {known[name]: rule for name, rule in rules(executable=executable).items() if name in known}
    return compile_filter(by_number, machine=machine, default=fail(errno.ENOSYS))


def _only(match: Match, *, else_: int) -> Rule:
    return Rule(else_, ((ALLOW, (match,)),))
