"""The commands of data-processor."""

import base64
import io
import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO

import pyarrow as pa

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_processor.columns import name_of
from flexcore_plugins.data_processor.readers import Table, read
from flexcore_plugins.data_processor.sources import opened
from flexcore_plugins.data_processor.values import plain
from flexcore_plugins.data_processor.writers import MOST_ANSWER_BYTES, Bounded, FileTarget, writer


class DataProcessor:
    """Each public method is one command of the manifest, whose schema has checked the parameters."""

    def __init__(self, configuration: dict[str, object]) -> None:
        del configuration  # it has no settings

    def convert(
        self,
        source: dict[str, Any],
        target: dict[str, Any],
        columns: list[str] | None = None,
        types: dict[str, str] | None = None,
    ) -> dict[str, object]:
        """Read data in one format and give them in another, as the answer or in a file."""
        with opened(source) as stream:
            table = read(stream, source, columns=columns, types=types or {})
            if target["format"] == "records":
                answer = _as_records(table)
            elif "file" in target:
                answer = _into_file(table, target)
            else:
                answer = _as_text(table, target)
        return {"format": target["format"], "columns": _described(table.schema), **answer}

    def describe(
        self, source: dict[str, Any], columns: list[str] | None = None, types: dict[str, str] | None = None
    ) -> dict[str, object]:
        """Say which columns the data have, of which types, how many rows, and how many values are null."""
        with opened(source) as stream:
            table = read(stream, source, columns=columns, types=types or {})
            nulls = [0] * len(table.schema)
            rows = 0
            for batch in table.batches:
                rows += batch.num_rows
                for index, column in enumerate(batch.columns):
                    nulls[index] += column.null_count
        described = [{**column, "nulls": count} for column, count in zip(_described(table.schema), nulls, strict=True)]
        return {"format": source["format"], "rows": rows, "columns": described, **table.details}

    def health(self) -> dict[str, object]:
        """Convert a little from format to format, and say with which version of Arrow."""
        records = [{"a": 1, "b": "x"}, {"a": None, "b": "ü"}]
        source: dict[str, Any] = {"format": "records", "records": records}
        for name in ("csv", "json", "ndjson", "parquet"):
            answer = self.convert(source, {"format": name})
            way = "base64" if name == "parquet" else "text"
            source = {"format": name, way: answer[way]}
        if self.convert(source, {"format": "records"})["records"] != records:
            raise OperationFailed("the formats do not give back what they were given")
        return {"status": "healthy", "arrow": pa.__version__}


def _described(schema: pa.Schema) -> list[dict[str, object]]:
    return [{"name": field.name, "type": name_of(field.type)} for field in schema]


def _as_records(table: Table) -> dict[str, object]:
    records: list[Any] = []
    size = 0
    for batch in table.batches:
        for record in batch.to_pylist():
            records.append(plain(record))
            size += len(json.dumps(records[-1]))
            if size > MOST_ANSWER_BYTES:
                raise _too_long()
    return {"records": records, "rows": len(records)}


def _as_text(table: Table, target: Mapping[str, Any]) -> dict[str, object]:
    stream = io.BytesIO()
    rows, _ = _write(table, stream, target, MOST_ANSWER_BYTES)
    if target["format"] == "parquet":
        answer = {"base64": base64.b64encode(stream.getbuffer()).decode()}
    else:
        answer = {"text": stream.getvalue().decode()}
    # The answer is JSON itself, in which some characters are longer.
    if len(json.dumps(answer)) > MOST_ANSWER_BYTES:
        raise _too_long()
    return {**answer, "rows": rows}


def _into_file(table: Table, target: Mapping[str, Any]) -> dict[str, object]:
    file = FileTarget(target["file"])
    with ExitStack() as stack:
        stack.callback(file.abandon)
        with file.open() as stream:
            rows, size = _write(table, stream, target, None)
            file.finish(stream)
        stack.pop_all()
    return {"file": target["file"], "bytes": size, "rows": rows}


def _write(table: Table, stream: BinaryIO, target: Mapping[str, Any], most_bytes: int | None) -> tuple[int, int]:
    sink = Bounded(stream, most_bytes)
    out = writer(sink, table.schema, target)
    rows = 0
    for batch in table.batches:
        out.write(batch)
        rows += batch.num_rows
    out.close()
    return rows, sink.size


def _too_long() -> OperationFailed:
    return OperationFailed(
        f"the answer is longer than {MOST_ANSWER_BYTES >> 20} MB; choose columns, or let a file be written"
    )
