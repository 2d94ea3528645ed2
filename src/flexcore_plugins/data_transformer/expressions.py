"""Expressions over one record: `price * quantity > 100 and status in ("paid", "sent")`.

The grammar is a safe part of Python's for expressions, and nothing is ever handed to Python's own evaluation. A name
is a field of the record, `field("odd name")` is one too, `a.b` and `a["b"]` look into an object and `a[0]` into a list.
`null`, `true` and `false` are written as in JSON or as in Python.

null means "not known", as in SQL: arithmetic with it gives null, an ordering comparison with it is false, and what is
not there reads as null. Different types are never equal, and true is not 1.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from flexcore_plugins.data_transformer.functions import FUNCTIONS
from flexcore_plugins.data_transformer.values import is_number, shown, type_name

LONGEST = 4000
_MOST_BITS = 4096
_CONSTANTS = {"null": None, "none": None, "true": True, "false": False}

Record = Mapping[str, Any]
_Evaluate = Callable[[Record], Any]


class ExpressionError(Exception):
    """An expression that cannot be understood, or that does not fit a record."""


class Expression:
    """A compiled expression; call `of(record)` for its value. `fields` are the fields of a record that it names.

    Raises ExpressionError if the text is no expression, or has a part that is not allowed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields: set[str] = set()
        if len(text) > LONGEST:
            raise ExpressionError(f"the expression has {len(text)} characters; at most {LONGEST} are allowed")
        try:
            tree = ast.parse(text.strip(), mode="eval")
            self.of = self._compile(tree.body)
        except SyntaxError as error:
            where = f" at character {error.offset}" if error.offset else ""
            raise ExpressionError(f"'{text}' is not an expression{where}: {error.msg}") from None
        except (RecursionError, MemoryError, ValueError):
            raise ExpressionError("the expression nests too deeply, or has a character that is not allowed") from None

    def _compile(self, node: ast.expr) -> _Evaluate:
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, (bool, int, float, str)):
                return lambda _: value
            case ast.Name(id=name) if name.lower() in _CONSTANTS:
                constant = _CONSTANTS[name.lower()]
                return lambda _: constant
            case ast.Name(id=name):
                return self._field(name)
            case ast.Attribute(value=owner, attr=name):
                return _item(self._compile(owner), lambda _: name)
            case ast.Subscript(value=owner, slice=index) if not isinstance(index, (ast.Slice, ast.Tuple)):
                return _item(self._compile(owner), self._compile(index))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                parts = [self._compile(item) for item in items]
                return lambda record: [part(record) for part in parts]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._compile(operand)
                return lambda record: not truth(inner(record))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _calculated("-", operator.sub, lambda _: 0, self._compile(operand))
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
                symbol, calculate = _ARITHMETIC[type(sign)]
                return _calculated(symbol, calculate, self._compile(left), self._compile(right))
            case ast.BoolOp(op=ast.And(), values=operands):
                parts = [self._compile(operand) for operand in operands]
                return lambda record: all(truth(part(record)) for part in parts)
            case ast.BoolOp(values=operands):
                parts = [self._compile(operand) for operand in operands]
                return lambda record: any(truth(part(record)) for part in parts)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition, then, otherwise = self._compile(test), self._compile(body), self._compile(orelse)
                return lambda record: then(record) if truth(condition(record)) else otherwise(record)
            case ast.Compare(left=left, ops=signs, comparators=others):
                return self._comparison([left, *others], [type(sign) for sign in signs], node)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
        raise ExpressionError(f"'{ast.unparse(node)}' in '{self.text}' is not allowed in an expression")

    def _field(self, name: str) -> _Evaluate:
        self.fields.add(name)
        return lambda record: record.get(name)

    def _comparison(self, operands: list[ast.expr], signs: list[type[ast.cmpop]], node: ast.expr) -> _Evaluate:
        if any(sign not in _COMPARISONS for sign in signs):
            raise ExpressionError(f"'{ast.unparse(node)}' in '{self.text}' is not allowed in an expression")
        compared = [_COMPARISONS[sign] for sign in signs]
        values = [self._compile(operand) for operand in operands]
        if len(values) == 2:
            left, right, compare = values[0], values[1], compared[0]
            return lambda record: compare(left(record), right(record))

        def chain(record: Record) -> bool:
            found = [value(record) for value in values]
            return all(compare(*pair) for compare, pair in zip(compared, pairwise(found), strict=True))

        return chain

    def _call(self, name: str, arguments: list[ast.expr]) -> _Evaluate:
        if name == "field":
            match arguments:
                case [ast.Constant(value=str(wanted))]:
                    return self._field(wanted)
            raise ExpressionError('field() takes the name of a field in quotes, such as field("unit price")')
        function = FUNCTIONS.get(name)
        if function is None:
            raise ExpressionError(f"there is no function '{name}'; there are: field, {', '.join(sorted(FUNCTIONS))}")
        fewest, most = function.arguments
        if not fewest <= len(arguments) <= most:
            raise ExpressionError(f"{name}() takes {function.signature()}, not {len(arguments)}")
        parts = [self._compile(argument) for argument in arguments]

        def call(record: Record) -> Any:
            values = [part(record) for part in parts]
            try:
                return function.call(*values)
            except (TypeError, ValueError, OverflowError) as error:
                raise ExpressionError(f"{name}({', '.join(map(shown, values))}): {error}") from None

        return call


