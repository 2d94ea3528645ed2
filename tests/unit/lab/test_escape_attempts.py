"""The escape suite's list of attempts and its probes are about the same things."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.escape import packages
from tests.lab.escape.attempts import AT_IMPORT, ATTEMPTS, BESIDE, PROGRAM
from tests.lab.escape.probes import run

HERE = Path(packages.__file__).parent
NO_ATTEMPTS = {"hold", "answer_late", "write_where_others_look"}


def functions(module: str) -> set[str]:
    found = vars(importlib.import_module(f"{run.__package__}.{module}"))
    return {name for name, value in found.items() if getattr(value, "__module__", "").endswith(f".{module}")}


def test_every_probe_is_an_attempt_and_every_attempt_a_probe() -> None:
    probes = {name for module in run.MODULES for name in functions(module) if not name.startswith("_")}
    attempts = [attempt.name for attempt in {*ATTEMPTS, *BESIDE}]
    assert set(attempts) == probes - NO_ATTEMPTS
    assert len(attempts) == len(set(attempts)) >= 45


def test_every_attempt_of_the_program_is_a_function_of_it() -> None:
    offered = set(re.findall(r"^def (\w+)\(host\)", (HERE / "program.py").read_text(), re.MULTILINE))
    assert {attempt.name for attempt in PROGRAM} == offered - NO_ATTEMPTS


def test_what_is_tried_at_import_never_blocks_it() -> None:
    assert {attempt.name for attempt in AT_IMPORT} <= {attempt.name for attempt in ATTEMPTS}
    assert not [attempt for attempt in AT_IMPORT if "completed" not in attempt.ends]


def test_a_probe_that_succeeds_says_so_and_one_that_is_refused_too(tmp_path: Path) -> None:
    host = {"plugins": str(tmp_path)}
    assert run.attempt("read_other_plugins", host) == {"escaped": None, "refused": "nothing came of it"}
    (tmp_path / "another").mkdir()
    assert "another" in run.attempt("read_other_plugins", host)["escaped"]
    assert "FileNotFoundError" in run.attempt("read_other_plugins", {"plugins": "/nowhere"})["refused"]


def test_a_probe_that_is_broken_is_no_refusal() -> None:
    with pytest.raises(KeyError):
        run.attempt("read_other_plugins", {})
    with pytest.raises(LookupError):
        run.attempt("no_such_probe", {})


def test_probes_run_unconfined_by_name() -> None:
    question = json.dumps({"names": ["find_inherited_descriptors", "see_other_processes"], "host": {}})
    command = [sys.executable, "-m", "probes.run"]
    done = subprocess.run(command, cwd=HERE, input=question, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == {"find_inherited_descriptors", "see_other_processes"}
    assert json.loads(done.stdout)["find_inherited_descriptors"]["escaped"]
