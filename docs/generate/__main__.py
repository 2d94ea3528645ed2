"""Entry point: write every generated page, or with `--check` name those that are stale."""

import sys
from pathlib import Path

from docs.generate.pages import ROOT, pages


def stale() -> list[Path]:
    """List the generated pages whose file is missing or differs from what the generator gives now."""
    return [path for path, text in pages().items() if not path.exists() or path.read_text() != text]


def main(arguments: list[str]) -> int:
    """Run with the given command line; returns the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m docs.generate [--check]", file=sys.stderr)  # noqa: T201
        return 2
    if arguments:
        old = stale()
        for path in old:
            print(f"{path.relative_to(ROOT)} is stale: run `make docs`", file=sys.stderr)  # noqa: T201
        return 1 if old else 0
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
