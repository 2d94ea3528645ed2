"""simple-processor: small operations on text and numbers, to try out and to test plugin execution with."""

import time

from flexcore_plugin import OperationFailed, log


class SimpleProcessor:
    """Each public method is one command of the manifest."""

    def __init__(self, configuration: dict[str, object]) -> None:
        del configuration  # it has no settings

    def echo(self, **parameters: object) -> dict[str, object]:
        """Give back the parameters as they came."""
        return parameters

    def uppercase(self, text: str) -> dict[str, object]:
        """Turn the text into upper case."""
        return {"text": text.upper()}

    def lowercase(self, text: str) -> dict[str, object]:
        """Turn the text into lower case."""
        return {"text": text.lower()}

    def reverse(self, text: str) -> dict[str, object]:
        """Turn the order of the characters round."""
        return {"text": text[::-1]}

    def count(self, text: str) -> dict[str, object]:
        """Count characters, words and lines."""
        return {"characters": len(text), "words": len(text.split()), "lines": len(text.splitlines())}

    def sum(self, numbers: list[object]) -> dict[str, object]:
        """Add numbers up; whole numbers stay whole."""
        total: float = 0
        for index, number in enumerate(numbers):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise OperationFailed(f"numbers[{index}] is not a number")
            total += number
        return {"sum": total, "count": len(numbers)}

    def wait(self, seconds: float) -> dict[str, object]:
        """Do nothing for a while, and log when it begins and ends."""
        if seconds < 0:
            raise OperationFailed("seconds must be 0 or more")
        log(f"waiting for {seconds:g} s")
        time.sleep(seconds)
        log("waited long enough")
        return {"waited_seconds": seconds}
