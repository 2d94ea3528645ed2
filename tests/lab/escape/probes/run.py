"""Runs probes by name and says how each went: `escaped` with the evidence, or `refused` with what was said."""

import importlib
import json
import os
import sys

MODULES = ("files", "network", "kernel", "processes", "resources", "siblings")
NO_ESCAPE = (OSError, MemoryError, RecursionError)


def find(name):
    """The probe of this name."""
    for module in MODULES:
        probe = getattr(importlib.import_module(f"{__package__}.{module}"), name, None)
        if probe is not None and not name.startswith("_"):
            return probe
    raise LookupError(f"there is no probe {name}")


def attempt(name, host):
    """Run one probe here and now."""
    try:
        evidence = find(name)(host)
    except NO_ESCAPE as error:
        return {"escaped": None, "refused": f"{type(error).__name__}: {error}"[:300]}
    return {"escaped": evidence, "refused": None if evidence else "nothing came of it"}


def attempt_apart(name, host):
    """Run one probe in a child, which takes with it what the probe changed about itself."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            outcome = attempt(name, host)
        except BaseException as error:
            outcome = {"broken": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(outcome).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(said) if said else {"escaped": None, "refused": f"ended with status {status}"}


def main():
    """Run the probes that standard input names, each in a child, and print the outcomes by name."""
    question = json.load(sys.stdin)
    # What a careless program leaves open for those it starts.
    left_open = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(left_open, True)
    print(json.dumps({name: attempt_apart(name, question["host"]) for name in question["names"]}))


if __name__ == "__main__":
    main()
