"""The expressions of data-transformer: what they give, and that nothing but them is understood."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexcore_plugins.data_transformer.expressions import LONGEST, Expression, ExpressionError

RECORD = {
    "price": 2.5,
    "quantity": 4,
    "name": " Ada ",
    "status": "paid",
    "tags": ["new", "big"],
    "address": {"city": "Köln", "lines": ["a", "b"]},
    "paid": True,
    "nothing": None,
    "unit price": 7,
    "class": "a",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("price * quantity", 10.0),
        ("price * quantity > 9 and status in ('paid', 'sent')", True),
        ("1 + 2 * 3 - -4", 11),
        ("7 // 2 + 7 % 2", 4),
        ("1 < quantity <= 4 < 5", True),
        ("1 < quantity < 4", False),
        ("upper(trim(name)) + '!'", "ADA!"),
        ("address.city", "Köln"),
        ("address['lines'][1]", "b"),
        ("address['lines'][-1]", "b"),
        ("address['lines'][7]", None),
        ("address.country", None),
        ("nothing.city", None),
        ("field('unit price') * 2", 14),
        ("'new' in tags and 'old' not in tags", True),
        ("'ai' in status and 'city' in address", True),
        ("'high' if price > 2 else 'low'", "high"),
        ("not paid or false", False),
        ("nothing is null and price is not none", True),
        ("nothing == null", True),
        ("nothing + 1", None),
        ("nothing > 1 or nothing <= 1", False),
        ("missing", None),
        ("coalesce(nothing, missing, 'x')", "x"),
        ("min(3, nothing, 1.5)", 1.5),
        ("max('b', 'a')", "b"),
        ("min(nothing)", None),
        ("round(2.567, 1) + floor(1.9) + ceil(1.1) + abs(-1)", 6.6),
        ("round(2.6)", 3),
        ("length(tags) + length(status) + length(address)", 8),
        ("starts_with(status, 'pa') and ends_with(status, 'id') and contains(status, 'ai')", True),
        ("replace(status, 'a', 'oo')", "pooid"),
        ("substring(status, 1, 2) + substring(status, 3)", "aid"),
        ("join(split('a,b', ','), '-')", "a-b"),
        ("integer('12') + number('1.5')", 13.5),
        ("string(12) + string(true)", "12true"),
        ("lower(nothing)", None),
        ("[price, [1, true]]", [2.5, [1, True]]),
        ("[1, true] == [1.0, true]", True),
        ("paid == 1", False),
        ("0 == false", False),
        ("1 == 1.0", True),
        ("'1' != 1", True),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = Expression(text).of(RECORD)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('/etc/passwd')",
        "price.__class__.__mro__[1]()",
        "(lambda: 1)()",
        "[x for x in tags]",
        "{'a': 1}",
        "{1, 2}",
        "f'{price}'",
        "price := 3",
        "tags[0:1]",
        "tags[0, 1]",
        "2 ** 9",
        "1 << 9",
        "~1",
        "b'x'",
        "1j",
        "...",
        "*tags",
        "lower(text=name)",
        "lower(*tags)",
        "address.get('city')",
        "await price",
        "yield",
        "price is not paid and price @ paid",
    ],
)
def test_nothing_else_is_an_expression(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)


def test_an_attribute_of_python_is_only_a_field() -> None:
    assert Expression("address.__class__").of(RECORD) is None
    with pytest.raises(ExpressionError, match="has nothing at"):
        Expression("price.__class__").of(RECORD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("price 2", "'price 2' is not an expression at character 7: invalid syntax"),
        ("", "'' is not an expression"),
        ("2 ** 9", r"'2 \*\* 9' in '2 \*\* 9' is not allowed"),
        ("lowr(name)", "there is no function 'lowr'; there are: field, abs,"),
        ("lower()", r"lower\(\) takes 1 argument, not 0"),
        ("substring(name)", r"substring\(\) takes 2 to 3 arguments, not 1"),
        ("field(name)", r"field\(\) takes the name of a field in quotes"),
        ("1" * (LONGEST + 1), "has 4001 characters; at most 4000 are allowed"),
        ("(" * 300 + ")" * 300, "not an expression|nests too deeply"),
        ("-" * 3999 + "1", "nests too deeply"),
        ("1 + " * 999 + "1" + "\0", "not an expression|nests too deeply"),
    ],
)
def test_what_cannot_be_understood(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status * 2", r"'\*' works on numbers, not on the string \"paid\"; cast the field first"),
        ("price + status", r"'\+' works on numbers, not on the string"),
        ("paid + 1", "not on the boolean true"),
        ("status > 3", "'>' compares two numbers or two strings, not the string \"paid\" with the number 3; cast"),
        ("price / 0", "2.5 / 0 divides by zero"),
        ("price % 0", "divides by zero"),
        ("1e308 * 10", "too large for a number"),
        (" * ".join(["9" * 300] * 10), "too large for a number"),
        ("price and paid", "a condition must be true or false, not the number 2.5"),
        ("1 in 2", "'in' looks into a list, an object or a string, not into the number"),
        ("lower(price)", r"lower\(2.5\): it takes a string, not the number 2.5"),
        ("replace(status, '', 'x')", "must not be empty"),
        ("substring(status, -1)", "whole numbers from 0 on"),
        ("round(price, 99)", "from -15 to 15"),
        ("min(1, 'a')", "numbers alone or strings alone"),
        ("integer('1.5')", 'the string "1.5" is not a whole number'),
        ("abs(status)", "it takes numbers"),
        ("join(tags, 1)", "it takes a string"),
        ("tags['a']", "has nothing at"),
    ],
)
def test_what_does_not_fit_the_record(text: str, message: str) -> None:
    expression = Expression(text)
    with pytest.raises(ExpressionError, match=message):
        expression.of(RECORD)


def test_it_knows_its_fields() -> None:
    assert Expression("a + field('b c') * lower(d.e) + coalesce(null)").fields == {"a", "b c", "d"}


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with suppress(ExpressionError):
        Expression(text).of(RECORD)
