"""A plugin that greets people."""

from flexcore_plugin import OperationFailed, log


class Greeter:
    """Each command of the manifest is a method; its parameters come as keyword arguments, checked already."""

    def __init__(self, configuration: dict[str, object]) -> None:
        self._word = configuration.get("word", "Hello")

    def greet(self, name: str) -> dict[str, object]:
        """Say hello."""
        if name == "nobody":
            raise OperationFailed("there is nobody to greet")
        log(f"greeting {name}")
        return {"greeting": f"{self._word}, {name}!"}
