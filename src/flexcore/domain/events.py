"""Events: the facts FlexCore records, before and after the event store took them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from flexcore.domain.errors import FieldError, InvalidInput

TYPE_NAME: Final = r"^[A-Za-z][A-Za-z0-9_.-]{0,127}$"
_TYPE_NAME = re.compile(TYPE_NAME)
_MAX_AGGREGATE_ID = 255


class PluginEvent(StrEnum):
    """The events of the aggregate `Plugin`."""

    REGISTERED = "PluginRegistered"
    ENABLED = "PluginEnabled"
    DISABLED = "PluginDisabled"
    UPGRADED = "PluginUpgraded"
    REMOVED = "PluginRemoved"
    EXECUTION_QUEUED = "PluginExecutionQueued"
    EXECUTION_STARTED = "PluginExecutionStarted"
    EXECUTION_COMPLETED = "PluginExecutionCompleted"
    EXECUTION_FAILED = "PluginExecutionFailed"


class PipelineEvent(StrEnum):
    """The events of the aggregate `Pipeline`."""

    CREATED = "PipelineCreated"
    ACTIVATED = "PipelineActivated"
    STARTED = "PipelineStarted"
    STEP_STARTED = "PipelineStepStarted"
    STEP_COMPLETED = "PipelineStepCompleted"
    STEP_FAILED = "PipelineStepFailed"
    COMPLETED = "PipelineCompleted"
    FAILED = "PipelineFailed"
    CANCELLED = "PipelineCancelled"
    DELETED = "PipelineDeleted"


PLUGIN_AGGREGATE = "Plugin"
PIPELINE_AGGREGATE = "Pipeline"
NODE_AGGREGATE = "Node"
# What FlexCore believes about itself rests on the events of these; nobody else may record them.
OWN_AGGREGATES = frozenset({PLUGIN_AGGREGATE, PIPELINE_AGGREGATE, NODE_AGGREGATE})
PLUGIN_LIFECYCLE = (
    PluginEvent.REGISTERED,
    PluginEvent.ENABLED,
    PluginEvent.DISABLED,
    PluginEvent.UPGRADED,
    PluginEvent.REMOVED,
)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact to record.

    `expected_version` is the version the aggregate's stream must have just before this event: 0 for a stream that
    does not exist yet, None for "whatever it is". In a batch it counts the batch's earlier events of the same stream.
    """

    type: str
    aggregate_id: str
    aggregate_type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A fact as the event store keeps it.

    `position` counts all events from 1 in commit order without gaps; `version` counts those of the aggregate's
    stream from 1; `timestamp` is the database's clock, UTC, which may be set back between two events. `hash` is the
    event's link in the chain of all events (`flexcore.domain.chain`), 64 hexadecimal digits.
    """

    id: str
    position: int
    type: str
    aggregate_id: str
    aggregate_type: str
    version: int
    data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    timestamp: datetime
    hash: str


_Unfrozen: Any = make_dataclass("_Unfrozen", [(each.name, each.type) for each in fields(RecordedEvent)], slots=True)


def recorded_event(*values: Any) -> RecordedEvent:
    """Build an event from the values of its fields, in their order.

    The class itself takes four times as long, because a frozen dataclass sets every field by way of a function; and
    whoever reads the log reads many thousands.
    """
    event = _Unfrozen(*values)
    event.__class__ = RecordedEvent
    return event  # type: ignore[no-any-return]  # it is one now


def check_new_event(event: NewEvent, prefix: str = "") -> None:
    """Raise InvalidInput if the store could not keep `event`; `prefix` leads the field names ("events[2].")."""
    errors = [
        FieldError(prefix + name, "must be a letter followed by up to 127 letters, digits or any of _ . -")
        for name in ("type", "aggregate_type")
        if _TYPE_NAME.fullmatch(getattr(event, name)) is None
    ]
    if not 1 <= len(event.aggregate_id) <= _MAX_AGGREGATE_ID or "\0" in event.aggregate_id:
        errors.append(FieldError(prefix + "aggregate_id", f"must be 1 to {_MAX_AGGREGATE_ID} characters, none NUL"))
    if event.expected_version is not None and event.expected_version < 0:
        errors.append(FieldError(prefix + "expected_version", "must be 0 or more"))
    if errors:
        raise InvalidInput.fields(errors)
