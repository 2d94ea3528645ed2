"""The how-to does what it says, and prints what it shows."""

import os
import re
import subprocess
import textwrap
from pathlib import Path

from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess

PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/run-a-pipeline.md"
BLOCK = re.compile(r"^( *)```(sh|text)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def test_the_page_does_what_it_says(flexcore: FlexCoreProcess, tmp_path: Path) -> None:
    blocks = [(kind, textwrap.dedent(text)) for _, kind, text in BLOCK.findall(PAGE.read_text())]
    script = "".join(text for kind, text in blocks if kind == "sh")
    shown = "".join(text for kind, text in blocks if kind == "text")
    flexcore.client().close()  # which waits for the address
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": os.environ["PATH"], "FLEXCORE_URL": flexcore.url, "FLEXCORE_API_TOKEN": TOKEN},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == shown
