"""Pipelines read from their streams."""

import re
from collections import OrderedDict
from typing import Final

from flexcore.application.aggregates import Aggregates
from flexcore.domain.errors import NotFound
from flexcore.domain.pipeline import Pipeline

# Beyond so many, the pipeline that was not used for the longest time is read from its beginning again.
KEPT_PIPELINES: Final = 256

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class PipelineStreams:
    """Reads pipelines, and of one that was read before only what is new.

    A stream is append-only, so what was read once stays true, whoever wrote it and whoever reads on. A pipeline that
    is given out goes on changing under later reads: decide on it at once, and read it anew after any wait.
    """

    def __init__(self, pipelines: Aggregates[Pipeline]) -> None:
        self._pipelines = pipelines
        self._kept: OrderedDict[str, Pipeline] = OrderedDict()

    async def find(self, pipeline_id: str) -> Pipeline:
        """Read a pipeline as it is now; raises NotFound, Unavailable."""
        if _ID.fullmatch(pipeline_id) is None:
            raise _unknown(pipeline_id)
        pipeline = await self.read(pipeline_id)
        if not pipeline.exists:
            raise _unknown(pipeline_id)
        return pipeline

    async def read(self, pipeline_id: str) -> Pipeline:
        """Read a pipeline as it is now, even one that was deleted; raises Unavailable."""
        pipeline = self._kept.get(pipeline_id)
        if pipeline is None:
            pipeline = await self._pipelines.load(pipeline_id)
        else:
            await self._pipelines.follow(pipeline_id, pipeline)
        self._kept[pipeline_id] = pipeline
        self._kept.move_to_end(pipeline_id)
        if len(self._kept) > KEPT_PIPELINES:
            self._kept.popitem(last=False)
        return pipeline

    def forget(self, pipeline_id: str) -> None:
        """Read a pipeline anew the next time, such as after the event log contradicted it."""
        self._kept.pop(pipeline_id, None)


def _unknown(pipeline_id: str) -> NotFound:
    return NotFound(f"there is no pipeline '{pipeline_id}'; GET /api/v1/flexcore/pipelines lists those there are")
