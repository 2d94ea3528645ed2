"""Reading each format as batches of columns, never more than some megabytes at a time."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_processor import records
from flexcore_plugins.data_processor.columns import cast, check_names, type_called

CSV_BLOCK_BYTES: Final = 10 << 20
PARQUET_ROWS: Final = 1 << 16

_CSV_VALUE = re.compile(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to ([^:]+): (.*)", re.DOTALL)
_CSV_SHAPE = re.compile(r"CSV parse error: Row #(\d+): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Table:
    """A table to go through once: `schema` is known before the first of `batches`."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    details: Mapping[str, Any]


def read(
    stream: BinaryIO, source: Mapping[str, Any], *, columns: Sequence[str] | None, types: Mapping[str, str]
) -> Table:
    """Read `stream` in the format that `source` names; raises OperationFailed with the place of what is wrong.

    Of the columns only `columns` are given, in their order, cast to `types`.
    """
    wanted = {name: type_called(kind) for name, kind in types.items()}
    table = _FORMATS[source["format"]](stream, source, wanted)
    check_names([*(columns or ()), *wanted], table.schema.names)
    names = list(columns) if columns is not None else table.schema.names
    schema = pa.schema([pa.field(name, wanted.get(name, table.schema.field(name).type)) for name in names])
    return Table(schema, _shaped(table.batches, schema), table.details)


def _shaped(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    first_row = 1
    for batch in batches:
        arrays = [cast(batch.column(field.name), field.type, field.name, first_row) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        first_row += batch.num_rows


def _read_csv(stream: BinaryIO, source: Mapping[str, Any], types: Mapping[str, pa.DataType]) -> Table:
    header = source.get("header", True)
    reading = csv.ReadOptions(
        use_threads=False,
        block_size=CSV_BLOCK_BYTES,
        encoding=source.get("encoding", "utf-8"),
        autogenerate_column_names=not header,
    )
    parsing = csv.ParseOptions(
        delimiter=source.get("delimiter", ","), quote_char=source.get("quote", '"'), newlines_in_values=True
    )

    def opened(as_text: Sequence[str]) -> csv.CSVStreamingReader:
        stream.seek(0)
        # Columns with a type of their own are read as text, because a cast names the row that does not fit.
        converting = csv.ConvertOptions(
            column_types=dict.fromkeys(as_text, pa.string()),
            null_values=source.get("null_values", [""]),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        return csv.open_csv(stream, reading, parsing, converting)

    def batches(reader: csv.CSVStreamingReader) -> Iterator[pa.RecordBatch]:
        names = reader.schema.names
        try:
            yield from reader
        except pa.ArrowInvalid as error:
            raise _csv_failure(error, names) from None

    try:
        reader = opened(list(types))
        if not source.get("infer", True):
            reader = opened(reader.schema.names)
    except LookupError as error:
        raise OperationFailed(f"{error}; give its usual name, such as latin-1") from None
    except UnicodeDecodeError as error:
        raise OperationFailed(f"the text is not {error.encoding}; name its encoding") from None
    except pa.ArrowInvalid as error:
        raise _csv_failure(error, ()) from None
    check_names((), reader.schema.names)
    for field in reader.schema:
        if pa.types.is_binary(field.type):
            raise OperationFailed(
                f"column '{field.name}' is not UTF-8; name the encoding of the file, such as latin-1", column=field.name
            )
    return Table(reader.schema, batches(reader), {})


def _csv_failure(error: pa.ArrowInvalid, names: Sequence[str]) -> OperationFailed:
    """Say where a CSV is wrong. Arrow counts from the first line, lines inside quotes aside."""
    text = str(error)
    if match := _CSV_VALUE.fullmatch(text):
        number, line, kind, what = match.groups()
        name = names[int(number)] if int(number) < len(names) else f"number {int(number) + 1}"
        return OperationFailed(
            f"line {line}, column '{name}': {what}, for the first {CSV_BLOCK_BYTES >> 20} MB look like {kind}; "
            f'give the column a type: {{"{name}": "string"}}',
            line=int(line),
            column=name,
        )
    if match := _CSV_SHAPE.fullmatch(text):
        return OperationFailed(f"line {match[1]}: {match[2]}", line=int(match[1]))
    if "straddling" in text:
        return OperationFailed(f"a row is longer than {CSV_BLOCK_BYTES >> 20} MB; is a quote not closed?")
    return OperationFailed(f"the CSV cannot be read: {text}")


def _read_parquet(stream: BinaryIO, source: Mapping[str, Any], types: Mapping[str, pa.DataType]) -> Table:
    del source, types  # the file says it all
    try:
        file = parquet.ParquetFile(stream)
    except (pa.ArrowInvalid, OSError) as error:
        raise OperationFailed(f"this is not a Parquet file: {str(error).strip()}") from None

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from file.iter_batches(PARQUET_ROWS, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise OperationFailed(f"the Parquet file is damaged: {str(error).strip()}") from None

    metadata = file.metadata
    details = {"row_groups": metadata.num_row_groups, "created_by": metadata.created_by}
    return Table(file.schema_arrow, batches(), details)


def _read_records(
    rows: Callable[[BinaryIO, Mapping[str, Any]], Iterator[records.Row]],
) -> Callable[[BinaryIO, Mapping[str, Any], Mapping[str, pa.DataType]], Table]:
    def reading(stream: BinaryIO, source: Mapping[str, Any], types: Mapping[str, pa.DataType]) -> Table:
        batches = records.batches(rows(stream, source), types)
        first = next(batches)

        def all_batches() -> Iterator[pa.RecordBatch]:
            yield first
            yield from batches

        return Table(first.schema, all_batches(), {})

    return reading


_FORMATS: Final[Mapping[str, Callable[[BinaryIO, Mapping[str, Any], Mapping[str, pa.DataType]], Table]]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "ndjson": _read_records(lambda stream, _: records.of_lines(stream)),
    "json": _read_records(lambda stream, _: records.of_document(stream)),
    "records": _read_records(lambda _, source: records.of_parameters(source["records"])),
}
