"""Keys are what the server takes as a correlation id."""

from __future__ import annotations

import pytest
from flexcore_client.errors import InputError
from flexcore_client.keys import check_key


@pytest.mark.parametrize("key", [None, "a", "7", "A1._:-z", "k" * 128])
def test_what_the_server_takes_is_a_key(key: str | None) -> None:
    check_key(key)


@pytest.mark.parametrize("key", ["", "-a", "no blanks", "a\n", "é", "k" * 129])
def test_what_it_does_not_take_is_refused(key: str) -> None:
    with pytest.raises(InputError) as caught:
        check_key(key)
    assert str(caught.value) == (
        f"key is {key!r}: allowed are 1 to 128 letters, digits and . _ : -, a letter or digit first"
    )
