"""The one way in which anything is asked: typed queries, each with one handler. A query changes nothing."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer", covariant=True)


class Query(Generic[Answer]):
    """A question; its type parameter is what the answer is."""

    __slots__ = ()


Asked = TypeVar("Asked", bound=Query[Any])


class QueryBus:
    """Hands each query to the handler of its type."""

    def __init__(self) -> None:
        self._handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {}

    def register(self, query: type[Asked], handler: Callable[[Asked], Awaitable[Any]]) -> None:
        """Let `handler` answer all queries of a type."""
        if query in self._handlers:
            raise ValueError(f"{query.__name__} has a handler already")
        self._handlers[query] = handler

    async def ask(self, query: Query[Answer]) -> Answer:
        """Answer `query`; raises whatever its handler raises."""
        answer: Answer = await self._handlers[type(query)](query)
        return answer
