"""Tells systemd what to show as the unit's status, when systemd asked to be told."""

from __future__ import annotations

import os
import socket


def notify_status(text: str) -> None:
    """Send ``text`` as the unit's status line (sd_notify(3)); without effect outside a unit that listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        # A leading "@" stands for the abstract namespace, whose names begin with a zero byte.
        sock.sendto(f"STATUS={text}".encode(), "\0" + address[1:] if address.startswith("@") else address)
