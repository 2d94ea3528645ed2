"""Secrets are blotted out of what plugins say, whatever it looks like, and without holding anybody up."""

import json

import msgspec
import pytest

from flexcore.infrastructure.sandbox.secrets import MOST_BLOTTED_BYTES, Mask, TooMuchToBlotError

SECRET = 'p"ä\\/ss\nwörd'


@pytest.mark.parametrize("encoded", [json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False)])
@pytest.mark.parametrize("shape", ['{{"a": [{0}, 1]}}', "{{{0}: null}}", "[[[{0}]]]"])
def test_a_secret_is_found_however_it_was_written(encoded: str, shape: str) -> None:
    value = msgspec.json.decode(shape.format(encoded))
    found = Mask([SECRET]).value(value)
    assert "ss\\nw" not in json.dumps(found)
    assert "***" in json.dumps(found)


def test_the_longer_of_two_is_blotted_out_as_a_whole() -> None:
    assert Mask(["password", "password-2"]).value({"a": "my password-2"}) == {"a": "my ***"}


def test_nobody_walks_through_what_holds_no_secret() -> None:
    value = [{"a": ["b"]}] * 100_000
    # A walk makes a new one.
    assert Mask(["password"]).value(value) is value


def test_what_holds_one_and_is_too_large_to_be_gone_through_is_refused() -> None:
    most = ["password", "x" * (MOST_BLOTTED_BYTES - len('["password",""]'))]
    assert Mask(["password"]).value(most)[0] == "***"
    with pytest.raises(TooMuchToBlotError, match="holds a secret"):
        Mask(["password"]).value([*most, 1])
