"""Which Ansible conditionals are certainly boolean, judged by their Jinja syntax.

ansible-core 2.19 refuses a conditional whose value is not a boolean, but only when the task runs.
"""

from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, nodes

# Attributes of results and facts that Ansible itself fills with booleans.
BOOLEAN_ATTRIBUTES = frozenset(
    {"changed", "failed", "skipped", "exists", "isdir", "isreg", "islnk", "executable", "reachable", "finished"}
)
BOOLEAN_FILTERS = frozenset({"bool"})
BOOLEAN_MAGIC = frozenset({"ansible_check_mode", "ansible_diff_mode"})
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


def is_boolean(conditional: Any, booleans: frozenset[str]) -> bool:
    """Whether a conditional can only be true or false. `booleans` names the variables known to be boolean."""
    if isinstance(conditional, bool):
        return True
    expression = _jinja.parse("{{ " + str(conditional) + " }}").body[0].nodes[0]
    return _boolean(expression, booleans | BOOLEAN_MAGIC)


def _boolean(node: nodes.Node, booleans: frozenset[str]) -> bool:
    match node:
        case nodes.Compare() | nodes.Test() | nodes.Not():
            return True
        case nodes.And() | nodes.Or():
            return _boolean(node.left, booleans) and _boolean(node.right, booleans)
        case nodes.CondExpr():
            return _boolean(node.expr1, booleans) and node.expr2 is not None and _boolean(node.expr2, booleans)
        case nodes.Const():
            return isinstance(node.value, bool)
        case nodes.Name():
            return node.name in booleans
        case nodes.Getattr():
            return node.attr in BOOLEAN_ATTRIBUTES
        case nodes.Filter(name="default" | "d", node=nodes.Node()):
            return _boolean(node.node, booleans) and bool(node.args) and _boolean(node.args[0], booleans)
        case nodes.Filter():
            return node.name in BOOLEAN_FILTERS
        case _:
            return False
