"""flexcore_info: who the server is, asked no more often than it takes, whichever generation it is of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles import dialects
from tests.doubles.http_double import Reply, serving
from tests.unit.modules.conftest import RunModule


def test_it_asks_nothing_twice(run_module: RunModule) -> None:
    with serving(dialects.flexcore_v1()) as double:
        result = run_module("flexcore_info", url=double.url)
        assert double.paths == ["/health", "/info"]
        run_module("flexcore_info", url=double.url, api="flexcore-v1")
        assert double.paths[2:] == ["/info"]
    assert (result["version"], result["node_id"], result["dialect"]) == ("0.1.0+abc", "core1", "flexcore-v1")


@pytest.mark.parametrize("missing", [Reply("404 page not found", 404), Reply({"detail": "no such route"}, 404)])
def test_where_there_is_no_info_the_health_route_says_who_it_is(missing: Reply, run_module: RunModule) -> None:
    with serving({**dialects.seed_2025(), "/info": missing}) as double:
        result = run_module("flexcore_info", url=double.url)
        assert double.paths.count("/health") == 1
    assert (result["version"], result["dialect"]) == ("2.0.0", "seed-2025")
    assert result["node_id"] == result["info"]["node_id"] is not None


@pytest.mark.parametrize(
    ("answer", "failure"), [(Reply({"detail": "broken"}, 400), "api_error"), (Reply([1]), "bad_body")]
)
def test_an_info_route_that_fails_is_no_missing_one(answer: Any, failure: str, run_module: RunModule) -> None:
    with serving({**dialects.flexcore_v1(), "/info": answer}) as double:
        result = run_module("flexcore_info", url=double.url, api="flexcore-v1")
    assert (result["failed"], result["failure"]) == (True, failure)
