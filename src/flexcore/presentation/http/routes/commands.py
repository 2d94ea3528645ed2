"""Commands as documents: one route for whatever can be asked to be done."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from flexcore.application.command_bus import CommandBus, Outcome, Request
from flexcore.application.commands import (
    ActivatePipeline,
    CancelPipeline,
    CreatePipeline,
    DisablePlugin,
    EnablePlugin,
    FromMarketplace,
    RegisterPlugin,
    RemovePlugin,
    StartPipeline,
)
from flexcore.application.plugin_views import ExecutePlugin
from flexcore.domain.access import Role
from flexcore.domain.identifiers import PLUGIN_ID
from flexcore.presentation.http.access import check_role
from flexcore.presentation.http.idempotency import fingerprint
from flexcore.presentation.http.operations import Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.routes.pipelines import PipelineBody, Reason
from flexcore.presentation.http.routes.plugin_lifecycle import VersionText
from flexcore.presentation.http.routes.plugins import ExecuteMetadata, ExecuteParameters, ShortName

_COMMANDS: Final = "/api/v1/flexcore/commands"
_ACCEPTED_LATER: Final = (StartPipeline, ExecutePlugin)
"""Commands whose work goes on after the answer."""
_OF_ADMINS: Final = (RegisterPlugin, RemovePlugin)
"""Commands that need more than the role of an operator."""

_AggregateId = Annotated[str, Meta(min_length=1, max_length=255)]
# Checked by the domain, which says it better; here only the document says it.
PluginName = Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema={"pattern": PLUGIN_ID})]


class NothingMore(Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of a command that needs none."""


class StartPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """What the run is to work on."""

    parameters: dict[str, Any] = {}


class CancelPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the run is ended, for the record."""

    reason: Reason = "cancelled by a caller"


class RegisterPayload(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the plugin comes from: the marketplace, or FlexCore itself."""

    source: Literal["marketplace"] | None = None
    version: VersionText | None = None


class RemovePayload(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the plugins that depend on it are taken away as well."""

    cascade: bool = False


class ExecutePayload(Struct, frozen=True, forbid_unknown_fields=True):
    """One operation of the plugin; without a name it is the plugin's default one."""

    operation: ShortName | None = None
    parameters: ExecuteParameters = ExecuteParameters()


class CommandBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="command_type"):
    """What every command has. The same `command_id` again gives the first answer and does nothing."""

    command_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    metadata: ExecuteMetadata = ExecuteMetadata()


class CreatePipelineCommand(CommandBody, frozen=True, tag="CreatePipeline"):
    """Create a pipeline, as a draft."""

    payload: PipelineBody

    def command(self, request: Request) -> CreatePipeline:
        """Translate it."""
        return CreatePipeline(self.payload.definition())


class ActivatePipelineCommand(CommandBody, frozen=True, tag="ActivatePipeline"):
    """Let a pipeline be run."""

    aggregate_id: _AggregateId
    payload: NothingMore = NothingMore()

    def command(self, request: Request) -> ActivatePipeline:
        """Translate it."""
        return ActivatePipeline(self.aggregate_id)


class StartPipelineCommand(CommandBody, frozen=True, tag="StartPipeline"):
    """Begin a run of a pipeline."""

    aggregate_id: _AggregateId
    payload: StartPayload = StartPayload()

    def command(self, request: Request) -> StartPipeline:
        """Translate it."""
        return StartPipeline(self.aggregate_id, self.payload.parameters)


class CancelPipelineCommand(CommandBody, frozen=True, tag="CancelPipeline"):
    """End a pipeline's run before its time and stop its steps."""

    aggregate_id: _AggregateId
    payload: CancelPayload = CancelPayload()

    def command(self, request: Request) -> CancelPipeline:
        """Translate it."""
        return CancelPipeline(self.aggregate_id, self.payload.reason)


class RegisterPluginCommand(CommandBody, frozen=True, tag="RegisterPlugin"):
    """Register a plugin that came with FlexCore, or one of the marketplace."""

    aggregate_id: PluginName
    payload: RegisterPayload = RegisterPayload()

    def command(self, request: Request) -> RegisterPlugin:
        """Translate it."""
        source = None if self.payload.source is None else FromMarketplace(self.payload.version)
        return RegisterPlugin(self.aggregate_id, source)


