"""A plugin that tries things. Each operation is one function that says what came of it."""

import os
import time


class Probe:
    def __init__(self, configuration):
        self.configuration = configuration

    def echo(self, **data):
        return {"data": data, "configuration": self.configuration}

    def evaluate(self, code, **names):
        """Run code with these names; its `result` is the answer."""
        space = {"os": os, **names}
        exec(code, space)  # noqa: S102 - to try what a test says
        return space.get("result")

    def sleep(self, seconds):
        time.sleep(seconds)
        return "slept"
