"""simple-processor."""

import pytest

from flexcore_plugin import OperationFailed
from flexcore_plugins.simple_processor.processor import SimpleProcessor

processor = SimpleProcessor({})


def test_text() -> None:
    assert processor.echo(text="x", number=1) == {"text": "x", "number": 1}
    assert processor.uppercase("straße") == {"text": "STRASSE"}
    assert processor.lowercase("ÄB") == {"text": "äb"}
    assert processor.reverse("abc") == {"text": "cba"}
    assert processor.count("one two\nthree") == {"characters": 13, "words": 3, "lines": 2}


def test_sum_keeps_whole_numbers_whole() -> None:
    total = processor.sum([1, 2, 10**30])
    assert total == {"sum": 10**30 + 3, "count": 3}
    assert isinstance(total["sum"], int)
    assert processor.sum([0.5, 1]) == {"sum": 1.5, "count": 2}
    assert processor.sum([]) == {"sum": 0, "count": 0}


@pytest.mark.parametrize("stranger", ["1", None, True, [1]])
def test_sum_names_what_is_no_number(stranger: object) -> None:
    with pytest.raises(OperationFailed, match=r"numbers\[1\] is not a number"):
        processor.sum([1, stranger])


def test_wait(capsys: pytest.CaptureFixture[str]) -> None:
    assert processor.wait(0) == {"waited_seconds": 0}
    assert capsys.readouterr().err == "<6>waiting for 0 s\n<6>waited long enough\n"
    with pytest.raises(OperationFailed, match="0 or more"):
        processor.wait(-1)