class EnablePluginCommand(CommandBody, frozen=True, tag="EnablePlugin"):
    """Let a plugin be executed."""

    aggregate_id: PluginName
    payload: NothingMore = NothingMore()

    def command(self, request: Request) -> EnablePlugin:
        """Translate it."""
        return EnablePlugin(self.aggregate_id)


class DisablePluginCommand(CommandBody, frozen=True, tag="DisablePlugin"):
    """Let a plugin no longer be executed."""

    aggregate_id: PluginName
    payload: NothingMore = NothingMore()

    def command(self, request: Request) -> DisablePlugin:
        """Translate it."""
        return DisablePlugin(self.aggregate_id)


class RemovePluginCommand(CommandBody, frozen=True, tag="RemovePlugin"):
    """Take a plugin away."""

    aggregate_id: PluginName
    payload: RemovePayload = RemovePayload()

    def command(self, request: Request) -> RemovePlugin:
        """Translate it."""
        return RemovePlugin(self.aggregate_id, self.payload.cascade)


class ExecutePluginCommand(CommandBody, frozen=True, tag="ExecutePlugin"):
    """Run one operation of a plugin, on any node; GET executions/{execution_id} tells how it went."""

    aggregate_id: PluginName
    payload: ExecutePayload = ExecutePayload()

    def command(self, request: Request) -> ExecutePlugin:
        """Translate it."""
        return ExecutePlugin(
            plugin_id=self.aggregate_id,
            operation=self.payload.operation,
            data=self.payload.parameters.data,
            timeout_seconds=self.payload.parameters.timeout_seconds,
            correlation_id=request.correlation_id,
            user_id=request.user_id,
        )


AnyCommand = (
    CreatePipelineCommand
    | ActivatePipelineCommand
    | StartPipelineCommand
    | CancelPipelineCommand
    | RegisterPluginCommand
    | EnablePluginCommand
    | DisablePluginCommand
    | RemovePluginCommand
    | ExecutePluginCommand
)


class CommandResult(Struct, frozen=True):
    """What the command was about and how many events it recorded; `execution_id` is that of the work it began."""

    aggregate_id: str
    events_generated: int
    execution_id: str | None


class CommandAnswer(Struct, frozen=True):
    """What became of a command; the same for each time it is sent.

    `execution_time_ms` is what it took to decide; recording it comes on top.
    """

    command_id: str
    status: Literal["accepted"]
    result: CommandResult
    execution_time_ms: float
    timestamp: datetime


class CommandRoutes:
    """/api/v1/flexcore/commands."""

    def __init__(self, commands: CommandBus) -> None:
        self._commands = commands

    def operations(self) -> tuple[Operation, ...]:
        """Declare the route."""
        return (
            Operation(
                method="POST",
                path=_COMMANDS,
                name="sendCommand",
                role=Role.OPERATOR,
                target=_target,
                summary="Do a command, once for each command_id; RegisterPlugin and RemovePlugin need the role admin",
                tag="commands",
                handler=self._send,
                body=AnyCommand,
                answers={
                    200: Content(CommandAnswer, "Done"),
                    202: Content(CommandAnswer, "Begun; the work goes on"),
                },
                problems=(404, 409, 422, 429, 503),
            ),
        )

    async def _send(self, call: Call[NoParameters, AnyCommand]) -> Answer:
        body = call.body
        aggregate_id = getattr(body, "aggregate_id", None)
        request = Request(
            correlation_id=body.metadata.correlation_id or call.correlation_id,
            user_id=call.actor.acting_for(body.metadata.user_id),
            key=f"command:{body.command_id}",
            fingerprint=fingerprint((type(body).__name__, aggregate_id, body.payload)),
        )
        command = body.command(request)
        if isinstance(command, _OF_ADMINS):
            check_role(call.actor, Role.ADMIN)
        outcome = await self._commands.send(command, request)
        return Answer(_answer(body.command_id, outcome), 202 if isinstance(command, _ACCEPTED_LATER) else 200)


def _target(call: Call[NoParameters, AnyCommand]) -> str:
    name = str(call.body.__struct_config__.tag)
    aggregate_id = getattr(call.body, "aggregate_id", None)
    return name if aggregate_id is None else f"{name} {aggregate_id}"


def _answer(command_id: str, outcome: Outcome) -> CommandAnswer:
    result = CommandResult(outcome.aggregate_id, len(outcome.events), outcome.facts.get("execution_id"))
    return CommandAnswer(command_id, "accepted", result, outcome.execution_time_ms, outcome.timestamp)
