"""The commands of data-transformer."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_transformer import operations
from flexcore_plugins.data_transformer.operations import Records

_OPERATIONS: Final[Mapping[str, Callable[..., Records]]] = {
    "filter": operations.filtered,
    "map": operations.mapped,
    "rename": operations.renamed,
    "select": operations.selected,
    "cast": operations.cast,
    "aggregate": operations.aggregated,
    "sort": operations.ordered,
    "deduplicate": operations.deduplicated,
}


class DataTransformer:
    """Each public method is one command of the manifest, whose schema has checked the parameters."""

    def __init__(self, configuration: dict[str, object]) -> None:
        del configuration  # it has no settings

    def transform(self, records: Records, steps: list[dict[str, dict[str, Any]]]) -> dict[str, object]:
        """Do several steps one after the other; an error says which step it was in."""
        for number, step in enumerate(steps):
            ((name, parameters),) = step.items()
            try:
                records = _OPERATIONS[name](records, **parameters)
            except OperationFailed as error:
                raise OperationFailed(f"steps[{number}].{name}: {error}", step=number, **error.details) from None
        return _answer(records)

    def filter(self, records: Records, where: str) -> dict[str, object]:
        """Keep the records for which a condition holds."""
        return _answer(operations.filtered(records, where))

    def map(self, records: Records, fields: dict[str, str], keep: bool = True) -> dict[str, object]:
        """Compute fields."""
        return _answer(operations.mapped(records, fields, keep))

    def rename(self, records: Records, fields: dict[str, str]) -> dict[str, object]:
        """Give fields other names."""
        return _answer(operations.renamed(records, fields))

    def select(self, records: Records, fields: list[str], exclude: bool = False) -> dict[str, object]:
        """Keep some fields, or drop them."""
        return _answer(operations.selected(records, fields, exclude))

    def cast(
        self, records: Records, fields: dict[str, str | dict[str, str]], on_error: str = "fail"
    ) -> dict[str, object]:
        """Change the types of fields."""
        return _answer(operations.cast(records, fields, on_error))

    def aggregate(
        self, records: Records, aggregates: dict[str, dict[str, str]], group_by: list[str] | None = None
    ) -> dict[str, object]:
        """Sum up the records, by groups or as a whole."""
        return _answer(operations.aggregated(records, aggregates, group_by or ()))

    def sort(self, records: Records, by: list[str | dict[str, Any]]) -> dict[str, object]:
        """Order the records."""
        return _answer(operations.ordered(records, by))

    def deduplicate(self, records: Records, fields: list[str] | None = None, keep: str = "first") -> dict[str, object]:
        """Keep one of the records that are alike."""
        return _answer(operations.deduplicated(records, fields, keep))


def _answer(records: Records) -> dict[str, object]:
    return {"records": records, "count": len(records)}
