"""No host lets a secret of the inventory out."""

from tests.infra.known_secrets import secrets
from tests.infra.node import Node

# What anybody on the host could read, beside what processes, units and the journal show.
PUBLIC_PLACES = ["/etc", "/opt/flexcore", "/run", "/tmp", "/var/lib/flexcore-health", "/var/log"]
# Not for everybody, but no place for a secret either.
CONFIGURATION = ["/etc/flexcore", "/etc/flexcore-health", "/etc/redis", "/etc/postgresql"]
PLACES_FOR_SECRETS = ["/etc/flexcore/credentials", "/etc/flexcore/tls", "/etc/flexcore-health/credentials"]


def test_secrets_stand_only_where_they_belong(node: Node) -> None:
    known = secrets(node.variables)
    assert known, "the inventory holds no secret to look for"
    answer = node.probe(
        "secret_places", secrets=known, public=PUBLIC_PLACES, private=CONFIGURATION, allowed=PLACES_FOR_SECRETS
    )
    assert answer["found"] == {}
    assert answer["searched"] > 100, "hardly anything was searched"
