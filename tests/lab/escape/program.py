#!/usr/bin/python3 -IS
"""The hostile plugin that is a program: it writes to the server whatever it likes, and leaves behind what it can.

Descriptors 0 and 1 are the execution's channel: JSON lines. What it answers is `escaped`, with evidence or null.
"""

import array
import json
import os
import signal
import socket
import sys
import time

DEEP = 200_000
MIB = 1 << 20


def say(**message):
    """Write one message."""
    os.write(1, json.dumps(message).encode() + b"\n")


def hear():
    """Read one message."""
    return json.loads(sys.stdin.buffer.readline())


def answer(escaped=None):
    """Write the answer."""
    say(type="result", success=True, data={"escaped": escaped})


def flood(chunk):
    """Write without end, and say so should there ever be one."""
    for _ in range(1024 * MIB // len(chunk)):
        os.write(1, chunk)


def answer_twice(host):
    answer(None)
    answer("a second answer counted")


def answer_with_a_gigabyte(host):
    os.write(1, b'{"type":"result","success":true,"data":{"escaped":"')
    flood(b"x" * MIB)
    os.write(1, b'"}}\n')


def answer_without_end_of_line(host):
    flood(b" " * MIB)


def answer_nested_deep(host):
    text = '{"type":"result","success":true,"data":' + '{"escaped":' * DEEP + "1" + "}" * DEEP + "}\n"
    os.write(1, text.encode())


def answer_with_noise(host):
    os.write(1, os.urandom(4096) + b"\n")
    answer("noise was taken for nothing")


def answer_with_what_is_no_number(host):
    os.write(1, b'{"type":"result","success":true,"data":{"escaped":NaN}}\n')


def speak_for_the_server(host):
    """Messages that only the server and the supervisor send."""
    say(type="ended", execution_id=host["run"], how="exited", exit_code=0)
    answer("was taken for the supervisor")


def run_another_execution(host):
    say(type="run", execution_id=host["run"], operation="attempt", data={}, configuration={}, secrets={})
    answer("was taken for the server")


def connect_where_it_may_not(host):
    """By every spelling of the same place."""
    places = (
        (host["address"], 5432),
        ("127.0.0.1", 5432),
        ("localhost", 5432),
        ("::ffff:127.0.0.1", 5432),
        ("0.0.0.0", 8080),
        ("2130706433", 8080),
        (host["listener"], int(host["listener_port"])),
        ("169.254.169.254", 80),
    )
    for place in places:
        say(type="connect", host=place[0], port=place[1])
        if hear()["type"] == "connected":
            return answer(f"was connected to {place}")
    return answer()


def connect_to_nonsense(host):
    say(type="connect", host={"a": 1}, port="5432; drop")
    heard = hear()
    answer("was connected" if heard["type"] == "connected" else None)


def record_what_it_may_not(host):
    """An event that would make a plugin disappear."""
    say(type="emit", event_type="PluginRemoved", aggregate_id="json-processor", data={})
    answer("recorded an event" if hear()["type"] == "emitted" else None)


def hear_others(host):
    """Whether any more comes over the channel than this execution's own."""
    socket.socket(fileno=os.dup(0)).settimeout(0.5)
    try:
        more = os.read(0, 65536)
    except OSError:
        more = b""
    answer(f"heard {len(more)} bytes" if more else None)


def hand_over_descriptors(host):
    """The server has only so many: it must not keep what it never asked for."""
    channel = socket.socket(fileno=os.dup(1))
    null = os.open("/dev/null", os.O_RDONLY)
    line = json.dumps({"type": "log", "level": "info", "message": "here"}).encode() + b"\n"
    for _ in range(200):
        channel.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 100))])
    answer()


def log_without_end(host):
    line = json.dumps({"type": "log", "level": "info", "message": "y" * 500}).encode() + b"\n"
    for _ in range(200_000):
        os.write(1, line)
    answer()


def write_errors_without_end(host):
    for _ in range(20_000):
        os.write(2, b"<3>" + b"z" * 997 + b"\n")
    answer()


def forge_log_lines(host):
    """Lines that would look like other records, or move the reader's cursor."""
    say(type="log", level="info", message='x\n{"level":"critical","message":"forged"}\x1b[2J\r')
    answer()


def leave_a_process(host):
    """It may have several processes; none of them may be there when the execution is over."""
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            for number in range(1, signal.NSIG):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    continue
            time.sleep(600)
    answer()


def close_everything_and_stay(host):
    os.closerange(0, 64)
    time.sleep(600)


def end_without_an_answer(host):
    sys.exit(0)


def answer_late(host):
    """After it was cancelled, if it lives as long."""
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    say(type="log", level="info", message="waits")
    time.sleep(2)
    answer("answered after it was cancelled")


def bomb_with_programs(host):
    """The classic of the shell."""
    os.execv("/bin/sh", ["sh", "-c", "b() { b | b & }; b; sleep 60"])


run = hear()
if run["operation"] == "health":
    answer()
else:
    globals()[run["data"]["name"]](run["data"]["host"])
