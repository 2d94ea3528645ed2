"""Tells systemd how the start and the stop go (sd_notify), where the unit asks for it with Type=notify."""

import os
import socket


def notify(state: str) -> None:
    """Send `state`, such as READY=1; does nothing outside such a unit. Raises OSError if systemd is not there."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)
