"""Leaving the host's namespaces, and the host's root user where we are root."""

import os
from pathlib import Path
from typing import Final

from flexcore.infrastructure.sandbox.launcher import linux

NOBODY: Final = 65534
"""The one user and group that there is inside."""

# Who runs plugins when the supervisor is root. No file belongs to it, and no service runs as it.
_INSTEAD_OF_ROOT: Final = 65533


def enter_mount_namespace() -> None:
    """Get a mount namespace in which we may mount; as a user without rights, a user namespace first."""
    if os.geteuid() != 0:
        _enter_user_namespace()
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)


def leave_the_host() -> None:
    """Stop being root if we are it, and get the remaining namespaces; that of processes is for our children."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_INSTEAD_OF_ROOT, _INSTEAD_OF_ROOT, _INSTEAD_OF_ROOT)
        os.setresuid(_INSTEAD_OF_ROOT, _INSTEAD_OF_ROOT, _INSTEAD_OF_ROOT)
        # Without it our own files in /proc would still be root's.
        linux.prctl(linux.PR_SET_DUMPABLE, 1)
        _enter_user_namespace()
    # That of mounts once more: what root made, we could leave for a moment, but not come back to.
    linux.unshare(
        linux.CLONE_NEWNS
        | linux.CLONE_NEWPID
        | linux.CLONE_NEWIPC
        | linux.CLONE_NEWUTS
        | linux.CLONE_NEWNET
        | linux.CLONE_NEWCGROUP
    )


def _enter_user_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")
