"""A plugin with every bad habit the server has to cope with. Runs in the sandbox only."""

import ctypes
import os
import signal
import sys
import threading
import time

from flexcore_plugin import OperationFailed, PermissionRefused, connect, emit, execution_id, log, secret

CLONE_NEWUSER = 0x10000000


class Misbehaving:
    """Each method is one habit."""

    def __init__(self, configuration):
        self._configuration = configuration

    def circumstances(self):
        return {"execution_id": execution_id(), "configuration": self._configuration}

    def raises(self):
        raise LookupError("no such customer")

    def refuses(self):
        raise OperationFailed("not today", reason="closed")

    def exits(self):
        sys.exit(3)

    def exits_at_once(self):
        os._exit(3)

    def dies_by_signal(self):
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)

    def hangs(self):
        log("hanging")
        time.sleep(3600)

    def spins(self):
        while True:
            pass

    def leaves_a_thread(self):
        threading.Thread(target=time.sleep, args=(3600,)).start()
        return {}

    def answers_at_length(self, megabytes):
        return {"text": "x" * (megabytes << 20)}

    def writes_to_its_channel(self, text):
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, text.encode())
            except OSError:
                continue
        time.sleep(3600)

    def takes_memory(self, megabytes):
        return {"bytes": len(bytearray(b"x") * (megabytes << 20))}

    def returns_no_json(self):
        return {"when": object()}

    def returns_nan(self):
        return {"number": float("nan")}

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

    def tells_its_secret(self):
        print(f"it is {secret('api_key')}")  # noqa: T201
        return {"secret": secret("api_key"), "length": len(secret("api_key"))}

    def connects(self, ports):
        found = []
        for port in ports:
            try:
                with connect("127.0.0.1", port) as connection:
                    found.append(connection.recv(100).decode())
            except PermissionRefused as refused:
                found.append(str(refused))
        return found

    def emits(self):
        return {"positions": [emit("Misbehaved", "thing", {"number": number}) for number in range(3)]}

    def makes_a_namespace(self):
        library = ctypes.CDLL(None, use_errno=True)
        return {"failed": library.unshare(CLONE_NEWUSER) != 0, "error": os.strerror(ctypes.get_errno())}

    def big_input(self, text):
        return {"length": len(text)}
