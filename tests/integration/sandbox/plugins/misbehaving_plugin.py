"""A plugin with every bad habit the runner has to cope with. Runs in the child process only."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from flexcore_plugin import OperationFailed, execution_id, log


class Misbehaving:
    """Each method is one habit."""

    def __init__(self, configuration):
        self._configuration = configuration

    def raises(self):
        raise LookupError("no such customer")

    def refuses(self):
        raise OperationFailed("not today", reason="closed")

    def exits(self):
        sys.exit(3)

    def exits_at_once(self):
        os._exit(3)

    def dies_by_signal(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def hangs(self):
        time.sleep(3600)

    def ignores_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(3600)

    def spins(self):
        while True:
            pass

    def leaves_a_child(self, program="sleep"):
        child = subprocess.Popen([program, "3600"], env={"PATH": os.defpath})
        return {"pid": child.pid}

    def hangs_with_a_child(self):
        log(f"child {self.leaves_a_child()['pid']}")
        time.sleep(3600)

    def leaves_a_thread(self):
        threading.Thread(target=time.sleep, args=(3600,)).start()
        return {}

    def answers_at_length(self, megabytes):
        return {"text": "x" * (megabytes << 20)}

    def takes_memory(self, megabytes):
        return {"bytes": len(bytearray(megabytes << 20))}

    def returns_no_json(self):
        return {"when": object()}

    def returns_nan(self):
        return {"number": float("nan")}

    def returns_half_a_character(self):
        return {"text": "\ud800"}

    def prints(self):
        print("to stdout")  # noqa: T201
        print("to stderr", file=sys.stderr)  # noqa: T201
        log("a warning", level="warning")
        sys.stderr.write("<3>an error\n<9>no priority\n\nhalf a line")
        return {}

    def shouts(self, lines, length=10):
        for number in range(lines):
            sys.stderr.write(f"{number} ".ljust(length, "x") + "\n")
        return {}

    def writes_a_file(self, path):
        Path(path).write_text("x" * 100)
        return {}

    def connects(self, port):
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        time.sleep(3600)
        return {"connections": len(connections)}

    def circumstances(self):
        return {
            "execution_id": execution_id(),
            "environment": dict(os.environ),
            "directory": str(Path.cwd()),
            "descriptors": [str(item.readlink()) for item in Path("/proc/self/fd").iterdir() if item.exists()],
            "session": os.getsid(0),
            "pid": os.getpid(),
            "arguments": sys.argv,
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "configuration": self._configuration,
            "stdin": sys.stdin.read(),
            "modules": sorted(sys.modules),
        }

    def big_input(self, text):
        return {"length": len(text)}
