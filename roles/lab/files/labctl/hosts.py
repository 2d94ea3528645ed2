"""One host of a lab: its root file system by overlay, its boot in systemd-nspawn, its end."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from cgroups import HostGroup
from commands import LabError, run, wait_until

# With --keep-unit systemd-nspawn does not reboot a host itself: it ends with this status and leaves that to us.
REBOOT_REQUESTED = 133
# What a container's systemd takes as the order to power off.
POWER_OFF = signal.SIGRTMIN + 4
START_SECONDS = 15
EVERY_HOSTS_SYSTEM_CALLS = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "@keyring")
NSPAWN_RUNTIME = Path("/run/systemd/nspawn")


def mounts_below(directory: Path) -> list[Path]:
    """List the mount points at or below a directory, the deepest first."""
    fields = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    points = (Path(field[4].encode().decode("unicode_escape")) for field in fields)
    return sorted((point for point in points if point.is_relative_to(directory)), reverse=True)


class Host:
    """A host by its name. Its files are below LAB/hosts/NAME: `upper`, `work`, `root` and `console.log`."""

    def __init__(self, lab: Path, name: str) -> None:
        self.lab, self.name = lab, name
        self.directory = lab / "hosts" / name
        self.upper, self.work, self.root = (self.directory / layer for layer in ("upper", "work", "root"))
        self.console = self.directory / "console.log"
        self.machine = f"{lab.name}-{name}"
        self.link = f"vb-{self.machine}"
        self.group = HostGroup(Path("flexcore-ops", lab.name, name))

    def running(self) -> bool:
        """Whether the host is up and will come back after a reboot."""
        return self.group.populated("keeper") and self.group.populated("boot")

    def public_key(self) -> str:
        """Read the host's public ssh key from its disk; empty before its first boot."""
        file = self.upper / "etc/ssh/ssh_host_ed25519_key.pub"
        return " ".join(file.read_text().split()[:2]) if file.exists() else ""

    def start(self, base: str) -> None:
        """Boot the host on a base directory, detached from the caller; a host that runs is left alone.

        Raises LabError with what its console says when it does not boot.
        """
        if self.running():
            return
        self.kill()
        # The kernel remembers of a group that its processes were killed, and then kills what a newer systemd (257) puts
        # into a group that was made later.
        self.group.remove()
        for directory in (self.upper, self.work, self.root):
            directory.mkdir(parents=True, exist_ok=True)
        if not mounts_below(self.root):
            layers = f"lowerdir={base},upperdir={self.upper},workdir={self.work}"
            run("mount", "-t", "overlay", self.machine, "-o", layers, str(self.root))
        self.group.make()
        with self.console.open("wb") as output:
            keeper = subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, str(Path(__file__).parent), str(self.lab), "keep", self.name],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )

        def booted() -> bool:
            return bool(self.public_key()) and self.group.init_pid() is not None

        wait_until(lambda: booted() or keeper.poll() is not None, START_SECONDS)
        if not booted():
            said = "; ".join(self.console.read_text(errors="replace").strip().splitlines()[-5:])
            self.kill()
            raise LabError(f"host {self.name} does not boot; {self.console} ends with: {said}")

    def keep(self, address: str, gateway: str, bridge: str) -> None:
        """Run the host in this process until it is powered off, booting it again whenever it asks for a reboot.

        The address is written as address/prefix.
        """
        self.group.enter("keeper")
        has_stub_resolver = Path("/run/systemd/resolve/resolv.conf").exists()
        command = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            f"--machine={self.machine}",
            f"--hostname={self.name}",
            f"--network-bridge={bridge}",
            f"--bind-ro={self.lab}/ssh/id_ed25519.pub:/etc/ssh/authorized_keys/deploy",
            f"--resolv-conf={'copy-uplink' if has_stub_resolver else 'copy-host'}",
            "--timezone=off",
            "--link-journal=no",
            "--console=pipe",
            "--kill-signal=SIGRTMIN+3",
            "--register=no",
            "--keep-unit",
            # The plugin sandbox needs the one, and has to refuse the other by itself.
            f"--system-call-filter={' '.join(EVERY_HOSTS_SYSTEM_CALLS)}",
            "/usr/local/sbin/lab-init",
            address,
            gateway,
        ]
        status = REBOOT_REQUESTED
        while status == REBOOT_REQUESTED:
            self.unlink()
            boot = subprocess.Popen(command, preexec_fn=lambda: self.group.enter("boot"))  # noqa: S603 - see above
            status = boot.wait()

    def ask_to_stop(self) -> None:
        """Ask the host's systemd to power off; a frozen host goes on first."""
        self.group.freeze(False)
        init = self.group.init_pid()
        if init is not None:
            os.kill(init, POWER_OFF)

    def kill(self) -> None:
        """Pull the plug: no further packet leaves, no process runs on, nothing is tidied up."""
        run("ip", "link", "set", self.link, "down", check=False)
        self.group.kill()
        self.unlink()

    def unlink(self) -> None:
        """Remove the host's link. It would outlive the host as long as an unanswered connection of its does."""
        run("ip", "link", "delete", self.link, check=False)

    def remove(self) -> None:
        """End the host and undo everything it was, as far as it is there."""
        self.kill()
        if self.root.exists():
            root = self.root.stat()
            (NSPAWN_RUNTIME / "locks" / f"inode-{root.st_dev}:{root.st_ino}").unlink(missing_ok=True)
        for point in mounts_below(self.directory):
            run("umount", str(point))
        for place in ("propagate", "unix-export"):
            left = NSPAWN_RUNTIME / place / self.machine
            if left.exists():
                left.rmdir()
        self.group.remove()
        if self.directory.exists():
            shutil.rmtree(self.directory)
