"""Probes that reach for files: the host's, FlexCore's, other plugins', and those that a plugin must not change."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

MARK = "flexcore-escape"


def _read(*paths: str) -> str | None:
    """Evidence if any of the files can be read and holds something; the last refusal otherwise."""
    refusal: OSError | None = None
    for path in paths:
        try:
            if content := Path(path).read_bytes():
                return f"{len(content)} bytes of {path}"
        except OSError as error:
            refusal = refusal or error
    if refusal:
        raise refusal
    return None


def _write(*paths: str) -> str | None:
    """Evidence if any of the files can be made, which is undone at once; the last refusal otherwise."""
    refusal: OSError | None = None
    for path in paths:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except OSError as error:
            refusal = refusal or error
            continue
        os.close(descriptor)
        Path(path).unlink()
        return f"made {path}"
    if refusal:
        raise refusal
    return None


def _entries(directories: Iterable[str]) -> str | None:
    refusal: OSError | None = None
    for directory in directories:
        try:
            if names := os.listdir(directory):
                return f"{directory} holds {', '.join(sorted(names)[:5])}"
        except OSError as error:
            refusal = refusal or error
    if refusal:
        raise refusal
    return None


def read_shadow(host):
    return _read("/etc/shadow", "/etc/gshadow", "/etc/shadow-")


def read_host_users(host):
    users = Path("/etc/passwd").read_text()
    return "the host's users" if "flexcore-sandbox:" in users and "deploy:" in users else None


def read_ssh_keys(host):
    return _read("/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/authorized_keys/deploy")


def read_configuration(host):
    return _read("/etc/flexcore/config.yaml")


def read_credentials(host):
    directories = ("/etc/flexcore/credentials", "/run/credentials/flexcore.service")
    return _read(*(f"{directory}/{name}" for directory in directories for name in ("api_token", "postgres_password")))


def read_signing_key(host):
    return _read("/var/lib/flexcore/checkpoint_key.pem")


def list_homes(host):
    """A plugin's work directory may well be called a home of its own."""
    homes = set(os.listdir("/home")) - {"plugin"}
    return f"/home holds {', '.join(sorted(homes))}" if homes else _entries(("/root",))


def read_logs(host):
    return _entries(("/var/log/journal", "/run/log/journal", "/var/log"))


def read_database_files(host):
    return _entries(("/var/lib/postgresql/15/main", "/var/lib/postgresql/15", "/var/lib/redis"))


def read_other_plugins(host):
    others = [name for name in os.listdir(host["plugins"]) if f"/{name}/" not in __file__]
    return f"other plugins: {others}" if others else None


def climb_out_of_the_root(host):
    for start in (".", "/", os.path.dirname(os.path.abspath(__file__))):
        descriptor = os.open(start, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = os.open("../" * 40 + "etc/hostname", os.O_RDONLY, dir_fd=descriptor)
        except OSError:
            continue
        finally:
            os.close(descriptor)
        return f"etc/hostname says {os.read(found, 99)!r}"
    return None


def follow_links_of_proc(host):
    """The root, the working directory and the files of other processes, as /proc links to them."""
    refusal = None
    for number in (1, os.getppid()):
        for link in ("root", "cwd", "fd/0", "exe"):
            place = f"/proc/{number}/{link}"
            try:
                os.readlink(place)
                if _hosts(os.path.join(place, "etc/passwd")):
                    return f"{place} leads to the host's files"
            except OSError as error:
                refusal = refusal or error
    if refusal:
        raise refusal
    return None


def _hosts(users):
    return "deploy:" in Path(users).read_text()


def change_own_code(host):
    return _write(str(Path(__file__).with_name("planted.py")))


def change_other_plugins(host):
    return _write(f"{host['plugins']}/planted", f"{host['plugins']}/json-processor/planted")


def change_release(host):
    return _write("/opt/flexcore/planted", "/opt/flexcore/releases/planted", "/opt/flexcore/current/planted")


def change_system(host):
    return _write("/usr/bin/planted", "/etc/planted", "/etc/cron.d/planted", "/etc/systemd/system/planted", "/planted")


def change_what_every_program_loads(host):
    return _write("/etc/ld.so.preload", "/etc/ld.so.conf.d/planted.conf")


def write_where_others_look(host):
    """Places that all users of a host share. What is left there is looked for on the host afterwards."""
    made = []
    for directory in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/dev/mqueue"):
        file = Path(directory, f"{MARK}-{host['run']}")
        try:
            file.write_text(MARK)
        except OSError:
            continue
        made.append(str(file))
    return None if not made else "made " + ", ".join(made)


def make_device_node(host):
    """A node for the first disk, and one for the kernel's memory."""
    for mode, device in ((stat.S_IFBLK, os.makedev(8, 0)), (stat.S_IFCHR, os.makedev(1, 1))):
        os.mknod(f"node-{os.getpid()}", mode | 0o600, device)
        os.unlink(f"node-{os.getpid()}")
        return "made a device node"
    return None


def open_devices(host):
    refusal = None
    for name in ("mem", "kmsg", "port", "kvm", "fuse", "net/tun", "vda", "sda", "loop-control", "mapper/control"):
        try:
            os.close(os.open(f"/dev/{name}", os.O_RDWR))
        except OSError as error:
            refusal = refusal or error
            continue
        return f"opened /dev/{name}"
    if refusal:
        raise refusal
    return None


def open_terminal(host):
    """A terminal of the host's would take what is typed into it (TIOCSTI)."""
    os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
    return "opened a terminal"


def read_sysfs(host):
    return _entries(("/sys/kernel", "/sys/class/net", "/sys/fs/cgroup"))


def lift_own_limits(host):
    """Control groups of v1 and v2, as far as they show."""
    made = []
    for directory, _, files in os.walk("/sys/fs/cgroup"):
        for name in {"memory.limit_in_bytes", "memory.max", "pids.max", "cgroup.procs"} & set(files):
            try:
                os.close(os.open(os.path.join(directory, name), os.O_WRONLY))
            except OSError:
                continue
            made.append(os.path.join(directory, name))
    return f"may write {made[0]}" if made else None


def set_core_pattern(host):
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return "may say what runs when a process of the host crashes"


def read_kernel_settings(host):
    return _read("/proc/sys/kernel/version", "/proc/version", "/proc/cmdline", "/proc/kallsyms")


def make_setuid_file(host):
    path = Path(f"setuid-{os.getpid()}")
    path.touch()
    os.chmod(path, 0o6755)
    mode = path.stat().st_mode
    path.unlink()
    return "made a file that runs as another user" if mode & stat.S_ISUID else None
