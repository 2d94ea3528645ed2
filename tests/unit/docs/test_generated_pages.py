"""The reference pages are what the generator gives, and the generator is to be trusted."""

from pathlib import Path

import pytest

from docs.generate import __main__ as program
from docs.generate.markdown import prose, table


def test_every_generated_page_is_current() -> None:
    stale = [path.relative_to(program.ROOT).as_posix() for path in program.stale()]
    assert not stale, f"run `make docs`; stale: {stale}"


def test_check_names_a_stale_page_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "reference" / "page.md"
    monkeypatch.setattr(program, "ROOT", tmp_path)
    monkeypatch.setattr(program, "pages", lambda: {page: "new\n"})
    assert program.main(["--check"]) == 1
    assert capsys.readouterr().err == "reference/page.md is stale: run `make docs`\n"
    assert not page.exists()
    assert program.main([]) == 0
    assert program.main(["--check"]) == 0
    page.write_text("old\n")
    assert program.main(["--check"]) == 1
    assert page.read_text() == "old\n"


@pytest.mark.parametrize(
    ("ansible", "markdown"),
    [
        (r"As V(f(x\)).", "As `f(x)`."),
        ("Set O(timeout) to V(5).", "Set `timeout` to `5`."),
        ("See L(the page, https://example.org/x).", "See [the page](https://example.org/x)."),
        ("B(Never) from I(here).", "**Never** from *here*."),
        (["One.", "Two."], "One.\n\nTwo."),
    ],
)
def test_ansible_markup_becomes_markdown(ansible: str | list[str], markdown: str) -> None:
    assert prose(ansible) == markdown


def test_a_cell_does_not_break_its_table() -> None:
    assert table(["A"], [["x | y\nz\n\nnext"]]) == "| A |\n| --- |\n| x \\| y z<br>next |"
