"""The events that the event-store benchmarks append: alike for every store, 320 bytes of JSON each."""

from typing import Any

TYPES = (
    "PipelineCreated",
    "PipelineActivated",
    "PipelineStarted",
    "PipelineStepCompleted",
    "PipelineCompleted",
    "JobQueued",
    "JobStarted",
    "JobCompleted",
)
STREAMS = 20
"""How many streams each writer writes to, in turn."""


def event_type(number: int) -> str:
    return TYPES[number % len(TYPES)]


def payload(number: int) -> dict[str, Any]:
    """What event `number` says; like a step's end with its figures."""
    return {
        "execution_id": f"exec-{number:012d}",
        "plugin": f"tap-oracle-{number % 37}",
        "node": f"node-{number % 5}",
        "status": event_type(number),
        "arguments": {
            "schema": "WMS",
            "table": f"T_{number % 211}",
            "batch": number % 1000,
            "since": "2025-08-01T00:00:00Z",
        },
        "metrics": {"rows": number % 100_000, "bytes": number * 37 % 10**7, "ms": (number * 13) % 5000 / 10},
        "correlation_id": f"{number * 2654435761 % 2**32:08x}-{number % 65536:04x}",
        "actor": "svc-flext",
        "tags": ["singer", "oracle", "wms"],
    }
