"""What can be done to a list of records. Each gives a new list, in time linear in the records (a sort aside).

All raise OperationFailed naming the record, counted from 0, and the field.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_transformer.casts import cast_to
from flexcore_plugins.data_transformer.expressions import Expression, ExpressionError, truth
from flexcore_plugins.data_transformer.values import is_number, key, shown, type_name

Record = dict[str, Any]
Records = list[Record]


def filtered(records: Records, where: str) -> Records:
    """Keep the records for which the condition holds."""
    condition = _expression(where, records)
    return [record for number, record in enumerate(records) if _evaluated(condition, record, number, None, truth)]


def mapped(records: Records, fields: Mapping[str, str], keep: bool = True) -> Records:
    """Compute fields, each from the record as it came; the others are kept, or not."""
    expressions = {name: _expression(text, records) for name, text in fields.items()}
    return [
        {
            **(record if keep else {}),
            **{name: _evaluated(expression, record, number, name) for name, expression in expressions.items()},
        }
        for number, record in enumerate(records)
    ]


def renamed(records: Records, fields: Mapping[str, str]) -> Records:
    """Give fields other names, in their places."""
    _must_exist(fields, records)
    if twice := _repeated(fields.values()):
        raise OperationFailed(f"two fields would be called '{twice}'", field=twice)
    return [_renamed(record, number, fields) for number, record in enumerate(records)]


def _renamed(record: Record, number: int, fields: Mapping[str, str]) -> Record:
    result: Record = {}
    for name, value in record.items():
        new = fields.get(name, name)
        if new in result or (new != name and new in record and new not in fields):
            raise _failed(number, name, f"there is a field '{new}' already; drop it or rename it too")
        result[new] = value
    return result


def selected(records: Records, fields: Sequence[str], exclude: bool = False) -> Records:
    """Keep these fields, in this order and null where one is missing; with `exclude`, keep all the others."""
    _must_exist(fields, records)
    if exclude:
        unwanted = set(fields)
        return [{name: value for name, value in record.items() if name not in unwanted} for record in records]
    return [{name: record.get(name) for name in fields} for record in records]


def cast(records: Records, fields: Mapping[str, str | Mapping[str, str]], on_error: str = "fail") -> Records:
    """Cast fields to types; what cannot be cast fails, becomes null, or drops its record ("fail", "null", "drop")."""
    _must_exist(fields, records)
    casts: dict[str, Callable[[Any], Any]] = {}
    for name, wanted in fields.items():
        kind, pattern = (wanted, None) if isinstance(wanted, str) else (wanted["type"], wanted.get("format"))
        try:
            casts[name] = cast_to(kind, pattern)
        except ValueError as error:
            raise OperationFailed(f"field '{name}': {error}", field=name) from None
    result: Records = []
    for number, record in enumerate(records):
        changed = dict(record)
        for name, change in casts.items():
            try:
                if name in record:
                    changed[name] = change(record[name])
            except ValueError as error:
                if on_error == "fail":
                    raise _failed(number, name, str(error)) from None
                if on_error == "drop":
                    break
                changed[name] = None
        else:
            result.append(changed)
    return result


def aggregated(records: Records, aggregates: Mapping[str, Mapping[str, str]], group_by: Sequence[str] = ()) -> Records:
    """Give one record for each group, in the order in which the groups first appear; without `group_by`, one for all.

    null is left out of every function but `count` without a field, and of a group's first and last value.
    """
    needed = [how["field"] for how in aggregates.values() if "field" in how]
    _must_exist([*group_by, *needed], records)
    if both := set(group_by) & set(aggregates):
        name = min(both)
        raise OperationFailed(f"'{name}' is a field to group by and cannot name an aggregate too", field=name)
    for name, how in aggregates.items():
        if "field" not in how and how["function"] != "count":
            raise OperationFailed(f"aggregate '{name}': {how['function']} needs a field", field=name)
    groups: dict[tuple[Any, ...], tuple[Record, list[int]]] = {}
    if not group_by:
        groups[()] = ({}, [])
    for number, record in enumerate(records):
        values = {name: record.get(name) for name in group_by}
        groups.setdefault(tuple(map(key, values.values())), (values, []))[1].append(number)
    return [
        {**values, **{name: _aggregate(records, numbers, how) for name, how in aggregates.items()}}
        for values, numbers in groups.values()
    ]


def _aggregate(records: Records, numbers: Sequence[int], how: Mapping[str, str]) -> Any:
    function, name = how["function"], how.get("field")
    if name is None:
        return len(numbers)
    values = [(number, value) for number in numbers if (value := records[number].get(name)) is not None]
    if function in ("sum", "mean", "min", "max"):
        _check_alike(function, name, values, text=function in ("min", "max"))
    return AGGREGATES[function]([value for _, value in values])


def _check_alike(function: str, name: str, values: Sequence[tuple[int, Any]], *, text: bool) -> None:
    """Raise OperationFailed for the first value that is no number; with `text` all may be strings instead."""
    text = text and bool(values) and isinstance(values[0][1], str)
    for number, value in values:
        if not (isinstance(value, str) if text else is_number(value)):
            wanted = "strings" if text else "numbers"
            raise _failed(
                number, name, f"{function} needs {wanted}, not {type_name(value)} {shown(value)}; cast the field first"
            )


def _sum(values: Sequence[float]) -> float:
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)


AGGREGATES: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "count": len,
    "count_distinct": lambda values: len({key(value) for value in values}),
    "sum": _sum,
    "mean": lambda values: _sum(values) / len(values) if values else None,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "collect": list,
}


def ordered(records: Records, by: Sequence[str | Mapping[str, Any]]) -> Records:
    """Order by fields, the first the most important; records that are alike keep their order, null comes last."""
    result = list(enumerate(records))
    fields = [(each, False) if isinstance(each, str) else (each["field"], each.get("descending", False)) for each in by]
    _must_exist([name for name, _ in fields], records)
    for name, descending in reversed(fields):
        known = [item for item in result if item[1].get(name) is not None]
        _check_alike("sort", name, [(number, record[name]) for number, record in known], text=True)
        known.sort(key=lambda item: item[1][name], reverse=descending)
        result = known + [item for item in result if item[1].get(name) is None]
    return [record for _, record in result]


def deduplicated(records: Records, fields: Sequence[str] | None = None, keep: str = "first") -> Records:
    """Keep the first or the last of the records that are alike, in these fields or in all."""
    _must_exist(fields or (), records)
    found: dict[Any, Record] = {}
    for record in records if keep == "first" else reversed(records):
        identity = key(record) if fields is None else tuple(key(record.get(name)) for name in fields)
        found.setdefault(identity, record)
    return list(found.values()) if keep == "first" else list(found.values())[::-1]


def _expression(text: str, records: Records) -> Expression:
    try:
        expression = Expression(text)
    except ExpressionError as error:
        raise OperationFailed(str(error), expression=text) from None
    _must_exist(expression.fields, records)
    return expression


def _evaluated(
    expression: Expression,
    record: Record,
    number: int,
    name: str | None,
    check: Callable[[Any], Any] = lambda value: value,
) -> Any:
    try:
        return check(expression.of(record))
    except (ExpressionError, RecursionError) as error:
        message = str(error) if isinstance(error, ExpressionError) else "the value nests too deeply"
        raise _failed(number, name, message, expression=expression.text) from None


def _must_exist(names: Iterable[str], records: Records) -> None:
    """Raise OperationFailed for a field that no record has: it is misspelled. One that some lack is null there."""
    missing = dict.fromkeys(names)
    for record in records:
        if not missing:
            return
        for name in [name for name in missing if name in record]:
            del missing[name]
    if records and missing:
        name = next(iter(missing))
        known = {each: None for record in records[:100] for each in record}
        likely = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{likely[0]}'?" if likely else f"they have: {', '.join(list(known)[:20])}"
        raise OperationFailed(f"no record has a field '{name}'; {hint}", field=name)


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def _failed(number: int, name: str | None, message: str, **details: object) -> OperationFailed:
    place = f"records[{number}]" if name is None else f"records[{number}].{name}"
    field = {} if name is None else {"field": name}
    return OperationFailed(f"{place}: {message}", record=number, **field, **details)
