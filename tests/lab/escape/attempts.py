"""Every attempt of the escape suite: its probe, what it tries, and how success would show.

`control` is the user as whom the same probe succeeds on the same host without a sandbox, which proves that the probe
works and that the sandbox is what stops it; None where nobody can, or where it would do damage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Control = Literal["root", "flexcore-sandbox"] | None

PLUGINS: Control = "flexcore-sandbox"
ROOT: Control = "root"
ANSWERED = frozenset({"completed"})
# Who goes on until he is stopped.
STOPPED = frozenset({"failed", "killed", "timed_out"})
# Where it is the kernel's or the interpreter's turn to say no, whichever comes first.
EITHER = ANSWERED | STOPPED


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt; `ends` are the ways in which its execution may end."""

    name: str
    tries: str
    success: str
    control: Control = None
    ends: frozenset[str] = ANSWERED


FILES = (
    Attempt("read_shadow", "read the host's password hashes", "their bytes", ROOT),
    Attempt("read_host_users", "read /etc/passwd of the host", "users of the host are named", PLUGINS),
    Attempt("read_ssh_keys", "read the host's ssh keys", "their bytes", ROOT),
    Attempt("read_configuration", "read FlexCore's configuration", "its bytes", ROOT),
    Attempt("read_credentials", "read the server's credentials", "their bytes", ROOT),
    Attempt("read_signing_key", "read the key that signs the event log", "its bytes", ROOT),
    Attempt("list_homes", "list home directories", "names of files", ROOT),
    Attempt("read_logs", "list the host's journal", "names of files", ROOT),
    Attempt("read_database_files", "list the files of PostgreSQL and Redis", "names of files", ROOT),
    Attempt("read_other_plugins", "find other plugins' code", "their ids", PLUGINS),
    Attempt("climb_out_of_the_root", "open ../../… from every directory it has", "the host's name", PLUGINS),
    Attempt("follow_links_of_proc", "follow /proc/<pid>/root of others", "the host's users", ROOT),
    Attempt("change_own_code", "write into its own installed code", "a file is there", PLUGINS),
    Attempt("change_other_plugins", "write into the directory of plugins", "a file is there", ROOT),
    Attempt("change_release", "write into FlexCore's release", "a file is there", ROOT),
    Attempt("change_system", "write into /usr, /etc and the units", "a file is there", ROOT),
    Attempt("change_what_every_program_loads", "write /etc/ld.so.preload", "a file is there", ROOT),
    Attempt("make_device_node", "make device nodes for disk and memory", "a node is there"),
    Attempt("open_devices", "open the kernel's devices", "a descriptor"),
    Attempt("open_terminal", "open a terminal", "a descriptor", PLUGINS),
    Attempt("read_sysfs", "read /sys", "names of files", PLUGINS),
    Attempt("lift_own_limits", "write its control groups", "a limit can be written", ROOT),
    Attempt("set_core_pattern", "set what runs when a process crashes", "a descriptor to write"),
    Attempt("read_kernel_settings", "read what /proc says of the kernel", "its version", PLUGINS),
    Attempt("make_setuid_file", "make a setuid file", "the bit is set", PLUGINS),
)

NETWORK = (
    Attempt("connect_out", "connect to another machine", "the connection stands", PLUGINS),
    Attempt("connect_to_postgresql", "connect to PostgreSQL, also on loopback", "the connection stands", PLUGINS),
    Attempt("connect_to_redis", "connect to Redis", "the connection stands", PLUGINS),
    Attempt("connect_to_the_api", "connect to FlexCore's API", "the connection stands", PLUGINS),
    Attempt("connect_to_ssh", "connect to the host's ssh", "the connection stands", PLUGINS),
    Attempt("connect_to_postgresqls_socket", "connect to PostgreSQL's unix socket", "the connection stands", PLUGINS),
    Attempt("connect_to_the_system_bus", "connect to the system bus", "the connection stands", PLUGINS),
    Attempt("connect_to_the_journal", "write the host's journal", "the socket takes it", PLUGINS),
    Attempt("connect_to_the_supervisor", "connect to the sandbox's control socket", "the connection stands", ROOT),
    Attempt("open_abstract_socket", "listen on an abstract name", "a name others find", PLUGINS),
    Attempt("listen_on_a_port", "listen on a port", "a port others find", PLUGINS),
    Attempt("send_a_datagram", "send a datagram", "it is sent", PLUGINS),
    Attempt("open_raw_socket", "open a raw socket", "a descriptor", ROOT),
    Attempt("open_packet_socket", "open a packet socket", "a descriptor", ROOT),
    Attempt("open_netlink_socket", "open a netlink socket", "a descriptor", PLUGINS),
    Attempt("open_kernel_crypto", "open a socket of a rare family", "a descriptor"),
    Attempt("connect_by_way_of_the_server", "have the server connect it", "the connection stands", PLUGINS),
    Attempt("resolve_a_name", "ask the host's resolver", "an address", PLUGINS),
)

