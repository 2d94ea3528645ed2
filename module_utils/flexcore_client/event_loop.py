"""Runs what the client does, and ends when that ends: names that hang in the system's resolver hold nothing up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, TypeVar

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` as asyncio.run does.

    A look-up of a name cannot be interrupted. asyncio has a few threads for all of them, so that some which hang keep
    every other waiting, and at its end it waits for theirs, long after a timeout has given them up.
    """

    async def main() -> Result:
        asyncio.get_running_loop().set_default_executor(_Lookups())
        return await work

    return asyncio.run(main())


class _Lookups(ThreadPoolExecutor):
    """A thread for each call, for which nobody waits in the end; asyncio takes no executor that is no pool."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See Executor."""
        future: Future[Any] = Future()
        threading.Thread(target=_settle, args=(future, fn, args, kwargs), daemon=True).start()
        return future


def _settle(
    future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