def truth(value: Any) -> bool:
    """Whether a condition holds; null does not. Raises ExpressionError for anything but true, false and null."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ExpressionError(f"a condition must be true or false, not {type_name(value)} {shown(value)}")


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return bool(left == right)


def _ordering(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return compare(left, right)
        raise ExpressionError(
            f"'{symbol}' compares two numbers or two strings, not {type_name(left)} {shown(left)} with "
            f"{type_name(right)} {shown(right)}; cast one of them"
        )

    return ordered


def _contains(item: Any, container: Any) -> bool:
    if container is None:
        return False
    if isinstance(container, str) and isinstance(item, str):
        return item in container
    if isinstance(container, dict) and isinstance(item, str):
        return item in container
    if isinstance(container, list):
        return any(equal(item, each) for each in container)
    raise ExpressionError(f"'in' looks into a list, an object or a string, not into {type_name(container)}")


def _calculated(symbol: str, calculate: Callable[[Any, Any], Any], left: _Evaluate, right: _Evaluate) -> _Evaluate:
    def calculated(record: Record) -> Any:
        first, second = left(record), right(record)
        if first is None or second is None:
            return None
        is_text = symbol == "+" and isinstance(first, str) and isinstance(second, str)
        if not is_text and not (is_number(first) and is_number(second)):
            stranger = second if is_number(first) else first
            raise ExpressionError(
                f"'{symbol}' works on numbers, not on {type_name(stranger)} {shown(stranger)}; cast the field first"
            )
        try:
            result = calculate(first, second)
        except ZeroDivisionError:
            raise ExpressionError(f"{shown(first)} {symbol} {shown(second)} divides by zero") from None
        except OverflowError:
            result = math.inf
        if _too_large(result):
            raise ExpressionError(f"{shown(first)} {symbol} {shown(second)} is too large for a number")
        return result

    return calculated


def _too_large(result: Any) -> bool:
    if isinstance(result, float):
        return not math.isfinite(result)
    return isinstance(result, int) and result.bit_length() > _MOST_BITS


def _item(owner: _Evaluate, index: _Evaluate) -> _Evaluate:
    def item(record: Record) -> Any:
        container, key = owner(record), index(record)
        if container is None:
            return None
        if isinstance(container, dict) and isinstance(key, str):
            return container.get(key)
        if isinstance(container, list) and isinstance(key, int) and not isinstance(key, bool):
            return container[key] if -len(container) <= key < len(container) else None
        raise ExpressionError(f"{type_name(container)} {shown(container)} has nothing at {shown(key)}")

    return item


_ARITHMETIC: Mapping[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: equal,
    ast.NotEq: lambda left, right: not equal(left, right),
    ast.Is: equal,
    ast.IsNot: lambda left, right: not equal(left, right),
    ast.Lt: _ordering("<", operator.lt),
    ast.LtE: _ordering("<=", operator.le),
    ast.Gt: _ordering(">", operator.gt),
    ast.GtE: _ordering(">=", operator.ge),
    ast.In: _contains,
    ast.NotIn: lambda item, container: not _contains(item, container),
}
