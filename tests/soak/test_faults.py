"""Services that die and hang, over and over: each time the right culprit, each time the recovery."""

import random

from tests.lab.deployments import Deployment
from tests.lab.test_faults import VICTIMS, wait_until_ill

ROUNDS = 50


def test_faults_in_random_order(deployment: Deployment) -> None:
    """Fifty faults. Their order is that of the seed which pytest prints first."""
    host = deployment.lab.hosts["lab1"]
    for number in range(1, ROUNDS + 1):
        victim, how = random.choice(VICTIMS), random.choice(["dies", "hangs"])
        getattr(victim, how)(host)
        try:
            ill = wait_until_ill(deployment.lab, {victim.service} | victim.suffers)
            assert all(victim.service in ill[sufferer]["cause"] for sufferer in victim.suffers), (number, ill)
        finally:
            victim.returns(host)
        wait_until_ill(deployment.lab, set())
