"""Tokens: when one is made anew, what is shown of it, and how its text is kept."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from flexcore_client.errors import ClientError, FailureKind, InputError
from flexcore_client.token_work import TokenGoal, bring_about, keep_token

from tests.doubles.fake_clock import FakeClock
from tests.doubles.flexcore_double import API, TIME, FlexCoreDouble
from tests.doubles.http_double import HttpDouble, Reply, serving
from tests.unit.client.asking import ask

TOKENS = f"{API}/tokens"
REVOKED = f"DELETE {TOKENS}/id-of-admin-mon"
MADE = f"POST {TOKENS}"
LATER, LATER_AS_SHOWN = "2027-01-01T01:00:00+01:00", "2027-01-01T00:00:00.000Z"


def with_token(**about: Any) -> FlexCoreDouble:
    """A server with the token in question, between others that are like it in its name or in its owner."""
    served = FlexCoreDouble()
    for token in (
        served.token("mon", "admin", "somebody"),
        served.token("other", "admin"),
        *([served.token("mon", **about)] if about else ()),
    ):
        served.tokens[token["id"]] = token
    return served


def done(double: HttpDouble, goal: TokenGoal, *, dry: bool = False, owner: str | None = None) -> dict[str, Any]:
    return ask(double, lambda client: bring_about(client, goal, owner, dry=dry), FakeClock())


def shown(role: str = "viewer", expires_at: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "mon", "role": role, "expires_at": expires_at, **more}


@pytest.mark.parametrize(
    ("there", "goal", "before", "after", "written"),
    [
        ({}, {}, {}, shown(text="new"), [MADE]),
        ({}, {"expires_at": LATER}, {}, shown(expires_at=LATER_AS_SHOWN, text="new"), [MADE]),
        ({"role": "viewer"}, {}, shown(), shown(), []),
        ({"expires_at": LATER}, {}, shown(expires_at=LATER_AS_SHOWN), shown(expires_at=LATER_AS_SHOWN), []),
        (
            {"expires_at": LATER_AS_SHOWN},
            {"expires_at": LATER},
            shown(expires_at=LATER_AS_SHOWN),
            shown(expires_at=LATER_AS_SHOWN),
            [],
        ),
        ({"role": "admin"}, {}, shown("admin", text="old"), shown(text="new"), [REVOKED, MADE]),
        (
            {"role": "viewer"},
            {"expires_at": LATER},
            shown(text="old"),
            shown(expires_at=LATER_AS_SHOWN, text="new"),
            [REVOKED, MADE],
        ),
        (
            # The moment that the clock shows: a token's last one is over when it comes.
            {"expires_at": "2026-11-20T12:00:00Z"},
            {},
            shown(expires_at="2026-11-20T12:00:00.000Z", text="old"),
            shown(text="new"),
            [REVOKED, MADE],
        ),
        ({"role": "viewer"}, {"state": "absent", "role": None}, shown(), {}, [REVOKED]),
        ({}, {"state": "absent", "role": None}, {}, {}, []),
    ],
    ids=[
        "a new one",
        "a new one with an end",
        "there",
        "there with an end",
        "there with the end wanted",
        "of another role",
        "of another end",
        "expired",
        "to be revoked",
        "revoked before",
    ],
)
def test_a_token_is_made_and_revoked_as_wanted(
    there: dict[str, Any], goal: dict[str, Any], before: dict[str, Any], after: dict[str, Any], written: list[str]
) -> None:
    wanted = TokenGoal(**{"name": "mon", "state": "present", "role": "viewer", **goal})
    served = with_token(**there)
    known = served.tokens.get("id-of-admin-mon")
    with serving(served) as double:  # type: ignore[arg-type]  # it is asked with get() only
        predicted = done(double, wanted, dry=True)
        assert double.writes == []
        result = done(double, wanted)
        assert double.writes == written
        bodies = [seen.json for seen in double.seen if seen.method == "POST"]
    change = {"changed": before != after, "diff": {"before": before, "after": after}}
    kept = {name: known[name] for name in known if name != "last_used"} if known and not written else {}
    assert predicted == {**change, "details": kept}
    if MADE in written:
        end = {"expires_at": LATER} if "expires_at" in goal else {}
        assert bodies == [{"name": "mon", "role": "viewer", **end}]
        assert result.pop("token").startswith("canary-secret-")
        kept = {
            "id": "id-of-admin-mon",
            "name": "mon",
            "owner": "admin",
            "role": "viewer",
            "created_at": TIME,
            "expires_at": end.get("expires_at"),
        }
    assert result == {**change, "details": kept}


@pytest.mark.parametrize("there", [{"role": "viewer"}, {}], ids=["it is there", "it is not"])
def test_a_token_whose_text_this_host_lost_is_made_anew(there: dict[str, Any], tmp_path: Path) -> None:
    goal = TokenGoal("mon", "present", "viewer", path=str(tmp_path / "token"))
    before = shown(on_host=False, text="old") if there else {}
    with serving(with_token(**there)) as double:  # type: ignore[arg-type]  # it is asked with get() only
        made = done(double, goal)
        again = done(double, goal)
    assert made["diff"] == {"before": before, "after": shown(on_host=True, text="new")}
    assert again["diff"] == {"before": shown(on_host=True), "after": shown(on_host=True)}
    assert "token" not in made
    assert (tmp_path / "token").read_text().startswith("canary-secret-")


def test_a_token_of_somebody_else_is_revoked_by_its_own_name() -> None:
    served = with_token(role="viewer")
    served.tokens["id-of-somebody-mon"]["id"] = "a/b c"
    served.tokens["a/b c"] = served.tokens.pop("id-of-somebody-mon")
    with serving({f"{TOKENS}": served.get(TOKENS), f"DELETE {TOKENS}/a%2Fb%20c": Reply("", 204)}) as double:
        result = done(double, TokenGoal("mon", "absent"), owner="somebody")
        assert double.writes == [f"DELETE {TOKENS}/a%2Fb%20c"]
        assert double.paths[0] == TOKENS, "who asks makes no difference"
    assert (result["changed"], result["details"]) == (True, {})


def test_entries_that_are_no_tokens_are_left_out() -> None:
    with serving({TOKENS: Reply({"tokens": [None, "mon"]})}) as double:
        assert done(double, TokenGoal("mon", "absent"), owner="admin")["changed"] is False


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ({"role": None}, "role is missing: say what the token mon may do, one of viewer, operator, admin"),
        ({"expires_at": "soon"}, "expires_at is 'soon': allowed are times such as 2027-01-01T00:00:00Z"),
        ({"path": "/nowhere/token"}, "path is /nowhere/token: its directory is not there"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(goal: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        TokenGoal(**{"name": "mon", "state": "present", "role": "viewer", **goal})
    assert str(caught.value) == words


def test_a_text_goes_to_no_other_directory_than_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    keep_token(str(tmp_path / "token"), "canary")
    assert (tmp_path / "token").read_text() == "canary\n"


def test_a_text_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "token"
    with pytest.raises(ClientError) as caught:
        keep_token(str(path), "canary")
    assert caught.value.kind is FailureKind.UNSUPPORTED
    assert str(caught.value) == (
        f"Writing the token to {path}: No such file or directory, and the text of the new token is lost. "
        "Make the directory writable and run the task again, which makes another token."
    )
