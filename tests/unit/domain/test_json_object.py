"""A JSON object that stays text."""

import json

from flexcore.domain.json_object import JsonObject


def test_it_is_the_mapping_that_its_text_says() -> None:
    found = JsonObject('{"a": 1, "b": {"c": [null, "ü"]}}')
    assert found == {"a": 1, "b": {"c": [None, "ü"]}}
    assert found != {"a": 1}
    assert (dict(found), len(found), found["a"], found.get("x"), "b" in found) == (
        {"a": 1, "b": {"c": [None, "ü"]}}, 2, 1, None, True,
    )  # fmt: skip


def test_it_is_read_once_and_only_when_somebody_looks() -> None:
    reads: list[str] = []

    def decode(text: str) -> dict[str, int]:
        reads.append(text)
        return json.loads(text)

    found = JsonObject('{"a": 1}', decode)
    assert (found.text, reads) == ('{"a": 1}', [])
    assert (found["a"], found.get("a"), len(found)) == (1, 1, 1)
    assert reads == ['{"a": 1}']
