"""Writing batches of columns in each format, into memory up to a limit or into a file."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_processor.values import encoded_bytes, plain

MOST_ANSWER_BYTES: Final = 9 << 20


class Bounded:
    """A binary stream that refuses to grow beyond `most_bytes`; None is without a limit."""

    def __init__(self, stream: BinaryIO, most_bytes: int | None) -> None:
        self._stream = stream
        self._most = most_bytes
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write all of `data`; raises OperationFailed beyond the limit."""
        self.size += len(data)
        if self._most is not None and self.size > self._most:
            raise OperationFailed(
                f"the answer is longer than {self._most >> 20} MB; choose columns, or let a file be written"
            )
        self._stream.write(data)
        return len(data)

    def flush(self) -> None:
        """Hand on what is written."""
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream below open, for its owner."""
        self.closed = True


class Writer(ABC):
    """Takes batches, then is closed."""

    @abstractmethod
    def write(self, batch: pa.RecordBatch) -> None:
        """Write one batch."""

    @abstractmethod
    def close(self) -> None:
        """Write what comes at the end."""


class _CsvWriter(Writer):
    def __init__(self, sink: Bounded, schema: pa.Schema, target: Mapping[str, Any]) -> None:
        nested = [field.name for field in schema if pa.types.is_nested(field.type)]
        if nested:
            raise OperationFailed(
                f"CSV has no place for lists and objects: {', '.join(nested)}; choose other columns, or give them the "
                "type string",
                column=nested[0],
            )
        self._schema = pa.schema([pa.field(field.name, _csv_type(field.type)) for field in schema])
        options = csv.WriteOptions(
            include_header=target.get("header", True),
            delimiter=target.get("delimiter", ","),
            quoting_style=target.get("quoting", "needed"),
        )
        self._writer = csv.CSVWriter(sink, self._schema, write_options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        arrays = [_csv_column(batch.column(index)) for index in range(batch.num_columns)]
        try:
            self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        except pa.ArrowInvalid as error:
            raise OperationFailed(f"this cannot be written as CSV: {error}") from None

    def close(self) -> None:
        self._writer.close()


def _csv_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if _is_bytes(kind) or pa.types.is_decimal(kind) or pa.types.is_dictionary(kind) else kind


def _csv_column(values: pa.Array) -> pa.Array:
    if _is_bytes(values.type):
        return pa.array([None if item is None else encoded_bytes(item) for item in values.to_pylist()], pa.string())
    return values.cast(_csv_type(values.type))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


class _ParquetWriter(Writer):
    def __init__(self, sink: Bounded, schema: pa.Schema, target: Mapping[str, Any]) -> None:
        self._writer = parquet.ParquetWriter(sink, schema, compression=target.get("compression", "snappy"))

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


class _LineWriter(Writer):
    def __init__(self, sink: Bounded) -> None:
        self._sink = sink

    def write(self, batch: pa.RecordBatch) -> None:
        for record in batch.to_pylist():
            self._sink.write(f"{_encoded(record)}\n".encode())

    def close(self) -> None:
        pass


class _ArrayWriter(Writer):
    def __init__(self, sink: Bounded) -> None:
        self._sink = sink
        self._before = "[\n"

    def write(self, batch: pa.RecordBatch) -> None:
        for record in batch.to_pylist():
            self._sink.write(f"{self._before}{_encoded(record)}".encode())
            self._before = ",\n"

    def close(self) -> None:
        self._sink.write(b"[]\n" if self._before == "[\n" else b"\n]\n")


def writer(sink: Bounded, schema: pa.Schema, target: Mapping[str, Any]) -> Writer:
    """Make the writer of the format that `target` names."""
    match target["format"]:
        case "csv":
            return _CsvWriter(sink, schema, target)
        case "parquet":
            return _ParquetWriter(sink, schema, target)
        case "ndjson":
            return _LineWriter(sink)
        case _:
            return _ArrayWriter(sink)


class FileTarget:
    """A file that is there once it is whole: what is written goes beside it, and takes its place at the end."""

    def __init__(self, name: str) -> None:
        self._path = Path(name)
        self._part = self._path.with_name(f".{self._path.name}.part")
        if not self._path.is_absolute():
            raise OperationFailed(f"'{name}' is not an absolute path")

    def open(self) -> BinaryIO:
        """Begin the file; raises OperationFailed if that can't be."""
        try:
            return self._part.open("wb")
        except OSError as error:
            raise self._refused(error) from None

    def finish(self, stream: BinaryIO) -> None:
        """Put the file in its place."""
        try:
            stream.flush()
            os.fsync(stream.fileno())
            self._part.replace(self._path)
        except OSError as error:
            raise self._refused(error) from None

    def abandon(self) -> None:
        """Leave nothing behind, as far as anything could be begun."""
        with suppress(OSError):
            self._part.unlink()

    def _refused(self, error: OSError) -> OperationFailed:
        return OperationFailed(
            f"the file '{self._path}' can't be written: {error.strerror}. A plugin writes only where its permission to "
            "write names a directory"
        )


def _encoded(record: dict[str, Any]) -> str:
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False, default=plain)
    except ValueError:  # a number that JSON has not
        return json.dumps(plain(record), ensure_ascii=False)
