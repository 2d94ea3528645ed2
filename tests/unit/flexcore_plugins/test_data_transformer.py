"""data-transformer: what each command does to records, and what it says when it cannot."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_transformer.transformer import DataTransformer

transformer: Any = DataTransformer({})

ORDERS = [
    {"id": 1, "customer": "Ada", "price": "2.50", "quantity": 4, "day": "31.01.2024"},
    {"id": 2, "customer": "Bob", "price": "10", "quantity": 1, "day": "01.02.2024"},
    {"id": 3, "customer": "Ada", "price": None, "quantity": 2, "day": "01.02.2024"},
]


def test_filter() -> None:
    answer = transformer.filter(ORDERS, "quantity >= 2 and customer == 'Ada'")
    assert answer == {"records": [ORDERS[0], ORDERS[2]], "count": 2}


def test_map_sees_the_record_as_it_came() -> None:
    fields = {"quantity": "quantity * 2", "twice": "quantity"}
    assert transformer.map(ORDERS[:1], fields)["records"] == [{**ORDERS[0], "quantity": 8, "twice": 4}]
    assert transformer.map(ORDERS[:1], fields, keep=False)["records"] == [{"quantity": 8, "twice": 4}]


def test_rename_keeps_the_places() -> None:
    renamed = transformer.rename(ORDERS[:1], {"customer": "name", "id": "number"})["records"]
    assert list(renamed[0]) == ["number", "name", "price", "quantity", "day"]
    swapped = transformer.rename([{"a": 1, "b": 2}], {"a": "b", "b": "a"})["records"]
    assert swapped == [{"b": 1, "a": 2}]


def test_select() -> None:
    assert transformer.select([{"a": 1, "b": 2}, {"b": 3}], ["b", "a"])["records"] == [
        {"b": 2, "a": 1},
        {"b": 3, "a": None},
    ]
    assert transformer.select([{"a": 1, "b": 2}], ["a"], exclude=True)["records"] == [{"b": 2}]


def test_cast() -> None:
    fields = {"price": "number", "id": "string", "day": {"type": "date", "format": "%d.%m.%Y"}}
    assert transformer.cast(ORDERS, fields)["records"][0] == {
        "id": "1",
        "customer": "Ada",
        "price": 2.5,
        "quantity": 4,
        "day": "2024-01-31",
    }
    bad = [{"n": "1"}, {"n": "one"}, {}]
    assert transformer.cast(bad, {"n": "integer"}, on_error="null")["records"] == [{"n": 1}, {"n": None}, {}]
    assert transformer.cast(bad, {"n": "integer"}, on_error="drop")["records"] == [{"n": 1}, {}]


@pytest.mark.parametrize(
    ("kind", "value", "cast"),
    [
        ("integer", " 12 ", 12),
        ("integer", 3.0, 3),
        ("integer", True, 1),
        ("integer", 10**30, 10**30),
        ("number", "1e3", 1000.0),
        ("number", "-12", -12),
        ("number", ".5", 0.5),
        ("number", False, 0),
        ("string", 1.5, "1.5"),
        ("string", None, None),
        ("string", {"ü": [1]}, '{"ü": [1]}'),
        ("string", "x", "x"),
        ("boolean", "Yes", True),
        ("boolean", 0, False),
        ("boolean", "false", False),
        ("boolean", True, True),
        ("date", "2024-01-31T23:00:00+02:00", "2024-01-31"),
        ("timestamp", "2024-01-31T12:00:00+02:00", "2024-01-31T10:00:00Z"),
        ("timestamp", "2024-01-31", "2024-01-31T00:00:00Z"),
        ("timestamp", 1.5, "1970-01-01T00:00:01.500000Z"),
    ],
)
def test_casts(kind: str, value: Any, cast: Any) -> None:
    found = transformer.cast([{"x": value}], {"x": kind})["records"][0]["x"]
    assert found == cast
    assert type(found) is type(cast)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "1.5"),
        ("integer", 1.5),
        ("integer", "٣"),
        ("integer", "1_0"),
        ("integer", [1]),
        ("number", "nan"),
        ("number", "1e999"),
        ("number", "0x10"),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("boolean", []),
        ("date", "yesterday"),
        ("date", 3),
        ("timestamp", "12:00"),
        ("timestamp", 1e300),
        ("timestamp", True),
    ],
)
def test_what_cannot_be_cast_names_record_and_field(kind: str, value: Any) -> None:
    with pytest.raises(OperationFailed, match=r"^records\[1\]\.x: .* is not ") as caught:
        transformer.cast([{"x": None}, {"x": value}], {"x": kind})
    assert caught.value.details == {"record": 1, "field": "x"}


def test_aggregate() -> None:
    records = transformer.cast(ORDERS, {"price": "number"})["records"]
    functions = ["count", "count_distinct", "sum", "mean", "min", "max", "first", "last", "collect"]
    aggregates: dict[str, Any] = {name: {"function": name, "field": "price"} for name in functions}
    aggregates["records"] = {"function": "count"}
    assert transformer.aggregate(records, aggregates, ["customer"])["records"] == [
        {
            "customer": "Ada",
            "count": 1,
            "count_distinct": 1,
            "sum": 2.5,
            "mean": 2.5,
            "min": 2.5,
            "max": 2.5,
            "first": 2.5,
            "last": 2.5,
            "collect": [2.5],
            "records": 2,
        },
        {
            "customer": "Bob",
            "count": 1,
            "count_distinct": 1,
            "sum": 10,
            "mean": 10,
            "min": 10,
            "max": 10,
            "first": 10,
            "last": 10,
            "collect": [10],
            "records": 1,
        },
    ]
    nothing = transformer.aggregate([], {name: aggregates[name] for name in functions})["records"]
    assert nothing == [{**dict.fromkeys(functions), "count": 0, "count_distinct": 0, "sum": 0, "collect": []}]


def test_groups_are_of_equal_values() -> None:
    records = [{"k": 1}, {"k": True}, {"k": 1.0}, {"k": "1"}, {"k": [1, 2]}, {"k": [1, 2]}, {"k": None}, {}]
    counts = transformer.aggregate(records, {"n": {"function": "count"}}, ["k"])["records"]
    assert [group["n"] for group in counts] == [2, 1, 1, 2, 2]


def test_whole_numbers_are_added_exactly() -> None:
    big = [{"n": 2**53}, {"n": 1}]
    assert transformer.aggregate(big, {"s": {"function": "sum", "field": "n"}})["records"] == [{"s": 2**53 + 1}]
    tenths = [{"n": 0.1}] * 10
    assert transformer.aggregate(tenths, {"s": {"function": "sum", "field": "n"}})["records"] == [{"s": 1.0}]


def test_sort() -> None:
    records = [{"a": "b", "n": 1}, {"a": None, "n": 9}, {"a": "a", "n": 2}, {"a": "b", "n": 3}]
    assert [record["n"] for record in transformer.sort(records, ["a"])["records"]] == [2, 1, 3, 9]
    by = [{"field": "a", "descending": True}, {"field": "n", "descending": True}]
    assert [record["n"] for record in transformer.sort(records, by)["records"]] == [3, 1, 2, 9]


def test_deduplicate() -> None:
    records = [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"b": 1, "a": 1.0}]
    assert transformer.deduplicate(records)["records"] == records[:2]
    assert transformer.deduplicate(records, ["a"])["records"] == records[:1]
    assert transformer.deduplicate(records, ["a"], keep="last")["records"] == records[2:]


def test_transform_does_the_steps_in_turn() -> None:
    steps = [
        {"cast": {"fields": {"price": "number"}}},
        {"filter": {"where": "price is not null"}},
        {"map": {"fields": {"total": "price * quantity"}}},
        {"aggregate": {"group_by": ["customer"], "aggregates": {"total": {"function": "sum", "field": "total"}}}},
        {"sort": {"by": ["total"]}},
        {"rename": {"fields": {"customer": "name"}}},
    ]
    assert transformer.transform(ORDERS, steps) == {
        "records": [{"name": "Ada", "total": 10.0}, {"name": "Bob", "total": 10}],
        "count": 2,
    }


@pytest.mark.parametrize(
    ("command", "parameters", "message", "details"),
    [
        ("filter", {"where": "quantty > 1"}, "no record has a field 'quantty'; did you mean 'quantity'?", {"field"}),
        ("filter", {"where": "price > 1"}, "records[0]: '>' compares two numbers or two strings", {"record"}),
        ("filter", {"where": "quantity"}, "records[0]: a condition must be true or false", {"record", "expression"}),
        ("filter", {"where": "quantity >"}, "'quantity >' is not an expression", {"expression"}),
        ("map", {"fields": {"x": "price * 2"}}, "records[0].x: '*' works on numbers", {"record", "field"}),
        ("rename", {"fields": {"id": "price"}}, "records[0].id: there is a field 'price' already", {"field"}),
        ("rename", {"fields": {"id": "x", "day": "x"}}, "two fields would be called 'x'", {"field"}),
        ("select", {"fields": ["zzz"]}, "no record has a field 'zzz'; they have: id, customer", {"field"}),
        ("cast", {"fields": {"id": {"type": "integer", "format": "%d"}}}, "field 'id': a format belongs to", {"field"}),
        ("sort", {"by": ["price", "nope"]}, "no record has a field 'nope'", {"field"}),
        (
            "aggregate",
            {"aggregates": {"s": {"function": "sum", "field": "price"}}},
            'records[0].price: sum needs numbers, not the string "2.50"; cast the field first',
            {"record", "field"},
        ),
        ("aggregate", {"aggregates": {"s": {"function": "sum"}}}, "aggregate 's': sum needs a field", {"field"}),
        (
            "aggregate",
            {"aggregates": {"id": {"function": "count"}}, "group_by": ["id"]},
            "'id' is a field to group by",
            {"field"},
        ),
        (
            "transform",
            {"steps": [{"filter": {"where": "true"}}, {"map": {"fields": {"x": "1 / 0"}}}]},
            "steps[1].map: records[0].x: 1 / 0 divides by zero",
            {"step", "record", "field", "expression"},
        ),
    ],
)
def test_errors_name_the_place(command: str, parameters: dict[str, Any], message: str, details: set[str]) -> None:
    with pytest.raises(OperationFailed) as caught:
        getattr(transformer, command)(ORDERS, **parameters)
    assert str(caught.value).startswith(message)
    assert details <= set(caught.value.details)


def test_an_order_of_different_kinds_is_refused() -> None:
    with pytest.raises(OperationFailed, match=r"records\[1\]\.a: sort needs strings, not the number 1"):
        transformer.sort([{"a": "x"}, {"a": 1}], ["a"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.fixed_dictionaries({"k": json_values}), max_size=8))
def test_grouping_and_deduplicating_agree(records: list[dict[str, Any]]) -> None:
    groups = transformer.aggregate(records, {"n": {"function": "count"}}, ["k"])["records"]
    assert [group["k"] for group in groups] == [one["k"] for one in transformer.deduplicate(records, ["k"])["records"]]
    assert sum(group["n"] for group in groups) == len(records)
