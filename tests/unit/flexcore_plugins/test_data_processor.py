"""data-processor: each format read and written, and the place of what is wrong."""

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_processor import readers, records, writers
from flexcore_plugins.data_processor.processor import DataProcessor

processor: Any = DataProcessor({})


def text(kind: str, content: str, **options: Any) -> dict[str, Any]:
    return {"format": kind, "text": content, **options}


def converted(source: dict[str, Any], target: str | dict[str, Any] = "records", **options: Any) -> Any:
    wanted = {"format": target} if isinstance(target, str) else target
    answer = processor.convert(source, wanted, **options)
    return answer.get("records", answer.get("text", answer.get("base64")))


def test_csv_to_records_guesses_types() -> None:
    source = text("csv", 'n,x,d,b,s\n1,1.5,2024-01-31,true,"a,b"\n,,,,""\n')
    answer = processor.convert(source, {"format": "records"})
    assert answer["columns"] == [
        {"name": "n", "type": "integer"},
        {"name": "x", "type": "number"},
        {"name": "d", "type": "date"},
        {"name": "b", "type": "boolean"},
        {"name": "s", "type": "string"},
    ]
    assert answer["records"] == [
        {"n": 1, "x": 1.5, "d": "2024-01-31", "b": True, "s": "a,b"},
        {"n": None, "x": None, "d": None, "b": None, "s": ""},
    ]
    assert answer["rows"] == 2


def test_csv_options() -> None:
    assert converted(text("csv", "zip;n\n007;1\n", delimiter=";", infer=False)) == [{"zip": "007", "n": "1"}]
    assert converted(text("csv", "1,NA\n2,x\n", header=False, null_values=["NA"])) == [
        {"f0": 1, "f1": None},
        {"f0": 2, "f1": "x"},
    ]
    assert converted(text("csv", "a,b\n'x,y',2\n", quote="'")) == [{"a": "x,y", "b": 2}]
    assert converted(text("csv", 'a\n"two\nlines"\nNA\n')) == [{"a": "two\nlines"}, {"a": "NA"}]
    latin = base64.b64encode("a\nü\n".encode("latin-1")).decode()
    assert converted({"format": "csv", "base64": latin, "encoding": "latin-1"}) == [{"a": "ü"}]


def test_csv_out() -> None:
    source = {"format": "records", "records": [{"a": 1, "b": 'x"y'}, {"a": None, "b": None}, {"a": 2, "b": ""}]}
    assert converted(source, "csv") == '"a","b"\n1,"x""y"\n,\n2,""\n'
    options = {"format": "csv", "header": False, "delimiter": "\t", "quoting": "all_valid"}
    assert converted(source, options) == '"1"\t"x""y"\n\t\n"2"\t""\n'


def test_types() -> None:
    row = {"i": "12", "n": "1.5", "b": "true", "d": "2024-01-31", "t": "2024-01-31T12:00:00+01:00", "z": "AP8=", "m": 5}
    types = {
        "i": "integer",
        "n": "number",
        "b": "boolean",
        "d": "date",
        "t": "timestamp",
        "z": "binary",
        "m": "decimal(10,2)",
    }
    source = {"format": "records", "records": [row, {}]}
    as_parquet = {"format": "parquet", "base64": converted(source, "parquet", types=types)}
    schema = parquet.read_schema(io.BytesIO(base64.b64decode(as_parquet["base64"])))
    assert [str(field.type) for field in schema] == [
        "int64",
        "double",
        "bool",
        "date32[day]",
        "timestamp[us, tz=UTC]",
        "binary",
        "decimal128(10, 2)",
    ]
    back = {**row, "i": 12, "n": 1.5, "b": True, "t": "2024-01-31T11:00:00Z", "m": "5.00"}
    assert converted(as_parquet) == [back, dict.fromkeys(row)]
    assert converted(as_parquet, "csv").splitlines()[1:] == [
        '12,1.5,true,2024-01-31,2024-01-31 11:00:00.000000Z,"AP8=","5.00"',
        ",,,,,,",
    ]


def test_a_time_without_a_zone_is_in_utc() -> None:
    source = text("csv", "t\n2024-01-31 12:00:00\n")
    assert converted(source, types={"t": "timestamp"}) == [{"t": "2024-01-31T12:00:00Z"}]


def test_columns_in_the_order_asked_for() -> None:
    assert converted(text("csv", "a,b,c\n1,2,3\n"), "csv", columns=["c", "a"]) == '"c","a"\n3,1\n'
    assert converted(text("json", '[{"a": 1, "b": [1]}]'), "csv", columns=["a"]) == '"a"\n1\n'


