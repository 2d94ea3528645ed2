"""The plugin of the sandbox benchmark: it does next to nothing, so that what is measured is the sandbox."""

import time


class Adder:
    """Each method is an operation."""

    def __init__(self, configuration: dict[str, object]) -> None:
        del configuration

    def add(self, a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    def sleep(self, seconds: float) -> dict[str, float]:
        time.sleep(seconds)
        return {"slept": seconds}
