"""Plugins in other languages: the example in shell, packed and run."""

from pathlib import Path

import httpx

from flexcore.infrastructure.packages.build import build_package
from tests.integration.plugins.conftest import PLUGINS, send

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/word-count"


def test_the_example_in_shell_counts_words(checked: httpx.Client, tmp_path: Path) -> None:
    path, _ = build_package(EXAMPLE, tmp_path)
    answer = send(checked, path)
    assert answer.status_code == 201, answer.text
    assert answer.json()["entry_point"] == "bin/count"

    def count(text: str) -> httpx.Response:
        return checked.post(f"{PLUGINS}/word-count/execute", json={"parameters": {"data": {"text": text}}})

    assert count("one  two three").json()["result"] == {"success": True, "data": {"words": 3}}
    assert count("* ?").json()["result"]["data"] == {"words": 2}
    assert count('with "quotes"').json()["errors"][0]["field"] == "parameters.data.text"
    logged = checked.get(f"{PLUGINS}/word-count/logs").json()["logs"]
    assert "counted 3 words" in [record["message"] for record in logged]
