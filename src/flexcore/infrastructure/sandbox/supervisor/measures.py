"""What this host enforces, found out by trying it."""

from flexcore.infrastructure.sandbox.messages import Measure
from flexcore.infrastructure.sandbox.supervisor.control_groups import ControlGroups


async def prove(groups: ControlGroups) -> tuple[Measure, ...]:
    """Try every measure and say what came of it."""
    return tuple(
        Measure(
            name=f"cgroup_{controller}",
            enforced=controller not in groups.missing,
            detail=groups.missing.get(controller, "one group for each execution"),
        )
        for controller in ("memory", "pids", "cpu")
    )
