"""Calls that the kernel may hold up for ever, such as any on a file system whose server is gone."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class BlockingCall(Generic[Result]):
    """Makes a call in a thread of its own, one at a time: while it hangs, everybody waits for that one.

    The event loop's own threads won't do. Calls that hang would use them up, and the end of the process waits for them.
    """

    def __init__(self, function: Callable[[], Result], *, name: str) -> None:
        self._function = function
        self._name = name
        self._call: Future[Result] | None = None

    async def result(self) -> Result:
        """Return what the function returns, or raise the OSError that it raises."""
        if self._call is None or self._call.done():
            self._call = Future()
            self._call.set_running_or_notify_cancel()  # whoever stops waiting does not end the call
            threading.Thread(target=self._make, args=(self._call,), name=self._name, daemon=True).start()
        return await asyncio.wrap_future(self._call)

    def _make(self, call: "Future[Result]") -> None:
        try:
            call.set_result(self._function())
        except OSError as error:
            call.set_exception(error)
