"""The verification suite knows every secret of an inventory."""

from ansible.parsing.dataloader import DataLoader

from tests.infra.inventory import HostVariables
from tests.infra.known_secrets import secrets


def test_secrets_are_what_the_specs_mark_also_inside_lists() -> None:
    variables = HostVariables(
        "data1",
        {
            "flexcore_api_token": "a-token",
            "flexcore_postgresql_user": "no secret",
            "flexcore_redis_password": "",
            "postgresql_roles": [{"name": "one", "password": "first"}, {"name": "two", "password": "second"}],
        },
        DataLoader(),
    )
    assert {name: secret.reveal() for name, secret in secrets(variables).items()} == {
        "flexcore_api_token": "a-token",
        "postgresql_roles[0].password": "first",
        "postgresql_roles[1].password": "second",
    }