def test_nested_values() -> None:
    source = text("ndjson", '{"a": {"b": [1, null]}}\n\n{"a": {"c": "ü"}}\n')
    assert converted(source, "ndjson") == ('{"a": {"b": [1, null], "c": null}}\n{"a": {"b": null, "c": "ü"}}\n')
    assert converted(source, "csv", types={"a": "string"}) == ('"a"\n"{""b"": [1, null]}"\n"{""c"": ""ü""}"\n')
    nested = {"format": "parquet", "base64": converted(source, "parquet")}
    assert converted(nested, types={"a": "string"})[0] == {"a": '{"b": [1, null], "c": null}'}


def test_what_is_no_number_in_json_is_null() -> None:
    table = pa.table({"x": [math.nan, math.inf, 1.0], "l": [[math.nan], None, [1.0]]})
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    source = {"format": "parquet", "base64": base64.b64encode(stream.getvalue()).decode()}
    rows = [{"x": None, "l": [None]}, {"x": None, "l": None}, {"x": 1.0, "l": [1.0]}]
    assert converted(source) == rows
    assert json.loads(converted(source, "json")) == rows


def test_nothing_is_a_table_too() -> None:
    assert converted(text("json", " [ ] "), "json") == "[]\n"
    assert converted(text("ndjson", ""), "csv") == ""
    assert converted({"format": "records", "records": []}) == []
    assert converted(text("csv", "a,b\n"), "csv") == '"a","b"\n'


json_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
rows_of_one_kind = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "b": st.none() | st.booleans(),
        "s": st.none() | json_texts,
        "l": st.none() | st.lists(st.integers(-9, 9), max_size=3),
    }
)


@pytest.mark.parametrize("kind", ["json", "ndjson", "parquet"])
@given(rows=st.lists(rows_of_one_kind, min_size=1, max_size=6))
def test_a_round_trip_changes_nothing(kind: str, rows: list[dict[str, Any]]) -> None:
    written = processor.convert({"format": "records", "records": rows}, {"format": kind})
    source = {"format": kind, **{way: written[way] for way in ("text", "base64") if way in written}}
    assert converted(source) == rows


@given(rows=st.lists(st.fixed_dictionaries({"s": st.none() | json_texts, "t": json_texts}), min_size=1, max_size=6))
def test_a_csv_of_our_own_tells_null_from_empty(rows: list[dict[str, Any]]) -> None:
    # A line break of a Mac is one inside quotes for most readers, but Arrow's reads it as the end of a line.
    rows = [{name: value.replace("\r", "") if value else value for name, value in row.items()} for row in rows]
    written = converted({"format": "records", "records": rows}, "csv", types={"s": "string"})
    assert converted(text("csv", written, infer=False)) == rows


@pytest.mark.parametrize(
    ("source", "options", "message", "details"),
    [
        (text("csv", "a,b\n1,2\n3\n"), {}, "line 3: Expected 2 columns, got 1: 3", {"line": 3}),
        (text("csv", ""), {}, "the CSV cannot be read: Empty CSV file", {}),
        (text("csv", "a,a\n1,2\n"), {}, "two columns are called 'a'", {"column": "a"}),
        (text("csv", "a\n1\n", encoding="klingon"), {}, "unknown encoding: klingon", {}),
        ({"format": "csv", "base64": "YQr8Cg=="}, {}, "column 'a' is not UTF-8; name the encoding", {"column": "a"}),
        (
            text("csv", "a\n1\nx\n"),
            {"types": {"a": "integer"}},
            "row 2, column 'a': 'x' is not of the type integer",
            {"row": 2, "column": "a"},
        ),
        (
            text("csv", "size\n1\n"),
            {"columns": ["siz"]},
            "there is no column 'siz'; did you mean 'size'?",
            {"column": "siz"},
        ),
        (text("csv", "a\n1\n"), {"types": {"a": "int"}}, "'int' is not a type; there are string, integer", {}),
        (text("csv", "a\n1\n"), {"types": {"a": "decimal(39,2)"}}, "'decimal(39,2)' is not a type", {}),
        (
            text("ndjson", '{"a": 1}\n\n{"a" 2}\n'),
            {},
            "line 3, character 6: Expecting ':' delimiter",
            {"line": 3, "character": 6},
        ),
        (text("ndjson", '{"a": 1}\n[1]\n'), {}, "line 2 is not an object but a list", {}),
        (text("ndjson", '{"a": 1}\nnull\n'), {}, "line 2 is not an object but null", {}),
        (text("ndjson", '{"a": NaN}\n'), {}, "line 1: NaN is not a JSON value", {"line": 1}),
        ({"format": "ndjson", "base64": "eyJhIjoxfQr/Cg=="}, {}, "line 2, byte 1 is not UTF-8", {"line": 2}),
        (
            text("ndjson", '{"a": 1}\n{"a": "x"}\n'),
            {},
            'column \'a\': line 1 has a number and line 2 has a string; give it one type, such as {"a": "string"}',
            {"column": "a"},
        ),
        (text("ndjson", '{"a": 1e3}\n{"a": 10000000000000000000000}\n'), {}, "column 'a':", {"column": "a"}),
        (
            text("json", '[{"a": 1}\n {"a": 2}]'),
            {},
            "line 2, character 2: expected ',' or ']'",
            {"line": 2, "character": 2},
        ),
        (text("json", '{"a": 1}'), {}, "line 1, character 1: the document must be an array of objects", {"line": 1}),
        (text("json", "[] x"), {}, "line 1, character 4: there is something after the array", {"line": 1}),
        (text("json", "[1]"), {}, "record 1 is not an object but a number", {}),
        (text("json", "[" * 100_000), {}, "the document cannot be read", {}),
        ({"format": "parquet", "base64": "AAAA"}, {}, "this is not a Parquet file", {}),
        ({"format": "parquet", "base64": "A"}, {}, "what is given as base64 is not that", {}),
        ({"format": "csv"}, {}, "the source must have exactly one of text, base64, file, records, not 0", {}),
        (
            text("csv", "a\n", base64=""),
            {},
            "the source must have exactly one of text, base64, file, records, not 2",
            {},
        ),
        ({"format": "csv", "records": []}, {}, "records come in the format records", {}),
        ({"format": "csv", "file": "relative"}, {}, "'relative' is not an absolute path", {}),
        ({"format": "csv", "file": "/nowhere/x"}, {}, "the file '/nowhere/x' can't be read: No such file", {}),
    ],
)
def test_errors_name_the_place(
    source: dict[str, Any], options: dict[str, Any], message: str, details: dict[str, Any]
) -> None:
    with pytest.raises(OperationFailed) as caught:
        converted(source, **options)
    assert str(caught.value).startswith(message)
    assert details.items() <= caught.value.details.items()