KERNEL = (
    Attempt("make_user_namespace", "make a user namespace within its own", "every capability in it", PLUGINS),
    Attempt("clone_into_a_namespace", "the same by clone", "a child in one", PLUGINS),
    Attempt("clone3_into_a_namespace", "the same by clone3", "a child in one", PLUGINS),
    Attempt("make_mount_namespace", "make a mount namespace", "mounts of its own", ROOT),
    Attempt("mount_a_file_system", "mount a tmpfs", "it is mounted", ROOT),
    Attempt("mount_proc", "mount /proc", "it is mounted", ROOT),
    Attempt("mount_the_new_way", "begin a mount with fsopen", "a descriptor", ROOT),
    Attempt("unmount_what_hides", "unmount what hides the host", "it is gone"),
    Attempt("change_root", "change its root", "another root", ROOT),
    Attempt("enter_a_namespace", "enter another process's namespaces", "it is in", ROOT),
    Attempt("open_by_handle", "open a directory by its handle", "a descriptor"),
    Attempt("use_keyring", "keep a key in the kernel's keyring", "the key's number"),
    Attempt("read_session_keyring", "find the session's keyring", "its number"),
    Attempt("load_bpf", "make a BPF map", "a descriptor"),
    Attempt("use_io_uring", "set up an io_uring", "a descriptor"),
    Attempt("use_userfaultfd", "handle page faults", "a descriptor", PLUGINS),
    Attempt("measure_performance", "measure the kernel", "a descriptor"),
    Attempt("read_kernel_log", "read the kernel's log", "its size"),
    Attempt("load_a_module", "load a kernel module", "only the file is wrong"),
    Attempt("set_the_clock", "set the clock", "it is set"),
    Attempt("name_the_host", "rename the host", "it is renamed", ROOT),
    Attempt("account_processes", "switch process accounting", "it is switched"),
    Attempt("watch_every_file", "watch file systems", "a descriptor"),
    Attempt("change_personality", "switch random addresses off", "they are off", PLUGINS),
    Attempt("become_another_user", "become another user", "another number", ROOT),
    Attempt("become_root", "become root", "number 0"),
    Attempt("join_another_group", "join another group", "its number", ROOT),
    Attempt("use_capabilities", "pass by the mode of a file", "a descriptor", ROOT),
    Attempt("gain_privileges_by_a_program", "be obeyed by setuid programs", "no_new_privs is off", PLUGINS),
    Attempt("run_in_real_time", "run in real time", "the scheduler obeys"),
    Attempt("be_nicer_to_itself", "raise its priority", "the scheduler obeys", ROOT),
    Attempt("raise_a_limit", "raise a limit of its own", "a higher limit", PLUGINS),
    Attempt("share_memory_by_number", "share System V memory", "its number", PLUGINS),
    Attempt("run_program_from_memory", "run a program that stands in no file", "it ran", PLUGINS),
)

PROCESSES = (
    Attempt("see_other_processes", "see other processes", "a command line", PLUGINS),
    Attempt("read_environments", "read the environment of others", "a byte of it", PLUGINS),
    Attempt("find_secrets_of_other_plugins", "find a secret that is for another plugin", "a part of it", ROOT),
    Attempt("find_secrets_in_own_environment", "find secrets in its environment", "a telling name", PLUGINS),
    Attempt("find_inherited_descriptors", "find descriptors left open", "a file or a named socket", PLUGINS),
    Attempt("signal_others", "signal the supervisor, its fork server, siblings", "the kernel lets it", PLUGINS),
    Attempt("kill_the_parent", "kill its parent", "it says so", None, EITHER),
    Attempt("kill_its_group", "kill its process group", "a later execution suffers", None, EITHER),
    Attempt("kill_everybody", "kill whatever it may", "it says so", None, EITHER),
    Attempt("trace_the_parent", "trace its parent", "the kernel lets it", ROOT),
    Attempt("be_traced", "be traced", "the kernel lets it", PLUGINS),
    Attempt("read_memory_of_others", "read others' memory", "bytes of it", ROOT),
    Attempt("take_descriptors_of_others", "take others' descriptors", "a descriptor"),
    Attempt("start_a_process", "start one process more than it may", "a child", PLUGINS),
    Attempt("bomb_with_forks", "start processes without end", "200 of them", None, EITHER),
    Attempt("bomb_with_threads", "start threads without end", "5000 of them", None, EITHER),
    Attempt("outlive_the_execution", "leave a process behind", "it says so", PLUGINS),
)

