"""Probes that reach for other machines, for the host's services and for each other.

They make their sockets by the module below `socket`, which FlexCore's own helpers for plugins do not replace.
"""

import _socket
import os
import socket
from contextlib import closing

SECONDS = 2.0


def _connect(family, *addresses):
    """Evidence if any of the addresses takes a connection; the last refusal otherwise."""
    refusal = None
    for address in addresses:
        try:
            with closing(_socket.socket(family, socket.SOCK_STREAM)) as connection:
                connection.settimeout(SECONDS)
                connection.connect(address)
        except OSError as error:
            refusal = refusal or error
            continue
        return f"connected to {address}"
    raise refusal


def connect_out(host):
    return _connect(socket.AF_INET, (host["listener"], int(host["listener_port"])))


def connect_to_postgresql(host):
    return _connect(socket.AF_INET, (host["address"], 5432), ("127.0.0.1", 5432))


def connect_to_redis(host):
    return _connect(socket.AF_INET, (host["address"], 6379), ("127.0.0.1", 6379))


def connect_to_the_api(host):
    return _connect(socket.AF_INET, (host["address"], 8080), ("127.0.0.1", 8080))


def connect_to_ssh(host):
    return _connect(socket.AF_INET, (host["address"], 22), ("127.0.0.1", 22))


def connect_to_postgresqls_socket(host):
    return _connect(socket.AF_UNIX, "/run/postgresql/.s.PGSQL.5432", "/var/run/postgresql/.s.PGSQL.5432")


def connect_to_the_system_bus(host):
    return _connect(socket.AF_UNIX, "/run/dbus/system_bus_socket", "/run/systemd/private")


def connect_to_the_journal(host):
    with closing(_socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as connection:
        connection.connect("/run/systemd/journal/socket")
    return "may write the host's journal"


def connect_to_the_supervisor(host):
    return _connect(socket.AF_UNIX, "/run/flexcore-sandbox/supervisor.sock")


def open_abstract_socket(host):
    """A name that any process of the same network namespace could find: a channel between plugins."""
    with closing(_socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        listener.bind(f"\0flexcore-escape-{os.getpid()}")
        listener.listen()
    return "listens on an abstract name"


def listen_on_a_port(host):
    with closing(_socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
    return "listens on a port"


def send_a_datagram(host):
    with closing(_socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        sender.sendto(b"escaped", (host["listener"], int(host["listener_port"])))
    return "sent a datagram"


def open_raw_socket(host):
    _socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return "has a raw socket"


def open_packet_socket(host):
    _socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    return "has a packet socket"


def open_netlink_socket(host):
    with closing(_socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)) as connection:
        connection.bind((0, 0))
    return "speaks to the kernel by netlink"


def open_kernel_crypto(host):
    """A rarely used family of sockets with a history of holes, for all the others like it."""
    _socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close()
    return "has a socket of the kernel's cryptography"


def resolve_a_name(host):
    """The host's own name, which stands in its /etc/hosts."""
    return f"{host['name']} is {_socket.getaddrinfo(host['name'], 80)[0][4][0]}"


def connect_by_way_of_the_server(host):
    """As an honest client would, whose connections the server makes for it where it may have them."""
    refusal = None
    for port in (5432, 6379, 8080, 22):
        for name in (host["address"], "127.0.0.1", "localhost", host["name"]):
            try:
                socket.create_connection((name, port), SECONDS).close()
            except OSError as error:
                refusal = refusal or error
                continue
            return f"connected to {name}:{port}"
    raise refusal
