"""The pipelines: create, list, inspect, run, cancel."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from flexcore.application.command_bus import CommandBus, Outcome, Request
from flexcore.application.commands import (
    ActivatePipeline,
    CancelPipeline,
    CreatePipeline,
    DeletePipeline,
    StartPipeline,
)
from flexcore.application.paging import MAX_PAGE
from flexcore.application.pipeline_views import PipelinePage, PipelineStarted, PipelineStatusView, PipelineView
from flexcore.application.pipelines import Pipelines, created, started
from flexcore.application.queries import GetPipelineStatus
from flexcore.application.query_bus import QueryBus
from flexcore.domain.access import Role
from flexcore.domain.pipeline_definition import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    MAX_STEPS,
    OnFailure,
    PipelineDefinition,
    StepDefinition,
)
from flexcore.domain.retry import LARGEST_MULTIPLIER, LONGEST_BACKOFF_MS, MAX_ATTEMPTS, RetryPolicy
from flexcore.presentation.http.idempotency import receipt
from flexcore.presentation.http.operations import MAX_OFFSET, Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.routes.plugins import ExecuteMetadata, ShortName

_PIPELINES: Final = "/api/v1/flexcore/pipelines"
_Pause = Annotated[int, Meta(ge=0, le=LONGEST_BACKOFF_MS)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]


class RetryBody(Struct, frozen=True, forbid_unknown_fields=True):
    """How often a step is tried, the first time included, and the pauses between; `jitter` is their random part."""

    max_attempts: Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS)] = 3
    initial_backoff_ms: _Pause = 1000
    max_backoff_ms: _Pause = 60_000
    multiplier: Annotated[float, Meta(ge=1, le=LARGEST_MULTIPLIER)] = 2.0
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.2


class StepBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One operation of a plugin; without a name it is the plugin's default one.

    In `parameters`, `{"$from": "steps.<id>.<path>"}` stands for a part of an earlier step's result and
    `{"$from": "parameters.<path>"}` for a parameter of the run; `default` beside it for what is not there.
    """

    id: ShortName
    plugin: ShortName
    operation: ShortName | None = None
    name: Annotated[str, Meta(max_length=LONGEST_NAME)] = ""
    parameters: dict[str, Any] = {}
    depends_on: Annotated[tuple[ShortName, ...], Meta(max_length=MAX_STEPS)] = ()
    timeout_seconds: Annotated[float, Meta(ge=1, le=300)] = 30.0
    retry: RetryBody = RetryBody()
    on_failure: OnFailure = OnFailure.FAIL


class PipelineBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new pipeline."""

    name: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
    steps: Annotated[tuple[StepBody, ...], Meta(min_length=1, max_length=MAX_STEPS)]
    description: Annotated[str, Meta(max_length=LONGEST_DESCRIPTION)] = ""
    owner: Annotated[str, Meta(max_length=LONGEST_NAME)] = ""

    def definition(self) -> PipelineDefinition:
        """Translate it."""
        return PipelineDefinition(
            self.name, tuple(_step(step) for step in self.steps), description=self.description, owner=self.owner
        )


class StartBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What the run is to work on, and on whose behalf."""

    parameters: dict[str, Any] = {}
    metadata: ExecuteMetadata = ExecuteMetadata()


class CancelBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the run is ended, for the record."""

    reason: Reason = "cancelled by a caller"
    metadata: ExecuteMetadata = ExecuteMetadata()


class PipelinesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET pipelines."""

    status: Annotated[
        Literal["draft", "active", "running", "completed", "failed", "cancelled"] | None,
        Meta(description="Only pipelines so"),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Pipelines a page")] = 50
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Pipelines to leave out at the start")] = 0


class PipelineRoutes:
    """/api/v1/flexcore/pipelines and below."""

    def __init__(self, pipelines: Pipelines, commands: CommandBus, queries: QueryBus) -> None:
        self._pipelines = pipelines
        self._commands = commands
        self._queries = queries

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        one = _PIPELINES + "/{id}"
        pipeline = {200: Content(PipelineView, "The pipeline")}
        return (
            Operation(
                method="GET",
                path=_PIPELINES,
                name="listPipelines",
                summary="Pipelines, the newest first",
                tag="pipelines",
                handler=self._list,
                query=PipelinesQuery,
                answers={200: Content(PipelinePage, "One page of pipelines")},
                problems=(429, 503),
            ),
            Operation(
                method="POST",
                path=_PIPELINES,
                name="createPipeline",
                role=Role.OPERATOR,
                summary="Create a pipeline, as a draft",
                tag="pipelines",
                handler=self._create,
                body=PipelineBody,
                idempotent=True,
                answers={201: Content(PipelineView, "The new pipeline")},
                problems=(409, 429, 503),
            ),
            Operation(
                method="GET",
                path=one,
                name="getPipeline",
                summary="One pipeline",
                tag="pipelines",
                handler=self._get,
                answers=pipeline,
                problems=(404, 429, 503),
            ),
            Operation(
                method="DELETE",
                path=one,
                name="deletePipeline",
                role=Role.OPERATOR,
                summary="Take a pipeline away; its events stay",
                tag="pipelines",
                handler=self._delete,
                answers={204: Content(None, "It is gone", media_type="")},
                problems=(404, 409, 429, 503),
            ),
            Operation(
                method="POST",
                path=one + "/activate",
                name="activatePipeline",
                role=Role.OPERATOR,
                summary="Let a pipeline be run",
                tag="pipelines",
                handler=self._activate,
                answers=pipeline,
                problems=(404, 429, 503),
            ),
            Operation(
                method="POST",
                path=one + "/execute",
                name="executePipeline",
                role=Role.OPERATOR,
                summary="Begin a run; one at a time",
                tag="pipelines",
                handler=self._execute,
                body=StartBody,
                body_required=False,
                idempotent=True,
                answers={202: Content(PipelineStarted, "The run has begun")},
                problems=(404, 409, 429, 503),
            ),
            Operation(
                method="GET",
                path=one + "/status",
                name="getPipelineStatus",
                summary="The latest run and how far it is",
                tag="pipelines",
                handler=self._status,
                answers={200: Content(PipelineStatusView, "The run and its steps")},
                problems=(404, 429, 503),
            ),
            Operation(
                method="POST",
                path=one + "/cancel",
                name="cancelPipeline",
                role=Role.OPERATOR,
                summary="End the run before its time and stop its steps",
                tag="pipelines",
                handler=self._cancel,
                body=CancelBody,
                body_required=False,
                answers={200: Content(PipelineStatusView, "The run, which is over")},
                problems=(404, 409, 429, 503),
            ),
        )

    async def _list(self, call: Call[PipelinesQuery, None]) -> Answer:
        query = call.query
        return Answer(await self._pipelines.page(status=query.status, limit=query.limit, offset=query.offset))

    async def _create(self, call: Call[NoParameters, PipelineBody]) -> Answer:
        outcome = await self._send(CreatePipeline(call.body.definition()), call, "createPipeline")
        return Answer(created(outcome), 201)

    async def _get(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(await self._pipelines.get(call.path["id"]))

    async def _delete(self, call: Call[NoParameters, None]) -> Answer:
        await self._send(DeletePipeline(call.path["id"]), call)
        return Answer(None, 204)

    async def _activate(self, call: Call[NoParameters, None]) -> Answer:
        await self._send(ActivatePipeline(call.path["id"]), call)
        return Answer(await self._pipelines.get(call.path["id"]))

    async def _execute(self, call: Call[NoParameters, StartBody]) -> Answer:
        command = StartPipeline(call.path["id"], call.body.parameters)
        return Answer(started(await self._send(command, call, "executePipeline")), 202)

    async def _status(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(await self._queries.ask(GetPipelineStatus(call.path["id"])))

    async def _cancel(self, call: Call[NoParameters, CancelBody]) -> Answer:
        await self._send(CancelPipeline(call.path["id"], call.body.reason), call)
        return Answer(await self._pipelines.status(call.path["id"]))

    async def _send(self, command: object, call: Call[Any, Any], operation: str = "") -> Outcome:
        """Do a command; `operation` is the scope of the request's Idempotency-Key where it may have one."""
        metadata = ExecuteMetadata() if call.body is None else getattr(call.body, "metadata", ExecuteMetadata())
        once = receipt(operation, call)
        request = Request(
            correlation_id=metadata.correlation_id or call.correlation_id,
            user_id=call.actor.acting_for(metadata.user_id),
            key=None if once is None else once.key,
            fingerprint="" if once is None else once.fingerprint,
        )
        return await self._commands.send(command, request)


def _step(body: StepBody) -> StepDefinition:
    retry = body.retry
    return StepDefinition(
        id=body.id,
        plugin=body.plugin,
        operation=body.operation,
        name=body.name,
        parameters=body.parameters,
        depends_on=body.depends_on,
        timeout_seconds=body.timeout_seconds,
        retry=RetryPolicy(
            retry.max_attempts, retry.initial_backoff_ms, retry.max_backoff_ms, retry.multiplier, retry.jitter
        ),
        on_failure=body.on_failure,
    )
