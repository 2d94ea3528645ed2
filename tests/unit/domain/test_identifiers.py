"""Plugin ids."""

import pytest

from flexcore.domain.errors import InvalidInput
from flexcore.domain.identifiers import check_plugin_id


@pytest.mark.parametrize("plugin_id", ["a", "0", "json-processor", "a" * 63, "a--b-"])
def test_allowed(plugin_id: str) -> None:
    assert check_plugin_id(plugin_id) == plugin_id


@pytest.mark.parametrize(
    "plugin_id", ["", "-a", "A", "a_b", "a.b", "a/b", "ä", "a" * 64, "a\n", " a", "execute", "..", "a\0"]
)
def test_refused(plugin_id: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_plugin_id(plugin_id)
    assert caught.value.errors[0].field == "plugin_id"
