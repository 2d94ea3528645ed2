"""What a flood of logins costs everybody else: /health is asked while passwords are guessed from many addresses."""

import asyncio

from flexcore.infrastructure.passwords import MAX_WAITING
from tests.bench.figures import alternate, print_figure
from tests.bench.flexcore import served
from tests.bench.health_sampler import HealthSampler
from tests.integration.access.guessing import guess

CLIENTS = 2 * MAX_WAITING
SECONDS = 3.0
RUNS = 3


def p95_under_flood(url: str) -> float:
    sampler = HealthSampler(url, SECONDS)
    asyncio.run(guess(url, CLIENTS, lambda _: sampler.running))
    return sampler.p95()


def test_login_flood() -> None:
    """The p95 of GET /health, in milliseconds, under the flood and without it."""
    with served() as process:
        ours, idle = alternate(
            lambda: p95_under_flood(process.url), lambda: HealthSampler(process.url, SECONDS).p95(), RUNS
        )
    print_figure("health_p95_under_login_flood_ms", ours, idle, unit="ms", peer_name="idle", more_is_better=False)
