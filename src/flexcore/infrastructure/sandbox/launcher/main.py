"""Makes the process that `start` begins into a launcher, with its fork server beside it."""

import json
import os
import resource
import signal
import socket
from pathlib import Path
from typing import Any, Final, NoReturn

import flexcore_plugin
from flexcore.infrastructure.sandbox.launcher import fork_server, linux, namespaces, root
from flexcore.infrastructure.sandbox.launcher.launcher import LONGEST_MESSAGE, Launcher

_SDK: Final = str(Path(flexcore_plugin.__file__).parent)


def main(descriptor: int) -> NoReturn:
    """Confine what is to be confined and serve; errors before that are the supervisor's to know."""
    supervisor = socket.socket(fileno=descriptor)
    os.umask(0o022)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    purpose: dict[str, Any] = json.loads(supervisor.recv(LONGEST_MESSAGE))
    work = fork_server.Work(**purpose["work"])
    try:
        namespaces.enter_mount_namespace()
        readable = [work.directory, *work.search_path, _SDK]
        root.build(readable=readable, read=purpose["read"], write=work.write)
        namespaces.leave_the_host()
        # It went with the last change of user.
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        first = _first_process()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server = os.fork()
    except (OSError, root.RootError) as error:
        supervisor.send(json.dumps({"broken": f"it can't be confined: {error}"}).encode())
        os._exit(1)
    if server == 0:
        fork_server.serve(theirs, work)
    theirs.close()
    Launcher(
        supervisor,
        ours,
        server=server,
        first=first,
        memory_limited=purpose["memory_limited"],
        executable=work.executable is not None,
    ).run()


def _first_process() -> int:
    """Fork process 1 of the plugin's process namespace: it does nothing, and when it ends, all of them are killed.

    It ends with us: then nobody holds the other end of its pipe. A signal at the death of its parent would not come to
    one whose parent died before it could ask for it, and from inside its namespace it can't see that.
    """
    reader, _writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.closerange(0, reader)
        os.closerange(reader + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    return pid
