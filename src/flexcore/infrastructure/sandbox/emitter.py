"""Records events in the name of plugins."""

from typing import Final

import msgspec

from flexcore.application.events import Events
from flexcore.application.ports import PluginRequest
from flexcore.domain.errors import FlexCoreError, InvalidInput
from flexcore.domain.events import NewEvent, PipelineEvent, PluginEvent
from flexcore.domain.json_object import JsonObject
from flexcore.infrastructure.sandbox.broker import RefusedError
from flexcore.infrastructure.sandbox.channel import Emit
from flexcore.infrastructure.sandbox.secrets import Mask

MOST_EVENTS: Final = 1000
"""Events that one execution may record."""
MOST_DATA_BYTES: Final = 64 * 1024

_OWN: Final = frozenset({*PluginEvent, *PipelineEvent})


class EventEmitter:
    """Appends events of the types that a manifest names, to aggregates of the type `plugin.<id>`.

    So a plugin can write into no stream but its own, and nobody takes its events for FlexCore's.
    """

    def __init__(self, events: Events, node_id: str) -> None:
        self._events = events
        self._node_id = node_id

    async def emit(self, request: PluginRequest, wanted: Emit, mask: Mask) -> int:
        """Record an event and return its position; raises RefusedError."""
        plugin_id = request.plugin_id
        if wanted.event_type not in request.code.manifest.permissions.events or wanted.event_type in _OWN:
            raise RefusedError(
                f"plugin '{plugin_id}' has no permission to record events of type {wanted.event_type[:128]!r}",
                forbidden=True,
            )
        event = NewEvent(
            type=wanted.event_type,
            aggregate_id=mask.text(wanted.aggregate_id),
            aggregate_type=f"plugin.{plugin_id}",
            data=_data(wanted.data, mask),
            metadata={
                "correlation_id": request.correlation_id,
                "node_id": self._node_id,
                "plugin_id": plugin_id,
                "execution_id": request.execution_id,
            },
        )
        try:
            appended = await self._events.append([event])
        except InvalidInput as error:
            raise RefusedError(str(error), forbidden=False) from error
        except FlexCoreError as error:
            raise RefusedError(f"the event could not be recorded: {error}", forbidden=False) from error
        return appended.events[0].position


def _data(raw: msgspec.Raw, mask: Mask) -> JsonObject:
    content = bytes(raw)
    if not content.startswith(b"{"):
        raise RefusedError("the data of an event is a JSON object", forbidden=False)
    if len(content) > MOST_DATA_BYTES:
        raise RefusedError(
            f"the data of an event is at most {MOST_DATA_BYTES} bytes of JSON, not {len(content)}", forbidden=False
        )
    try:
        shown = mask.value(msgspec.json.decode(content))
        return JsonObject(msgspec.json.encode(shown).decode())
    except (ValueError, RecursionError) as error:
        raise RefusedError("the data of an event is a JSON object", forbidden=False) from error
