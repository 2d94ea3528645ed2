"""The how-to does what it says, and shows the examples as they are."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/how-to/write-a-plugin.md"
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(kind, textwrap.dedent(text)) for _, kind, text in BLOCK.findall(PAGE.read_text())]


def test_the_page_does_what_it_says(flexcore: FlexCoreProcess, tmp_path: Path) -> None:
    script, shown = "", []
    for (kind, text), (after, output) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if kind == "sh":
            script += text
            shown += [output] if after == "text" else []
    flexcore.client().close()  # which waits for the address
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FLEXCORE_URL": flexcore.url,
            "FLEXCORE_API_TOKEN": TOKEN,
            "FLEXCORE_OPS": str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(shown)


def test_the_page_shows_the_examples_files() -> None:
    for kind, name in (("toml", "flexcore-plugin.toml"), ("python", "greeter.py")):
        shown = next(text for found, text in BLOCKS if found == kind)
        assert shown == (ROOT / "examples/greeter" / name).read_text()
