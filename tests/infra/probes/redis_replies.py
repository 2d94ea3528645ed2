"""What Redis replies to clients on this host."""

import socket


class Connection:
    """Redis' wire protocol, as much of it as asking needs: https://redis.io/docs/latest/develop/reference/protocol-spec/"""

    def __init__(self, host, port):
        self._socket = socket.create_connection((host, port), timeout=5)
        self._replies = self._socket.makefile("rb")

    def ask(self, *words):
        """The reply to one command: text, a number, a list or None; an error as {"error": text}."""
        parts = [word.encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self._reply()

    def _reply(self):
        line = self._replies.readline().rstrip(b"\r\n").decode()
        kind, rest = line[:1], line[1:]
        if kind == "-":
            return {"error": rest}
        if kind == ":":
            return int(rest)
        if kind == "$":
            return None if rest == "-1" else self._replies.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == "*":
            return None if rest == "-1" else [self._reply() for _ in range(int(rest))]
        return rest

    def close(self):
        """End the conversation."""
        self._replies.close()
        self._socket.close()


def converse(host, port, credentials, commands):
    """The replies to AUTH, if there are credentials, and to each command, on a connection of their own."""
    connection = Connection(host, port)
    try:
        login = connection.ask("AUTH", *credentials) if credentials else None
        return {"login": login, "replies": {" ".join(command): connection.ask(*command) for command in commands}}
    finally:
        connection.close()


def collect(host, port, sessions):
    """The replies in each session, by its name. Only commands that change nothing belong into one."""
    return {
        name: converse(host, port, session["credentials"], session["commands"]) for name, session in sessions.items()
    }