RESOURCES = (
    Attempt("bomb_with_memory", "take twice its memory", "it holds it", PLUGINS, EITHER),
    Attempt("bomb_with_shared_memory", "take twice its memory, shared", "it holds it", PLUGINS, EITHER),
    Attempt("fill_a_file", "write 1 GiB into a file", "it is written", None, EITHER),
    Attempt("fill_the_disk", "write 1 GiB into many files", "it is written", None, EITHER),
    Attempt("fill_the_directory", "make 500000 files", "they are there", None, EITHER),
    Attempt("open_descriptors_without_end", "open 20000 descriptors", "they are open", None, EITHER),
    Attempt("recurse_without_end", "recurse without end", "it returns", None, EITHER),
    Attempt("recurse_in_c", "recurse without the interpreter's limit", "it returns", None, EITHER),
    Attempt("compute_without_end", "compute without end", "it is not stopped", None, STOPPED),
    Attempt("sleep_without_end", "sleep without end", "it is not stopped", None, STOPPED),
    Attempt("refuse_to_end", "ignore every signal and stay", "it is not stopped", None, STOPPED),
    Attempt("print_without_end", "print without end", "it is not stopped", None, STOPPED),
    Attempt("crash", "crash the interpreter", "it lives", None, STOPPED),
)

# Of the plugin that is a program: what it says over its channel, and what it leaves behind.
PROGRAM = (
    Attempt("answer_twice", "answer a second time", "the second answer counts"),
    Attempt("answer_with_a_gigabyte", "answer with 1 GB", "it is taken", None, STOPPED),
    Attempt("answer_without_end_of_line", "send 1 GB that is no message", "it is taken", None, STOPPED),
    Attempt("answer_nested_deep", "answer with JSON nested 200000 deep", "it is taken", None, STOPPED),
    Attempt("answer_with_noise", "send what is no JSON", "it is passed over", None, STOPPED),
    Attempt("answer_with_what_is_no_number", "answer with NaN", "it is taken", None, STOPPED),
    Attempt("speak_for_the_server", "send the supervisor's messages", "they are taken", None, STOPPED),
    Attempt("run_another_execution", "send the server's messages", "they are taken", None, STOPPED),
    Attempt("connect_where_it_may_not", "have the server connect it to forbidden places", "it is connected"),
    Attempt("connect_to_nonsense", "ask for a connection to nonsense", "it is connected", None, EITHER),
    Attempt("record_what_it_may_not", "record an event that it may not", "it is recorded"),
    Attempt("hear_others", "hear what is not for it", "a byte"),
    Attempt("hand_over_descriptors", "use up the server's descriptors", "the server has more of them", None, EITHER),
    Attempt("log_without_end", "fill the log", "more records than the log takes", None, EITHER),
    Attempt(
        "write_errors_without_end", "fill the log by standard error", "more records than the log takes", None, EITHER
    ),
    Attempt("forge_log_lines", "forge records of the log", "a record of its own making"),
    Attempt("leave_a_process", "leave processes behind", "one is there afterwards"),
    Attempt("close_everything_and_stay", "stay without a channel", "it is not stopped", None, STOPPED),
    Attempt("end_without_an_answer", "end without an answer", "it counts as one", None, STOPPED),
    Attempt("bomb_with_programs", "start programs without end", "they are not stopped", None, STOPPED),
)

# Once more, and these for the first time, while another execution of the same plugin runs.
_ON_OTHERS = ("see_other", "read_", "find_secrets_of", "signal_", "take_", "kill_")
BESIDE = (
    Attempt("find_traces_of_others", "find files and memory of a sibling", "a trace of it"),
    *(attempt for attempt in PROCESSES if attempt.name.startswith(_ON_OTHERS)),
)

ATTEMPTS = (*FILES, *NETWORK, *KERNEL, *PROCESSES, *RESOURCES)
# Those that are tried while the plugin is imported as well, in the fork server, which goes on living: not those that
# would only harm the plugin itself there, nor those that start processes, which is what a fork server is for, nor what
# an execution is limited to.
AT_IMPORT = (
    *FILES,
    *NETWORK,
    *(attempt for attempt in KERNEL if not attempt.name.startswith(("clone", "run_program", "change_root", "raise_"))),
    *(attempt for attempt in PROCESSES if attempt.name.startswith(("see", "read", "find", "trace", "take"))),
)
