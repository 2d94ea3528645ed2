"""The hostile plugin: runs a probe when it is asked to, and some already while it is imported."""

from probes.run import attempt

AT_IMPORT: dict = {}


class Escape:
    """Does what it is told, which is nothing good."""

    def __init__(self, configuration):
        self.configuration = configuration

    def attempt(self, name, host):
        """Run one probe in an execution of its own."""
        return attempt(name, host)
