"""Many checks at once: in order, bounded, within one deadline, and completed by each other."""

from __future__ import annotations

import contextlib
import time

import pytest
from flexcore_client.connection import Connection
from flexcore_client.errors import InputError
from flexcore_client.fanout import CheckOptions, check
from flexcore_client.models import HealthStatus
from flexcore_client.retry import RetryPolicy
from flexcore_client.targets import parse_targets
from flexcore_client.tls import TlsOptions

from tests.doubles import dialects, socket_double
from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import Reply, serving
from tests.doubles.socket_double import behaving

POSTGRES, REDIS = socket_double.saying(b"S"), socket_double.saying(b"+PONG\r\n")


def test_hanging_targets_do_not_hold_up_the_others() -> None:
    with serving(dialects.flexcore_v1()) as good, behaving(socket_double.silent) as bad:
        urls = [bad.url() if number % 4 == 0 else good.url for number in range(20)]
        started = time.monotonic()
        results = check(parse_targets([{"url": url} for url in urls]), CheckOptions(timeout=1.0))
        elapsed = time.monotonic() - started
    assert [result.healthy for result in results] == [url == good.url for url in urls]
    assert elapsed < 4, "the five that hang were waited for one after another"


def test_one_deadline_for_all() -> None:
    with behaving(socket_double.silent) as bad:
        targets = parse_targets([{"url": bad.url()}] * 6)
        results = check(targets, CheckOptions(timeout=1.0, deadline=1.6, concurrency=2))
    assert [result.status.value for result in results] == ["UNHEALTHY"] * 4 + ["UNKNOWN"] * 2
    assert results[3].details["failure"] == "timeout"
    assert results[4].details["cause"] == "its turn did not come within the deadline of 1.6 s"


def test_certificates_that_cannot_be_read_are_told_before_anybody_is_asked() -> None:
    options = CheckOptions(concurrency=1, connection=Connection(tls=TlsOptions(ca_path="/nowhere/ca.pem")))
    with serving(dialects.flexcore_v1()) as good, behaving(REDIS) as redis:
        targets = [{"url": url} for url in (good.url, redis.url("redis"), "https://127.0.0.1:1")]
        with pytest.raises(InputError, match=r"^ca_path /nowhere/ca\.pem cannot be used: No such file or directory$"):
            check(parse_targets(targets), options)
        assert good.seen == []
        assert check(parse_targets(targets[:2]), options)[0].healthy, "nobody is asked who shows a certificate"


def test_a_check_is_repeated_until_it_is_healthy() -> None:
    clock = FakeClock()
    left = iter([Reply("", 503)] * 2)
    good = dialects.flexcore_v1()
    with serving({**good, "/health": lambda seen: next(left, None) or good["/health"](seen)}) as double:
        options = CheckOptions(retry=RetryPolicy(3, random_unit=lambda: 1.0))
        assert check(parse_targets([{"url": double.url}]), options, clock)[0].healthy
    assert clock.slept == [0.1, 0.2]


def test_versions_come_from_what_flexcore_sees() -> None:
    with serving(dialects.flexcore_v1()) as flexcore, behaving(POSTGRES) as postgres, behaving(REDIS) as redis:
        urls = [flexcore.url, postgres.url("postgresql"), redis.url("redis")]
        results = check(parse_targets([{"url": url} for url in urls]))
    assert [(result.service_name, result.version) for result in results] == [
        ("flexcore", "0.1.0+abc"),
        ("postgresql", "15.14"),
        ("redis", "7.0.15"),
    ]


def test_a_login_that_fails_is_seen_through_flexcore() -> None:
    refused = dialects.component("unhealthy", "password authentication failed for user flexcore")
    with serving(dialects.flexcore_v1(postgresql=refused)) as flexcore, behaving(POSTGRES) as postgres:
        targets = parse_targets([{"name": "api", "url": flexcore.url}, {"url": postgres.url("postgresql")}])
        api, server = check(targets)
    assert server.status is HealthStatus.UNHEALTHY
    assert server.details["cause"] == "api reports: password authentication failed for user flexcore"
    assert api.details["culprit"] == server.details["culprit"] == "postgresql"


def test_with_two_servers_of_a_kind_no_component_is_pinned_on_either() -> None:
    down = dialects.component("unhealthy", "no login", version="15")
    with contextlib.ExitStack() as stack:
        flexcore = stack.enter_context(serving(dialects.flexcore_v1(postgresql=down)))
        servers = [stack.enter_context(behaving(POSTGRES)).url("postgresql") for _ in range(2)]
        results = check(parse_targets([{"url": url} for url in [flexcore.url, *servers]]))
    assert [(result.healthy, result.version) for result in results[1:]] == [(True, None)] * 2


def test_a_claim_without_probes_is_not_believed_while_a_server_is_dead() -> None:
    with serving(dialects.seed_2025()) as flexcore, behaving(socket_double.closing) as postgres:
        targets = parse_targets([{"url": flexcore.url}, {"url": postgres.url("postgresql")}])
        claims, _ = check(targets, CheckOptions(timeout=1.0))
    assert claims.status is HealthStatus.DEGRADED
    assert claims.details["cause"].startswith("claims healthy, but postgresql: ")
    assert claims.details["culprit"] == "postgresql"


def test_a_part_that_fails_before_its_server_is_probed_is_not_the_culprit() -> None:
    failing = dialects.component("unhealthy", message="PostgreSQL refuses connections")
    with serving(dialects.flexcore_v1(event_store=failing)) as flexcore, behaving(socket_double.closing) as postgres:
        targets = parse_targets([{"url": flexcore.url}, {"url": postgres.url("postgresql")}])
        node, _ = check(targets, CheckOptions(timeout=1.0))
    assert node.status is HealthStatus.UNHEALTHY
    assert node.details["culprit"] == "postgresql"
    assert node.details["cause"].startswith("postgresql: ")
