"""One ssh connection per host, shared by testinfra's modules and by the probes.

testinfra's own ssh backend opens a connection for every command, because it never names a ControlPath. Here one
generated ssh configuration carries everything the inventory says about reaching a host, keeps host key checking on, and
names a ControlPath, so that whatever speaks to a host reuses its first connection.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.infra.inventory import HostVariables, InventoryError

CONNECT_TIMEOUT_SECONDS = 5
# A frozen host accepts the TCP connection and then says nothing, which ConnectTimeout covers only up to the banner.
REACH_TIMEOUT_SECONDS = 15


class Connections:
    """The ssh configuration of one run, and the connections that it opened."""

    def __init__(self, hosts: dict[str, HostVariables]) -> None:
        """Write the configuration for `hosts`. Raises InventoryError when one asks for what this suite can't do."""
        # A socket's path may be 107 bytes long, hence a short directory and %C, ssh's own digest of the connection.
        self._directory = tempfile.TemporaryDirectory(prefix="verify-")
        self.hosts = tuple(hosts)
        self.config = Path(self._directory.name) / "ssh_config"
        blocks = [host_block(name, variables) for name, variables in hosts.items()]
        self.config.write_text("\n".join([*blocks, self._common_block()]))

    def _common_block(self) -> str:
        options = [
            "BatchMode yes",
            f"ConnectTimeout {CONNECT_TIMEOUT_SECONDS}",
            "ServerAliveInterval 5",
            "ServerAliveCountMax 3",
            "LogLevel ERROR",
            "ControlMaster auto",
            f"ControlPath {self._directory.name}/%C",
            "ControlPersist 60",
        ]
        # What the operator configured for his ssh (a jump host, say) counts as it does for Ansible.
        return _block("*", [*options, "Include ~/.ssh/config"])

    def command(self, host: str, remote: str) -> list[str]:
        """Argument vector that runs the shell command `remote` on `host`."""
        return ["ssh", "-F", str(self.config), host, remote]

    def unreachable(self) -> dict[str, str]:
        """Open a connection to every host at once; the hosts that do not answer as root, each with the reason."""
        with ThreadPoolExecutor(max_workers=len(self.hosts)) as pool:
            reasons = pool.map(self._reason_unreachable, self.hosts)
        return {host: reason for host, reason in zip(self.hosts, reasons, strict=True) if reason}

    def _reason_unreachable(self, host: str) -> str | None:
        try:
            answer = subprocess.run(
                self.command(host, "sudo -n true"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=REACH_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"accepts the connection, but says nothing for {REACH_TIMEOUT_SECONDS} s: is it hung?"
        if answer.returncode == 0:
            return None
        said = answer.stderr.strip().splitlines()
        if answer.returncode == 255:
            return said[-1] if said else "ssh failed without saying why"
        return f"the deploy user may not use sudo without a password ({said[-1] if said else 'no message'})"

    def close(self) -> None:
        """Close every connection and remove the configuration."""
        for host in self.hosts:
            subprocess.run(
                ["ssh", "-F", str(self.config), "-O", "exit", host],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        self._directory.cleanup()


def host_block(name: str, variables: HostVariables) -> str:
    """The ssh configuration of one inventory host, from the connection variables that Ansible's ssh plugin reads."""
    for unsupported in ("ansible_password", "ansible_ssh_pass", "ansible_become_password", "ansible_become_pass"):
        if unsupported in variables:
            raise InventoryError(
                f"{name}: {unsupported} is set, but verification speaks to a host by key and with passwordless sudo "
                "only; give the deploy user a key and a sudoers entry"
            )
    if variables.get("ansible_connection", "ssh") not in ("ssh", "smart", "ansible.builtin.ssh"):
        raise InventoryError(f"{name}: ansible_connection is {variables['ansible_connection']}; only ssh is supported")
    # First, because ssh takes the first value of an option: no inventory turns host key checking off.
    options = ["StrictHostKeyChecking yes"]
    named = {
        "ansible_host": "HostName",
        "ansible_port": "Port",
        "ansible_user": "User",
        "ansible_ssh_private_key_file": "IdentityFile",
        "ansible_private_key_file": "IdentityFile",
    }
    options.extend(f"{option} {_quoted(variables[source])}" for source, option in named.items() if source in variables)
    for source in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        options.extend(_options(name, source, str(variables.get(source, ""))))
    return _block(name, options)


def _options(host: str, source: str, arguments: str) -> Iterator[str]:
    """Configuration lines that mean the same as ssh's command line `arguments`."""
    words = iter(shlex.split(arguments))
    for word in words:
        flag, value = word[:2], word[2:] or next(words, "")
        if flag == "-o" and "=" in value:
            yield value.replace("=", " ", 1)
        elif flag == "-J":
            yield f"ProxyJump {value}"
        elif flag == "-i":
            yield f"IdentityFile {_quoted(value)}"
        else:
            raise InventoryError(f"{host}: {source} has {word}; allowed are -o Option=value, -J host and -i file")


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text else text


def _block(pattern: str, options: Iterable[str]) -> str:
    return f"Host {pattern}\n" + "".join(f"  {option}\n" for option in options)
