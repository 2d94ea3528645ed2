"""How pipelines are kept as snapshots."""

from typing import Final

from flexcore.application.aggregates import AggregateKind
from flexcore.domain.events import PIPELINE_AGGREGATE
from flexcore.domain.pipeline import Pipeline

PIPELINES: Final = AggregateKind(aggregate_type=PIPELINE_AGGREGATE, schema_version=1, cls=Pipeline, new=Pipeline)
