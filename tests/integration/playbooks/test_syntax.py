"""Every playbook is accepted by Ansible on every inventory."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOKS = sorted(ROOT.glob("playbooks/*.yml"))
INVENTORIES = sorted(path for path in ROOT.glob("inventories/*") if path.is_dir())


def complaint(inventory: Path) -> str | None:
    answer = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--syntax-check", "--inventory", inventory, *PLAYBOOKS],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # The lab's playbooks are for inventories with a lab.
    said = answer.stderr.replace("[WARNING]: Could not match supplied host pattern, ignoring: lab\n", "").strip()
    return f"{inventory.name}: {said}" if answer.returncode or said else None


def test_every_playbook_on_every_inventory() -> None:
    assert PLAYBOOKS
    assert INVENTORIES
    with ThreadPoolExecutor(max_workers=2) as pool:
        complaints = [text for text in pool.map(complaint, INVENTORIES) if text]
    assert not complaints, "\n".join(complaints)