def test_a_csv_cannot_hold_lists() -> None:
    with pytest.raises(OperationFailed, match="CSV has no place for lists and objects: l; choose other columns"):
        converted(text("json", '[{"a": 1, "l": [1]}]'), "csv")


def test_a_large_file_goes_through_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "CSV_BLOCK_BYTES", 100)
    monkeypatch.setattr(records, "WINDOW_BYTES", 100)
    table = "a,b\n" + "".join(f"{number},x{number}\n" for number in range(500))
    source, middle, end = tmp_path / "in.csv", tmp_path / "middle.ndjson", tmp_path / "out.parquet"
    source.write_text(table)
    answer = processor.convert({"format": "csv", "file": str(source)}, {"format": "ndjson", "file": str(middle)})
    assert (answer["rows"], answer["bytes"]) == (500, middle.stat().st_size)
    processor.convert({"format": "ndjson", "file": str(middle)}, {"format": "parquet", "file": str(end)})
    assert parquet.read_table(end).to_pylist() == [{"a": number, "b": f"x{number}"} for number in range(500)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "middle.ndjson", "out.parquet"]


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("csv", "a\n" + "1\n" * 200 + "x\n", "line 202, column 'a': invalid value 'x'"),
        ("ndjson", '{"a": 1}\n' * 200 + '{"a": "x"}\n', "column 'a': line 193 has a number and line 201 has a string"),
        ("ndjson", '{"a": 1}\n' * 200 + '{"b": 1}\n', "line 201 has a column 'b', which no record in the first"),
    ],
)
def test_a_late_surprise_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, content: str, message: str
) -> None:
    monkeypatch.setattr(readers, "CSV_BLOCK_BYTES", 100)
    monkeypatch.setattr(records, "WINDOW_BYTES", 100)
    with pytest.raises(OperationFailed) as caught:
        processor.convert(text(kind, content), {"format": "json", "file": str(tmp_path / "out.json")})
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="can't be written: No such file or directory"):
        processor.convert(text("csv", "a\n1\n"), {"format": "csv", "file": str(tmp_path / "no" / "x")})


@pytest.mark.parametrize("target", ["records", "json", "csv", "parquet"])
def test_the_answer_is_bounded(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setattr(writers, "MOST_ANSWER_BYTES", 1 << 10)
    monkeypatch.setattr("flexcore_plugins.data_processor.processor.MOST_ANSWER_BYTES", 1 << 10)
    source = {"format": "records", "records": [{"a": f"{number * 7919:x}"} for number in range(1000)]}
    with pytest.raises(OperationFailed, match="the answer is longer than 0 MB; choose columns, or let a file"):
        converted(source, target)


def test_describe() -> None:
    source = text("csv", "a,b\n1,x\n,\n3,\n")
    assert processor.describe(source) == {
        "format": "csv",
        "rows": 3,
        "columns": [{"name": "a", "type": "integer", "nulls": 1}, {"name": "b", "type": "string", "nulls": 2}],
    }
    as_parquet = {"format": "parquet", "base64": converted(source, "parquet")}
    described = processor.describe(as_parquet, columns=["b"])
    assert described["columns"] == [{"name": "b", "type": "string", "nulls": 2}]
    assert (described["rows"], described["row_groups"]) == (3, 1)


def test_health() -> None:
    assert processor.health() == {"status": "healthy", "arrow": pa.__version__}
