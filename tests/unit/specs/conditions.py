"""Which Ansible conditionals cannot be boolean, judged by their Jinja syntax.

ansible-core 2.19 refuses a conditional whose value is not a boolean, but only when the task runs.
"""

from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, nodes

# What a task's result holds beside its booleans.
RESULT_ATTRIBUTES = frozenset(
    {"stdout", "stdout_lines", "stderr", "stderr_lines", "rc", "results", "msg", "stat", "content"}
)
# Filters whose value may be a boolean; every other gives a text, a number or a collection.
FILTERS_THAT_MAY_GIVE_BOOLEANS = frozenset({"bool", "default", "d", "first", "last", "ternary", "extract", "from_json"})
KEYS = ("when", "failed_when", "changed_when", "until", "that")
TASK_LISTS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")

_jinja = Environment()  # noqa: S701 - nothing is rendered, only parsed


def conditionals(tasks: list[dict[str, Any]]) -> Iterator[Any]:
    """Every conditional in a list of plays or tasks, blocks included; a module's `that` counts as one."""
    for task in tasks:
        for key, content in task.items():
            if key in TASK_LISTS:
                yield from conditionals(content or [])
            elif key in KEYS:
                yield from content if isinstance(content, list) else [content]
            elif isinstance(content, dict) and "that" in content:
                yield from content["that"] if isinstance(content["that"], list) else [content["that"]]


def cannot_be_boolean(conditional: Any, values: frozenset[str]) -> bool:
    """Whether a conditional is certainly something else than true or false.

    `values` names the variables known to hold a text, a number or a collection.
    """
    if isinstance(conditional, bool):
        return False
    expression = _jinja.parse("{{ " + str(conditional) + " }}").body[0].nodes[0]
    return _is_value(expression, values)


def _is_value(node: nodes.Node, values: frozenset[str]) -> bool:
    match node:
        case nodes.And() | nodes.Or():
            return _is_value(node.left, values) or _is_value(node.right, values)
        case nodes.CondExpr():
            return _is_value(node.expr1, values) or (node.expr2 is not None and _is_value(node.expr2, values))
        case nodes.Const():
            return not isinstance(node.value, bool)
        case nodes.Name():
            return node.name in values
        case nodes.Getattr():
            return node.attr in RESULT_ATTRIBUTES
        case nodes.Getitem(node=nodes.Name()):
            return node.node.name in {"groups", "hostvars"}
        case nodes.Filter(name="default" | "d"):
            return _is_value(node.node, values) or not node.args or _is_value(node.args[0], values)
        case nodes.Filter():
            return node.name not in FILTERS_THAT_MAY_GIVE_BOOLEANS
        case nodes.Call(node=nodes.Name()):
            return node.node.name in {"query", "q", "dict", "range"}
        case nodes.List() | nodes.Dict() | nodes.Tuple() | nodes.Concat() | nodes.BinExpr():
            return True
        case _:
            return False
